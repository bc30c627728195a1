//! Issuers that are slow, wrong or gone, as callers of a service see it over a socket.

use std::time::Duration;

use zt_core::{clock::ManualClock, decision::Code, state::Readiness};
use zt_jwt::{
    Verifier,
    testing::{Behaviour, Endpoint, TestIssuer},
};

use crate::support::{AUDIENCE, Answer, COOLDOWN, Door, Socket, unsigned, until};

struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    verifier: Verifier,
    readiness: Readiness,
    socket: Socket,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::default();
        let issuer = TestIssuer::start().await.with_clock(clock.clone());
        let verifier = Verifier::builder()
            .issuer(issuer.issuer(AUDIENCE))
            .clock(clock.clone())
            .build()
            .unwrap();
        let readiness = Readiness::default();
        verifier.register(&readiness, "keys");
        let socket = Door::new(&verifier, clock.clone()).listen().await;
        Self {
            clock,
            issuer,
            verifier,
            readiness,
            socket,
        }
    }

    /// One that has its keys already.
    async fn warm() -> Self {
        let world = Self::new().await;
        world.verifier.fetch_keys().await.unwrap();
        world.clock.advance(COOLDOWN);
        world
    }

    async fn good(&self) -> Answer {
        let token = self.issuer.token("ada").audience(AUDIENCE).mint();
        self.socket.bearer(&token).await
    }

    async fn unknown(&self) -> Answer {
        self.socket.bearer(&unsigned("unknown")).await
    }

    fn last_error(&self) -> String {
        let (_, status) = self.verifier.keys_status().remove(0);
        status.last_error.unwrap_or_default().to_string()
    }
}

/// What can be wrong with an answer at once, and what an administrator reads of it.
fn faults() -> Vec<(Behaviour, &'static str)> {
    let elsewhere = "http://127.0.0.1:1/jwks.json".to_owned();
    vec![
        (Behaviour::Huge, "bytes"),
        (Behaviour::Html, ""),
        (Behaviour::Garbage, ""),
        (Behaviour::Redirect(elsewhere), "redirect"),
        (Behaviour::ServerError, "500"),
        (Behaviour::TooManyRequests(Duration::from_secs(30)), "429"),
        (Behaviour::Down, ""),
        (Behaviour::CutShort, ""),
    ]
}

#[tokio::test]
async fn known_keys_do_and_unknown_ones_are_503_while_the_issuer_misbehaves() {
    for endpoint in [Endpoint::Keys, Endpoint::Metadata] {
        for (behaviour, why) in faults() {
            let world = World::warm().await;
            // Metadata are read again after an hour.
            world.clock.advance(Duration::from_secs(3_600));
            world.issuer.behave_at(endpoint, behaviour.clone());
            let what = format!("{endpoint:?} {behaviour:?}");
            assert!(world.good().await.is_good(), "{what}");
            let wait = world
                .unknown()
                .await
                .assert_unavailable(Code::KeysUnavailable);
            assert!(wait <= COOLDOWN.as_secs(), "{what}: {wait}");
            assert!(world.good().await.is_good(), "{what}");
            let error = world.last_error();
            assert!(!error.is_empty() && error.contains(why), "{what}: {error}");
            assert!(world.readiness.status().ready);

            world.issuer.behave(Behaviour::Well);
            world.clock.advance(COOLDOWN);
            world
                .unknown()
                .await
                .assert_refused(Code::CredentialInvalid);
            assert!(world.good().await.is_good(), "{what}");
            assert_eq!(world.last_error(), "");
        }
    }
}

#[tokio::test]
async fn without_any_keys_everything_is_503_until_the_issuer_answers() {
    for endpoint in [Endpoint::Keys, Endpoint::Metadata] {
        for (behaviour, _) in faults() {
            let world = World::new().await;
            world.issuer.behave_at(endpoint, behaviour.clone());
            for answer in [world.good().await, world.unknown().await] {
                answer.assert_unavailable(Code::KeysUnavailable);
            }
            assert!(!world.readiness.status().ready);
            world.issuer.behave(Behaviour::Well);
            // Nobody asks again before the cooldown is over.
            world.good().await.assert_unavailable(Code::KeysUnavailable);
            world.clock.advance(COOLDOWN);
            assert!(world.good().await.is_good(), "{endpoint:?} {behaviour:?}");
            assert!(world.readiness.status().ready);
        }
    }
}

#[tokio::test]
async fn a_slow_issuer_is_given_up_on_after_five_seconds() {
    for endpoint in [Endpoint::Keys, Endpoint::Metadata] {
        let world = World::warm().await;
        world.clock.advance(Duration::from_secs(3_600));
        let slow = Behaviour::Slow(Duration::from_secs(60));
        world.issuer.behave_at(endpoint, slow);
        let asked = || world.issuer.jwks_requests() + world.issuer.discovery_requests();
        let before = asked() + u64::from(endpoint == Endpoint::Keys);
        let socket = world.socket;
        let waiting = tokio::spawn(async move { socket.bearer(&unsigned("x")).await });
        until("it asks", || asked() > before).await;
        assert!(world.good().await.is_good());
        assert!(!waiting.is_finished());
        world.clock.advance(Duration::from_secs(5));
        let answer = waiting.await.unwrap();
        answer.assert_unavailable(Code::KeysUnavailable);
        assert!(
            world.last_error().contains("5000 ms"),
            "{}",
            world.last_error()
        );
        assert!(world.good().await.is_good());
    }
}

#[tokio::test]
async fn one_that_is_not_too_slow_is_waited_for() {
    let world = World::new().await;
    world.issuer.behave(Behaviour::Slow(Duration::from_secs(2)));
    let token = world.issuer.token("ada").audience(AUDIENCE).mint();
    let socket = world.socket;
    let waiting = tokio::spawn(async move { socket.bearer(&token).await });
    until("it asks for metadata", || {
        world.issuer.discovery_requests() == 1
    })
    .await;
    world.clock.advance(Duration::from_secs(2));
    until("it asks for keys", || world.issuer.jwks_requests() == 1).await;
    world.clock.advance(Duration::from_secs(2));
    assert!(waiting.await.unwrap().is_good());
}

#[tokio::test]
async fn ten_thousand_keys_are_no_key_set() {
    let world = World::warm().await;
    world
        .issuer
        .behave_at(Endpoint::Keys, Behaviour::ManyKeys(2_000));
    world
        .unknown()
        .await
        .assert_unavailable(Code::KeysUnavailable);
    assert!(world.good().await.is_good());
    let cold = World::new().await;
    cold.issuer
        .behave_at(Endpoint::Keys, Behaviour::ManyKeys(2_000));
    cold.good().await.assert_unavailable(Code::KeysUnavailable);
}

#[tokio::test]
async fn metadata_of_another_issuer_are_not_used() {
    let world = World::new().await;
    world
        .issuer
        .behave_at(Endpoint::Metadata, Behaviour::OtherIssuer);
    world.good().await.assert_unavailable(Code::KeysUnavailable);
    assert_eq!(world.issuer.jwks_requests(), 0);
    assert!(
        world.last_error().contains("other-issuer"),
        "{}",
        world.last_error()
    );
}

#[tokio::test]
async fn metadata_that_name_another_address_lead_to_no_other_issuers_keys() {
    let world = World::new().await;
    let attacker = TestIssuer::start().await.with_clock(world.clock.clone());
    let redirected = Behaviour::KeysAt("http://issuer.example/jwks.json".into());
    world.issuer.behave_at(Endpoint::Metadata, redirected);
    world.good().await.assert_unavailable(Code::KeysUnavailable);

    // Where the issuer itself names them they are its keys, and `iss` still has to be its own.
    world.clock.advance(COOLDOWN);
    let named = Behaviour::KeysAt(attacker.jwks_url());
    world.issuer.behave_at(Endpoint::Metadata, named);
    let token = attacker.token("ada").audience(AUDIENCE).mint();
    let answer = world.socket.bearer(&token).await;
    answer.assert_refused(Code::CredentialInvalid);
}

#[tokio::test]
async fn an_empty_set_is_the_issuers_word_and_takes_all_keys_away() {
    let world = World::warm().await;
    assert!(world.good().await.is_good());
    world.issuer.behave_at(Endpoint::Keys, Behaviour::EmptySet);
    world
        .unknown()
        .await
        .assert_unavailable(Code::KeysUnavailable);
    world.good().await.assert_unavailable(Code::KeysUnavailable);
    assert!(!world.readiness.status().ready);
    world.issuer.behave(Behaviour::Well);
    world.clock.advance(COOLDOWN);
    assert!(world.good().await.is_good());
}

#[tokio::test]
async fn not_modified_is_believed_only_of_what_was_asked() {
    let cold = World::new().await;
    cold.issuer
        .behave_at(Endpoint::Keys, Behaviour::NotModifiedAlways);
    cold.good().await.assert_unavailable(Code::KeysUnavailable);

    let warm = World::warm().await;
    warm.issuer
        .behave_at(Endpoint::Keys, Behaviour::NotModifiedAlways);
    warm.clock.advance(Duration::from_secs(86_000));
    // A fetch that confirms the keys makes them fresh.
    warm.unknown().await.assert_refused(Code::CredentialInvalid);
    warm.clock.advance(Duration::from_secs(86_000));
    assert!(warm.good().await.is_good());
}

#[tokio::test]
async fn an_issuer_that_is_dead_for_an_hour_is_not_missed() {
    let world = World::warm().await;
    tokio::spawn(world.verifier.keep_fresh());
    world.issuer.behave(Behaviour::Down);
    for _ in 0..60 {
        world.clock.advance(Duration::from_secs(60));
        assert!(world.good().await.is_good());
    }
    assert!(world.readiness.status().ready);
    world
        .unknown()
        .await
        .assert_unavailable(Code::KeysUnavailable);

    world.issuer.behave(Behaviour::Well);
    world.issuer.use_next_key();
    // The first token under the next key asks, where the background was not faster.
    world.clock.advance(Duration::from_secs(61));
    assert!(world.good().await.is_good());
}

#[tokio::test]
async fn an_issuer_that_is_dead_past_the_limit_takes_its_keys_along() {
    let world = World::warm().await;
    // What was remembered is no better than what is new.
    let token = world.issuer.token("ada").audience(AUDIENCE);
    let long = token.lives(Duration::from_secs(86_400)).mint();
    world.clock.advance(Duration::from_secs(1_000));
    assert!(world.socket.bearer(&long).await.is_good());
    world.issuer.behave(Behaviour::Down);
    // Fetched at first, and a cooldown and a thousand seconds ago.
    world
        .clock
        .advance(Duration::from_secs(86_400 - 1_000) - COOLDOWN);
    assert!(world.good().await.is_good());
    assert!(world.socket.bearer(&long).await.is_good());
    world.clock.advance(Duration::from_millis(1));
    for answer in [
        world.good().await,
        world.socket.bearer(&long).await,
        world.unknown().await,
    ] {
        answer.assert_unavailable(Code::KeysUnavailable);
    }
    assert!(!world.readiness.status().ready);

    // And they are keys again with its first answer.
    world.issuer.behave(Behaviour::Well);
    world.clock.advance(COOLDOWN);
    assert!(world.good().await.is_good());
    assert!(world.readiness.status().ready);
}

#[tokio::test]
async fn a_forged_token_is_401_whatever_is_down() {
    let world = World::warm().await;
    world.issuer.behave(Behaviour::Down);
    let token = world.issuer.token("ada").audience(AUDIENCE).mint();
    let forged = format!(
        "{}AAAA{}",
        &token[..token.len() - 20],
        &token[token.len() - 16..]
    );
    let answer = world.socket.bearer(&forged).await;
    answer.assert_refused(Code::CredentialInvalid);
}
