mod measure;
mod segments;
mod signatures;
mod threads;

use std::num::NonZeroUsize;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use zt_core::clock::Timestamp;

use super::{BadRecord, Finding, Reason, Report, Trust, Unsigned, Verification, json};
use crate::{
    format::{Pruned, name},
    read::testing::{Memory, TestLog, key, text_length},
    storage::Storage as _,
};

fn check(disk: &Memory, trust: &Trust) -> Report {
    let by = |threads| {
        Verification::new(trust)
            .threads(NonZeroUsize::new(threads).unwrap())
            .check(disk)
            .unwrap()
    };
    let report = by(1);
    assert_eq!(report, by(3), "threads change nothing");
    let shown = report.to_string();
    assert_eq!(shown.lines().count(), 1);
    if report.finding != Finding::Sound {
        // In base64 it may stand within a word.
        let mut words = shown.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(
            !shown.contains("sound") && words.all(|word| !word.eq_ignore_ascii_case("ok")),
            "{shown}"
        );
        assert_ne!(report.exit_code(), 0);
        assert!(!report.is_sound());
    }
    report
}

/// Where `what` begins next.
fn after(text: &str, begin: usize, what: &str) -> usize {
    begin + text.get(begin..).unwrap().find(what).unwrap()
}

fn trust(log: &TestLog) -> Trust {
    Trust::key(log.key.verifier())
}

fn tampered(disk: &Memory, trust: &Trust) -> BadRecord {
    let report = check(disk, trust);
    match &report.finding {
        Finding::Tampered(bad) => {
            assert_eq!(report.exit_code(), 1);
            bad.clone()
        }
        _ => panic!("{report}"),
    }
}

/// A small log of three segments, signed to its end.
fn signed() -> TestLog {
    let mut log = TestLog::begun();
    log.batch(2).batch(252).roll().batch(250).batch(6).roll();
    log.batch(2).batch(1).ahead(512);
    log.sign();
    log
}

#[test]
fn finds_a_signed_log_sound() {
    let mut log = signed();
    for _ in 0..2 {
        let report = check(&log.disk, &trust(&log));
        assert_eq!(report.finding, Finding::Sound);
        assert_eq!(report.exit_code(), 0);
        assert_eq!((report.first, report.records), (0, 515));
        assert_eq!(report.root, log.tree.root());
        assert_eq!(report.segments, 3);
        assert_eq!(report.origin, log.origin);
        let signature = report.signed.as_ref().unwrap();
        assert_eq!(signature.size, 515);
        assert_eq!(signature.at.unwrap().as_secs(), log.micros / 1_000_000);
        assert!(
            report
                .to_string()
                .starts_with("sound: records 0 to 514 of `test/log`")
        );
        log.tree_files();
    }
}

#[test]
fn any_byte_of_a_signed_log_that_is_another_is_found() {
    let mut log = TestLog::begun();
    log.batch(1).batch(2);
    log.sign();
    let trust = trust(&log);
    for file in [log.file(), "checkpoint".to_owned()] {
        let bytes = log.disk.bytes(&file);
        for at in 0..bytes.len() {
            for bit in [at % 8, (at + 5) % 8] {
                let disk = log.disk.copy();
                disk.edit(&file, |bytes| bytes[at] ^= 1 << bit);
                let bad = tampered(&disk, &trust);
                assert!(bad.index <= 5, "{bad}");
            }
        }
    }
}

#[test]
fn names_the_record_that_was_exchanged_and_where_it_begins() {
    let log = signed();
    let text = String::from_utf8(log.disk.bytes(&log.file())).unwrap();
    let at = text.find(r#"{"v":2,"idx":512"#).unwrap();
    let disk = log.disk.copy();
    // In the middle of a batch.
    disk.edit(&name::segment(256), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let place = text.find(r#""idx":300,"#).unwrap();
        let rule = after(&text, place, "orders.read");
        bytes[rule] = b'0';
    });
    let middle = String::from_utf8(log.disk.bytes(&name::segment(256))).unwrap();
    let expected = middle.find(r#"{"v":2,"idx":300,"#).unwrap();
    assert_eq!(
        tampered(&disk, &trust(&log)),
        BadRecord {
            index: 300,
            file: name::segment(256),
            offset: expected as u64,
            reason: Reason::Chain
        }
    );
    // The last of a batch.
    let disk = log.disk.copy();
    disk.edit(&log.file(), |bytes| bytes[at + 170] ^= 1);
    let bad = tampered(&disk, &trust(&log));
    assert_eq!((bad.index, bad.file), (512, log.file()));
}

#[test]
fn where_batches_ended_is_not_signed() {
    let log = signed();
    let line = |size| format!(r#"{{"commit":{size},"#);
    let file = name::segment(256);
    let text = String::from_utf8(log.disk.bytes(&file)).unwrap();
    let begin = text.find(&line(506)).unwrap();
    let end = after(&text, begin, "\n") + 1;
    let disk = log.disk.copy();
    disk.edit(&file, |bytes| drop(bytes.drain(begin..end)));
    assert_eq!(check(&disk, &trust(&log)).finding, Finding::Sound);
}

#[test]
fn each_record_is_one_json_object_whose_keys_differ() {
    for line in [r#"{}"#, r#"{"a":1,"b":{"a":[1,{"a":null}]},"c":"\u0061"}"#] {
        assert!(json::is_object(line.as_bytes()), "{line}");
    }
    for line in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":{}}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":1}{}"#,
        r#"{"a":1}x"#,
        r#"{"a":1,}"#,
        r#"{"a":01}"#,
        r#"[1]"#,
        r#""a""#,
        "{\"a\":\"\u{1}\"}",
        "",
    ] {
        assert!(!json::is_object(line.as_bytes()), "{line}");
    }
    assert!(!json::is_object(b"{\"a\":\"\xff\"}"));
    for fields in [
        r#","a":1,"a":2"#,
        r#","idx":3"#,
        r#","a":tru"#,
        r#","a":"b"#,
    ] {
        let mut log = TestLog::begun();
        log.record("decision", fields).commit();
        log.sign();
        let bad = tampered(&log.disk, &trust(&log));
        assert_eq!((bad.index, bad.reason), (2, Reason::Json), "{fields}");
    }
}

#[test]
fn reading_a_folder_makes_nothing_in_it() {
    let missing = std::env::temp_dir().join(format!("zt-audit-none-{}", std::process::id()));
    assert!(super::verify(&missing, &Trust::unsigned()).is_err());
    assert!(!missing.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_edit_of_any_segment_is_found(
        file in 0..3_usize,
        at in any::<prop::sample::Index>(),
        cut in 0..300_usize,
        with in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let log = signed();
        let file = name::segment(file as u64 * 256);
        let before = log.disk.bytes(&file);
        let text = text_length(&before);
        let at = at.index(text);
        let end = (at + cut).min(text);
        log.disk.edit(&file, |bytes| { bytes.splice(at..end, with); });
        prop_assume!(log.disk.bytes(&file) != before);
        let report = check(&log.disk, &trust(&log));
        prop_assert_ne!(report.exit_code(), 0);
    }
}
