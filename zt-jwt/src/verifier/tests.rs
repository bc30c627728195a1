use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use zt_core::{
    clock::{Clock, ManualClock, Timestamp},
    decision::Code,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    secret::Secret,
    state::{Sanction, SanctionAction, SanctionTarget, Sanctions},
};

use super::*;
use crate::{
    Algorithm, Issuer, KeySet, Refusal,
    jwks::{FetchError, FetchRequest, Fetched, KeySource},
    key::tests::signer::Signer,
};

const ISSUER: &str = "https://issuer.example";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn b64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of these claims, signed, under `header`.
fn sign_with(header: &Value, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        b64(header.to_string().as_bytes()),
        b64(claims.as_bytes())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", b64(tag.as_ref()))
}

fn sign(claims: &Value) -> String {
    sign_with(&json!({"alg": "HS256", "typ": "JWT"}), &claims.to_string())
}

fn secs(clock: &ManualClock) -> u64 {
    clock.now().unwrap().as_secs()
}

/// Claims of a token that is good for five minutes from now.
fn claims(clock: &ManualClock) -> Value {
    let now = secs(clock);
    json!({
        "iss": ISSUER, "sub": "ada", "aud": "orders", "exp": now + 300, "nbf": now, "iat": now,
        "jti": "t-1", "sid": "s-1", "scope": "orders:read orders:write",
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn issuer() -> Issuer {
    Issuer::shared_secret(
        ISSUER,
        "orders",
        Algorithm::Hs256,
        &Secret::new(SECRET.to_vec()),
    )
    .unwrap()
}

fn build(clock: &ManualClock, issuer: Issuer) -> Verifier {
    Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer)
        .build()
        .unwrap()
}

fn verify_for(
    verifier: &Verifier,
    token: &str,
    peer: Option<&Arc<PeerIdentity>>,
    clock: &ManualClock,
) -> Result<Arc<Principal>, Refused> {
    let around = Surroundings {
        peer,
        now: clock.now().unwrap(),
        monotonic: clock.monotonic(),
    };
    match verifier.begin(token.as_bytes(), &around) {
        Progress::Done(result) => result,
        Progress::Waiting(_) => panic!("nothing to wait for"),
    }
}

fn verify(
    verifier: &Verifier,
    token: &str,
    clock: &ManualClock,
) -> Result<Arc<Principal>, Refusal> {
    verify_for(verifier, token, None, clock).map_err(|refused| refused.refusal())
}

#[test]
fn a_good_token_names_its_caller() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer().tenant_claim("org"));
    let claims = with(claims(&clock), "org", json!("acme"));
    let claims = with(claims, "roles", json!(["admin", "auditor"]));
    let claims = with(claims, "acr", json!("urn:mfa"));
    let claims = with(claims, "auth_time", json!(secs(&clock) - 60));
    let who = verify(&verifier, &sign(&claims), &clock).unwrap();
    assert_eq!(who.subject(), "ada");
    assert_eq!(who.issuer(), Some(ISSUER));
    assert_eq!(who.kind(), PrincipalKind::User);
    assert!(who.proved_by(AuthMethod::Jwt));
    assert_eq!(
        who.scopes().collect::<Vec<_>>(),
        ["orders:read", "orders:write"]
    );
    assert_eq!(who.roles().collect::<Vec<_>>(), ["admin", "auditor"]);
    assert_eq!(who.tenant(), Some("acme"));
    assert_eq!(who.session(), Some("s-1"));
    assert_eq!(who.token(), Some("t-1"));
    assert_eq!(who.context_class(), Some("urn:mfa"));
    assert_eq!(who.issued_at(), Some(Timestamp::from_secs(secs(&clock))));
    // The leeway is part of its life, or an answer would be cut at its first byte.
    let end = Timestamp::from_secs(secs(&clock) + 330);
    assert_eq!(who.expires_at(), Some(end));
    assert_eq!(who.claims::<Value>().unwrap()["org"], "acme");
    assert!(!format!("{who:?} {verifier:?}").contains("auth_time"));
}

#[test]
fn a_service_is_whoever_is_its_own_client() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let same = with(claims(&clock), "client_id", json!("ada"));
    let other = with(claims(&clock), "client_id", json!("web"));
    let kind = |claims: &Value| verify(&verifier, &sign(claims), &clock).unwrap().kind();
    assert_eq!(kind(&same), PrincipalKind::Service);
    assert_eq!(kind(&other), PrincipalKind::User);
    let services = build(&clock, issuer().principals(PrincipalKind::Service));
    let who = verify(&services, &sign(&other), &clock).unwrap();
    assert_eq!(who.kind(), PrincipalKind::Service);
}

#[test]
fn roles_are_found_where_they_were_said_to_be() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer().roles_claim("/realm_access/a~1b").unwrap());
    let roles = |value: Value| {
        let claims = with(claims(&clock), "realm_access", value);
        verify(&verifier, &sign(&claims), &clock)
            .map(|who| who.roles().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(roles(json!({"a/b": ["x", "y"]})).unwrap(), ["x", "y"]);
    assert_eq!(roles(json!({"a/b": "x"})).unwrap(), ["x"]);
    assert!(roles(json!({"roles": ["x"]})).unwrap().is_empty());
    assert!(roles(json!("x")).unwrap().is_empty());
    assert_eq!(roles(json!({"a/b": [1]})), Err(Refusal::ClaimType));
    assert_eq!(roles(json!({"a/b": {"x": 1}})), Err(Refusal::ClaimType));
    assert!(issuer().roles_claim("roles").is_err());
}

#[test]
fn each_claim_is_asked_for() {
    let clock = ManualClock::default();
    let now = secs(&clock);
    let verifier = build(&clock, issuer());
    let good = || claims(&clock);
    let day = 86_400;
    let cases = [
        ("no issuer", without(good(), "iss"), Refusal::Issuer),
        (
            "another issuer",
            with(good(), "iss", json!("https://other.example")),
            Refusal::Issuer,
        ),
        (
            "a longer issuer",
            with(good(), "iss", json!("https://issuer.example/")),
            Refusal::Issuer,
        ),
        (
            "another case",
            with(good(), "iss", json!("https://ISSUER.example")),
            Refusal::Issuer,
        ),
        (
            "issuers",
            with(good(), "iss", json!([ISSUER])),
            Refusal::ClaimType,
        ),
        ("no audience", without(good(), "aud"), Refusal::Audience),
        (
            "another audience",
            with(good(), "aud", json!("payments")),
            Refusal::Audience,
        ),
        (
            "no audience at all",
            with(good(), "aud", json!([])),
            Refusal::Audience,
        ),
        (
            "a longer audience",
            with(good(), "aud", json!("orders2")),
            Refusal::Audience,
        ),
        (
            "a shorter audience",
            with(good(), "aud", json!("order")),
            Refusal::Audience,
        ),
        (
            "audiences in one text",
            with(good(), "aud", json!("orders payments")),
            Refusal::Audience,
        ),
        (
            "a number among audiences",
            with(good(), "aud", json!(["orders", 1])),
            Refusal::ClaimType,
        ),
        ("no expiry", without(good(), "exp"), Refusal::NoExpiry),
        (
            "expired",
            with(good(), "exp", json!(now - 30)),
            Refusal::Expired,
        ),
        (
            "expired long ago",
            with(good(), "exp", json!(0)),
            Refusal::Expired,
        ),
        (
            "a text for expiry",
            with(good(), "exp", json!((now + 300).to_string())),
            Refusal::ClaimType,
        ),
        (
            "an expiry out of time",
            with(good(), "exp", json!(u64::MAX)),
            Refusal::ClaimType,
        ),
        (
            "not yet",
            with(good(), "nbf", json!(now + 31)),
            Refusal::NotYet,
        ),
        (
            "from the future",
            with(good(), "iat", json!(now + 31)),
            Refusal::IssuedInFuture,
        ),
        (
            "too long a life",
            with(good(), "exp", json!(now + day + 1)),
            Refusal::Lifetime,
        ),
        (
            "too long a life, by a mere claim",
            with(with(good(), "iat", json!(now - day)), "exp", json!(now + 1)),
            Refusal::Lifetime,
        ),
        (
            "too long a life from now",
            with(without(good(), "iat"), "exp", json!(now + day + 31)),
            Refusal::Lifetime,
        ),
        ("no subject", without(good(), "sub"), Refusal::Subject),
        (
            "an empty subject",
            with(good(), "sub", json!("")),
            Refusal::Subject,
        ),
        (
            "a subject with a line break",
            with(good(), "sub", json!("ada\nroot")),
            Refusal::Subject,
        ),
        (
            "a subject without end",
            with(good(), "sub", json!("a".repeat(2_049))),
            Refusal::Subject,
        ),
        (
            "an id token",
            with(good(), "at_hash", json!("x")),
            Refusal::Kind,
        ),
        (
            "an id token with a nonce",
            with(good(), "nonce", json!("x")),
            Refusal::Kind,
        ),
        (
            "an id token, as it says",
            with(good(), "typ", json!("ID")),
            Refusal::Kind,
        ),
        (
            "an id token of Cognito",
            with(good(), "token_use", json!("id")),
            Refusal::Kind,
        ),
        (
            "a refresh token",
            with(good(), "typ", json!("Refresh")),
            Refusal::Kind,
        ),
        (
            "a logout token",
            with(good(), "events", json!({})),
            Refusal::Kind,
        ),
        (
            "an unknown binding",
            with(good(), "cnf", json!({"kid": "k"})),
            Refusal::Binding,
        ),
        (
            "a proof key",
            with(good(), "cnf", json!({"jkt": b64(&[0; 32])})),
            Refusal::Binding,
        ),
    ];
    verify(&verifier, &sign(&good()), &clock).unwrap();
    for (what, claims, refusal) in cases {
        let token = sign(&claims);
        assert_eq!(
            verify(&verifier, &token, &clock).err(),
            Some(refusal),
            "{what}"
        );
        // Without its signature none of them says anything about its claims.
        let forged = format!(
            "{}{}",
            token.rsplit_once('.').unwrap().0,
            ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert_eq!(
            verify(&verifier, &forged, &clock).err(),
            Some(Refusal::Signature),
            "{what}, forged"
        );
    }
}

#[test]
fn a_claim_at_its_bound_is_good() {
    let clock = ManualClock::default();
    let now = secs(&clock);
    let verifier = build(&clock, issuer());
    let good = || claims(&clock);
    for (what, claims) in [
        (
            "expired, within the leeway",
            with(good(), "exp", json!(now - 29)),
        ),
        (
            "not yet, within the leeway",
            with(good(), "nbf", json!(now + 30)),
        ),
        (
            "from the future, within the leeway",
            with(good(), "iat", json!(now + 30)),
        ),
        ("a day of life", with(good(), "exp", json!(now + 86_400))),
        (
            "several audiences",
            with(good(), "aud", json!(["payments", "orders"])),
        ),
        (
            "neither nbf nor iat",
            without(without(good(), "nbf"), "iat"),
        ),
        (
            "a fraction of a second",
            with(good(), "exp", json!(now as f64 + 0.5)),
        ),
        (
            "a subject of SPIFFE",
            with(
                good(),
                "sub",
                json!(format!("spiffe://{}", "a".repeat(2_039))),
            ),
        ),
        (
            "an access token with a nonce",
            with(with(good(), "nonce", json!("x")), "typ", json!("Bearer")),
        ),
    ] {
        assert!(verify(&verifier, &sign(&claims), &clock).is_ok(), "{what}");
    }
}

#[test]
fn the_kind_of_token_stands_in_its_header_too() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let strict = build(&clock, issuer().strict_rfc9068());
    let token = |typ: Value, claims: &Value| {
        let header = match typ {
            Value::Null => json!({"alg": "HS256"}),
            typ => json!({"alg": "HS256", "typ": typ}),
        };
        sign_with(&header, &claims.to_string())
    };
    // Whatever else was asked for, before or after.
    let narrowed = build(&clock, issuer().strict_rfc9068().typ(["jwt", "at+jwt"]));
    let full = with(claims(&clock), "client_id", json!("web"));
    for (typ, usual, rfc9068) in [
        (Value::Null, true, false),
        (json!("JWT"), true, false),
        (json!("jwt"), true, false),
        (json!("at+jwt"), true, true),
        (json!("application/at+jwt"), true, true),
        (json!("Application/AT+JWT"), true, true),
        (json!("dpop+jwt"), false, false),
        (json!("logout+jwt"), false, false),
        (json!("secevent+jwt"), false, false),
        (json!("id_token"), false, false),
        (json!(""), false, false),
    ] {
        let token = token(typ.clone(), &full);
        let wrong = |takes: bool| (!takes).then_some(Refusal::Type);
        assert_eq!(
            verify(&verifier, &token, &clock).err(),
            wrong(usual),
            "{typ}"
        );
        assert_eq!(
            verify(&strict, &token, &clock).err(),
            wrong(rfc9068),
            "{typ}, strict"
        );
        assert_eq!(
            verify(&narrowed, &token, &clock).err(),
            wrong(rfc9068),
            "{typ}, narrowed"
        );
    }
    for claim in ["client_id", "iat", "jti"] {
        let token = token(json!("at+jwt"), &without(full.clone(), claim));
        assert_eq!(
            verify(&strict, &token, &clock).err(),
            Some(Refusal::MissingClaim),
            "{claim}"
        );
        assert!(verify(&verifier, &token, &clock).is_ok());
    }
}

/// Spring Authorization Server and IdentityServer write lists.
#[test]
fn scopes_are_one_text_or_a_list() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    for name in ["scope", "scp"] {
        for scopes in [json!("a b"), json!(["a", "b"])] {
            let claims = with(without(claims(&clock), "scope"), name, scopes);
            let who = verify(&verifier, &sign(&claims), &clock).unwrap();
            assert_eq!(who.scopes().collect::<Vec<_>>(), ["a", "b"], "{claims}");
        }
    }
}

#[test]
fn a_policy_asks_for_claims_of_its_own() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer().require_claims(["org", "jti"]));
    let token = sign(&claims(&clock));
    assert_eq!(
        verify(&verifier, &token, &clock).err(),
        Some(Refusal::MissingClaim)
    );
    let token = sign(&with(claims(&clock), "org", json!(null)));
    assert!(verify(&verifier, &token, &clock).is_ok());
}

#[test]
fn an_id_token_passes_where_that_was_asked_for() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer().insecure_accept_id_tokens());
    let id_token = with(claims(&clock), "nonce", json!("x"));
    assert!(verify(&verifier, &sign(&id_token), &clock).is_ok());
    let logout = with(claims(&clock), "events", json!({}));
    assert_eq!(
        verify(&verifier, &sign(&logout), &clock).err(),
        Some(Refusal::Kind)
    );
}

#[test]
fn any_audience_passes_where_that_was_asked_for() {
    let clock = ManualClock::default();
    let secret = Secret::new(SECRET.to_vec());
    let any = Issuer::shared_secret(ISSUER, Audience::insecure_any(), Algorithm::Hs256, &secret);
    let verifier = build(&clock, any.unwrap());
    assert!(verify(&verifier, &sign(&without(claims(&clock), "aud")), &clock).is_ok());
    let nobody = Audience::one_of::<&str>([]);
    let none = Issuer::shared_secret(ISSUER, nobody, Algorithm::Hs256, &secret).unwrap();
    let verifier = build(&clock, none);
    assert_eq!(
        verify(&verifier, &sign(&claims(&clock)), &clock).err(),
        Some(Refusal::Audience)
    );
}

#[test]
fn a_bound_token_is_good_on_its_own_connection_only() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let token = sign(&with(
        claims(&clock),
        "cnf",
        json!({"x5t#S256": b64(&[7; 32])}),
    ));
    let peer = |thumbprint| {
        let end = clock.now().unwrap() + Duration::from_secs(60);
        Arc::new(PeerIdentity::assertion(thumbprint, end, PeerSource::Tls).finish())
    };
    let verify = |peer: Option<&Arc<PeerIdentity>>| {
        verify_for(&verifier, &token, peer, &clock).map_err(|no| no.refusal())
    };
    assert_eq!(verify(None).err(), Some(Refusal::Binding));
    assert_eq!(verify(Some(&peer([8; 32]))).err(), Some(Refusal::Binding));
    assert!(verify(Some(&peer([7; 32]))).is_ok());
    // Remembered now, and asked for its binding all the same.
    assert_eq!(verify(None).err(), Some(Refusal::Binding));
    assert_eq!(verify(Some(&peer([8; 32]))).err(), Some(Refusal::Binding));
    assert!(verify(Some(&peer([7; 32]))).is_ok());
}

#[test]
fn a_remembered_token_ends_when_it_ends() {
    let clock = ManualClock::default();
    let cache = TokenCache::new(CacheBounds::default());
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .cache(cache.clone())
        .build()
        .unwrap();
    let token = sign(&claims(&clock));
    assert!(verify(&verifier, &token, &clock).is_ok());
    assert_eq!(cache.len(), 1);
    clock.advance(Duration::from_secs(329));
    assert!(verify(&verifier, &token, &clock).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        verify(&verifier, &token, &clock).err(),
        Some(Refusal::Expired)
    );
    assert!(cache.is_empty());
    assert_eq!(
        verify(&verifier, &token, &clock).err(),
        Some(Refusal::Expired)
    );
}

/// A clock that is set back must not make a token good before its time, whoever remembers it.
#[test]
fn a_remembered_token_is_not_good_before_its_time() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let token = sign(&claims(&clock));
    let right = clock.now().unwrap();
    assert!(verify(&verifier, &token, &clock).is_ok());
    clock.set_wall(right.saturating_sub(Duration::from_secs(86_400)));
    for _ in 0..2 {
        assert_eq!(
            verify(&verifier, &token, &clock).err(),
            Some(Refusal::NotYet)
        );
    }
    clock.set_wall(right);
    assert!(verify(&verifier, &token, &clock).is_ok());
}

#[test]
fn only_what_was_good_is_remembered() {
    let clock = ManualClock::default();
    let cache = TokenCache::new(CacheBounds::default());
    let sanctions = Sanctions::local(clock.clone());
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .sanctions(sanctions)
        .cache(cache.clone())
        .build()
        .unwrap();
    let good = sign(&claims(&clock));
    let (signed, _) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{signed}.{}", b64(&[0; 32])),
        sign(&with(claims(&clock), "aud", json!("payments"))),
        sign(&with(
            claims(&clock),
            "cnf",
            json!({"x5t#S256": b64(&[7; 32])}),
        )),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        assert!(verify(&verifier, &bad, &clock).is_err());
        assert!(cache.is_empty(), "{bad}");
    }
}

/// CVE-2026-35030 and GHSA-rp9m-7r4c-75qg: a cache that looks at part of a token.
#[test]
fn the_header_of_a_good_token_is_noted_and_no_other() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let noted = || format!("{:?}", verifier.0.headers);
    let header = json!({"alg": "HS256", "typ": "at+jwt"});
    let good = claims(&clock).to_string();

    let elsewhere = with(claims(&clock), "aud", json!("billing")).to_string();
    let token = sign_with(&header, &elsewhere);
    assert_eq!(
        verify(&verifier, &token, &clock).err(),
        Some(Refusal::Audience)
    );
    let forged = format!("{}A", sign_with(&header, &good).trim_end_matches('A'));
    assert!(verify(&verifier, &forged, &clock).is_err());
    assert_eq!(noted(), "Headers(0)");

    assert!(verify(&verifier, &sign_with(&header, &good), &clock).is_ok());
    assert_eq!(noted(), "Headers(1)");
    // What is known of the header says nothing of the rest.
    assert_eq!(
        verify(&verifier, &token, &clock).err(),
        Some(Refusal::Audience)
    );

    let long = json!({"alg": "HS256", "typ": "JWT", "x": "a".repeat(300)});
    assert!(verify(&verifier, &sign_with(&long, &good), &clock).is_ok());
    assert_eq!(noted(), "Headers(1)");
}

#[test]
fn a_remembered_token_lends_nothing_to_one_that_is_almost_it() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let token = sign(&claims(&clock));
    assert!(verify(&verifier, &token, &clock).is_ok());
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(verify(&verifier, &other, &clock).is_err(), "{at}");
    }
    assert!(verify(&verifier, &format!("{token}A"), &clock).is_err());
    let (shorter, _) = token.split_at(token.len() - 1);
    assert!(verify(&verifier, shorter, &clock).is_err());
}

/// lua-resty-openidc #569: a cache that forgets who asked for what.
#[test]
fn verifiers_that_share_a_cache_share_no_decisions() {
    let clock = ManualClock::default();
    let cache = TokenCache::new(CacheBounds::default());
    let build = |issuer| {
        Verifier::builder()
            .clock(clock.clone())
            .issuer(issuer)
            .cache(cache.clone())
            .build()
            .unwrap()
    };
    let lenient = build(issuer());
    let strict = build(issuer().strict_rfc9068());
    let token = sign(&claims(&clock));
    assert!(verify(&lenient, &token, &clock).is_ok());
    assert_eq!(verify(&strict, &token, &clock).err(), Some(Refusal::Type));
}

#[tokio::test]
async fn a_revocation_reaches_remembered_tokens_at_once() {
    let clock = ManualClock::default();
    let sanctions = Sanctions::local(clock.clone());
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .sanctions(sanctions.clone())
        .build()
        .unwrap();
    let header = json!({"alg": "HS256", "kid": "k-1"});
    let token = sign_with(&header, &claims(&clock).to_string());
    let code = || verify_for(&verifier, &token, None, &clock).map_err(|no| no.denial().code());
    let now = clock.now().unwrap();
    for target in [
        SanctionTarget::Token("t-1".into()),
        SanctionTarget::Session("s-1".into()),
        SanctionTarget::Subject {
            issuer: Some(ISSUER.into()),
            subject: "ada".into(),
            before: now,
        },
    ] {
        assert!(code().is_ok(), "{target:?}");
        let sanction = Sanction {
            target: target.clone(),
            action: SanctionAction::Revoke,
            reason: "stolen".to_owned(),
            author: "root".into(),
            expires: None,
        };
        sanctions.impose(sanction).await.unwrap();
        assert_eq!(code().err(), Some(Code::CredentialRevoked), "{target:?}");
        sanctions.lift(&target, "root", "found").await.unwrap();
    }
    assert!(code().is_ok());
}

#[test]
fn the_cache_keeps_within_its_bounds() {
    let clock = ManualClock::default();
    let bounds = CacheBounds {
        entries: 100,
        bytes: 1 << 20,
    };
    let cache = TokenCache::new(bounds);
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .cache(cache.clone())
        .build()
        .unwrap();
    for n in 0..1_000 {
        let token = sign(&with(claims(&clock), "jti", json!(n.to_string())));
        assert!(verify(&verifier, &token, &clock).is_ok());
        assert!(cache.len() <= 100 && cache.bytes() <= 1 << 20);
    }
    assert!(cache.len() > 50, "{}", cache.len());
    cache.clear();
    assert!(cache.is_empty());
    let long = "x".repeat(4_000);
    for n in 0..1_000 {
        let claims = with(claims(&clock), "jti", json!(n.to_string()));
        assert!(verify(&verifier, &sign(&with(claims, "x", json!(long))), &clock).is_ok());
        assert!(cache.bytes() <= 1 << 20);
    }
    assert!(cache.len() < 90, "{}", cache.len());
}

#[test]
fn a_token_that_is_too_long_is_not_even_hashed() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let claims = with(claims(&clock), "x", json!("x".repeat(6_500)));
    assert_eq!(
        verify(&verifier, &sign(&claims), &clock).err(),
        Some(Refusal::TooLong)
    );
    let roomy = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .longest_token(16 << 10);
    assert!(verify(&roomy.build().unwrap(), &sign(&claims), &clock).is_ok());
}

#[test]
fn a_verifier_that_could_verify_nothing_is_not_built() {
    assert!(matches!(
        Verifier::builder().build(),
        Err(ConfigError::NoIssuer)
    ));
    let twice = Verifier::builder()
        .issuer(issuer())
        .issuer(issuer())
        .build();
    assert!(matches!(twice, Err(ConfigError::IssuerTwice(_))));
    let none = Verifier::builder()
        .issuer(issuer().algorithms([Algorithm::Es256]))
        .build();
    assert!(matches!(none, Err(ConfigError::NoAlgorithm(_))));
    let secret = Secret::new(SECRET.to_vec());
    let nameless = Issuer::shared_secret("", "orders", Algorithm::Hs256, &secret).unwrap();
    let nameless = Verifier::builder().issuer(nameless).build();
    assert!(matches!(nameless, Err(ConfigError::IssuerName(_))));
    let nobody = Verifier::builder().issuer(issuer().principals(PrincipalKind::Anonymous));
    assert!(matches!(nobody.build(), Err(ConfigError::Anonymous(_))));
    let short = Secret::from("too short");
    assert!(Issuer::shared_secret(ISSUER, "orders", Algorithm::Hs256, &short).is_err());
    assert!(Issuer::shared_secret(ISSUER, "orders", Algorithm::Es256, &secret).is_err());
}

#[tokio::test]
async fn a_clock_that_cannot_answer_refuses() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let token = sign(&claims(&clock));
    assert!(verifier.verify(&token, None).await.is_ok());
    clock.fail();
    let denial = verifier.verify(&token, None).await.unwrap_err().denial();
    assert_eq!(denial.code(), Code::ClockUnavailable);
}

// Attacks

/// Another issuer, whose key is `secret`.
fn of(name: &str, secret: &[u8]) -> Issuer {
    Issuer::shared_secret(
        name,
        "orders",
        Algorithm::Hs256,
        &Secret::new(secret.to_vec()),
    )
    .unwrap()
}

#[test]
fn an_issuer_that_has_anothers_key_takes_nothing_from_it() {
    let clock = ManualClock::default();
    // What one asks of its tokens is not asked of another's.
    let mallory = of("https://mallory.example", SECRET)
        .tenant_claim("roles")
        .roles_claim("/aud/0")
        .unwrap();
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(mallory)
        .issuer(issuer())
        .issuer(of("https://third.example", SECRET))
        .build()
        .unwrap();
    let good = with(claims(&clock), "roles", json!(["r"]));
    for name in [ISSUER, "https://third.example"] {
        let token = sign(&with(good.clone(), "iss", json!(name)));
        for _ in 0..2 {
            let who = verify(&verifier, &token, &clock).unwrap();
            assert_eq!(who.issuer(), Some(name));
            assert!(who.has_role("r"));
        }
    }
    let other = with(good.clone(), "iss", json!("https://other.example"));
    assert_eq!(
        verify(&verifier, &sign(&other), &clock).err(),
        Some(Refusal::Issuer)
    );
    let old = with(good, "exp", json!(secs(&clock) - 60));
    assert_eq!(
        verify(&verifier, &sign(&old), &clock).err(),
        Some(Refusal::Expired)
    );
}

#[test]
fn a_key_vouches_for_no_issuer_that_does_not_have_it() {
    let clock = ManualClock::default();
    let others = b"another secret of thirty-two bytes, or more";
    for mallory_first in [true, false] {
        let mallory = of("https://mallory.example", SECRET);
        let victim = of(ISSUER, others);
        let builder = Verifier::builder().clock(clock.clone());
        let verifier = match mallory_first {
            true => builder.issuer(mallory).issuer(victim),
            false => builder.issuer(victim).issuer(mallory),
        };
        let refused = verify(&verifier.build().unwrap(), &sign(&claims(&clock)), &clock);
        assert!(
            matches!(refused, Err(Refusal::Issuer | Refusal::Signature)),
            "{refused:?}"
        );
    }
}

#[test]
fn a_token_of_very_many_scopes_weighs_what_it_takes_up() {
    let clock = ManualClock::default();
    let cache = TokenCache::new(CacheBounds::default());
    let verifier = Verifier::builder()
        .clock(clock.clone())
        .issuer(issuer())
        .cache(cache.clone())
        .build()
        .unwrap();
    let scopes: Vec<_> = (0..1_400).map(|n| format!("{n:03x}")).collect();
    let claims = with(claims(&clock), "scope", json!(scopes.join(" ")));
    assert!(verify(&verifier, &sign(&claims), &clock).is_ok());
    // Each is an allocation with two counters, and a place in a tree that is half full at worst.
    let least = 1_400 * (32 + 2 * 16);
    assert!(cache.bytes() > least, "{}", cache.bytes());
}

#[test]
fn a_scope_is_what_stands_between_spaces_and_nothing_else_divides() {
    let clock = ManualClock::default();
    let verifier = build(&clock, issuer());
    let scopes = |name: &str, value: Value| {
        let claims = with(without(claims(&clock), "scope"), name, value);
        let who = verify(&verifier, &sign(&claims), &clock).unwrap();
        who.scopes().map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["scope", "scp"] {
        assert_eq!(scopes(name, json!(" a  b ")), ["a", "b"]);
        for whole in [
            "a\tadmin",
            "a\nadmin",
            "a\u{c}admin",
            "a\u{a0}admin",
            "a,admin",
        ] {
            assert_eq!(scopes(name, json!(whole)), [whole]);
        }
        assert!(scopes(name, json!(" ")).is_empty());
    }
    assert_eq!(scopes("scp", json!(["a b", "c"])), ["a b", "c"]);
}

#[test]
fn claims_that_are_required_add_up() {
    let clock = ManualClock::default();
    let policy = issuer().require_claims(["jti", "org", "org"]);
    let verifier = build(&clock, policy.require_claims(["plan", "jti"]));
    let token = |names: &[&str]| {
        let claims = claims(&clock);
        let claims = names
            .iter()
            .fold(claims, |claims, name| with(claims, name, json!(1)));
        verify(&verifier, &sign(&claims), &clock)
    };
    assert!(token(&["org", "plan"]).is_ok());
    assert_eq!(token(&["org"]).err(), Some(Refusal::MissingClaim));
    assert_eq!(token(&["plan"]).err(), Some(Refusal::MissingClaim));
}

/// Answers with these keys, or not at all.
#[derive(Debug)]
struct Answers(Option<String>);

impl KeySource for Answers {
    fn fetch(&self, _: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        let answer = match &self.0 {
            Some(keys) => Ok(Fetched::New {
                body: keys.clone().into(),
                validator: None,
                fresh_for: None,
            }),
            None => Err(FetchError::Other("down".into())),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn set(signer: &Signer, extra: &str) -> String {
    format!(r#"{{"keys":[{}]}}"#, signer.jwk(extra))
}

/// Whoever has the key first must not keep the one that is named from being asked for it.
#[tokio::test]
async fn an_issuer_whose_keys_another_has_is_still_asked_for_them() {
    let clock = ManualClock::default();
    let signer = Signer::new(Algorithm::Es256);
    let keys = set(&signer, r#""kid":"k1","#);
    let token = signer.token(r#"{"alg":"ES256","kid":"k1"}"#, &claims(&clock).to_string());
    let verify = async |source: Option<String>| {
        let first = KeySet::parse(keys.as_bytes()).unwrap();
        let verifier = Verifier::builder()
            .clock(clock.clone())
            .issuer(Issuer::keys("https://mallory.example", "orders", first))
            .issuer(Issuer::source(ISSUER, "orders", Answers(source)))
            .build()
            .unwrap();
        let who = verifier.verify(&token, None).await;
        who.map(|who| who.issuer().map(str::to_owned))
            .map_err(|no| no.refusal())
    };
    assert_eq!(
        verify(Some(keys.clone())).await,
        Ok(Some(ISSUER.to_owned()))
    );
    assert_eq!(verify(None).await, Err(Refusal::Keys));
    let other = set(&Signer::new(Algorithm::Es256), r#""kid":"k1","#);
    assert_eq!(verify(Some(other)).await, Err(Refusal::Issuer));
}

#[tokio::test]
async fn a_revocation_reaches_what_a_key_has_signed_whatever_the_token_calls_it() {
    let clock = ManualClock::default();
    let signer = Signer::new(Algorithm::Es256);
    let thumbprint = b64(&signer.key().thumbprint());
    for (extra, target) in [(r#""kid":"k1","#, "k1"), ("", &*thumbprint)] {
        let sanctions = Sanctions::local(clock.clone());
        let keys = KeySet::parse(set(&signer, extra).as_bytes()).unwrap();
        let verifier = Verifier::builder()
            .clock(clock.clone())
            .issuer(Issuer::keys(ISSUER, "orders", keys))
            .sanctions(sanctions.clone())
            .build()
            .unwrap();
        let named = r#"{"alg":"ES256","kid":"k1"}"#;
        let tokens = [named, r#"{"alg":"ES256"}"#]
            .map(|header| signer.token(header, &claims(&clock).to_string()));
        for token in &tokens {
            assert!(verify(&verifier, token, &clock).is_ok());
        }
        let sanction = Sanction {
            target: SanctionTarget::Key(target.into()),
            action: SanctionAction::Revoke,
            reason: "stolen".to_owned(),
            author: "root".into(),
            expires: None,
        };
        sanctions.impose(sanction).await.unwrap();
        for token in &tokens {
            assert_eq!(
                verify(&verifier, token, &clock).err(),
                Some(Refusal::Revoked),
                "{target}"
            );
        }
    }
}

/// A token that names no key, and a verifier with the keys of fifty issuers.
#[test]
fn a_token_is_checked_with_a_few_keys_at_most_and_with_each_once() {
    let clock = ManualClock::default();
    let named = |name: &str, secret: &[u8]| {
        let secret = Secret::new(secret.to_vec());
        Issuer::shared_secret(name, "orders", Algorithm::Hs256, &secret).unwrap()
    };
    let build = |secret: fn(u8) -> Vec<u8>| {
        let builder = Verifier::builder().clock(clock.clone());
        let others = (0..50).map(|n| named(&format!("https://{n}.example"), &secret(n)));
        let builder = others.fold(builder, VerifierBuilder::issuer);
        builder.issuer(named(ISSUER, SECRET)).build().unwrap()
    };
    let token = sign(&claims(&clock));

    // Tenants of one service: the last one is found, however many there are.
    let tenants = build(|_| SECRET.to_vec());
    assert_eq!(
        verify(&tenants, &token, &clock).unwrap().issuer(),
        Some(ISSUER)
    );

    let strangers = build(|n| vec![n; 32]);
    let refusal = verify(&strangers, &token, &clock).err();
    assert_eq!(refusal, Some(Refusal::AmbiguousKey));
}

/// Keys that arrive after they were looked at, and before it was asked whether they are on their
/// way.
#[cfg(feature = "testing")]
#[tokio::test]
async fn a_key_that_lands_between_two_looks_is_seen() {
    use super::attempt::Tried;
    use crate::{
        jwks::{FetchError, FetchRequest, Fetched, KeySource},
        testing::TestIssuer,
    };

    #[derive(Debug)]
    struct Published(TestIssuer);

    impl KeySource for Published {
        fn fetch(&self, _: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
            Box::pin(async move {
                Ok(Fetched::New {
                    body: self.0.jwks().into(),
                    validator: None,
                    fresh_for: None,
                })
            })
        }
    }

    let clock = ManualClock::default();
    let issuer = TestIssuer::offline().with_clock(clock.clone());
    let source = Issuer::source(issuer.name(), "orders", Published(issuer.clone()));
    let verifier = build(&clock, source);
    verifier.fetch_keys().await.unwrap();
    issuer.rotate();
    let token = issuer.token("ada").audience("orders").mint();
    let around = Surroundings {
        peer: None,
        now: clock.now().unwrap(),
        monotonic: clock.monotonic(),
    };
    let attempt = verifier.read(token.as_bytes()).unwrap();
    let Tried::Missing { absent, otherwise } = verifier.try_keys(&attempt, &around) else {
        panic!("the key is not there yet");
    };
    clock.advance(Duration::from_secs(11));
    verifier.fetch_keys().await.unwrap();
    let token = token.as_bytes();
    match verifier.ask_for(&absent, otherwise, &attempt, token, None, &around) {
        Progress::Done(result) => assert_eq!(result.unwrap().subject(), "ada"),
        Progress::Waiting(_) => panic!("nothing to wait for"),
    }
}
