//! By several threads, and told how far.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::*;
use crate::storage::{Storage, StorageFile};

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

/// So many segments that no thread can read all of them before somebody takes some.
fn many() -> TestLog {
    let mut log = TestLog::begun();
    for _ in 0..300 {
        log.roll().batch(1);
    }
    log.tree_files();
    log.sign();
    log
}

/// Whether `work` ends in a panic; not whether it ever ends.
fn panics(work: impl FnOnce() + Send + 'static) -> bool {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let end = catch_unwind(AssertUnwindSafe(work));
        done.send(end.is_err()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(120));
    ended.expect("it waits for what never comes")
}

#[test]
fn a_panic_of_whoever_is_told_ends_all_threads() {
    let log = many();
    assert!(panics(move || {
        let trust = trust(&log);
        let mut progress = |_| panic!("nobody looks any more");
        let by = Verification::new(&trust).threads(NonZeroUsize::new(3).unwrap());
        drop(by.progress(&mut progress).check(&log.disk));
    }));
}

/// Fails as no disk does.
#[derive(Debug)]
struct Panics(Memory, String);

impl Storage for Panics {
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.0.lock(name)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        assert_ne!(name, self.1);
        self.0.open(name, create)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.replace(name, bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.0.sync_folder(folder)
    }
}

#[test]
fn a_panic_of_one_thread_ends_the_others() {
    let log = many();
    assert!(panics(move || {
        let disk = Panics(log.disk.clone(), name::segment(2));
        let trust = trust(&log);
        let by = Verification::new(&trust).threads(NonZeroUsize::new(3).unwrap());
        drop(by.check(&disk));
    }));
}
