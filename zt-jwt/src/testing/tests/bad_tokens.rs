use std::collections::HashSet;

use zt_core::clock::ManualClock;

use super::super::{
    BadToken, TestIssuer,
    bad::{break_signature, is_well_formed},
};
use crate::{
    algorithm::Algorithm, jose::Compact, key::Found, refusal::Refusal, verifier::Verifier,
};

async fn refusal(verifier: &Verifier, token: &str) -> Option<Refusal> {
    let verified = verifier.verify(token, None).await;
    verified.err().map(|refused| refused.refusal())
}

#[tokio::test]
async fn each_is_refused_for_its_own_reason() {
    let issuer = TestIssuer::offline().with_clock(ManualClock::default());
    // So that there is an RSA key too.
    let _ = issuer.kid(Algorithm::Ps256);
    let verifier = issuer.verifier("orders");
    let mut wrong = Vec::new();
    for kind in BadToken::ALL {
        let found = refusal(&verifier, &issuer.bad_token(*kind, "orders")).await;
        if found != Some(kind.refusal()) {
            wrong.push(format!("{kind:?}: {found:?}, not {:?}", kind.refusal()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_that_fits_into_a_request_is_refused_by_the_layer() {
    use http::{HeaderValue, Request, Response, StatusCode};
    use tower::{Layer, ServiceExt, service_fn};
    let issuer = TestIssuer::offline();
    let service = issuer
        .layer("orders")
        .layer(service_fn(|_: Request<String>| async {
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        }));
    let call = async |token: &str| {
        let value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        let request = Request::get("/").header("authorization", value);
        let request = request.body(String::new()).unwrap();
        Some(service.clone().oneshot(request).await.unwrap().status())
    };
    let good = issuer.token("ada").audience("orders").mint();
    assert_eq!(call(&good).await, Some(StatusCode::OK));
    let mut sent = 0;
    let mut wrong = Vec::new();
    for kind in BadToken::ALL {
        let Some(status) = call(&issuer.bad_token(*kind, "orders")).await else {
            continue;
        };
        sent += 1;
        let expected = match kind {
            // White space around a value is no part of it.
            BadToken::TrailingSpace | BadToken::LeadingSpace => continue,
            // RFC 6750 section 2.1: `=` stands at the end only, and that is seen before the payload.
            BadToken::PaddedPayload => StatusCode::BAD_REQUEST,
            _ => kind.expected().status(),
        };
        if status != expected {
            wrong.push(format!("{kind:?}: {status}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(sent + 10 > BadToken::ALL.len(), "{sent}");
}

#[tokio::test]
async fn no_claim_is_read_before_the_signature_holds() {
    let issuer = TestIssuer::offline().with_clock(ManualClock::default());
    let verifier = issuer.verifier("orders");
    let mut wrong = Vec::new();
    for kind in BadToken::ALL.iter().filter(|kind| kind.is_about_claims()) {
        let token = issuer.bad_token_with_broken_signature(*kind, "orders");
        let found = refusal(&verifier, &token).await;
        if found != Some(Refusal::Signature) {
            wrong.push(format!("{kind:?}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_is_refused_whatever_its_issuer_signs_with() {
    use Algorithm::{EdDsa, Es512, MlDsa65, Ps256};
    for algorithm in [EdDsa, Es512, MlDsa65, Ps256] {
        let issuer = TestIssuer::offline().with_algorithms([algorithm]);
        let verifier = issuer.verifier("orders");
        let good = issuer.token("ada").audience("orders").mint();
        assert_eq!(refusal(&verifier, &good).await, None, "{algorithm}");
        for kind in BadToken::ALL {
            let token = issuer.bad_token(*kind, "orders");
            assert_ne!(
                refusal(&verifier, &token).await,
                None,
                "{algorithm} {kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_would_pass_if_it_were_not_for_that() {
    let issuer = TestIssuer::offline().with_clock(ManualClock::default());
    let keys = issuer.key_set();
    for kind in BadToken::ALL.iter().filter(|kind| kind.is_about_claims()) {
        let token = issuer.bad_token(*kind, "orders");
        let compact = Compact::split(token.as_bytes(), 8192).unwrap();
        let header = compact.header().unwrap();
        let Found::Key(key) = keys.find(header.kid.as_deref(), header.algorithm) else {
            panic!("{kind:?}: no key");
        };
        assert!(compact.verify(header.algorithm, key).is_ok(), "{kind:?}");
    }
}

#[test]
fn there_are_many_and_each_is_another() {
    let issuer = TestIssuer::offline();
    let names: HashSet<_> = BadToken::ALL.iter().map(|kind| kind.name()).collect();
    let whats: HashSet<_> = BadToken::ALL.iter().map(|kind| kind.what()).collect();
    let tokens: HashSet<_> = BadToken::ALL
        .iter()
        .map(|kind| issuer.bad_token(*kind, "orders"))
        .collect();
    println!("{} kinds", BadToken::ALL.len());
    assert!(BadToken::ALL.len() > 200);
    for distinct in [names.len(), whats.len(), tokens.len()] {
        assert_eq!(distinct, BadToken::ALL.len());
    }
}

#[test]
fn those_about_header_signature_and_claims_are_well_formed_text() {
    let issuer = TestIssuer::offline();
    for kind in BadToken::ALL {
        let text = matches!(
            kind.refusal(),
            Refusal::Segments | Refusal::Base64 | Refusal::PayloadJson
        );
        let token = issuer.bad_token(*kind, "orders");
        assert!(text || is_well_formed(&token), "{kind:?}");
    }
}

#[test]
fn a_signature_in_der_is_good_for_whoever_reads_der() {
    let issuer = TestIssuer::offline();
    let der = issuer.bad_token(BadToken::DerSignature, "orders");
    let signature = der.rsplit('.').next().unwrap();
    let bytes = super::super::encode::from_base64url(signature);
    assert_eq!(usize::from(bytes[1]) + 2, bytes.len());
    let good = issuer.token("ada").mint();
    let fixed = super::super::encode::from_base64url(good.rsplit('.').next().unwrap());
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey,
    };
    let key = pem(&issuer.public_key_pem(Algorithm::Es256));
    let message = good.rsplit_once('.').unwrap().0.as_bytes();
    let parsed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key);
    parsed.verify(message, &fixed).unwrap();
    let asn1 = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key);
    asn1.verify(der.rsplit_once('.').unwrap().0.as_bytes(), &bytes)
        .unwrap();
}

/// The point of a P-256 key.
fn pem(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap();
    der[der.len() - 65..].to_vec()
}

#[test]
fn a_broken_signature_has_the_length_of_a_good_one() {
    assert_eq!(break_signature("a.b.ABC"), "a.b.BBC");
    assert_eq!(break_signature("a.b.xBC"), "a.b.ABC");
    assert_eq!(break_signature("a.b."), "a.b.");
    assert_eq!(break_signature("a"), "a");
}
