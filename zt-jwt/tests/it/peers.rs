//! Defects that were found in other verifiers, each shown not to be here.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};
use zt_core::{
    clock::{ManualClock, SystemClock},
    decision::Code,
};
use zt_jwt::{
    Algorithm, Audience, HttpService, Issuer, KeySet, Refusal, Verifier,
    testing::{BadToken, Behaviour, Endpoint, TestIssuer},
    verify_jwt::VerifyJwtLayer,
};

use crate::support::{AUDIENCE, COOLDOWN, Door, base64url, unsigned, until};

fn verifier(issuer: Issuer, clock: &ManualClock) -> Verifier {
    let builder = Verifier::builder().issuer(issuer).clock(clock.clone());
    builder.build().unwrap()
}

async fn refusal(verifier: &Verifier, token: &str) -> Option<Refusal> {
    let verified = verifier.verify(token, None).await;
    verified.err().map(|refused| refused.refusal())
}

/// An issuer on a socket, its verifier, and a service behind it, all on one clock.
struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    verifier: Verifier,
    door: Door,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::default();
        let issuer = TestIssuer::start().await.with_clock(clock.clone());
        let verifier = verifier(issuer.issuer(AUDIENCE), &clock);
        let door = Door::new(&verifier, clock.clone());
        Self {
            clock,
            issuer,
            verifier,
            door,
        }
    }

    fn good(&self) -> String {
        self.issuer.token("ada").audience(AUDIENCE).mint()
    }
}

// jwt-authorizer

#[tokio::test]
async fn a_claim_that_is_configured_has_to_be_there() {
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier(AUDIENCE);
    let token = || issuer.token("ada").audience(AUDIENCE);
    assert_eq!(refusal(&verifier, &token().mint()).await, None);
    for (claim, expected) in [
        ("aud", Refusal::Audience),
        ("iss", Refusal::Issuer),
        ("exp", Refusal::NoExpiry),
        ("sub", Refusal::Subject),
    ] {
        let without = token().without(claim).mint();
        assert_eq!(
            refusal(&verifier, &without).await,
            Some(expected),
            "{claim}"
        );
    }
}

#[tokio::test]
async fn a_rotated_key_is_known_with_the_first_token_under_it() {
    let world = World::new().await;
    assert!(world.door.bearer(&world.good()).await.is_good());
    world.clock.advance(COOLDOWN);
    world.issuer.rotate();
    assert!(world.door.bearer(&world.good()).await.is_good());
    assert_eq!(world.issuer.jwks_requests(), 2);
}

#[tokio::test]
async fn a_fetch_that_hangs_holds_up_nobody_whose_key_is_known() {
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    world.issuer.behave(Behaviour::Hanging);
    world.clock.advance(COOLDOWN);
    let verifier = world.verifier.clone();
    let waiting = tokio::spawn(async move { refusal(&verifier, &unsigned("x")).await });
    until("the fetch has begun", || world.issuer.jwks_requests() == 2).await;
    for _ in 0..100 {
        let good = world.good();
        let verified = world.verifier.verify(&good, None).now_or_never();
        assert!(verified.expect("nothing to wait for").is_ok());
    }
    assert!(!waiting.is_finished());
    world.issuer.behave(Behaviour::Well);
    assert_eq!(waiting.await.unwrap(), Some(Refusal::UnknownKey));
}

#[tokio::test]
async fn an_attackers_kid_never_stands_in_a_request_for_keys() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let issuer = TestIssuer::named("https://issuer.test");
    let keys = issuer.jwks();
    let http = HttpService::new(service_fn(move |request: Request<Full<Bytes>>| {
        sink.lock().unwrap().push(format!("{request:?}"));
        let response = Response::new(Full::new(Bytes::from(keys.clone())));
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let clock = ManualClock::default();
    let known = Issuer::jwks(
        "https://issuer.test",
        "https://keys.test/jwks?tenant=7",
        AUDIENCE,
        http,
    );
    let verifier = verifier(known.unwrap(), &clock);
    for kid in ["evil", "../../evil", "evil&tenant=8", "?evil", "evil%0d%0a"] {
        clock.advance(COOLDOWN);
        let refused = refusal(&verifier, &unsigned(kid)).await;
        assert_eq!(refused, Some(Refusal::UnknownKey));
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 5);
    for request in &*seen {
        assert!(
            request.contains("uri: https://keys.test/jwks?tenant=7"),
            "{request}"
        );
        assert!(!request.contains("evil"), "{request}");
    }
}

#[tokio::test]
async fn a_key_is_for_its_own_kind_of_algorithm() {
    let issuer = TestIssuer::offline();
    let set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384] {
        let kid = issuer.kid(algorithm);
        let mut keys = set["keys"].as_array().unwrap().iter();
        let mut key = keys.find(|key| key["kid"] == *kid).unwrap().clone();
        // Without a word about its algorithm, it still is for what its type says.
        key.as_object_mut().unwrap().remove("alg");
        let keys = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let known = Issuer::keys(issuer.name(), AUDIENCE, keys);
        let verifier = Verifier::builder().issuer(known).build().unwrap();
        for signed in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384] {
            let token = issuer.token("ada").audience(AUDIENCE).algorithm(signed);
            let token = token.header("kid", kid.clone()).mint();
            let expected = (signed != algorithm).then_some(Refusal::UnknownKey);
            assert_eq!(
                refusal(&verifier, &token).await,
                expected,
                "{algorithm} {signed}"
            );
        }
    }
}

/// jsonwebtoken before 10.3: a claim of another type was one that is not there.
#[tokio::test]
async fn a_date_of_another_type_is_not_a_date_that_is_missing() {
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier(AUDIENCE);
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            json!("99999999999"),
            json!([0]),
            json!({}),
            json!(true),
            json!(-1),
        ] {
            let token = issuer.token("ada").audience(AUDIENCE);
            let token = token.claim(claim, value.clone()).mint();
            let refused = refusal(&verifier, &token).await;
            assert_eq!(refused, Some(Refusal::ClaimType), "{claim} {value}");
        }
    }
}

// tower-oauth2-resource-server

/// A service that must be asked whether it is ready, this very one, before each call.
struct Particular {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Particular {
    /// That one was ready says nothing of its clone.
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: self.calls.clone(),
        }
    }
}

impl Service<Request<()>> for Particular {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.ready, "called without being asked");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_said_it_was_ready() {
    let issuer = TestIssuer::start().await;
    let verifier = issuer.verifier(AUDIENCE);
    let calls = Arc::new(AtomicUsize::new(0));
    let mut service = VerifyJwtLayer::new(verifier).layer(Particular {
        ready: false,
        calls: calls.clone(),
    });
    // The first has to wait for keys, the second does not, the third is remembered.
    let token = || issuer.token("ada").audience(AUDIENCE).mint();
    let (first, second) = (token(), token());
    for token in [&first, &second, &second] {
        let request = Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn one_key_that_cannot_be_read_does_not_lose_the_set() {
    let world = World::new().await;
    world
        .issuer
        .behave_at(Endpoint::Keys, Behaviour::BadKeyAmong);
    assert!(world.door.bearer(&world.good()).await.is_good());
    let (_, status) = world.verifier.keys_status().remove(0);
    assert!(status.usable && status.left_out.len() >= 10, "{status:?}");
    // And not a refresh either.
    world.clock.advance(COOLDOWN);
    world.issuer.rotate();
    assert!(world.door.bearer(&world.good()).await.is_good());
}

#[tokio::test]
async fn the_issuer_is_compared_where_the_address_of_keys_was_set_by_hand() {
    let clock = ManualClock::default();
    let issuer = TestIssuer::start().await.with_clock(clock.clone());
    let name = "https://another-name.test";
    let known = Issuer::jwks(name, &issuer.jwks_url(), AUDIENCE, issuer.http()).unwrap();
    let verifier = verifier(known, &clock);
    let token = || issuer.token("ada").audience(AUDIENCE);
    for (token, expected) in [
        (token().mint(), Some(Refusal::Issuer)),
        (token().without("iss").mint(), Some(Refusal::Issuer)),
        (
            token().claim("iss", json!([name])).mint(),
            Some(Refusal::ClaimType),
        ),
        (token().claim("iss", name).mint(), None),
    ] {
        assert_eq!(refusal(&verifier, &token).await, expected);
    }
    assert_eq!(issuer.discovery_requests(), 0);
}

#[tokio::test]
async fn an_audience_without_names_is_nobody_and_not_everybody() {
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier(Audience::one_of([] as [&str; 0]));
    for token in [
        issuer.token("ada").audience(AUDIENCE).mint(),
        issuer.token("ada").audience("").mint(),
        issuer.token("ada").claim("aud", json!([])).mint(),
        issuer.token("ada").mint(),
    ] {
        assert_eq!(refusal(&verifier, &token).await, Some(Refusal::Audience));
    }
}

#[tokio::test]
async fn until_the_first_fetch_lands_the_answer_is_503_and_never_401() {
    let world = World::new().await;
    world.issuer.behave(Behaviour::Down);
    for token in [world.good(), unsigned("x")] {
        let answer = world.door.bearer(&token).await;
        answer.assert_unavailable(Code::KeysUnavailable);
    }
    // One that does wait for it gets an answer of its own.
    world.issuer.behave(Behaviour::Hanging);
    world.clock.advance(COOLDOWN);
    let (door, good) = (world.door.clone(), world.good());
    let waiting = tokio::spawn(async move { door.bearer(&good).await });
    let asked = world.issuer.discovery_requests();
    until("it waits", || world.issuer.discovery_requests() > asked).await;
    world.issuer.behave(Behaviour::Well);
    assert!(waiting.await.unwrap().is_good());
}

// axum-jwt-auth, axum-jwks

#[tokio::test]
async fn malformed_tokens_and_unknown_kids_are_never_500() {
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    for token in ["", ".", "..", "...", "a.b.c", "nonsense", "e30.e30.AA"] {
        let answer = world.door.bearer(token).await;
        answer.assert_refused(match token {
            "e30.e30.AA" => Code::CredentialInvalid,
            _ => Code::CredentialMalformed,
        });
    }
    let answer = world.door.bearer(&unsigned("nobodys")).await;
    answer.assert_refused(Code::CredentialInvalid);
}

#[tokio::test]
async fn keys_are_fetched_again_by_themselves() {
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    tokio::spawn(world.verifier.keep_fresh());
    let old = world.good();
    world.issuer.rotate();
    let age = || world.verifier.keys_status().remove(0).1.age;
    for fetches in 2..5 {
        // Five minutes are what the issuer grants; keys are asked for before they are over.
        world.clock.advance(Duration::from_secs(300));
        until("they are fresh again", || age() == Some(Duration::ZERO)).await;
        assert_eq!(world.issuer.jwks_requests(), fetches);
    }
    assert_eq!(
        refusal(&world.verifier, &old).await,
        Some(Refusal::UnknownKey)
    );
    assert!(world.door.bearer(&world.good()).await.is_good());
}

#[tokio::test]
async fn keys_of_many_kinds_stand_beside_one_another() {
    let world = World::new().await;
    // So that it is published.
    drop(world.issuer.kid(Algorithm::Rs256));
    for algorithm in world.issuer.algorithms().iter() {
        let token = world.issuer.token("ada").audience(AUDIENCE);
        let token = token.algorithm(algorithm).mint();
        assert!(world.door.bearer(&token).await.is_good(), "{algorithm}");
    }
    assert!(world.issuer.algorithms().contains(Algorithm::MlDsa87));
    assert_eq!(world.issuer.jwks_requests(), 1);
}

// huskarl-resource-server

#[tokio::test]
async fn what_is_longer_than_8_kib_is_refused_before_it_is_read() {
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier(AUDIENCE);
    let token = |filler: usize| {
        let token = issuer.token("ada").audience(AUDIENCE);
        token.claim("filler", "a".repeat(filler)).mint()
    };
    assert_eq!(refusal(&verifier, &token(5_000)).await, None);
    assert_eq!(
        refusal(&verifier, &token(7_000)).await,
        Some(Refusal::TooLong)
    );
    let nonsense = "!".repeat(8 * 1_024 + 1);
    assert_eq!(refusal(&verifier, &nonsense).await, Some(Refusal::TooLong));

    let shorter = Verifier::builder()
        .issuer(issuer.issuer(AUDIENCE))
        .longest_token(1_024)
        .build()
        .unwrap();
    assert_eq!(
        refusal(&shorter, &token(5_000)).await,
        Some(Refusal::TooLong)
    );
    assert_eq!(refusal(&shorter, &token(0)).await, None);
}

#[tokio::test]
async fn a_payload_is_not_parsed_before_its_signature_held() {
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier(AUDIENCE);
    let good = issuer.token("ada").audience(AUDIENCE).mint();
    let [header, _, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments")
    };
    for payload in [
        String::new(),
        base64url("{"),
        base64url("[".repeat(3_000)),
        base64url(r#"{"exp":1}"#),
        "*".to_owned(),
    ] {
        let token = format!("{header}.{payload}.{signature}");
        assert_eq!(refusal(&verifier, &token).await, Some(Refusal::Signature));
    }
}

#[tokio::test]
async fn keys_that_nobody_confirms_for_a_day_are_not_keys_any_more() {
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    world.issuer.behave(Behaviour::ServerError);
    world.clock.advance(Duration::from_secs(86_400));
    assert!(world.door.bearer(&world.good()).await.is_good());
    world.clock.advance(Duration::from_secs(1));
    let answer = world.door.bearer(&world.good()).await;
    answer.assert_unavailable(Code::KeysUnavailable);
}

// jose, auth0

#[tokio::test]
async fn a_cooldown_counts_from_failures_too() {
    let world = World::new().await;
    world.issuer.behave(Behaviour::ServerError);
    for _ in 0..50 {
        let answer = world.door.bearer(&world.good()).await;
        answer.assert_unavailable(Code::KeysUnavailable);
    }
    assert_eq!(world.issuer.discovery_requests(), 1);
    world.clock.advance(COOLDOWN);
    for _ in 0..50 {
        let answer = world.door.bearer(&world.good()).await;
        answer.assert_unavailable(Code::KeysUnavailable);
    }
    assert_eq!(world.issuer.discovery_requests(), 2);
}

#[tokio::test]
async fn the_last_good_keys_do_while_the_issuer_fails() {
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    for behaviour in [Behaviour::ServerError, Behaviour::Down, Behaviour::Garbage] {
        world.issuer.behave(behaviour.clone());
        world.clock.advance(Duration::from_secs(600));
        assert!(world.verifier.fetch_keys().await.is_err(), "{behaviour:?}");
        assert!(
            world.door.bearer(&world.good()).await.is_good(),
            "{behaviour:?}"
        );
    }
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    let issuer = TestIssuer::offline();
    let door = Door::new(&issuer.verifier(AUDIENCE), SystemClock);
    for kind in [
        BadToken::CnfCertificate,
        BadToken::CnfKeyThumbprint,
        BadToken::CnfJwk,
        BadToken::CnfUnknown,
    ] {
        let answer = door.bearer(&issuer.bad_token(kind, AUDIENCE)).await;
        answer.assert_refused(Code::BindingMismatch);
    }
    assert_eq!(door.reached(), 0);
}
