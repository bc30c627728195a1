#![expect(clippy::string_slice, reason = "names of segments are ASCII")]

mod acts;
mod failures;
mod files;
mod keys;
mod queue;
mod restarts;
mod rolled_back;
mod signs;

use std::{
    fs,
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use serde_json::Value;
use zt_core::clock::{ManualClock, Timestamp};

use super::*;
use crate::{
    storage::Place,
    testing::{
        Disk, EIO, ENOSPC, admin, decision, denial, log, log_on, log_with, outcome, permit,
        signing_key, trail, trail_of,
    },
    verify::{Finding, Trust, Verification},
};

fn poll(durable: &mut Durable) -> Poll<Result<(), RecordError>> {
    pin!(durable).poll(&mut Context::from_waker(Waker::noop()))
}

fn is_full(mut durable: Durable) -> bool {
    poll(&mut durable) == Poll::Ready(Err(RecordError::Full))
}

fn is_unavailable(result: &Result<(), RecordError>, with: &str) -> bool {
    matches!(result, Err(RecordError::Unavailable(why)) if why.contains(with))
}

fn kinds(disk: &Disk) -> Vec<String> {
    let kind = |record: &Value| record["kind"].as_str().unwrap().to_owned();
    disk.all().iter().map(kind).collect()
}

fn of_kind(disk: &Disk, kind: &str) -> Vec<Value> {
    let mut records = disk.all();
    records.retain(|record| record["kind"] == kind);
    records
}

/// Everything in it is as it was written, and signed.
fn assert_sound(disk: &Disk) {
    let trust = Trust::key(signing_key().verifier());
    let report = Verification::new(&trust).check(disk).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    assert_eq!(report.records, disk.all().len() as u64);
}

/// Waits for the disk to be found well again; each turn is a turn of other threads.
fn until_writable(log: &AuditLog) {
    for _ in 0..1_000_000 {
        if log.health().is_writable() {
            return;
        }
        thread::yield_now();
        thread::park_timeout(std::time::Duration::from_millis(1));
    }
    panic!("it does not come back: {:?}", log.health());
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let path = std::env::temp_dir().join(format!(
            "zt-audit-{name}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit")
    }

    fn live(&self) -> PathBuf {
        self.log().join("log/00000000000000000000.jsonl")
    }

    fn open(&self) -> Result<AuditLog, OpenError> {
        AuditLog::open(self.log(), Options::default())
    }

    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.live()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &Value| line["commit"].is_null())
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
