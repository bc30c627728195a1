//! A live log, proved and published: what a stranger has of it is enough.

use std::{path::Path, process::Command};

use zt_audit::{
    AuditLog, Options,
    publish::{Publish, publish},
    read::LogReader,
    tree::{Inclusion, Prover},
};
use zt_core::state::{Acknowledgement, Recorder as _};

use crate::crash::events::{Scratch, permit, wait};

/// Records so many permits and signs for them.
fn record(log: &AuditLog, count: usize) -> u64 {
    let mut durable = log.record(permit(Acknowledgement::Sync).1);
    for _ in 1..count {
        durable = log.record(permit(Acknowledgement::Sync).1);
    }
    wait(durable).unwrap();
    log.sign().unwrap().checkpoint().size
}

/// Whether a program that knows nothing of this one accepts it; `None` where there is no Node.
#[expect(clippy::print_stdout, reason = "what is skipped is said aloud")]
fn verified(out: &Path, log: &AuditLog, minimum: u64) -> Option<bool> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/publish/tests/verifier.mjs"
    );
    let ran = Command::new("node")
        .arg(script)
        .arg(out)
        .arg(log.verifier_key().to_string())
        .arg(minimum.to_string())
        .output();
    let Ok(ran) = ran else {
        println!("skipped: there is no `node`");
        return None;
    };
    Some(ran.status.success())
}

#[test]
fn a_live_log_is_published_again_and_again_and_a_stranger_verifies_it() {
    let scratch = Scratch::new();
    let (folder, out) = (scratch.path("audit"), scratch.path("out"));
    let log = AuditLog::open(&folder, Options::default().segment_bytes(64 << 10)).unwrap();
    for (round, count) in [1, 300, 7, 700].into_iter().enumerate() {
        let size = record(&log, count);
        let how = Publish::new().trusting(log.verifier_key());
        let how = if round % 2 == 0 { how } else { how.only_new() };
        let published = how.run(&folder, &out).unwrap();
        // The keeper may have signed for more meanwhile.
        assert!(published.size >= size, "{} {size}", published.size);
        assert!(verified(&out, &log, 0).unwrap_or(true));
    }
    log.close().unwrap();
    publish(&folder, &out).unwrap();
}

#[test]
fn every_record_of_a_live_log_is_proved() {
    let scratch = Scratch::new();
    let folder = scratch.path("audit");
    let log = AuditLog::open(&folder, Options::default().segment_bytes(64 << 10)).unwrap();
    let size = record(&log, 600);
    let prover = Prover::open(&folder)
        .unwrap()
        .trusting(&log.verifier_key())
        .unwrap();
    let mut reader = LogReader::open(&folder, 0).unwrap();
    for index in 0..size {
        let record = reader.next().unwrap().unwrap().bytes;
        let text = prover.inclusion(index).unwrap().encode();
        let proof = Inclusion::parse(text.as_bytes(), &record).unwrap();
        assert!(proof.verify(&log.verifier_key()).unwrap().is_some());
    }
    for old in [1, 255, 256, 257, size] {
        assert_eq!(prover.consistency(old, size).unwrap().verify(), Ok(()));
    }
}

#[test]
fn a_log_that_was_pruned_is_published_and_proved_from_there_on() {
    let scratch = Scratch::new();
    let (folder, out) = (scratch.path("audit"), scratch.path("out"));
    let log = AuditLog::open(&folder, Options::default().segment_bytes(64 << 10)).unwrap();
    record(&log, 1_500);
    let before = log.prune(600, Some("operations")).unwrap().before;
    assert!(before > 0, "nothing was pruned");
    log.sign().unwrap();
    let published = publish(&folder, &out).unwrap();
    assert_eq!(published.first, before);
    assert!(verified(&out, &log, before).unwrap_or(true));

    // Also when the hashes of the tree are lost, as far as they can be made anew.
    let key = log.verifier_key();
    log.close().unwrap();
    drop(log);
    std::fs::remove_dir_all(folder.join("tree")).unwrap();
    let prover = Prover::open(&folder).unwrap();
    let proof = prover.inclusion(published.size - 1).unwrap();
    assert!(proof.verify(&key).is_ok());
    let log = AuditLog::open(&folder, Options::default().segment_bytes(64 << 10)).unwrap();
    let size = record(&log, 300);
    assert!(Prover::open(&folder).unwrap().inclusion(size - 1).is_ok());
}
