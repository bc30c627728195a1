//! Followers of a log that a process writes.

use std::io::Write;

use zt_core::{
    decision::Permit,
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Recorder as _, Verdict},
};

use super::*;
use crate::{
    AuditLog, Options,
    seal::{DataSubject, Vault},
    testing::{decision, permit, trail},
};

fn permit_of(subject: &str) -> zt_core::state::Event {
    let principal = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt).finish();
    let permit = Permit::assertion("orders.read")
        .principal(Arc::new(principal))
        .finish();
    decision(&trail(), Verdict::Permit(permit), true)
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that a follower with `options` writes of a log of `size` records.
async fn copy(folder: &std::path::Path, size: u64, options: FollowOptions) -> String {
    let output = Output::default();
    let sink = JsonSink::new(output.clone());
    let follower = Follower::spawn(folder, sink, options).unwrap();
    follower.delivered(size).await.unwrap();
    follower.shutdown().await;
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_copy_is_sealed_unless_it_is_opened_and_who_was_erased_stays_so() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("audit");
    let log = AuditLog::open(&folder, Options::default()).unwrap();
    for subject in ["alice", "bob", "alice"] {
        log.record(permit_of(subject)).await.unwrap();
    }
    let size = log.sign().unwrap().checkpoint().size;
    let vault = || Arc::new(Vault::read_only(scratch.0.join("audit.keys")).unwrap());

    let sealed = copy(&folder, size, FollowOptions::new("sealed")).await;
    assert!(
        !sealed.contains("alice") && !sealed.contains("bob"),
        "{sealed}"
    );
    assert_eq!(sealed.matches("\"sealed\":[[").count(), 3);
    let options = FollowOptions::new("opened").opened(vault());
    let opened = copy(&folder, size, options).await;
    let names = |text: &str, name: &str| text.matches(&format!("\"subject\":\"{name}\"")).count();
    assert_eq!((names(&opened, "alice"), names(&opened, "bob")), (2, 1));

    let alice = DataSubject::Principal {
        issuer: None,
        subject: "alice",
    };
    log.erase(alice, Some("root"), "asked for").unwrap();
    let size = log.sign().unwrap().checkpoint().size;
    let options = FollowOptions::new("later").opened(vault());
    let later = copy(&folder, size, options).await;
    assert_eq!((names(&later, "alice"), names(&later, "bob")), (0, 1));
    assert!(!later.contains("alice"));
    assert_eq!(later.matches("\"erased\":[").count(), 2);
}

#[tokio::test]
async fn a_sink_that_hangs_for_good_keeps_no_record_from_being_durable() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("audit");
    let log = AuditLog::open(&folder, Options::default()).unwrap();
    log.record(permit()).await.unwrap();
    log.sign().unwrap();
    // Its clock stands still: the deadline of the delivery never comes.
    let clock = ManualClock::default();
    let sink = Told::new(&clock);
    sink.is(Mood::Hangs);
    let options = FollowOptions::new("copy").clock(clock);
    let follower = Follower::spawn(&folder, sink.clone(), options).unwrap();
    while sink.state().asked.is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..500 {
        log.record(permit()).await.unwrap();
    }
    assert_eq!(follower.health().position, 0);
    assert_eq!(sink.state().asked.len(), 1);
    assert!(log.health().is_writable());
    log.close().unwrap();
}

#[tokio::test]
async fn follows_a_log_over_rolls_prunes_and_restarts_of_both() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("audit");
    let clock = ManualClock::default();
    let sink = Told::new(&clock);
    let options = || Options::default().segment_bytes(1 << 17);
    let mut size = 0;
    for round in 0..4_u64 {
        let log = AuditLog::open(&folder, options()).unwrap();
        let durable: Vec<_> = (0..400).map(|_| log.record(permit())).collect();
        for durable in durable {
            durable.await.unwrap();
        }
        size = log.sign().unwrap().checkpoint().size;
        let follower = Follower::spawn(&folder, sink.clone(), FollowOptions::new("copy")).unwrap();
        follower.delivered(size).await.unwrap();
        let health = follower.shutdown().await;
        assert_eq!((health.missed, health.conflicts), (0, 0));
        if round == 2 {
            // What was delivered may go.
            log.prune(size / 256 * 256, Some("root")).unwrap();
        }
        log.close().unwrap();
    }
    let before = sink.indexes().len() as u64;
    assert!(before >= size, "{before} of {size}");
    assert_eq!(sink.indexes(), (0..before).collect::<Vec<_>>());
}
