mod measure;

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
fn unsigned_data_never_reads_as_sound() {
    let mut log = signed();
    let find = |log: &TestLog, trust: &Trust| check(&log.disk, trust).finding;
    assert_eq!(
        find(&log, &Trust::unsigned()),
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoKey
        }
    );
    let later = Timestamp::from_micros(log.micros + 1_000_000);
    assert_eq!(
        find(&log, &trust(&log).no_older_than(later)),
        Finding::Unsigned {
            from: 515,
            why: Unsigned::Stale
        }
    );
    log.batch(1);
    assert_eq!(
        find(&log, &trust(&log)),
        Finding::Unsigned {
            from: 515,
            why: Unsigned::Newer
        }
    );
    log.disk.remove("checkpoint").unwrap();
    assert_eq!(
        find(&log, &trust(&log)),
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoCheckpoint
        }
    );
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
fn finds_records_that_were_dropped_doubled_inserted_or_moved() {
    let log = signed();
    let text = String::from_utf8(log.disk.bytes(&name::segment(256))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |lines: Vec<&str>| {
        let disk = log.disk.copy();
        disk.edit(&name::segment(256), |bytes| {
            *bytes = (lines.join("\n") + "\n").into_bytes();
        });
        tampered(&disk, &trust(&log))
    };
    for at in [0, 1, 100, 249, 250, 251, 256, 257] {
        // Line 250 is a commit line between two batches; see the next test.
        if at != 250 {
            let mut dropped = lines.clone();
            dropped.remove(at);
            with(dropped);
        }
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        with(doubled);
        let mut inserted = lines.clone();
        inserted.insert(at, lines[130]);
        with(inserted);
        if at + 1 < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            with(swapped);
        }
    }
    let mut dropped = lines.clone();
    dropped.remove(100);
    let bad = with(dropped);
    assert_eq!((bad.index, bad.reason), (356, Reason::Index { found: 357 }));
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
fn finds_segments_that_were_dropped_swapped_renamed_emptied_or_spliced() {
    let log = signed();
    let mut sibling = TestLog::begun();
    sibling.key = log.key.clone();
    sibling.batch(254).roll().batch(256).roll().batch(3);
    let files = [0, 256, 512].map(name::segment);
    for (place, file) in files.iter().enumerate() {
        let edit = |edit: &dyn Fn(&Memory)| {
            let disk = log.disk.copy();
            edit(&disk);
            tampered(&disk, &trust(&log)).reason
        };
        let dropped = edit(&|disk| disk.remove(file).unwrap());
        assert_eq!(
            dropped,
            match place {
                2 => Reason::Truncated { signed: 515 },
                _ => Reason::Missing,
            }
        );
        let emptied = edit(&|disk| disk.edit(file, Vec::clear));
        assert_eq!(
            emptied,
            match place {
                2 => Reason::Truncated { signed: 515 },
                _ => Reason::Missing,
            }
        );
        edit(&|disk| disk.rename(file, &name::segment(768 + place as u64)));
        edit(&|disk| disk.rename(file, "log/aside"));
        let spliced = sibling.disk.bytes(file);
        edit(&|disk| disk.edit(file, |bytes| bytes.clone_from(&spliced)));
        let other = log.disk.bytes(&files[(place + 1) % 3]);
        edit(&|disk| disk.edit(file, |bytes| bytes.clone_from(&other)));
        edit(&|disk| disk.edit(file, |bytes| bytes.fill(0)));
        edit(&|disk| {
            disk.edit(file, |bytes| {
                let length = text_length(bytes);
                bytes.truncate(length);
                bytes.extend(b"{}\n");
            });
            if place == 2 {
                // Behind the last segment it is only torn, until something else shows it.
                disk.edit(file, |bytes| bytes.extend(b"{}\n"));
            }
        });
    }
    let disk = log.disk.copy();
    for file in &files {
        disk.edit(file, Vec::clear);
    }
    disk.remove(&files[1]).unwrap();
    disk.remove(&files[2]).unwrap();
    assert_eq!(tampered(&disk, &trust(&log)).reason, Reason::Empty);
    let nothing = Memory::default();
    assert_eq!(tampered(&nothing, &trust(&log)).reason, Reason::Empty);
}

#[test]
fn finds_a_cut_unless_the_checkpoint_was_rolled_back_with_it() {
    let mut log = TestLog::begun();
    log.batch(2);
    log.sign();
    let older = log.disk.copy();
    let copy = log.signed();
    log.batch(2);
    log.sign();
    let (old, new) = (older.bytes(&log.file()), log.disk.bytes(&log.file()));
    for length in old.len()..new.len() {
        let disk = log.disk.copy();
        disk.edit(&log.file(), |bytes| bytes.truncate(length));
        let bad = tampered(&disk, &trust(&log));
        assert_eq!(bad.reason, Reason::Truncated { signed: 6 }, "{length}");
        assert_eq!((bad.index, bad.offset), (4, old.len() as u64));
    }
    // The whole folder as it was: nothing in it tells.
    let back = check(&older, &trust(&log).at_least(copy));
    assert_eq!(back.finding, Finding::Sound);
    let bad = tampered(&older, &trust(&log).at_least(log.signed()));
    assert_eq!(bad.reason, Reason::CopyTruncated { size: 6 });
}

#[test]
fn finds_what_was_written_anew_by_a_signature_or_by_a_copy() {
    let log = signed();
    let mut forged = TestLog::begun();
    forged.batch(254).roll().batch(256).roll().batch(3);
    // Without a signature of its own, and with the true one.
    assert_eq!(
        check(&forged.disk, &trust(&log)).finding,
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoCheckpoint
        }
    );
    let disk = forged.disk.copy();
    let true_one = log.disk.bytes("checkpoint");
    disk.replace("checkpoint", &true_one).unwrap();
    assert_eq!(tampered(&disk, &trust(&log)).reason, Reason::CheckpointRoot);
    // Signed by another key, which its records name.
    forged.sign();
    assert_eq!(
        tampered(&forged.disk, &trust(&log)).reason,
        Reason::KeyUntrusted
    );
    // Signed with the stolen key: only a copy tells.
    let mut stolen = TestLog::new();
    stolen.key = log.key.clone();
    let vkey = log.key.verifier();
    stolen
        .record("started", "")
        .record("key", &format!(r#","action":"first","vkey":"{vkey}""#))
        .record("decision", r#","decision":"deny""#)
        .batch(600);
    stolen.sign();
    assert_eq!(check(&stolen.disk, &trust(&log)).finding, Finding::Sound);
    let told = trust(&log).at_least(log.signed());
    assert_eq!(tampered(&stolen.disk, &told).reason, Reason::CopyRoot);
}

#[test]
fn each_wrong_checkpoint_has_its_reason() {
    let mut log = signed();
    let trust = trust(&log);
    let with = |log: &TestLog, bytes: &[u8]| {
        let disk = log.disk.copy();
        disk.replace("checkpoint", bytes).unwrap();
        tampered(&disk, &trust).reason
    };
    let note = log.signed().encode();
    let body = note.find("\n\n").unwrap() + 2;
    assert_eq!(with(&log, b""), Reason::CheckpointForm);
    assert_eq!(with(&log, &note.as_bytes()[..body]), Reason::CheckpointForm);
    assert_eq!(
        with(&log, format!("{note}\n").as_bytes()),
        Reason::CheckpointForm
    );
    // One of the two signatures is missing.
    let first = after(&note, body, "\n") + 1;
    assert_eq!(
        with(&log, &note.as_bytes()[..first]),
        Reason::CheckpointUnsigned
    );
    let mut other = log.clone();
    other.key = key().into();
    assert_eq!(
        with(&log, other.signed().encode().as_bytes()),
        Reason::CheckpointUnsigned
    );
    let mut foreign = TestLog::new();
    foreign.origin = "other/log".to_owned();
    foreign.key = crate::note::SigningKey::generate("other/log", &zt_core::random::OsEntropy)
        .unwrap()
        .into();
    foreign.batch(5);
    assert_eq!(
        with(&log, foreign.signed().encode().as_bytes()),
        Reason::CheckpointOrigin
    );
    // The signature is of another text.
    log.batch(1);
    let newer = log.signed().encode();
    let (text, _) = newer.split_once("\n\n").unwrap();
    let (_, signatures) = note.split_once("\n\n").unwrap();
    let mixed = format!("{text}\n\n{signatures}");
    assert_eq!(with(&log, mixed.as_bytes()), Reason::CheckpointSignature);
}

#[test]
fn a_log_of_another_origin_is_another_log() {
    let mut foreign = TestLog::new();
    foreign.origin = "other/log".to_owned();
    foreign.batch(5);
    let log = signed();
    assert_eq!(
        tampered(&foreign.disk, &trust(&log)).reason,
        Reason::CheckpointOrigin
    );
    let told = Trust::unsigned().at_least(log.signed());
    assert_eq!(tampered(&foreign.disk, &told).reason, Reason::CopyOrigin);
}

#[test]
fn a_copy_is_compared_also_without_a_key_and_must_be_signed_with_one() {
    let log = signed();
    let other = {
        let mut other = log.clone();
        other.key = key().into();
        other.signed()
    };
    let finding = check(&log.disk, &Trust::unsigned().at_least(other.clone())).finding;
    assert!(matches!(finding, Finding::Unsigned { .. }));
    assert_eq!(
        tampered(&log.disk, &trust(&log).at_least(other)).reason,
        Reason::CopyUnsigned
    );
}

#[test]
fn follows_keys_that_one_trusted_key_endorsed() {
    let mut log = TestLog::begun();
    let first = trust(&log);
    log.batch(2);
    let stale = log.sign();
    log.rotate(key()).batch(3);
    log.sign();
    let second = trust(&log);
    log.rotate(key()).batch(3);
    log.sign();
    for trust in [&first, &second, &trust(&log)] {
        assert_eq!(check(&log.disk, trust).finding, Finding::Sound);
        let told = trust.clone().at_least(log.signed());
        assert_eq!(check(&log.disk, &told).finding, Finding::Sound);
    }
    // An old copy by the key of its time is good for who trusts that key.
    let told = first.clone().at_least(stale.clone());
    assert_eq!(check(&log.disk, &told).finding, Finding::Sound);
    // For who trusts only the later one it is by nobody.
    let told = second.clone().at_least(stale);
    assert_eq!(tampered(&log.disk, &told).reason, Reason::CopyUnsigned);
}

#[test]
fn a_key_that_was_replaced_signs_nothing_after_that() {
    let mut log = TestLog::begun();
    let old = log.clone();
    log.rotate(key()).batch(3);
    let mut stolen = log.clone();
    stolen.key = old.key.clone();
    stolen.sign();
    for trust in [trust(&old), trust(&log)] {
        assert_eq!(
            tampered(&log.disk, &trust).reason,
            Reason::CheckpointUnsigned
        );
    }
}

#[test]
fn a_key_that_nobody_endorsed_comes_into_force_nowhere() {
    let (one, other) = (key(), key());
    let vkey = one.verifier();
    let by = other.verifier();
    for fields in [
        format!(r#","action":"first","vkey":"{vkey}""#),
        format!(r#","action":"rotated","vkey":"{vkey}""#),
        format!(r#","action":"rotated","vkey":"{vkey}","endorsed_by":"{by}","endorsement":"AAAA""#),
        r#","action":"first","vkey":"none""#.to_owned(),
        String::new(),
    ] {
        let mut log = TestLog::begun();
        log.batch(1).record("key", &fields).commit();
        log.sign();
        let bad = tampered(&log.disk, &trust(&log));
        assert_eq!((bad.index, bad.reason), (3, Reason::Key), "{fields}");
    }
    // Endorsed by a key that is not in force; endorsed for another place.
    let mut log = TestLog::begun();
    let trusted = trust(&log);
    log.key = other.into();
    log.rotate(one);
    log.sign();
    assert_eq!(tampered(&log.disk, &trusted).reason, Reason::Key);
}

#[test]
fn a_torn_end_is_no_tampering_and_not_sound() {
    let mut log = TestLog::begun();
    log.batch(2);
    log.sign();
    let end = log.disk.bytes(&log.file()).len();
    log.record("decision", "").ahead(100);
    let report = check(&log.disk, &trust(&log));
    let bytes = text_length(&log.disk.bytes(&log.file())) - end;
    assert_eq!(
        report.finding,
        Finding::Torn {
            file: log.file(),
            offset: end as u64,
            bytes: bytes as u64
        }
    );
    assert_eq!(report.exit_code(), 2);
    assert_eq!(report.records, 4);
    assert_eq!(report.signed.unwrap().size, 4);
}

#[test]
fn a_changed_byte_among_the_nuls_is_found() {
    let log = signed();
    for (segment, expected) in [(0, 1), (512, 2)] {
        let disk = log.disk.copy();
        disk.edit(&name::segment(segment), |bytes| {
            let length = text_length(bytes);
            bytes.truncate(length);
            bytes.extend([0, 0, 0, 1, 0]);
        });
        let report = check(&disk, &trust(&log));
        assert_eq!(report.exit_code(), expected, "{report}");
    }
}

#[test]
fn a_segment_that_was_given_up_is_no_tampering_where_the_next_says_so() {
    let mut log = TestLog::begun();
    log.batch(3);
    let (tree, last) = (log.tree.clone(), log.last);
    log.record("decision", "");
    log.tree = tree;
    log.last = last;
    log.roll();
    let mut silent = log.clone();
    silent.disk = log.disk.copy();
    log.record("recovered", "").batch(2);
    log.sign();
    assert_eq!(check(&log.disk, &trust(&log)).finding, Finding::Sound);
    silent.batch(2);
    silent.sign();
    assert_eq!(
        tampered(&silent.disk, &trust(&silent)).reason,
        Reason::Trailing
    );
}

#[test]
fn a_pruned_log_is_sound_only_where_a_record_says_that_it_was_pruned() {
    let mut log = TestLog::begun();
    let early = log.signed();
    log.batch(510);
    let middle = log.signed();
    let pruned = Pruned {
        tree: log.tree.clone(),
    };
    log.roll().batch(4);
    let silent = log.clone();
    let silent = (silent.disk.copy(), silent);
    let fields = format!(r#","before":512,"root":"{}""#, log.tree.root());
    let wrong = fields.clone();
    let fields = format!(r#","before":512,"root":"{}""#, pruned.tree.root());
    log.record("prune", &fields).commit();
    log.tree_files();
    log.sign();
    let prune = |disk: &Memory| {
        disk.replace("pruned", &pruned.encode()).unwrap();
        // A crash may leave the dropped segment behind.
        let with = disk.copy();
        disk.remove(&name::segment(0)).unwrap();
        with
    };
    let behind = prune(&log.disk);
    for disk in [&behind, &log.disk] {
        let report = check(disk, &trust(&log));
        assert_eq!(report.finding, Finding::Sound);
        assert_eq!((report.first, report.records), (512, 517));
        for copy in [&early, &middle] {
            let told = trust(&log).at_least(copy.clone());
            assert_eq!(check(disk, &told).finding, Finding::Sound);
        }
    }
    let mut forged = TestLog::begun();
    forged.key = log.key.clone();
    forged.batch(3);
    let told = trust(&log).at_least(forged.signed());
    assert_eq!(tampered(&log.disk, &told).reason, Reason::CopyRoot);
    // Nor can it be told of a true one, where the hashes that would show it are gone.
    let bare = log.disk.copy();
    for file in bare
        .list("tree")
        .unwrap()
        .iter()
        .map(|file| format!("tree/{file}"))
    {
        bare.remove(&file).unwrap();
    }
    let told = trust(&log).at_least(early.clone());
    let (from, why) = (517, Unsigned::CopyPruned);
    assert_eq!(check(&bare, &told).finding, Finding::Unsigned { from, why });

    for said in ["", wrong.as_str()] {
        let (disk, mut silent) = (silent.0.copy(), silent.1.clone());
        silent.disk = disk;
        if !said.is_empty() {
            silent.record("prune", said).commit();
        }
        silent.sign();
        prune(&silent.disk);
        assert_eq!(
            tampered(&silent.disk, &trust(&silent)).reason,
            Reason::Pruned
        );
    }
    log.disk.remove("pruned").unwrap();
    assert_eq!(tampered(&log.disk, &trust(&log)).reason, Reason::Missing);
}

#[test]
fn a_pruning_that_was_recorded_and_not_done_does_not_hide_the_one_before() {
    let mut log = TestLog::begun();
    log.batch(510);
    let first = Pruned {
        tree: log.tree.clone(),
    };
    log.roll().batch(256);
    let second = Pruned {
        tree: log.tree.clone(),
    };
    log.roll().batch(4);
    for pruned in [&first, &second] {
        let (before, root) = (pruned.before(), pruned.tree.root());
        let fields = format!(r#","before":{before},"root":"{root}""#);
        log.record("prune", &fields).commit();
    }
    log.sign();
    log.disk.remove(&name::segment(0)).unwrap();
    for pruned in [&first, &second] {
        log.disk.replace("pruned", &pruned.encode()).unwrap();
        let report = check(&log.disk, &trust(&log));
        assert_eq!(report.finding, Finding::Sound, "{report}");
        assert_eq!(report.first, pruned.before());
    }
}

#[test]
fn an_empty_segment_does_not_hide_what_follows_the_last_commit_line() {
    let mut log = TestLog::begun();
    log.batch(3);
    log.sign();
    let size = log.tree.size();
    let signed = log.disk.copy();
    log.batch(2);
    let forged = log.disk.copy();
    for hidden in [&forged, &signed] {
        hidden.edit(&name::segment(0), |bytes| {
            bytes.extend_from_slice(b"forged")
        });
        hidden.edit(&name::segment(size), |_| ());
        let report = check(hidden, &trust(&log));
        assert!(matches!(report.finding, Finding::Torn { .. }), "{report}");
    }
    // A crash may leave it so where nothing follows.
    let mut log = TestLog::begun();
    log.batch(3);
    log.sign();
    log.roll();
    assert_eq!(check(&log.disk, &trust(&log)).finding, Finding::Sound);
}

#[test]
fn more_nuls_than_any_writer_leaves_are_not_read() {
    let mut log = signed();
    log.ahead(65 << 20);
    assert_eq!(tampered(&log.disk, &trust(&log)).reason, Reason::Malformed);
    let mut log = TestLog::begun();
    log.ahead(65 << 20).roll().batch(1);
    log.sign();
    assert_eq!(tampered(&log.disk, &trust(&log)).reason, Reason::Malformed);
}

#[test]
fn an_endorsement_is_as_long_as_a_signature() {
    let vkey = key().verifier();
    for length in [63, 65, 40_000] {
        let signature = BASE64_STANDARD.encode(vec![0; length]);
        let line = format!(
            r#"{{"action":"rotated","vkey":"{vkey}","endorsed_by":"{vkey}","endorsement":"{signature}"}}"#
        );
        assert_eq!(super::KeyChange::parse(2, line.as_bytes()), None);
    }
}

#[test]
fn a_segment_full_of_keys_is_not_kept_while_others_are_read() {
    let mut log = TestLog::begun();
    log.batch(254).roll();
    for _ in 0..100 {
        log.rotate(key());
    }
    log.roll().batch(1);
    log.tree_files();
    let trusted = trust(&log);
    log.sign();
    assert_eq!(check(&log.disk, &trusted).finding, Finding::Sound);
}

#[test]
fn hashes_in_files_are_believed_in_nothing() {
    let mut log = signed();
    log.tree_files();
    for file in ["tree/0", "tree/1", "tree/2"] {
        let disk = log.disk.copy();
        disk.edit(file, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1));
        assert_eq!(check(&disk, &trust(&log)).finding, Finding::Sound);
    }
}

#[test]
fn tells_how_far_it_is() {
    let log = signed();
    let trust = trust(&log);
    let mut last = None;
    let mut progress = |progress| last = Some(progress);
    let report = Verification::new(&trust)
        .progress(&mut progress)
        .check(&log.disk)
        .unwrap();
    let last = last.unwrap();
    assert_eq!(last.bytes, report.bytes);
    assert_eq!(last.total, report.bytes + 512);
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
