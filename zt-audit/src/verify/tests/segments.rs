//! Files, lines, ends and prunings.

use super::*;

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
