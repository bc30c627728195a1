mod attacks;
mod broken;
mod memory;
mod model;
mod shared;

use std::{sync::Arc, time::Duration};

use super::{ReplayKey, ReplayMemory, Sighting, Verdict, conformance};
use crate::{
    clock::{ManualClock, Timestamp},
    store::MemoryStore,
};

const WINDOW: Duration = Duration::from_secs(70);
const SKEW: Duration = Duration::from_secs(5);

fn start() -> Timestamp {
    Timestamp::from_secs(1_893_456_000)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A message of `keyid` that is made at `now` and can be accepted for a minute.
fn sighting<'a>(keyid: &'a str, nonce: &str, now: Timestamp) -> Sighting<'a> {
    Sighting {
        key: ReplayKey::of_nonce(keyid, nonce),
        keyid,
        created: Timestamp::from_secs(now.as_secs()),
        until: now + secs(60),
        now,
    }
}

fn see(memory: &impl ReplayMemory, sighting: &Sighting<'_>) -> Verdict {
    match memory.record(sighting) {
        super::Recording::Now(verdict) => verdict,
        later @ super::Recording::Later(_) => panic!("{later:?}"),
    }
}

fn memory_harness()
-> conformance::ManualHarness<impl Fn(ManualClock) -> Arc<dyn ReplayMemory> + Send + Sync> {
    conformance::ManualHarness::new(|_| Arc::new(super::MemoryReplays::for_new_keys(WINDOW)))
}

fn shared_harness()
-> conformance::ManualHarness<impl Fn(ManualClock) -> Arc<dyn ReplayMemory> + Send + Sync> {
    conformance::ManualHarness::new(|clock| {
        let store = Arc::new(MemoryStore::new(clock.clone()));
        Arc::new(super::SharedReplays::new(store, clock))
    })
}

#[tokio::test]
async fn both_keep_the_contract_on_one_thread() {
    conformance::run(&memory_harness()).await;
    conformance::run(&shared_harness()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_keep_the_contract_on_many_threads() {
    conformance::run(&memory_harness()).await;
    conformance::run(&shared_harness()).await;
}

#[test]
fn no_two_triples_have_one_key() {
    let keys = [
        ReplayKey::of_nonce("k", "n"),
        ReplayKey::of_base("k", b"n"),
        ReplayKey::of_nonce("kn", ""),
        ReplayKey::of_nonce("", "kn"),
        ReplayKey::of_base("kn", b""),
        ReplayKey::of_nonce("k", "N"),
        ReplayKey::of_nonce("k", "n\0"),
    ];
    for (at, key) in keys.iter().enumerate() {
        for other in &keys[at + 1..] {
            assert_ne!(key, other);
        }
    }
}

/// What a fleet has stored must be found again by the next release.
#[test]
fn the_key_is_the_documented_hash() {
    use sha2::{Digest, Sha256};

    let hash = Sha256::digest(b"ztn1\0\0\0\x02k1abc");
    let key = ReplayKey::of_nonce("k1", "abc");
    assert_eq!(key.as_bytes()[..], hash[..16]);
    let hex: String = hash[..16].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(format!("{key:x}"), hex);
}

#[test]
fn nothing_that_was_sent_is_in_the_debug_output() {
    let memory = super::MemoryReplays::for_new_keys(WINDOW);
    assert_eq!(
        see(&memory, &sighting("k1", "nonce-7", start())),
        Verdict::Fresh
    );
    let shown = format!("{memory:?} {:?}", ReplayKey::of_nonce("k1", "nonce-7"));
    assert!(!shown.contains("nonce-7"), "{shown}");
}
