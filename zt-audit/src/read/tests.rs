use std::sync::Arc;

use super::{
    LogReader, ReadError, Segments, stored_tree,
    testing::{Memory, TestLog, text_length},
};
use crate::{format::Pruned, storage::Storage as _, verify::Reason};

fn reader(disk: &Memory, from: u64) -> LogReader {
    LogReader::over(Arc::new(disk.clone()), from).unwrap()
}

/// The indices of all that is there now.
fn all(reader: &mut LogReader) -> Vec<u64> {
    std::iter::from_fn(|| reader.next().unwrap())
        .map(|entry| entry.index)
        .collect()
}

fn reason(reader: &mut LogReader) -> (u64, u64, Reason) {
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it found nothing wrong"),
            Err(ReadError::Damaged {
                index,
                offset,
                reason,
                ..
            }) => return (index, offset, reason),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn refuses_a_folder_without_a_log() {
    let opened = LogReader::over(Arc::new(Memory::default()), 0);
    assert!(matches!(opened, Err(ReadError::Absent(_))));
    let opened = LogReader::open("/nonexistent/zt-audit", 0);
    assert!(matches!(opened, Err(ReadError::Absent(_))));
}

#[test]
fn hands_out_nothing_that_no_commit_line_covers() {
    let mut log = TestLog::new();
    log.batch(2).record("decision", "").ahead(4096);
    let mut reader = reader(&log.disk, 0);
    assert_eq!(all(&mut reader), [0, 1]);
    assert_eq!(reader.position(), 2);
    log.commit();
    assert_eq!(all(&mut reader), [2]);
}

#[test]
fn waits_for_the_rest_of_a_batch_however_it_is_cut() {
    let mut log = TestLog::new();
    log.batch(1).ahead(8192);
    let before = text_length(&log.disk.bytes(&log.file()));
    let mut whole = log.clone();
    whole.disk = log.disk.copy();
    whole.batch(2);
    let bytes = whole.disk.bytes(&whole.file());
    for cut in before..text_length(&bytes) {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |file| {
            file[..cut].copy_from_slice(&bytes[..cut]);
        });
        let mut reader = reader(&disk, 0);
        assert_eq!(all(&mut reader), [0], "cut at {cut}");
        disk.edit(&log.file(), |file| file.clone_from(&bytes));
        assert_eq!(all(&mut reader), [1, 2], "cut at {cut}");
    }
}

#[test]
fn follows_a_log_through_growth_a_roll_and_a_cut_tail() {
    let mut log = TestLog::new();
    log.batch(256).ahead(4096);
    let mut reader = reader(&log.disk, 0);
    assert_eq!(all(&mut reader).len(), 256);
    log.roll();
    assert_eq!(all(&mut reader), [0; 0], "an empty segment is no record");
    log.batch(3).ahead(1 << 16);
    assert_eq!(all(&mut reader), [256, 257, 258]);
    log.disk.edit(&log.file(), |bytes| {
        let length = text_length(bytes);
        bytes.truncate(length);
    });
    assert_eq!(all(&mut reader), [0; 0]);
    log.batch(1);
    assert_eq!(all(&mut reader), [259]);
}

#[test]
fn goes_on_after_a_segment_that_was_given_up() {
    let mut log = TestLog::new();
    log.batch(3);
    let durable = (log.tree.clone(), log.last);
    let mut lost = log.clone();
    lost.record("decision", "");
    log.tree = durable.0;
    let mut reader = reader(&log.disk, 0);
    assert_eq!(all(&mut reader), [0, 1, 2]);
    log.roll().record("recovered", "").commit();
    assert_eq!(all(&mut reader), [3]);
}

#[test]
fn holds_back_what_a_crash_can_take_when_asked_to() {
    let mut log = TestLog::new();
    log.batch(2);
    let mut reader = reader(&log.disk, 0).only_durable();
    assert_eq!(all(&mut reader), [0; 0]);
    log.batch(1);
    assert_eq!(all(&mut reader), [0, 1]);
    assert_eq!(all(&mut reader), [0; 0]);
    log.roll();
    assert_eq!(all(&mut reader), [2]);
}

#[test]
fn begins_anywhere() {
    let mut log = TestLog::new();
    log.batch(300).batch(212).roll().batch(5);
    for from in [0, 1, 255, 299, 300, 511, 512, 516, 517] {
        let found = all(&mut reader(&log.disk, from));
        assert_eq!(found, (from..517).collect::<Vec<_>>());
    }
    let mut late = reader(&log.disk, 600);
    assert_eq!(all(&mut late), [0; 0]);
    assert_eq!(late.position(), 600);
    log.batch(90);
    assert_eq!(all(&mut late), (600..607).collect::<Vec<_>>());
}

#[test]
fn begins_after_what_was_pruned_and_not_before() {
    let mut log = TestLog::new();
    log.batch(512);
    let pruned = Pruned {
        tree: log.tree.clone(),
    };
    log.roll().batch(4);
    log.disk.replace("pruned", &pruned.encode()).unwrap();
    for _ in 0..2 {
        assert_eq!(all(&mut reader(&log.disk, 512)), [512, 513, 514, 515]);
        assert!(matches!(
            LogReader::over(Arc::new(log.disk.clone()), 511),
            Err(ReadError::Pruned { first: 512 })
        ));
        let _ = log.disk.remove("log/00000000000000000000.jsonl");
    }
    log.disk.edit("pruned", |bytes| bytes[12] ^= 1);
    assert!(matches!(
        LogReader::over(Arc::new(log.disk.clone()), 512),
        Err(ReadError::Damaged {
            reason: Reason::Pruned,
            ..
        })
    ));
}

#[test]
fn compares_roots_from_a_later_segment_where_the_tree_is_there() {
    let mut log = TestLog::new();
    log.batch(256).roll().batch(2);
    let alter = |log: &TestLog| {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |bytes| {
            let at = bytes.len() - 20;
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        });
        disk
    };
    assert_eq!(
        all(&mut reader(&alter(&log), 256)),
        [256, 257],
        "a root that cannot be compared"
    );
    log.tree_files().batch(1);
    let mut found = reader(&alter(&log), 256);
    assert_eq!(found.next().unwrap().unwrap().index, 256);
    // The last line looks torn: the reader waits.
    assert_eq!(all(&mut found), [257]);
    log.batch(1);
    let disk = log.disk.copy();
    disk.edit(&log.file(), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let root = text.find(r#"{"commit":259"#).unwrap() + 30;
        bytes[root] = if bytes[root] == b'0' { b'1' } else { b'0' };
    });
    assert_eq!(reason(&mut reader(&disk, 256)).2, Reason::Root);
    log.disk.edit("tree/1", |bytes| bytes[0] ^= 1);
    assert_eq!(
        all(&mut reader(&log.disk, 256)),
        [256, 257, 258, 259],
        "hashes that are derived do not condemn the log"
    );
}

#[test]
fn reads_the_tree_from_its_files_or_says_that_it_is_not_there() {
    let mut log = TestLog::new();
    let disk = log.disk.clone();
    let stored = |size| {
        let segments = Segments::list(&disk).unwrap();
        stored_tree(&disk, &segments, size).unwrap()
    };
    for size in [1_u64, 2, 255, 256, 300, 512, 700, 1024] {
        log.batch(size - log.tree.size()).tree_files();
        assert_eq!(stored(size).as_ref(), Some(&log.tree));
        assert_eq!(stored(size + 1), None);
    }
    log.disk.edit("tree/0", |bytes| bytes.extend([0; 64]));
    assert_eq!(stored(1025), None);
}

#[test]
fn names_the_first_record_that_is_not_good() {
    let mut log = TestLog::new();
    log.batch(4).batch(4).batch(1);
    let clean = log.disk.bytes(&log.file());
    let text = String::from_utf8(clean.clone()).unwrap();
    let line = |index: u64| text.find(&format!(r#""idx":{index},"#)).unwrap() - 7;
    let at = |index: u64| line(index) as u64;
    let part = |from: usize, to: usize| text.get(from..to).unwrap();
    let cases: [(&str, String, (u64, u64, Reason)); 6] = [
        (
            "content",
            text.replacen("orders.read", "orders.writ", 1),
            (0, 0, Reason::Chain),
        ),
        (
            "its index",
            text.replacen(r#""idx":2"#, r#""idx":9"#, 1),
            (2, at(2), Reason::Index { found: 9 }),
        ),
        (
            "a spacing",
            text.replacen(r#""v":2,"idx":2"#, r#""v":2, "idx":2"#, 1),
            (2, at(2), Reason::Malformed),
        ),
        (
            "left out",
            format!("{}{}", part(0, line(5)), part(line(6), text.len())),
            (5, at(5), Reason::Index { found: 6 }),
        ),
        (
            "another log's",
            text.replacen("test/log", "test/lag", 3)
                .replacen("test/lag", "test/log", 2),
            (2, at(2), Reason::Origin),
        ),
        (
            "a later one of a batch",
            format!(
                "{}{}",
                part(0, line(5)),
                part(line(5), text.len()).replacen("orders.read", "orders.writ", 1)
            ),
            (5, at(5), Reason::Chain),
        ),
    ];
    for (what, altered, expected) in cases {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |bytes| *bytes = altered.into_bytes());
        assert_eq!(reason(&mut reader(&disk, 0)), expected, "{what}");
    }
}

#[test]
fn a_missing_segment_is_damage_and_no_end() {
    let mut log = TestLog::new();
    log.batch(256).roll().batch(256).roll().batch(1);
    log.disk.remove("log/00000000000000000256.jsonl").unwrap();
    assert_eq!(reason(&mut reader(&log.disk, 0)).2, Reason::Missing);
}

#[test]
fn gives_each_record_with_its_bytes_and_place() {
    let mut log = TestLog::new();
    log.batch(2).roll().batch(1);
    let mut reader = reader(&log.disk, 0);
    for segment in [0, 0, 2] {
        let entry = reader.next().unwrap().unwrap();
        assert_eq!(entry.segment, segment);
        let file = log.disk.bytes(&crate::format::name::segment(segment));
        let begin = usize::try_from(entry.offset).unwrap();
        assert!(file[begin..].starts_with(&entry.bytes));
        assert_eq!(entry.leaf, crate::merkle::leaf_hash(&entry.bytes));
        assert_eq!(entry.fields().unwrap()["idx"], entry.index);
    }
}
