//! Every bad token, at the door of a real service.

use std::{collections::BTreeSet, time::Duration};

use http::StatusCode;
use zt_core::{
    clock::{Clock, ManualClock, SystemClock},
    decision::Code,
};
use zt_jwt::{
    Algorithm, Refusal, Verifier,
    testing::{BadToken, TestIssuer},
};

use crate::support::{AUDIENCE, Answer, COOLDOWN, Door};

/// What tokens are signed with, one after the other. Each issuer has keys of all four, and one of
/// ML-DSA.
const USUAL: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::EdDsa,
    Algorithm::Rs256,
    Algorithm::Es384,
];

fn issuer(usual: Algorithm) -> TestIssuer {
    let others = USUAL.into_iter().chain([Algorithm::MlDsa44]);
    let all: Vec<_> = [usual].into_iter().chain(others).collect();
    TestIssuer::offline().with_algorithms(all)
}

#[tokio::test]
async fn every_bad_token_is_refused_at_the_door_and_for_what_is_bad_about_it() {
    assert!(BadToken::ALL.len() >= 100, "{}", BadToken::ALL.len());
    let (mut refused, mut unsendable) = (0, BTreeSet::new());
    for usual in USUAL {
        let issuer = issuer(usual);
        let verifier = issuer.verifier(AUDIENCE);
        let door = Door::new(&verifier, SystemClock);
        for kind in BadToken::ALL {
            let token = issuer.bad_token(*kind, AUDIENCE);
            let found = verifier.verify(&token, None).await;
            let found = found.map(|_| ()).map_err(|refused| refused.refusal());
            assert_eq!(found, Err(kind.refusal()), "{usual} {}", kind.name());

            let broken = issuer.bad_token_with_broken_signature(*kind, AUDIENCE);
            let Some(answer) = door.try_bearer(&token).await else {
                assert!(!kind.fits_a_header(), "{}", kind.name());
                unsendable.insert(kind.name());
                continue;
            };
            if *kind == BadToken::LeadingSpace {
                // RFC 9110 section 11.6.2: any number of spaces stand before a credential, and
                // none of them belongs to it.
                assert!(answer.is_good(), "{answer:?}");
                continue;
            }
            let what = format!("{usual} {}: {}", kind.name(), kind.what());
            assert_eq!(answer.code(), at_the_door(*kind, &token).as_str(), "{what}");
            assert_answers_well(&answer, &token, &what);
            refused += 1;

            let answer = door.try_bearer(&broken).await.unwrap();
            assert!(!answer.is_good(), "{what}, and broken");
            assert_answers_well(&answer, &broken, &what);
            refused += 1;
        }
        // What is refused is refused for what it is: another one of the same issuer passes.
        let before = door.reached();
        let good = issuer.token("ada").audience(AUDIENCE).mint();
        assert!(door.bearer(&good).await.is_good());
        assert_eq!((before, door.reached()), (1, 2));
    }
    // Line breaks and control characters never get as far as a header.
    assert!(unsendable.len() < 10, "{unsendable:?}");
    println!("{refused} malicious tokens refused at the door, as they should be");
}

/// What the door says of it. Before anything is decoded it looks at which characters a credential
/// may have (RFC 6750 section 2.1), and takes a comma for the joint between two of them.
fn at_the_door(kind: BadToken, token: &str) -> Code {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if token.contains(',') {
        Code::CredentialAmbiguous
    } else if token.trim_end_matches('=').bytes().all(known) {
        kind.expected()
    } else {
        Code::CredentialMalformed
    }
}

/// A problem with the caller, a challenge with a 401, and nothing of the token in it.
#[track_caller]
fn assert_answers_well(answer: &Answer, token: &str, what: &str) {
    let denial = answer.denial.as_ref().expect(what);
    answer.assert_refused(denial.code());
    assert!(answer.status.is_client_error(), "{what}: {answer:?}");
    let challenge = answer.headers.get("www-authenticate");
    let challenge = challenge.map(|challenge| challenge.to_str().unwrap());
    match answer.status {
        StatusCode::UNAUTHORIZED => {
            let said = challenge.expect(what);
            assert!(said.starts_with("Bearer realm=\"api\""), "{what}: {said}");
            assert!(said.contains("error=\"invalid_token\""), "{what}: {said}");
        }
        StatusCode::BAD_REQUEST => {
            let said = challenge.expect(what);
            assert!(said.contains("error=\"invalid_request\""), "{what}: {said}");
        }
        other => panic!("{what}: {other}"),
    }
    let mut told = format!("{:?} {denial:?}", answer.headers);
    told.push_str(str::from_utf8(&answer.body).unwrap());
    for part in token.split('.').filter(|part| part.len() > 3) {
        assert!(!told.contains(part), "{what}: {told}");
    }
}

#[tokio::test]
async fn no_claim_is_read_before_the_signature_held() {
    let mut seen = 0;
    for usual in USUAL {
        let issuer = issuer(usual);
        let verifier = issuer.verifier(AUDIENCE);
        let door = Door::new(&verifier, SystemClock);
        let forged = issuer.bad_token(BadToken::FlippedBit, AUDIENCE);
        let usual_answer = door.bearer(&forged).await;
        for kind in BadToken::ALL.iter().filter(|kind| kind.is_about_claims()) {
            let token = issuer.bad_token_with_broken_signature(*kind, AUDIENCE);
            let found = verifier.verify(&token, None).await;
            let refusal = found.map(|_| ()).map_err(|refused| refused.refusal());
            assert_eq!(
                refusal,
                Err(Refusal::Signature),
                "{usual} {}: {}",
                kind.name(),
                kind.what()
            );
            // Whoever asks learns nothing else either, as long as the token's characters pass.
            if at_the_door(*kind, &token) == kind.expected() {
                let answer = door.try_bearer(&token).await.unwrap();
                assert_eq!(answer.status, usual_answer.status);
                assert_eq!(
                    answer.headers["www-authenticate"],
                    usual_answer.headers["www-authenticate"]
                );
                assert_eq!(answer.code(), "credential-invalid");
            }
            seen += 1;
        }
    }
    println!("{seen} tokens with bad claims and a bad signature: the claims were not read");
}

#[tokio::test]
async fn bad_tokens_do_not_have_keys_fetched_more_often_than_the_cooldown_allows() {
    let clock = ManualClock::default();
    let issuer = TestIssuer::start().await.with_clock(clock.clone());
    let verifier = Verifier::builder()
        .issuer(issuer.issuer(AUDIENCE))
        .clock(clock.clone())
        .build()
        .unwrap();
    let door = Door::new(&verifier, clock.clone());
    verifier.fetch_keys().await.unwrap();
    assert_eq!(
        (issuer.discovery_requests(), issuer.jwks_requests()),
        (1, 1)
    );

    let mut sent = 0;
    for kind in BadToken::ALL {
        let token = issuer.bad_token(*kind, AUDIENCE);
        let found = verifier.verify(&token, None).await;
        let found = found.map(|_| ()).map_err(|refused| refused.refusal());
        assert_eq!(found, Err(kind.refusal()), "{}", kind.name());
        if let Some(answer) = door.try_bearer(&token).await {
            assert!(!answer.status.is_server_error(), "{}", kind.name());
        }
        sent += 1;
    }
    // The clock has not moved.
    assert_eq!(
        (issuer.discovery_requests(), issuer.jwks_requests()),
        (1, 1)
    );

    let begun = clock.monotonic();
    for kind in BadToken::ALL {
        clock.advance(Duration::from_secs(1));
        let token = issuer.bad_token(*kind, AUDIENCE);
        if let Some(answer) = door.try_bearer(&token).await {
            assert!(!answer.status.is_server_error(), "{}", kind.name());
        }
        sent += 1;
    }
    let passed = clock.monotonic() - begun;
    let allowed = 1 + passed.as_secs() / COOLDOWN.as_secs();
    let asked = issuer.jwks_requests() - 1;
    assert!(asked <= allowed, "{asked} > {allowed}");
    // Only unknown ids ask, and there are some.
    assert!(asked >= 1);
    println!(
        "{sent} malicious tokens in {} s of the clock: {asked} fetches",
        passed.as_secs()
    );
}
