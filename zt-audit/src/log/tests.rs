use super::*;
use crate::testing::{admin, log, log_on};

#[tokio::test]
async fn a_log_is_continued() {
    let (log, disk) = log();
    log.record(admin("a")).await.unwrap();
    log.record(admin("b")).detach();
    log.sign().unwrap();
    log.close().unwrap();
    drop(log);
    let log = log_on(&disk, Options::default()).unwrap();
    log.record(admin("c")).await.unwrap();
    drop(log);
    let kinds: Vec<_> = disk.all().iter().map(|r| r["kind"].to_string()).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[tokio::test]
async fn a_log_on_a_real_disk() {
    let folder = std::env::temp_dir().join(format!("zt-audit-real-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for _ in 0..2 {
        let log = AuditLog::open(folder.join("audit"), Options::default()).unwrap();
        log.record(admin("c")).await.unwrap();
        log.close().unwrap();
    }
    println!(
        "{}",
        std::fs::read_to_string(folder.join("audit/log/00000000000000000000.jsonl")).unwrap()
    );
    println!(
        "{}",
        std::fs::read_to_string(folder.join("audit/checkpoint")).unwrap()
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
