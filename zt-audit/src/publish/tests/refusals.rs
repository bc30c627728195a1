use std::fs;

use super::*;
use crate::{note::NoteError, tree::ProveError};

/// What refuses changes nothing.
fn refused(disk: &Memory, out: &Path) -> PublishError {
    let before = files(out);
    let error = publish(disk, out).unwrap_err();
    assert_eq!(files(out).get("checkpoint"), before.get("checkpoint"));
    error
}

#[test]
fn refuses_a_log_that_was_rolled_back() {
    let scratch = Scratch::new();
    let mut log = log(300);
    let earlier = log.disk.copy();
    grow(&mut log, 300);
    publish(&log.disk, &scratch.out()).unwrap();
    let error = refused(&earlier, &scratch.out());
    assert!(matches!(
        error,
        PublishError::RolledBack {
            published: 600,
            size: 300
        }
    ));
}

#[test]
fn refuses_a_log_with_another_history() {
    let scratch = Scratch::new();
    let log = log(300);
    publish(&log.disk, &scratch.out()).unwrap();
    for more in [0, 1, 300] {
        let mut other = TestLog::new();
        other.record("decision", r#","decision":"deny""#).batch(199);
        grow(&mut other, 100 + more);
        let error = refused(&other.disk, &scratch.out());
        assert!(
            matches!(error, PublishError::Forked { size: 300 }),
            "{more}: {error}"
        );
    }
}

#[test]
fn refuses_a_folder_with_another_log_or_something_else() {
    let scratch = Scratch::new();
    let log = log(10);
    let key = SigningKey::generate("other/log", &SeededEntropy::new(1)).unwrap();
    let checkpoint = Checkpoint {
        origin: String::new(),
        size: 5,
        root: log.tree.root(),
    };
    let note = SignedCheckpoint::sign(checkpoint, &key, Timestamp::EPOCH);
    fs::create_dir_all(scratch.out()).unwrap();
    fs::write(scratch.out().join("checkpoint"), note.encode()).unwrap();
    let error = refused(&log.disk, &scratch.out());
    assert!(matches!(error, PublishError::OtherLog { found } if found == "other/log"));

    fs::write(scratch.out().join("checkpoint"), "something").unwrap();
    let error = refused(&log.disk, &scratch.out());
    assert!(matches!(error, PublishError::Unreadable));
}

#[test]
fn refuses_any_published_file_that_was_changed() {
    let scratch = Scratch::new();
    let mut log = log(600);
    publish(&log.disk, &scratch.out()).unwrap();
    let good = files(&scratch.out());
    let mut found = 0;
    for (grown, only_partial) in [(false, false), (true, true)] {
        if grown {
            grow(&mut log, 300);
        }
        for (name, bytes) in good.iter().filter(|(name, _)| *name != "checkpoint") {
            // Once there are more records, a partial tile is no part of what is published.
            if only_partial && name.contains(".p/") {
                continue;
            }
            let path = scratch.out().join(name);
            for changed in [
                [&bytes[..], b"x"].concat(),
                bytes[1..].to_vec(),
                bytes.iter().rev().copied().collect(),
                Vec::new(),
            ] {
                fs::write(&path, changed).unwrap();
                let error = refused(&log.disk, &scratch.out());
                assert!(matches!(error, PublishError::Differs(at) if at == path));
                found += 1;
            }
            fs::write(&path, bytes).unwrap();
        }
    }
    // Two full and one partial tile of records, of hashes, and one of hashes of tiles; twice.
    assert_eq!(found, (7 + 4) * 4);
    publish(&log.disk, &scratch.out()).unwrap();
}

#[test]
fn refuses_links_and_folders_in_the_place_of_files() {
    let scratch = Scratch::new();
    let log = log(300);
    fs::create_dir_all(scratch.out().join("tile/0")).unwrap();
    fs::write(scratch.0.join("elsewhere"), "x").unwrap();
    std::os::unix::fs::symlink(
        scratch.0.join("elsewhere"),
        scratch.out().join("tile/0/000"),
    )
    .unwrap();
    let error = refused(&log.disk, &scratch.out());
    assert!(matches!(error, PublishError::File { .. }));
    assert_eq!(fs::read(scratch.0.join("elsewhere")).unwrap(), b"x");
}

#[test]
fn refuses_a_log_without_the_root_that_was_signed() {
    let scratch = Scratch::new();
    let log = log(300);
    let checkpoint = |size| Checkpoint {
        origin: String::new(),
        size,
        root: crate::merkle::leaf_hash(b"other"),
    };
    for size in [256, 300, 301] {
        let disk = log.disk.copy();
        let note = SignedCheckpoint::sign(checkpoint(size), &key(), Timestamp::EPOCH).encode();
        disk.replace("checkpoint", note.as_bytes()).unwrap();
        let error = publish(&disk, &scratch.out()).unwrap_err();
        assert!(matches!(error, PublishError::Log(ProveError::Damaged)));
        assert!(!scratch.out().join("checkpoint").exists());
    }
    // What that left behind is no hindrance.
    publish(&log.disk, &scratch.out()).unwrap();
    let other = Scratch::new();
    publish(&log.disk, &other.out()).unwrap();
    assert_eq!(files(&scratch.out()), files(&other.out()));
}

#[test]
fn refuses_a_log_with_a_record_that_was_changed() {
    let scratch = Scratch::new();
    let log = log(300);
    log.disk.edit(&crate::format::name::segment(0), |bytes| {
        let place = bytes.windows(6).position(|word| word == b"permit").unwrap();
        bytes[place] = b'P';
    });
    let error = publish(&log.disk, &scratch.out()).unwrap_err();
    assert!(matches!(error, PublishError::Log(ProveError::Read(_))));
    assert!(!scratch.out().join("checkpoint").exists());
}

#[test]
fn refuses_two_at_once() {
    let scratch = Scratch::new();
    let log = log(10);
    let held = Out::open(&scratch.out()).unwrap();
    let error = publish(&log.disk, &scratch.out()).unwrap_err();
    assert!(matches!(error, PublishError::InUse(_)));
    drop(held);
    publish(&log.disk, &scratch.out()).unwrap();
}

/// The log on a real disk.
fn on_disk(log: &TestLog, folder: &Path) {
    for name in log.disk.names() {
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, log.disk.bytes(&name)).unwrap();
    }
}

#[test]
fn refuses_folders_within_each_other() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("audit");
    on_disk(&log(10), &folder);
    for out in [&folder, &folder.join("published"), &scratch.0] {
        let error = super::super::publish(&folder, out).unwrap_err();
        assert!(matches!(error, PublishError::Within), "{}", out.display());
    }
    let published = super::super::publish(&folder, scratch.out()).unwrap();
    assert_eq!(published.size, 10);
}

#[test]
fn refuses_a_checkpoint_by_another_key_and_none() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("audit");
    on_disk(&log(10), &folder);
    let other = SigningKey::generate(ORIGIN, &SeededEntropy::new(2)).unwrap();
    let trusting = |key: &SigningKey| {
        Publish::new()
            .trusting(key.verifier())
            .run(&folder, scratch.out())
    };
    let error = trusting(&other).unwrap_err();
    let unsigned = NoteError::Unsigned;
    assert!(matches!(error, PublishError::Log(ProveError::Checkpoint(why)) if why == unsigned));
    assert!(!scratch.out().exists());
    assert_eq!(trusting(&key()).unwrap().size, 10);

    fs::remove_file(folder.join("checkpoint")).unwrap();
    let error = trusting(&key()).unwrap_err();
    assert!(matches!(error, PublishError::Log(ProveError::Unsigned)));
    let error = super::super::publish(scratch.0.join("none"), scratch.out()).unwrap_err();
    assert!(matches!(error, PublishError::Log(ProveError::Read(_))));
}
