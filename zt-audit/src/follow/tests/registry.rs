use std::time::Duration;

use zt_core::{
    clock::{Clock, ManualClock, Timestamp},
    random::SeededEntropy,
};

use super::Scratch;
use crate::{
    AuditLog, Options,
    follow::registry::{FleetFinding, Registry, RegistryError, Roster, RosterError},
    merkle::leaf_hash,
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    verify::{Finding, Trust, verify},
};

const LIMIT: Duration = Duration::from_secs(300);

fn key(origin: &str, seed: u64) -> SigningKey {
    SigningKey::generate(origin, &SeededEntropy::new(seed)).unwrap()
}

fn note(key: &SigningKey, size: u64, root: &str, at: Timestamp) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: key.name().to_owned(),
        size,
        root: leaf_hash(root.as_bytes()),
    };
    SignedCheckpoint::sign(checkpoint, key, at)
}

/// A registry of `shop/1`, `shop/2` and `shop/3`, which was retired a day later.
async fn roster(clock: &ManualClock) -> Roster {
    let scratch = Scratch::new();
    let folder = scratch.0.join("registry");
    let log = AuditLog::open(&folder, Options::default().clock(clock.clone())).unwrap();
    let registry = Registry::new(log.clone()).clock(clock.clone());
    for number in 1..=3 {
        let key = key(&format!("shop/{number}"), number);
        registry.add(&key.verifier()).await.unwrap();
    }
    clock.advance(Duration::from_secs(86_400));
    let retired = key("shop/3", 3).verifier();
    registry.retire(&retired, "scaled down").await.unwrap();
    let trust = Trust::key(log.verifier_key());
    drop(registry);
    log.close().unwrap();
    // A stranger verifies it as any other log.
    let report = verify(&folder, &trust).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    Roster::read(&folder).unwrap()
}

/// What is wrong where the instances said `seen`.
async fn findings(seen: impl FnOnce(Timestamp) -> Vec<SignedCheckpoint>) -> Vec<FleetFinding> {
    let clock = ManualClock::default();
    let roster = roster(&clock).await;
    let now = clock.now().unwrap();
    roster.check(&seen(now), now, LIMIT)
}

fn ago(now: Timestamp, secs: u64) -> Timestamp {
    now.saturating_sub(Duration::from_secs(secs))
}

fn silent(origin: &str, last: Option<Timestamp>) -> FleetFinding {
    FleetFinding::Silent {
        origin: origin.to_owned(),
        last,
    }
}

fn one(now: Timestamp) -> SignedCheckpoint {
    note(&key("shop/1", 1), 9, "a", ago(now, 10))
}

fn two(now: Timestamp) -> SignedCheckpoint {
    note(&key("shop/2", 2), 5, "b", ago(now, 10))
}

#[tokio::test]
async fn a_fleet_in_which_all_speak_is_well() {
    let found = findings(|now| {
        let before = note(&key("shop/1", 1), 4, "c", ago(now, 900));
        vec![one(now), before, two(now), one(now)]
    });
    assert_eq!(found.await, []);
}

#[tokio::test]
async fn an_instance_that_vanished_is_named() {
    let found = findings(|now| vec![one(now)]).await;
    assert_eq!(found, [silent("shop/2", None)]);
    let clock = ManualClock::default();
    let roster = roster(&clock).await;
    let now = clock.now().unwrap();
    let last = ago(now, 301);
    let old = note(&key("shop/2", 2), 5, "b", last);
    let found = roster.check(&[one(now), old.clone()], now, LIMIT);
    assert_eq!(found, [silent("shop/2", Some(last))]);
    let found = roster.check(&[one(now), old], ago(now, 1), LIMIT);
    assert_eq!(found, []);
}

#[tokio::test]
async fn a_log_that_was_rolled_back_or_has_two_histories_is_named() {
    let found = findings(|now| {
        let before = note(&key("shop/1", 1), 12, "a", ago(now, 60));
        vec![before, one(now), two(now)]
    });
    let shrunk = FleetFinding::Shrunk {
        origin: "shop/1".to_owned(),
        from: 12,
        to: 9,
    };
    assert_eq!(found.await, [shrunk]);
    let found = findings(|now| {
        let before = note(&key("shop/1", 1), 9, "another", ago(now, 60));
        vec![one(now), before, two(now)]
    });
    let forked = FleetFinding::Forked {
        origin: "shop/1".to_owned(),
        size: 9,
    };
    assert_eq!(found.await, [forked]);
}

#[tokio::test]
async fn a_checkpoint_by_another_key_keeps_nobody_from_being_silent() {
    let found = findings(|now| {
        let forged = note(&key("shop/2", 99), 5, "b", ago(now, 10));
        vec![one(now), forged]
    });
    let unsigned = FleetFinding::Unsigned {
        origin: "shop/2".to_owned(),
        size: 5,
    };
    assert_eq!(found.await, [unsigned, silent("shop/2", None)]);
}

#[tokio::test]
async fn strangers_and_the_retired_who_go_on_are_named() {
    let found = findings(|now| {
        let stranger = note(&key("shop/9", 9), 5, "b", ago(now, 10));
        let undead = note(&key("shop/3", 3), 7, "d", now + Duration::from_secs(301));
        vec![one(now), two(now), stranger, undead]
    });
    let found = found.await;
    let unknown = FleetFinding::Unknown {
        origin: "shop/9".to_owned(),
    };
    assert_eq!(found[0], unknown);
    assert!(matches!(&found[1], FleetFinding::Undead { origin, .. } if origin == "shop/3"));
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].to_string(), "`shop/9` is not registered");
}

#[tokio::test]
async fn a_key_that_is_too_long_or_was_never_added_is_refused() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("registry");
    let registry = Registry::new(AuditLog::open(&folder, Options::default()).unwrap());
    let long = key(&"x".repeat(240), 1).verifier();
    let refused = registry.add(&long).await;
    assert!(matches!(refused, Err(RegistryError::Key(_))));
    registry
        .retire(&key("shop/1", 1).verifier(), "never was")
        .await
        .unwrap();
    drop(registry);
    let read = Roster::read(&folder);
    assert!(matches!(read, Err(RosterError::Record { .. })), "{read:?}");
}

#[tokio::test]
async fn a_log_with_a_new_key_is_the_same_log() {
    let clock = ManualClock::default();
    let scratch = Scratch::new();
    let folder = scratch.0.join("registry");
    let log = AuditLog::open(&folder, Options::default()).unwrap();
    let registry = Registry::new(log).clock(clock.clone());
    let (old, new) = (key("shop/1", 1), key("shop/1", 2));
    registry.add(&old.verifier()).await.unwrap();
    registry.add(&new.verifier()).await.unwrap();
    drop(registry);
    let roster = Roster::read(&folder).unwrap();
    assert_eq!(roster.members()["shop/1"].keys.len(), 2);
    let now = clock.now().unwrap();
    let seen = [
        note(&old, 3, "a", ago(now, 60)),
        note(&new, 5, "b", ago(now, 5)),
    ];
    assert_eq!(roster.check(&seen, now, LIMIT), []);
}
