use super::{Found, Standing, Torn, recover};
use crate::{
    format::{Pruned, name},
    merkle::Hash,
    read::testing::{Memory, TestLog, key, text_length},
    storage::Storage as _,
    verify::{BadRecord, Reason},
};

fn found(log: &TestLog, disk: &Memory) -> Found {
    recover(disk, Some(&log.key.verifier())).unwrap()
}

fn standing(log: &TestLog, disk: &Memory) -> (Standing, Option<Torn>) {
    match found(log, disk) {
        Found::Standing(standing, torn) => (*standing, torn),
        other => panic!("{other:?}"),
    }
}

fn damage(log: &TestLog, disk: &Memory) -> BadRecord {
    let before = disk.copy();
    match found(log, disk) {
        Found::Damaged(bad) => {
            assert_eq!(before.names(), disk.names(), "nothing is changed");
            for name in disk.names() {
                assert_eq!(before.bytes(&name), disk.bytes(&name), "{name} is changed");
            }
            bad
        }
        other => panic!("{other:?}"),
    }
}

/// Where the log stands is where the test left it.
fn stands(log: &TestLog, disk: &Memory) -> Option<Torn> {
    let (standing, torn) = standing(log, disk);
    assert_eq!(standing.tree, log.tree);
    assert_eq!(standing.last, log.last);
    assert_eq!(standing.origin, log.origin);
    assert_eq!(standing.segment, log.segment);
    assert_eq!(
        standing.end,
        text_length(&disk.bytes(&name::segment(standing.segment))) as u64
    );
    torn
}

/// Four segments, signed, with hashes.
fn long() -> TestLog {
    let mut log = TestLog::begun();
    log.batch(254)
        .ahead(8192)
        .roll()
        .batch(512)
        .roll()
        .batch(100);
    log.batch(156).roll().batch(3).tree_files();
    log.sign();
    log.batch(2).ahead(4096);
    log
}

#[test]
fn finds_nothing_where_there_is_nothing_or_an_empty_segment() {
    let empty = Memory::default();
    assert!(matches!(recover(&empty, None).unwrap(), Found::Nothing));
    let mut log = TestLog::new();
    log.ahead(8192);
    assert!(matches!(found(&log, &log.disk), Found::Nothing));
    assert_eq!(log.disk.names(), [""; 0], "its place is free");
}

#[test]
fn goes_on_where_a_log_was_left() {
    let mut log = TestLog::begun();
    assert_eq!(stands(&log, &log.disk), None);
    log.ahead(4096);
    assert_eq!(stands(&log, &log.disk), None);
    log.sign();
    log.batch(300);
    assert_eq!(stands(&log, &log.disk), None);
    log.sign();
    assert_eq!(stands(&log, &log.disk), None);
    log.roll();
    assert_eq!(
        stands(&log, &log.disk),
        None,
        "an empty segment is the next"
    );
    let log = long();
    assert_eq!(stands(&log, &log.disk), None);
}

#[test]
fn reads_a_long_log_from_its_checkpoint_on_and_without_its_tree_as_well() {
    let log = long();
    // What is not read is not found: older segments are verify's task.
    let disk = log.disk.copy();
    disk.edit(&name::segment(256), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    stands(&log, &disk);
    for file in ["tree/0", "tree/1", "tree/2"] {
        let disk = log.disk.copy();
        disk.remove(file).unwrap();
        stands(&log, &disk);
        let disk = log.disk.copy();
        disk.edit(file, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1));
        stands(&log, &disk);
    }
    // Without hashes all of it is read.
    for file in ["tree/0", "tree/1", "tree/2"] {
        disk.remove(file).unwrap();
    }
    let bad = damage(&log, &disk);
    assert_eq!(bad.file, name::segment(256));
}

#[test]
fn sets_a_torn_batch_aside_wherever_it_was_cut() {
    let mut log = TestLog::begun();
    log.sign();
    log.batch(1).ahead(1 << 14);
    let clean = log.disk.bytes(&log.file());
    let begin = text_length(&clean);
    let mut after = log.clone();
    after.disk = log.disk.copy();
    after.record("decision", "").record("outcome", "").commit();
    let whole = after.disk.bytes(&log.file());
    let end = text_length(&whole);
    for cut in begin + 1..end {
        for holed in [false, true] {
            let disk = log.disk.copy();
            disk.edit(&log.file(), |bytes| {
                bytes.clone_from(&whole);
                let hole = if holed { begin..cut } else { cut..end };
                bytes[hole].fill(0);
            });
            let torn_bytes =
                disk.bytes(&log.file())[begin..text_length(&disk.bytes(&log.file()))].to_vec();
            let torn = stands(&log, &disk).unwrap();
            assert_eq!(torn.bytes, torn_bytes.len() as u64, "cut at {cut}");
            assert_eq!(disk.bytes(&torn.file), torn_bytes, "cut at {cut}");
            assert_eq!(torn.sha256, sha256(&torn_bytes));
            assert_eq!(torn.file, format!("torn/{:020}-{begin}", 0));
            // Nothing is set aside twice.
            assert_eq!(stands(&log, &disk), None);
        }
    }
    let disk = log.disk.copy();
    let torn = |disk: &Memory| {
        disk.edit(&log.file(), |bytes| {
            bytes.clone_from(&whole);
            bytes.truncate(end - 1);
        });
        stands(&log, disk).unwrap()
    };
    assert_eq!(torn(&disk).records, 2);
    assert_eq!(torn(&disk).file, format!("torn/{:020}-{begin}.1", 0));
}

fn sha256(bytes: &[u8]) -> Hash {
    use sha2::Digest as _;
    Hash::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[test]
fn a_torn_first_batch_leaves_nothing() {
    let mut log = TestLog::new();
    log.record("started", "");
    assert!(matches!(found(&log, &log.disk), Found::Nothing));
    assert_eq!(
        log.disk.names(),
        [format!("torn/{:020}-0", 0)],
        "it is kept"
    );
}

#[test]
fn a_changed_last_batch_looks_torn_only_after_the_checkpoint() {
    let mut log = TestLog::begun();
    log.sign();
    log.batch(1);
    let length = log.disk.bytes(&log.file()).len();
    let alter = |log: &TestLog| {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |bytes| {
            bytes[length - 10] = if bytes[length - 10] == b'0' {
                b'1'
            } else {
                b'0'
            };
        });
        disk
    };
    assert!(standing(&log, &alter(&log)).1.is_some());
    let mut signed = log.clone();
    signed.disk = log.disk.copy();
    signed.sign();
    assert!(matches!(
        damage(&signed, &alter(&signed)).reason,
        Reason::Truncated { signed: 3 }
    ));
    log.batch(1);
    assert_eq!(damage(&log, &alter(&log)).reason, Reason::Root);
}

#[test]
fn any_changed_byte_under_a_commit_line_that_was_followed_is_damage() {
    let mut log = TestLog::begun();
    log.sign();
    log.batch(2).batch(2);
    let text = String::from_utf8(log.disk.bytes(&log.file())).unwrap();
    let last = text.rfind("\n{\"v\"").unwrap();
    for at in 0..last {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |bytes| bytes[at] ^= 1);
        damage(&log, &disk);
    }
}

#[test]
fn refuses_a_log_whose_segments_do_not_follow_one_another() {
    let log = long();
    let segments: Vec<String> = [0, 256, 768, 1024].map(name::segment).to_vec();
    for (place, file) in segments.iter().enumerate() {
        let disk = log.disk.copy();
        disk.remove(file).unwrap();
        damage(&log, &disk);
        let disk = log.disk.copy();
        disk.edit(file, Vec::clear);
        damage(&log, &disk);
        let disk = log.disk.copy();
        disk.edit(file, |bytes| bytes.fill(0));
        damage(&log, &disk);
        let disk = log.disk.copy();
        disk.rename(file, &name::segment(5000 + place as u64));
        damage(&log, &disk);
        let disk = log.disk.copy();
        disk.rename(file, &format!("{file}.away"));
        damage(&log, &disk);
        let disk = log.disk.copy();
        disk.edit(file, |bytes| {
            *bytes = String::from_utf8(bytes.clone())
                .unwrap()
                .replace("test/log", "test/lag")
                .into_bytes();
        });
        damage(&log, &disk);
    }
    let disk = log.disk.copy();
    let (one, other) = (disk.bytes(&segments[0]), disk.bytes(&segments[1]));
    disk.edit(&segments[0], |bytes| *bytes = other);
    disk.edit(&segments[1], |bytes| *bytes = one);
    damage(&log, &disk);
}

#[test]
fn refuses_a_checkpoint_that_is_not_this_logs() {
    let mut log = TestLog::begun();
    log.batch(4);
    let with = |bytes: &[u8]| {
        let disk = log.disk.copy();
        disk.replace("checkpoint", bytes).unwrap();
        damage(&log, &disk).reason
    };
    let signed = log.signed().encode();
    let body = signed.find("\n\n").unwrap() + 2;
    assert_eq!(with(b""), Reason::CheckpointForm);
    assert_eq!(with(&signed.as_bytes()[..body]), Reason::CheckpointForm);
    let mut other = log.clone();
    other.key = key().into();
    assert_eq!(
        with(other.signed().encode().as_bytes()),
        Reason::CheckpointUnsigned
    );
    let mut longer = log.clone();
    longer.disk = log.disk.copy();
    longer.batch(1);
    assert_eq!(
        with(longer.signed().encode().as_bytes()),
        Reason::Truncated { signed: 7 }
    );
    let mut rewritten = TestLog::begun();
    rewritten.key = log.key.clone();
    rewritten.batch(2);
    assert_eq!(
        with(rewritten.signed().encode().as_bytes()),
        Reason::CheckpointRoot
    );
    for at in 0..signed.len() {
        let mut altered = signed.clone().into_bytes();
        altered[at] ^= 1;
        with(&altered);
    }
}

#[test]
fn accepts_a_checkpoint_by_the_key_before_when_that_endorsed_the_new_one() {
    let mut log = TestLog::begun();
    log.batch(1);
    log.sign();
    log.rotate(key());
    let (standing, _) = standing(&log, &log.disk);
    assert_eq!(standing.vkey, Some(log.key.verifier().to_string()));
    // Another key that nobody endorsed.
    let mut other = log.clone();
    other.key = key().into();
    assert_eq!(damage(&other, &log.disk).reason, Reason::CheckpointUnsigned);
}

#[test]
fn a_missing_checkpoint_is_damage_once_there_must_have_been_one() {
    let mut log = TestLog::begun();
    log.batch(50);
    stands(&log, &log.disk);
    let mut old = log.clone();
    old.disk = log.disk.copy();
    old.micros += 60_000_000;
    old.batch(1);
    assert_eq!(damage(&old, &old.disk).reason, Reason::CheckpointMissing);
    log.batch(204).roll().batch(1);
    assert_eq!(damage(&log, &log.disk).reason, Reason::CheckpointMissing);
}

#[test]
fn a_pruned_log_without_its_checkpoint_is_damaged_however_young_it_looks() {
    let mut log = TestLog::begun();
    log.batch(254);
    let pruned = Pruned {
        tree: log.tree.clone(),
    };
    log.roll().batch(3);
    log.disk.replace("pruned", &pruned.encode()).unwrap();
    log.disk.remove(&name::segment(0)).unwrap();
    assert_eq!(damage(&log, &log.disk).reason, Reason::CheckpointMissing);
}

#[test]
fn more_nuls_than_any_writer_leaves_are_damage() {
    let mut log = long();
    log.ahead(65 << 20);
    damage(&log, &log.disk);
    let log = long();
    log.disk.edit(&name::segment(0), |bytes| {
        bytes.resize(bytes.len() + (65 << 20), 0);
    });
    damage(&log, &log.disk);
}

#[test]
fn a_segment_that_was_given_up_is_passed_over_when_the_next_says_so() {
    let mut log = TestLog::begun();
    log.sign();
    log.batch(3);
    // A batch that the disk may or may not have.
    let (tree, last) = (log.tree.clone(), log.last);
    log.batch(2);
    log.tree = tree;
    log.last = last;
    log.roll();
    let leftover = log.disk.copy();
    log.record("recovered", "").batch(2);
    stands(&log, &log.disk);
    log.sign();
    stands(&log, &log.disk);
    let mut silent = log.clone();
    silent.disk = log.disk.copy();
    silent.disk.edit(&log.file(), |bytes| {
        *bytes = String::from_utf8(bytes.clone())
            .unwrap()
            .replacen("recovered", "decisions", 1)
            .into_bytes();
    });
    damage(&silent, &silent.disk);
    // It crashed before the next had a record: what is left is set aside, so that any may be next.
    let (_, torn) = standing(&log, &leftover);
    assert_eq!(torn.unwrap().records, 2);
    assert_eq!(standing(&log, &leftover).1, None);
}

#[test]
fn a_pruned_log_goes_on_from_what_is_left() {
    let log = long();
    let mut tree = crate::merkle::Frontier::new();
    let text = log.disk.bytes(&name::segment(0));
    for line in text.split(|byte| *byte == b'\n') {
        if line.starts_with(b"{\"v\"") {
            tree.append(crate::merkle::leaf_hash(line));
        }
    }
    let pruned = Pruned { tree };
    log.disk.remove(&name::segment(0)).unwrap();
    assert_eq!(damage(&log, &log.disk).reason, Reason::Missing);
    log.disk.replace("pruned", &pruned.encode()).unwrap();
    stands(&log, &log.disk);
    log.disk.remove("tree/0").unwrap();
    stands(&log, &log.disk);
    log.disk.edit("pruned", |bytes| bytes[11] ^= 1);
    assert_eq!(damage(&log, &log.disk).reason, Reason::Pruned);
}
