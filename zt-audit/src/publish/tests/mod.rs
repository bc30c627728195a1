mod refusals;
mod verified;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use zt_core::{clock::Timestamp, random::SeededEntropy};

use super::{Publish, PublishError, Published, out::Out};
use crate::{
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    read::testing::{Memory, ORIGIN, TestLog},
    storage::Storage as _,
    tree::Prover,
};

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "zt-audit-publish-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn out(&self) -> PathBuf {
        self.0.join("out")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key() -> SigningKey {
    SigningKey::generate(ORIGIN, &SeededEntropy::new(1)).unwrap()
}

fn sign(log: &TestLog) {
    let checkpoint = Checkpoint {
        origin: String::new(),
        size: log.tree.size(),
        root: log.tree.root(),
    };
    let at = Timestamp::from_secs(1_893_456_000 + log.tree.size());
    let note = SignedCheckpoint::sign(checkpoint, &key(), at).encode();
    log.disk.replace("checkpoint", note.as_bytes()).unwrap();
}

/// A signed log of so many records.
fn log(records: u64) -> TestLog {
    let mut log = TestLog::new();
    grow(&mut log, records);
    log
}

fn grow(log: &mut TestLog, records: u64) {
    for _ in 0..records / 100 {
        log.batch(100);
    }
    if !records.is_multiple_of(100) {
        log.batch(records % 100);
    }
    log.tree_files();
    sign(log);
}

fn publish(disk: &Memory, out: &Path) -> Result<Published, PublishError> {
    publish_as(Publish::new(), disk, out)
}

fn publish_as(how: Publish<'_>, disk: &Memory, out: &Path) -> Result<Published, PublishError> {
    let prover = Prover::over(Arc::new(disk.clone())).unwrap();
    how.run_over(&prover, Out::open(out)?)
}

/// All files of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}
