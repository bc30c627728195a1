use super::*;
use crate::seal::DataSubject;

#[test]
fn without_a_vault_nobody_is_forgotten() {
    let (log, _disk) = log();
    let refused = log.erase(DataSubject::Named("root"), None, "asked");
    assert!(matches!(refused, Err(EraseError::NoVault)));
}

#[tokio::test]
async fn a_person_who_is_forgotten_leaves_records_that_open_to_nobody_and_a_log_that_verifies() {
    let scratch = Scratch::new("erase");
    let log = scratch.open().unwrap();
    log.record(admin("secret-object")).await.unwrap();
    let root = DataSubject::Named("root");
    let erased = log.erase(root, Some("dpo"), "asked for").unwrap();
    assert_eq!(erased.keys, 1);
    // Once more does no harm.
    assert_eq!(log.erase(root, Some("dpo"), "asked for").unwrap().keys, 0);
    log.close().unwrap();
    let trust = Trust::key(log.verifier_key());
    drop(log);
    let report = crate::verify::verify(scratch.log(), &trust).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    let vault = Vault::read_only(scratch.0.join("audit.keys")).unwrap();
    let records = scratch.records();
    let opened = crate::open_record(records[2].to_string().as_bytes(), &vault);
    let opened = serde_json::to_string(&opened.unwrap()).unwrap();
    assert!(
        opened.contains("erased") && !opened.contains("secret-object"),
        "{opened}"
    );
    let said: Vec<_> = records.iter().filter(|r| r["kind"] == "erased").collect();
    assert_eq!(said[0]["action"], "begun");
    assert_eq!(said[1]["action"], "done");
    assert_eq!(said[1]["keys"], 1);
}

/// A log of several segments.
async fn long() -> (AuditLog, Disk) {
    let (log, disk) = log_with(Options::default().segment_bytes(64 << 10));
    for _ in 0..12 {
        let mut last = None;
        for index in 0..256 {
            last = Some(log.record(admin(&index.to_string())));
        }
        last.unwrap().await.unwrap();
    }
    assert!(disk.segments().len() > 3);
    (log, disk)
}

#[tokio::test]
async fn there_is_nothing_to_prune_before_the_first_whole_segment() {
    let (log, disk) = long().await;
    let first: u64 = disk.segments()[1][..20].parse().unwrap();
    for before in [0, 1, 255, first - 1] {
        assert!(matches!(
            log.prune(before, None),
            Err(PruneError::Nothing(_))
        ));
    }
    assert!(of_kind(&disk, "prune").is_empty());
}

#[tokio::test]
async fn whole_segments_are_dropped_and_the_log_still_verifies_and_goes_on() {
    let (log, disk) = long().await;
    let segments = disk.segments();
    let cut: u64 = segments[2][..20].parse().unwrap();
    let pruned = log.prune(cut + 10, Some("root")).unwrap();
    assert_eq!((pruned.before, pruned.segments), (cut, 2));
    assert_eq!(disk.segments(), segments[2..]);
    log.record(admin("later")).await.unwrap();
    log.close().unwrap();
    let trust = Trust::key(signing_key().verifier());
    let report = Verification::new(&trust).check(&disk).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    assert_eq!(report.first, cut);
    drop(log);
    let log = log_on(&disk, Options::default()).unwrap();
    // The live segment stays, whatever is asked for.
    let live: u64 = disk.segments().last().unwrap()[..20].parse().unwrap();
    assert_eq!(log.prune(u64::MAX, None).unwrap().before, live);
    assert_eq!(disk.segments().len(), 1);
    log.close().unwrap();
    let report = Verification::new(&trust).check(&disk).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
}
