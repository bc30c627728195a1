use std::time::Duration;

use serde_json::{Value, json};
use zt_core::{
    clock::{Clock, ManualClock, SystemClock},
    identity::{Binding, PrincipalKind},
};

use super::super::{TestIssuer, draft::segments, encode::from_base64url};
use crate::{
    algorithm::{Algorithm, Algorithms},
    refusal::Refusal,
    verifier::Verifier,
};

#[tokio::test]
async fn pass_under_every_algorithm() {
    let issuer = TestIssuer::offline();
    let tokens: Vec<_> = Algorithms::ASYMMETRIC
        .iter()
        .map(|algorithm| {
            issuer
                .token("ada")
                .audience("orders")
                .algorithm(algorithm)
                .mint()
        })
        .collect();
    let verifier = issuer.verifier("orders");
    for token in tokens {
        let ada = verifier.verify(&token, None).await.unwrap();
        assert_eq!(ada.subject(), "ada");
    }
}

#[tokio::test]
async fn pass_under_a_shared_secret() {
    let issuer = TestIssuer::offline();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let verifier = Verifier::builder()
            .issuer(issuer.shared_secret_issuer("orders", algorithm))
            .build()
            .unwrap();
        let token = issuer.token("ada").audience("orders").algorithm(algorithm);
        verifier.verify(&token.mint(), None).await.unwrap();
        let other = TestIssuer::offline()
            .token("ada")
            .audience("orders")
            .algorithm(algorithm);
        let refused = verifier.verify(&other.mint(), None).await.unwrap_err();
        assert_eq!(refused.refusal(), Refusal::Signature);
    }
}

#[test]
fn pass_an_independent_verifier() {
    use jsonwebtoken::{DecodingKey, Validation, decode, jwk::JwkSet};
    let issuer = TestIssuer::offline();
    for (ours, theirs) in [
        (Algorithm::Es256, jsonwebtoken::Algorithm::ES256),
        (Algorithm::Es384, jsonwebtoken::Algorithm::ES384),
        (Algorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA),
        (Algorithm::Rs256, jsonwebtoken::Algorithm::RS256),
        (Algorithm::Rs384, jsonwebtoken::Algorithm::RS384),
        (Algorithm::Rs512, jsonwebtoken::Algorithm::RS512),
        (Algorithm::Ps256, jsonwebtoken::Algorithm::PS256),
        (Algorithm::Ps384, jsonwebtoken::Algorithm::PS384),
        (Algorithm::Ps512, jsonwebtoken::Algorithm::PS512),
    ] {
        let token = issuer
            .token("ada")
            .audience("orders")
            .algorithm(ours)
            .mint();
        let kid = issuer.kid(ours);
        // It does not know ES512 and ML-DSA: one key is picked before it reads any.
        let set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let keys = set["keys"].as_array().unwrap();
        let ours = keys.iter().find(|key| key["kid"] == kid).unwrap();
        let set: JwkSet = serde_json::from_value(json!({ "keys": [ours] })).unwrap();
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut rules = Validation::new(theirs);
        rules.set_audience(&["orders"]);
        rules.set_issuer(&[issuer.name()]);
        rules.validate_nbf = true;
        let claims = decode::<Value>(&token, &key, &rules).unwrap().claims;
        assert_eq!(claims["sub"], "ada");

        let broken = super::super::bad::break_signature(&token);
        assert!(
            decode::<Value>(&broken, &key, &rules).is_err(),
            "{theirs:?}"
        );
    }
}

#[tokio::test]
async fn exported_keys_sign_for_other_clients() {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let issuer = TestIssuer::offline();
    let pem = |algorithm| issuer.private_key_pem(algorithm).into_bytes();
    let cases = [
        (
            Algorithm::Es256,
            EncodingKey::from_ec_pem(&pem(Algorithm::Es256)).unwrap(),
        ),
        (
            Algorithm::Es384,
            EncodingKey::from_ec_pem(&pem(Algorithm::Es384)).unwrap(),
        ),
        (
            Algorithm::EdDsa,
            EncodingKey::from_ed_pem(&pem(Algorithm::EdDsa)).unwrap(),
        ),
        (
            Algorithm::Ps256,
            EncodingKey::from_rsa_pem(&pem(Algorithm::Ps256)).unwrap(),
        ),
    ];
    let verifier = issuer.verifier("orders");
    for (algorithm, key) in cases {
        let name: Value = json!(algorithm);
        let mut header = Header::new(serde_json::from_value(name).unwrap());
        header.kid = Some(issuer.kid(algorithm));
        let now = SystemClock.now().unwrap().as_secs();
        let claims = json!({
            "iss": issuer.name(), "sub": "ada", "aud": "orders", "exp": now + 60,
        });
        let token = encode(&header, &claims, &key).unwrap();
        verifier.verify(&token, None).await.unwrap();
    }
}

#[tokio::test]
async fn exported_public_keys_verify() {
    use crate::key::{KeySet, VerificationKey};
    let issuer = TestIssuer::offline();
    for algorithm in Algorithms::ASYMMETRIC.iter() {
        let pem = issuer.public_key_pem(algorithm);
        let key = VerificationKey::from_pem(pem.as_bytes(), algorithm).unwrap();
        let keys = KeySet::new([key]).unwrap();
        let verifier = Verifier::builder()
            .issuer(crate::Issuer::keys(issuer.name(), "orders", keys))
            .build()
            .unwrap();
        let token = issuer.token("ada").audience("orders").algorithm(algorithm);
        verifier.verify(&token.mint(), None).await.unwrap();
    }
}

#[tokio::test]
async fn pass_the_strict_profile() {
    let issuer = TestIssuer::offline();
    let verifier = Verifier::builder()
        .issuer(issuer.issuer("orders").strict_rfc9068())
        .build()
        .unwrap();
    let token = issuer.token("ada").audience("orders");
    verifier.verify(&token.mint(), None).await.unwrap();
    for claim in ["client_id", "iat", "jti"] {
        let lacking = token.clone().without(claim).mint();
        assert!(verifier.verify(&lacking, None).await.is_err(), "{claim}");
    }
}

#[tokio::test]
async fn say_what_they_were_told_to() {
    let clock = ManualClock::default();
    let issuer = TestIssuer::named("https://a.test").with_clock(clock.clone());
    let now = clock.now().unwrap();
    let token = issuer
        .token("ada")
        .audience("orders")
        .audience("payments")
        .scope("orders:read")
        .scope("orders:write")
        .role("admin")
        .claim("tenant", json!("acme"))
        .session("s-1")
        .id("jti-1")
        .lives(Duration::from_secs(60))
        .acr("silver")
        .auth_time(now)
        .client_id("shop")
        .mint();
    let verifier = Verifier::builder()
        .issuer(issuer.issuer("payments").tenant_claim("tenant"))
        .clock(clock.clone())
        .build()
        .unwrap();
    let ada = verifier.verify(&token, None).await.unwrap();
    assert_eq!(ada.kind(), PrincipalKind::User);
    assert_eq!(ada.issuer(), Some("https://a.test"));
    assert!(ada.has_scope("orders:read") && ada.has_scope("orders:write"));
    assert!(ada.has_role("admin"));
    assert_eq!(ada.tenant(), Some("acme"));
    assert_eq!(ada.session(), Some("s-1"));
    assert_eq!(ada.token(), Some("jti-1"));
    assert_eq!(ada.context_class(), Some("silver"));
    assert_eq!(ada.authenticated_at(), Some(now));
    assert_eq!(ada.issued_at(), Some(now));

    clock.advance(Duration::from_secs(91));
    let refused = verifier.verify(&token, None).await.unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Expired);
    let another = issuer.token("ada").audience("payments").mint();
    assert!(verifier.verify(&another, None).await.is_ok());
}

#[test]
fn have_what_was_asked_in_their_header_and_nothing_that_was_left_out() {
    let issuer = TestIssuer::offline();
    let token = issuer
        .token("ada")
        .typ("JWT")
        .without_header("kid")
        .header("x", 1)
        .without("nbf")
        .bound_to_certificate(&[9; 32])
        .mint();
    let [header, claims, _] = segments(&token).map(from_base64url);
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "x": 1 }));
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert!(claims.get("nbf").is_none() && claims.get("aud").is_none());
    let bound = super::super::encode::base64url([9; 32]);
    assert_eq!(claims["cnf"], json!({ "x5t#S256": bound }));
}

#[tokio::test]
async fn bound_ones_pass_where_the_certificate_is_shown() {
    use std::sync::Arc;
    use zt_core::{
        clock::Timestamp,
        identity::{PeerIdentity, PeerSource},
    };
    let issuer = TestIssuer::offline();
    let verifier = issuer.verifier("orders");
    let token = issuer
        .token("ada")
        .audience("orders")
        .bound_to_certificate(&[9; 32])
        .mint();
    assert!(verifier.verify(&token, None).await.is_err());
    let peer = |thumbprint| {
        let peer = PeerIdentity::assertion(thumbprint, Timestamp::MAX, PeerSource::Tls);
        Arc::new(peer.finish())
    };
    let ada = verifier.verify(&token, Some(&peer([9; 32]))).await.unwrap();
    assert_eq!(ada.binding(), Some(Binding::CertificateThumbprint([9; 32])));
    assert!(verifier.verify(&token, Some(&peer([8; 32]))).await.is_err());
}

#[tokio::test]
async fn rotate_step_by_step() {
    let issuer = TestIssuer::offline();
    let mint = || issuer.token("ada").audience("orders").mint();
    // A verifier of an offline issuer has the keys of when it was made.
    let passes = async |token: &str| issuer.verifier("orders").verify(token, None).await.is_ok();
    let first = mint();
    assert_eq!(issuer.kid(Algorithm::Es256), "es256-1");

    issuer.add_next_key();
    assert_eq!(issuer.kid(Algorithm::Es256), "es256-1");
    assert!(issuer.jwks().contains("es256-2"));

    let before = issuer.verifier("orders");
    issuer.use_next_key();
    let second = mint();
    assert_eq!(issuer.kid(Algorithm::Es256), "es256-2");
    assert!(before.verify(&second, None).await.is_ok());
    assert!(passes(&first).await && passes(&second).await);

    issuer.retire_old_keys();
    assert!(!passes(&first).await && passes(&second).await);

    issuer.rotate();
    let third = mint();
    assert!(!passes(&second).await && passes(&third).await);
    assert_eq!(issuer.kid(Algorithm::Es256), "es256-3");

    issuer.swap_key_under_same_kid();
    let fourth = mint();
    assert_eq!(issuer.kid(Algorithm::Es256), "es256-3");
    assert!(!passes(&third).await && passes(&fourth).await);
}

#[test]
fn rsa_keys_are_published_once_they_are_used() {
    let issuer = TestIssuer::offline();
    assert!(!issuer.jwks().contains("RSA"));
    let _ = issuer.token("ada").algorithm(Algorithm::Rs256).mint();
    assert!(issuer.jwks().contains("rs256-1"));
    assert!(!issuer.jwks().contains("ps256-1"));

    let issuer = TestIssuer::offline().with_algorithms([Algorithm::Rs256, Algorithm::EdDsa]);
    assert_eq!(
        issuer.algorithms(),
        Algorithms::from([Algorithm::Rs256, Algorithm::EdDsa])
    );
    let token = issuer.token("ada").mint();
    let header = from_base64url(segments(&token)[0]);
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "RS256");
}

#[test]
#[should_panic(expected = "has no key pair")]
fn a_symmetric_algorithm_has_no_pem() {
    let _ = TestIssuer::offline().private_key_pem(Algorithm::Hs256);
}
