use std::collections::BTreeMap;

use zt_core::{
    clock::{ManualClock, Timestamp},
    random::OsEntropy,
};

use super::{Repair, RepairError, Repaired};
use crate::{
    format::name,
    note::SigningKey,
    read::testing::{Memory, TestLog, key},
    recover::{Found, recover},
    storage::Storage as _,
    verify::{Finding, Reason, Trust, Verification},
};

fn repair(key: &SigningKey) -> Repair {
    let key = SigningKey::parse(&key.encode()).unwrap();
    Repair::new(key).clock(ManualClock::at(Timestamp::from_secs(1_900_000_000)))
}

fn repaired(log: &TestLog, disk: &Memory) -> Repaired {
    repair(&log.key)
        .run_in(disk, "ana", "a disk was exchanged")
        .unwrap()
}

fn signed() -> TestLog {
    let mut log = TestLog::begun();
    log.batch(2).batch(252).roll().batch(250).batch(6).roll();
    log.batch(2).batch(1).ahead(512);
    log.sign();
    log
}

fn damaged(edit: impl FnOnce(&Memory)) -> (TestLog, Memory) {
    let log = signed();
    let disk = log.disk.copy();
    edit(&disk);
    (log, disk)
}

fn flip(disk: &Memory, file: &str, line: &str) {
    disk.edit(file, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let at = text.find(line).unwrap();
        bytes[at] ^= 1;
    });
}

fn all(disk: &Memory) -> BTreeMap<String, Vec<u8>> {
    let names = disk.names();
    names
        .into_iter()
        .map(|name| (name.clone(), disk.bytes(&name)))
        .collect()
}

/// It stands, verifies, and says so.
fn goes_on(log: &TestLog, disk: &Memory, repaired: &Repaired) {
    let vkey = log.key.verifier();
    let Found::Standing(standing, None) = recover(disk, Some(&vkey)).unwrap() else {
        panic!("it can be opened");
    };
    assert_eq!(standing.tree.size(), repaired.kept + 1);
    let trust = Trust::key(vkey);
    let check = |trust: &Trust| Verification::new(trust).check(disk).unwrap();
    let report = check(&trust);
    assert_eq!(report.finding, Finding::Sound, "{report}");
    assert_eq!(report.records, repaired.kept + 1);
    // Whoever has the old checkpoint sees that something is gone.
    let report = check(&trust.at_least(log.signed()));
    let Finding::Tampered(bad) = &report.finding else {
        panic!("{report}");
    };
    assert!(matches!(
        bad.reason,
        Reason::CopyTruncated { size: 515 } | Reason::CopyRoot
    ));
}

#[test]
fn refuses_a_log_that_is_not_damaged() {
    for edit in [
        |_: &Memory| (),
        |disk: &Memory| {
            disk.edit(&name::segment(512), |bytes| {
                let length = bytes.len();
                bytes[length - 500] = b'x';
            });
        },
    ] {
        let (log, disk) = damaged(edit);
        let before = all(&disk);
        let refused = repair(&log.key).run_in(&disk, "ana", "why not");
        assert!(matches!(refused, Err(RepairError::NotDamaged)));
        assert_eq!(all(&disk), before);
    }
}

#[test]
fn refuses_without_an_author_or_a_reason() {
    let (log, disk) = damaged(|disk| flip(disk, &name::segment(256), "orders.read"));
    let before = all(&disk);
    for (author, reason) in [("", "why"), ("ana", " ")] {
        let refused = repair(&log.key).run_in(&disk, author, reason);
        assert!(matches!(refused, Err(RepairError::Unexplained)));
    }
    assert_eq!(all(&disk), before);
}

#[test]
fn refuses_a_key_that_is_not_the_logs() {
    let (_, disk) = damaged(|disk| flip(disk, &name::segment(256), "orders.read"));
    let good = signed();
    let foreign = SigningKey::generate("other/log", &OsEntropy).unwrap();
    for key in [&key(), &foreign] {
        for disk in [&disk, &good.disk] {
            let before = all(disk);
            let refused = repair(key).run_in(disk, "ana", "why");
            assert!(
                matches!(refused, Err(RepairError::Key { .. })),
                "{refused:?}"
            );
            assert_eq!(all(disk), before);
        }
    }
}

#[test]
fn refuses_where_nothing_good_is_left() {
    let edits: [fn(&Memory); 4] = [
        |disk| disk.remove(&name::segment(0)).unwrap(),
        |disk| flip(disk, &name::segment(0), "started"),
        |disk| disk.edit(&name::segment(0), Vec::clear),
        |disk| disk.replace("pruned", b"{}").unwrap(),
    ];
    for edit in edits {
        let (log, disk) = damaged(edit);
        let before = all(&disk);
        let refused = repair(&log.key).run_in(&disk, "ana", "why");
        assert!(matches!(refused, Err(RepairError::NothingLeft { .. })));
        assert_eq!(all(&disk), before);
    }
}

#[test]
fn goes_on_before_any_damage_and_keeps_every_byte() {
    type Edit = fn(&Memory);
    let edits: [(Edit, u64); 9] = [
        (|disk| flip(disk, &name::segment(0), "\"idx\":100,"), 4),
        (|disk| flip(disk, &name::segment(0), "{\"commit\":4,"), 2),
        (|disk| flip(disk, &name::segment(256), "\"idx\":300,"), 256),
        (
            |disk| flip(disk, &name::segment(256), "{\"commit\":512"),
            506,
        ),
        (|disk| flip(disk, &name::segment(512), "\"idx\":514,"), 514),
        (|disk| disk.remove(&name::segment(256)).unwrap(), 256),
        (|disk| disk.remove(&name::segment(512)).unwrap(), 512),
        (|disk| disk.edit(&name::segment(256), Vec::clear), 256),
        (|disk| disk.edit("checkpoint", |bytes| bytes[0] ^= 1), 515),
    ];
    for (edit, kept) in edits {
        let (log, disk) = damaged(edit);
        let before = all(&disk);
        let done = repaired(&log, &disk);
        assert_eq!(done.kept, kept, "{}", done.damage);
        let after = all(&disk);
        // All that is gone from its place is in `torn/`.
        for (name, bytes) in &before {
            let in_place = after.get(name).map_or(0, |after| {
                bytes.iter().zip(after).take_while(|(a, b)| a == b).count()
            });
            let rest: Vec<u8> = bytes[in_place..].to_vec();
            let text = rest
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            let kept = done
                .aside
                .iter()
                .any(|aside| after[aside].ends_with(&rest[..text]));
            assert!(text == 0 || kept, "{name} from byte {in_place} on");
        }
        if kept < 515 {
            goes_on(&log, &disk, &done);
            assert_eq!(done.was.as_ref().map(|was| was.size), Some(515));
        }
        let again = repair(&log.key).run_in(&disk, "ana", "once more");
        assert!(matches!(again, Err(RepairError::NotDamaged)));
    }
}

#[test]
fn the_log_says_who_acknowledged_what() {
    let (log, disk) = damaged(|disk| flip(disk, &name::segment(256), "\"idx\":300,"));
    let done = repaired(&log, &disk);
    let text = String::from_utf8(disk.bytes(&name::segment(256))).unwrap();
    let record: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(record["kind"], "recovered");
    assert_eq!(record["cause"], "acknowledged");
    assert_eq!(record["author"], "ana");
    assert_eq!(record["reason"], "a disk was exchanged");
    assert_eq!(record["damage"], done.damage.to_string());
    assert_eq!(record["signed_size"], 515);
    assert_eq!(record["signed_root"], log.tree.root().to_string());
    assert_eq!(
        record["files"],
        serde_json::json!([
            format!("torn/{:020}-0", 256),
            format!("torn/{:020}-0", 512),
            "torn/checkpoint"
        ])
    );
    assert_eq!(record["idx"], 256);
}

#[test]
fn a_missing_checkpoint_is_repaired_without_losing_a_record() {
    let (log, disk) = damaged(|disk| disk.remove("checkpoint").unwrap());
    let done = repaired(&log, &disk);
    assert_eq!((done.kept, done.was), (515, None));
    assert_eq!(done.damage.reason, Reason::CheckpointMissing);
    let trust = Trust::key(log.key.verifier()).at_least(log.signed());
    let report = Verification::new(&trust).check(&disk).unwrap();
    assert_eq!(
        report.finding,
        Finding::Sound,
        "nothing that was signed is gone"
    );
}

#[test]
fn repairs_a_folder_of_the_file_system_and_makes_none() {
    let path = std::env::temp_dir().join(format!("zt-audit-repair-{}", std::process::id()));
    let log = signed();
    let run = || repair(&log.key).run(&path, "ana", "why");
    assert!(matches!(run(), Err(RepairError::File { .. })));
    assert!(!path.exists());
    std::fs::create_dir_all(path.join("log")).unwrap();
    for (name, bytes) in all(&log.disk) {
        std::fs::write(path.join(name), bytes).unwrap();
    }
    assert!(matches!(run(), Err(RepairError::NotDamaged)));
    std::fs::remove_file(path.join(name::segment(256))).unwrap();
    assert_eq!(run().unwrap().kept, 256);
    let trust = Trust::key(log.key.verifier());
    assert!(crate::verify::verify(&path, &trust).unwrap().is_sound());
    std::fs::remove_dir_all(path).unwrap();
}
