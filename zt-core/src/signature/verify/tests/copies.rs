//! One message with several signatures is one message.

use std::sync::Mutex;

use super::*;
use crate::signature::{
    key::{KeyQuestion, KeyResolver, Resolving},
    replay::{Recording, ReplayMemory, Sighting, Verdict},
};

/// Both fields of several drafts of one request.
fn with_all(drafts: &[Draft]) -> Request<Full<Bytes>> {
    let mut request = drafts[0].signed();
    for draft in &drafts[1..] {
        for name in ["signature-input", "signature"] {
            let value = draft.signed().headers()[name].clone();
            request.headers_mut().append(name, value);
        }
    }
    request
}

fn drafts() -> [Draft; 2] {
    let second = Draft {
        label: "sig2".into(),
        ..Draft::default()
    };
    let params = ";created=NOW;keyid=\"k2\";nonce=\"n2\"";
    [Draft::default(), second.params(params)]
}

fn two_keys() -> Server {
    let policy = SignaturePolicy::strict();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let ring = KeyRing::new([entry("k1"), entry("k2")]).unwrap();
    Server::new(VerifySignatureLayer::new(policy, ring, replays).unwrap())
}

#[tokio::test]
async fn a_message_without_the_signature_that_counted_is_a_replay() {
    let [one, other] = drafts();
    let orders = [[one.clone(), other.clone()], [other.clone(), one.clone()]];
    for both in orders {
        let server = two_keys();
        assert!(server.ask(with_all(&both)).await.passed());
        for copy in [&both[..1], &both[1..], &both[..]] {
            server.ask(with_all(copy)).await.is(Code::Replayed, "");
        }
        assert_eq!(server.handled(), 1);
    }
    // The other way round: one of them came alone.
    let server = two_keys();
    assert!(server.ask(other.signed()).await.passed());
    server
        .ask(with_all(&[one, other]))
        .await
        .is(Code::Replayed, "");
}

#[tokio::test]
async fn one_signature_under_two_labels_passes_once() {
    let one = Draft::default();
    let mut request = one.signed();
    for name in ["signature-input", "signature"] {
        let there = request.headers()[name].to_str().unwrap().to_owned();
        let again = there.replacen("sig1=", "sig2=", 1);
        let value = format!("{there}, {again}").parse().unwrap();
        request.headers_mut().insert(name, value);
    }
    let server = two_keys();
    assert!(server.ask(request).await.passed());
    server.ask(one.signed()).await.is(Code::Replayed, "");
}

#[tokio::test]
async fn a_signature_that_does_not_hold_beside_a_good_one_is_not_remembered() {
    let [one, other] = drafts();
    let forged = Draft {
        secret: vec![8; 32],
        ..other.clone()
    };
    let server = two_keys();
    assert!(server.ask(with_all(&[one, forged])).await.passed());
    assert!(server.ask(other.signed()).await.passed());
}

/// Has to be waited for, each time.
#[derive(Debug)]
struct Slow(KeyRing, Mutex<u32>);

impl KeyResolver for Slow {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        *self.1.lock().unwrap() += 1;
        match self.0.resolve(question) {
            Resolving::Now(resolved) => Resolving::Later(Box::pin(async {
                tokio::task::yield_now().await;
                resolved
            })),
            later => later,
        }
    }
}

#[tokio::test]
async fn keys_that_are_waited_for_change_nothing_of_it() {
    let policy = SignaturePolicy::strict();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let ring = KeyRing::new([entry("k1"), entry("k2")]).unwrap();
    let slow = Slow(ring, Mutex::default());
    let server = Server::new(VerifySignatureLayer::new(policy, slow, replays).unwrap());
    let [one, other] = drafts();
    let both = [one, other.clone()];
    assert!(server.ask(with_all(&both)).await.passed());
    server.ask(other.signed()).await.is(Code::Replayed, "");
}

#[test]
fn refuses_a_memory_whose_restart_would_let_what_is_dated_ahead_pass_again() {
    use std::time::Duration;

    use crate::{
        clock::Timestamp,
        signature::replay::{ReplayMemory, SharedReplays},
        store::MemoryStore,
    };

    fn build(memory: impl ReplayMemory, ahead: u64) -> Option<ConfigError> {
        let policy = SignaturePolicy::strict().future_skew(Duration::from_secs(ahead));
        let ring = KeyRing::new([entry("k1")]).unwrap();
        VerifySignatureLayer::new(policy, ring, memory).err()
    }
    let (skew, start) = (Duration::from_secs(5), Timestamp::from_secs(now()));
    let memory = || MemoryReplays::new(Duration::from_secs(600), skew, start);
    let refused = ConfigError::MemorySkew {
        memory: skew,
        policy: Duration::from_secs(6),
    };
    assert_eq!(build(memory(), 6), Some(refused.clone()));
    assert_eq!(
        build(memory().with_limits(Default::default()), 6),
        Some(refused.clone())
    );
    assert_eq!(build(memory(), 5), None);
    let clock = ManualClock::default();
    let shared = || SharedReplays::new(Arc::new(MemoryStore::new(clock.clone())), clock.clone());
    assert_eq!(build(shared().empty_before(start, skew), 6), Some(refused));
    assert_eq!(build(shared(), 3600), None);
}

/// Lets everything pass and keeps until when it was told to remember it.
#[derive(Debug, Default, Clone)]
struct Told(Arc<Mutex<Vec<u64>>>);

impl ReplayMemory for Told {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        self.0.lock().unwrap().push(sighting.until.as_secs());
        Recording::Now(Verdict::Fresh)
    }
}

#[tokio::test]
async fn two_signatures_with_one_nonce_are_remembered_as_long_as_the_longer_one_lasts() {
    let short = Draft::default().params(&format!(
        ";created=NOW;expires={};keyid=\"k1\";nonce=\"n\"",
        now() + 1
    ));
    let long = Draft {
        label: "sig2".into(),
        ..Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n\"")
    };
    for both in [[short.clone(), long.clone()], [long, short]] {
        let told = Told::default();
        let ring = KeyRing::new([entry("k1")]).unwrap();
        let layer = VerifySignatureLayer::new(SignaturePolicy::strict(), ring, told.clone());
        let server = Server::new(layer.unwrap());
        assert!(server.ask(with_all(&both)).await.passed());
        assert_eq!(*told.0.lock().unwrap(), [now() + 60]);
    }
}

#[test]
fn signatures_that_were_stripped_are_presented_all_the_same() {
    use crate::{
        authenticate::{Authenticate, Presented},
        context::ClaimedNames,
    };

    let names = ClaimedNames::default()
        .with("signature")
        .with("signature-input");
    let server = strict();
    let settings = Arc::new(server.settings.clone().with_claimed_names(names));
    let (mut parts, _) = Draft::default().signed().into_parts();
    let cx = SecurityContext::open(&parts, &settings);
    for name in ["signature", "signature-input"] {
        parts.headers.remove(name);
    }
    assert_eq!(server.layer.presented(&parts, &cx), Presented::Mine);
    let (parts, _) = Draft::default().unsigned().into_parts();
    let cx = SecurityContext::open(&parts, &settings);
    assert_eq!(server.layer.presented(&parts, &cx), Presented::Absent);
}

/// A request that is good by its first signature, and `second` beside it.
fn beside(second: Draft) -> Request<Full<Bytes>> {
    let second = Draft {
        label: "sig2".into(),
        ..second
    };
    with_all(&[
        Draft::default()
            .header("content-type", "a/b")
            .cover("\"content-type\""),
        second,
    ])
}

#[tokio::test]
async fn a_second_signature_that_becomes_good_later_does_not_pass_then() {
    let policy = SignaturePolicy::strict()
        .covering_if_present(http::header::CONTENT_TYPE)
        .unwrap();
    let server = server(policy);
    // Dated ahead: six seconds later it would be good, alone.
    let ahead = format!(";created={};keyid=\"k1\";nonce=\"n2\"", now() + 6);
    let ahead = Draft::default().params(&ahead);
    server.ask(beside(ahead)).await.invalid("in the future");
    // Without the field it would cover enough.
    let less = Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n3\"");
    server
        .ask(beside(less))
        .await
        .invalid("does not cover \"content-type\"");
    assert_eq!(server.handled(), 0);
}
