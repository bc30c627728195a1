use std::{process::Command, time::Duration};

use super::*;

#[test]
fn a_log_is_continued() {
    let scratch = Scratch::new("continued");
    for object in ["a", "b"] {
        let log = scratch.open().unwrap();
        log.record(admin(object)).detach();
        log.close().unwrap();
        let trust = Trust::key(log.verifier_key());
        let report = crate::verify::verify(scratch.log(), &trust).unwrap();
        assert_eq!(report.finding, Finding::Sound, "{report}");
    }
    let kinds: Vec<_> = scratch
        .records()
        .iter()
        .map(|r| r["kind"].clone())
        .collect();
    assert_eq!(kinds, ["started", "key", "admin", "started", "admin"]);
    assert_eq!(scratch.records()[0]["process"], std::process::id());
}

#[test]
fn a_second_writer_is_refused() {
    let scratch = Scratch::new("second");
    let first = scratch.open().unwrap();
    assert!(scratch.open().is_err());
    let options = Options::default().keys_in(scratch.0.join("other.keys"));
    let refused = AuditLog::open(scratch.log(), options).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    drop(first);
    scratch.open().unwrap();
}

#[test]
fn a_second_process_is_refused() {
    const PLACE: &str = "ZT_AUDIT_TEST_LOG";
    if let Some(path) = std::env::var_os(PLACE) {
        let options = Options::default().insecure_personal_data_in_clear();
        let refused = AuditLog::open(path, options);
        assert!(matches!(refused, Err(OpenError::InUse(_))), "{refused:?}");
        return;
    }
    let scratch = Scratch::new("process");
    let _log = scratch.open().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::files::a_second_process_is_refused"])
        .env(PLACE, scratch.log())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn half_a_batch_is_moved_aside_and_said_so() {
    let scratch = Scratch::new("torn");
    let log = scratch.open().unwrap();
    log.record(admin("a")).detach();
    log.close().unwrap();
    drop(log);
    for turn in 0..2 {
        let whole = fs::read(scratch.live()).unwrap();
        let torn = b"{\"v\":2,\"idx\":3,\"ts\"";
        fs::write(scratch.live(), [&whole[..], torn].concat()).unwrap();
        scratch.open().unwrap().close().unwrap();
        let records = scratch.records();
        let recovered = &records[3 + 2 * turn];
        assert_eq!(recovered["kind"], "recovered");
        assert_eq!(recovered["cause"], "torn");
        assert_eq!(recovered["bytes"], torn.len());
        let aside = scratch.log().join(recovered["file"].as_str().unwrap());
        assert_eq!(fs::read(aside).unwrap(), torn);
    }
}

#[test]
fn nothing_is_appended_to_a_damaged_log() {
    let scratch = Scratch::new("damaged");
    let options = || Options::default().insecure_personal_data_in_clear();
    let log = AuditLog::open(scratch.log(), options()).unwrap();
    log.record(admin("a")).detach();
    log.close().unwrap();
    drop(log);
    let mut bytes = fs::read(scratch.live()).unwrap();
    let at = bytes
        .windows(12)
        .position(|text| text == b"\"object\":\"a\"")
        .unwrap();
    bytes[at + 10] = b'x';
    // Half a record at the end does not make the damage less.
    bytes.extend_from_slice(b"{");
    fs::write(scratch.live(), &bytes).unwrap();
    let error = AuditLog::open(scratch.log(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert_eq!(fs::read(scratch.live()).unwrap(), bytes);
}

#[tokio::test]
async fn a_live_file_that_was_deleted_replaced_or_linked_is_noticed_on_a_real_disk() {
    type Harm = fn(&std::path::Path);
    let harms: [(Harm, &str); 3] = [
        (|live| fs::remove_file(live).unwrap(), "deleted"),
        (
            |live| {
                fs::copy(live, live.with_extension("copy")).unwrap();
                fs::rename(live.with_extension("copy"), live).unwrap();
            },
            "replaced",
        ),
        (
            |live| fs::hard_link(live, live.with_extension("link")).unwrap(),
            "second name",
        ),
    ];
    for (harm, said) in harms {
        let scratch = Scratch::new("place");
        let log = scratch.open().unwrap();
        log.record(permit()).await.unwrap();
        harm(&scratch.live());
        let result = log.record(permit()).await;
        assert!(is_unavailable(&result, said), "{result:?}");
    }
}

#[test]
fn a_log_that_is_closed_has_no_zeros_at_its_end_and_one_that_is_open_has() {
    let scratch = Scratch::new("zeros");
    let log = scratch.open().unwrap();
    let bytes = fs::read(scratch.live()).unwrap();
    assert_eq!(bytes.last(), Some(&0));
    assert!(bytes.len() >= 256 << 10 && bytes.len() < 1 << 20);
    log.close().unwrap();
    assert_eq!(fs::read(scratch.live()).unwrap().last(), Some(&b'\n'));
}

#[test]
fn a_flush_does_not_change_the_length_of_the_file() {
    let scratch = Scratch::new("steady");
    let log = scratch.open().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    // Until the keeper has zeroed as far ahead as it does at first.
    let length = || fs::metadata(scratch.live()).unwrap().len();
    let before = length();
    for _ in 0..20 {
        let durable = log.record(permit());
        let tell = tell.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            tell.send(runtime.block_on(durable)).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(length(), before);
    }
}

#[test]
fn what_is_not_a_folder_or_a_regular_file_is_refused() {
    let scratch = Scratch::new("kinds");
    fs::write(scratch.log(), b"x").unwrap();
    assert!(scratch.open().is_err());
    fs::remove_file(scratch.log()).unwrap();
    fs::create_dir_all(scratch.log().join("log")).unwrap();
    std::os::unix::fs::symlink("/dev/null", scratch.live()).unwrap();
    assert!(scratch.open().is_err());
}

#[tokio::test]
async fn a_real_disk_that_is_full_refuses() {
    let scratch = Scratch::new("full");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&scratch.0)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    struct Mounted<'a>(&'a std::path::Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _mounted = Mounted(&scratch.0);
    let keys = Scratch::new("full-keys");
    let options = Options::default().keys_in(keys.0.join("keys"));
    let log = AuditLog::open(scratch.log(), options).unwrap();
    let result = loop {
        match log.record(permit()).await {
            Ok(()) => {}
            failed => break failed,
        }
    };
    assert!(is_unavailable(&result, "no-space"), "{result:?}");
    log.close().unwrap();
    let last = scratch.records().pop().unwrap();
    assert_eq!(last["kind"], "gap");
    assert_eq!(last["reason"], "no-space");
}
