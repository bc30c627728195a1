//! Conditions 6, 7 and 11, with keys and memories that are near, far and away.

use std::time::Duration;

use super::*;
use crate::signature::{
    Algorithm,
    key::{KeyQuestion, KeyResolver, KeysUnavailable, Purpose, Resolved, Resolving},
    replay::{Recording, ReplayMemory, Sighting, Verdict},
};

/// Answers like a database: not at once.
#[derive(Clone)]
struct Far(Arc<dyn Fn(&str) -> Resolved + Send + Sync>);

impl Far {
    fn new(find: impl Fn(&str) -> Resolved + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Far")
    }
}

impl KeyResolver for Far {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        let find = Arc::clone(&self.0);
        let keyid = question.keyid.unwrap_or_default().to_owned();
        Resolving::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            find(&keyid)
        }))
    }
}

/// A memory that answers like a database.
#[derive(Debug)]
struct FarMemory(Verdict);

impl ReplayMemory for FarMemory {
    fn record(&self, _: &Sighting<'_>) -> Recording {
        let verdict = self.0;
        Recording::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            verdict
        }))
    }
}

fn with(keys: impl KeyResolver, replays: impl ReplayMemory) -> Server {
    Server::new(VerifySignatureLayer::new(SignaturePolicy::strict(), keys, replays).unwrap())
}

fn near() -> KeyRing {
    KeyRing::new([entry("k1")]).unwrap()
}

fn far() -> Far {
    Far::new(|keyid| Ok((keyid == "k1").then(|| entry("k1"))))
}

#[tokio::test]
async fn refuses_a_key_that_nobody_knows() {
    let draft = Draft::default().params(";created=NOW;keyid=\"k2\";nonce=\"n\"");
    strict().ask(draft.signed()).await.invalid("not known");
    let far = with(far(), FarMemory(Verdict::Fresh));
    far.ask(draft.signed()).await.invalid("not known");
}

#[tokio::test]
async fn refuses_where_keys_cannot_be_had_which_is_not_the_same() {
    let down = Far::new(|_| Err(KeysUnavailable("the vault is sealed".into())));
    let server = with(down, FarMemory(Verdict::Fresh));
    let response = server.response(Draft::default().signed()).await;
    assert_eq!(response.status(), 503);
    assert!(!response.headers().contains_key("accept-signature"));
    answer(response).await.is(Code::KeysUnavailable, "sealed");
}

#[tokio::test]
async fn keys_and_memories_far_away_are_waited_for() {
    for (verdict, passes) in [
        (Verdict::Fresh, true),
        (Verdict::Replayed, false),
        (Verdict::Unavailable("gone"), false),
    ] {
        let answers = [
            with(near(), FarMemory(verdict))
                .ask(Draft::post("1").signed())
                .await,
            with(far(), FarMemory(verdict))
                .ask(Draft::post("1").signed())
                .await,
        ];
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].passed(), passes, "{answers:?}");
    }
    let memory = MemoryReplays::for_new_keys(Duration::from_secs(65));
    let server = with(far(), memory);
    assert!(server.ask(Draft::default().signed()).await.passed());
    server
        .ask(Draft::default().signed())
        .await
        .is(Code::Replayed, "");
}

#[tokio::test]
async fn each_of_several_signatures_has_its_key_fetched() {
    let mut request = Draft::default().unsigned();
    for (label, keyid, secret) in [
        ("a", "k0", vec![1; 32]),
        ("b", "k1", vec![1; 32]),
        ("c", "k1", SECRET.into()),
    ] {
        let draft = Draft {
            label: label.into(),
            secret,
            ..Draft::default().params(&format!(";created=NOW;keyid=\"{keyid}\";nonce=\"n\""))
        };
        let signed = draft.signed();
        for name in ["signature-input", "signature"] {
            request
                .headers_mut()
                .append(name, signed.headers()[name].clone());
        }
    }
    assert!(
        with(far(), FarMemory(Verdict::Fresh))
            .ask(request)
            .await
            .passed()
    );
}

#[tokio::test]
async fn refuses_a_key_that_is_for_responses() {
    let ring = KeyRing::new([entry("k1").purposes([Purpose::Responses])]).unwrap();
    let server = with(ring, FarMemory(Verdict::Fresh));
    server
        .ask(Draft::default().signed())
        .await
        .invalid("not for requests");
}

#[tokio::test]
async fn refuses_an_algorithm_that_is_not_the_keys() {
    let alg = |name: &str| {
        let params = format!(";created=NOW;keyid=\"k1\";nonce=\"n-{name}\";alg=\"{name}\"");
        Draft::default().params(&params).signed()
    };
    assert!(strict().ask(alg("hmac-sha256")).await.passed());
    for name in ["ed25519", "rsa-v1_5-sha256", "HMAC-SHA256", "none", ""] {
        strict().ask(alg(name)).await.invalid("algorithm");
    }
    let policy = SignaturePolicy::strict().algorithms([Algorithm::Ed25519]);
    server(policy)
        .ask(Draft::default().signed())
        .await
        .invalid("algorithm");
}

#[tokio::test]
async fn a_key_that_has_ended_is_refused_and_the_one_before_it_until_its_end() {
    let start = ManualClock::default().now().unwrap();
    let soon = start.checked_add(Duration::from_secs(30)).unwrap();
    let new = VerifyingKey::hmac_sha256(&Secret::new(vec![8; 32])).unwrap();
    let old = VerifyingKey::hmac_sha256(&Secret::new(SECRET.into())).unwrap();
    let rotated = KeyEntry::new("k1", new, "order-service").previous(old, soon);
    let server = with(KeyRing::new([rotated]).unwrap(), FarMemory(Verdict::Fresh));
    let at = |seconds: u64, secret: [u8; 32]| Draft {
        secret: secret.into(),
        ..Draft::default().params(&format!(
            ";created={};keyid=\"k1\";nonce=\"n\"",
            now() + seconds
        ))
    };
    assert!(server.ask(at(0, SECRET).signed()).await.passed());
    assert!(server.ask(at(0, [8; 32]).signed()).await.passed());
    server.clock.advance(Duration::from_secs(31));
    server.ask(at(31, SECRET).signed()).await.invalid("");
    assert!(server.ask(at(31, [8; 32]).signed()).await.passed());

    let ended = KeyRing::new([entry("k1").expires_at(soon)]).unwrap();
    let server = with(ended, FarMemory(Verdict::Fresh));
    assert!(server.ask(at(0, SECRET).signed()).await.passed());
    server.clock.advance(Duration::from_secs(31));
    server
        .ask(at(31, SECRET).signed())
        .await
        .invalid("not good at this time");
}

#[tokio::test]
async fn an_explanation_shows_the_shape_of_the_base_and_none_of_its_values() {
    let mut server = strict();
    server.layer = server.layer.explaining();
    let draft = Draft::default()
        .header("x-secret", "hunter2")
        .cover("\"x-secret\"");
    let mut request = draft.signed();
    request
        .headers_mut()
        .insert("x-secret", "hunter22".parse().unwrap());
    let Answer::Denied(_, detail) = server.ask(request).await else {
        panic!();
    };
    assert!(detail.contains("\"x-secret\": 8 bytes, #"), "{detail}");
    assert!(detail.contains("nonce=\"..\""), "{detail}");
    for hidden in ["hunter", "n1", "/orders", "shop.example"] {
        assert!(!detail.contains(hidden), "{hidden} in {detail}");
    }
}
