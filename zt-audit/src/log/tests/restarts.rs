//! What a process that ended left in the system's memory, and not on the disk.

use std::sync::Arc;

use super::*;
use crate::storage::simulated::{Fault, Loss, SimulatedDisk};

fn open(disk: &SimulatedDisk) -> AuditLog {
    let storage = Arc::new(disk.clone());
    AuditLog::with_storage(storage, signing_key(), None, Options::default()).unwrap()
}

/// A log of a few records that was closed, and where its next line goes.
async fn closed(seed: u64) -> (SimulatedDisk, String, u64) {
    let disk = SimulatedDisk::new(seed);
    let log = open(&disk);
    log.record(permit()).await.unwrap();
    log.close().unwrap();
    drop(log);
    let file = crate::format::name::segment(0);
    let end = disk.read(&file).unwrap().len() as u64;
    (disk, file, end)
}

fn has(disk: &SimulatedDisk, text: &str) -> bool {
    let files = disk.names().into_iter().filter_map(|name| disk.read(&name));
    let text = text.as_bytes();
    files
        .into_iter()
        .any(|bytes| bytes.windows(text.len()).any(|some| some == text))
}

fn assert_goes_on(found: &SimulatedDisk) {
    open(found).close().unwrap();
    let trust = Trust::key(signing_key().verifier());
    let report = Verification::new(&trust).check(found).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
}

#[tokio::test]
async fn a_segment_that_a_killed_process_had_just_begun_keeps_its_name_when_the_power_fails() {
    let (disk, ..) = closed(1).await;
    // It got as far as making the next file, and not to making its name durable.
    drop(disk.open(&crate::format::name::segment(3), true).unwrap());
    let log = open(&disk);
    log.record(admin("after-the-restart")).await.unwrap();
    let found = disk.power_loss(Loss::Everything);
    drop(log);
    assert!(has(&found, "after-the-restart"));
    assert_goes_on(&found);
}

#[tokio::test]
async fn a_batch_whose_flush_failed_before_a_restart_is_durable_once_something_follows_it() {
    for seed in 0..16 {
        let (disk, file, end) = closed(seed).await;
        // What the process that is killed wrote: pages enough to lose some.
        let other = disk.after(Loss::Nothing);
        let log = open(&other);
        let long = "x".repeat(500);
        let all: Vec<_> = (0..40).map(|_| log.record(admin(&long))).collect();
        for durable in all {
            durable.await.unwrap();
        }
        drop(log);
        let written = other.read(&file).unwrap();
        {
            let mut live = disk.open(&file, false).unwrap();
            let tail = &written[usize::try_from(end).unwrap()..];
            assert_eq!(live.write_at(tail, end).unwrap(), tail.len());
            disk.fail(disk.operations() + 1, Fault::Io);
            live.sync().unwrap_err();
        }
        let log = open(&disk);
        log.record(admin("after-the-restart")).await.unwrap();
        let found = disk.power_loss(Loss::Everything);
        drop(log);
        assert!(has(&found, "after-the-restart"), "seed {seed}");
        assert_goes_on(&found);
    }
}

#[tokio::test]
async fn who_closes_second_waits_as_well() {
    let (log, disk) = log();
    disk.hold();
    let mut taken = log.record(permit());
    disk.wait_until_stalled();
    let first = log.clone();
    let first = thread::spawn(move || first.close());
    while poll(&mut log.record(outcome(zt_core::context::HandlerRun::Reached)))
        != Poll::Ready(Err(RecordError::Closed))
    {
        thread::yield_now();
    }
    let later = disk.clone();
    let later = thread::spawn(move || {
        // However long that is, the record is durable when closing is over.
        thread::sleep(std::time::Duration::from_millis(100));
        later.release();
    });
    log.close().unwrap();
    assert_eq!(poll(&mut taken), Poll::Ready(Ok(())));
    assert_sound(&disk);
    later.join().unwrap();
    first.join().unwrap().unwrap();
}
