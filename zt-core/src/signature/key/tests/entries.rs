use super::*;
use crate::{
    identity::{AuthMethod, PrincipalKind},
    signature::Algorithm,
};

const BASE: &[u8] = b"base";

fn tag(byte: u8) -> Vec<u8> {
    hmac(byte).sign(BASE).unwrap()
}

#[test]
fn refuses_another_purpose() {
    let requests = entry("a", 1);
    let responses = entry("a", 1).purposes([Purpose::Responses]);
    let neither = entry("a", 1).purposes([]);
    let both = entry("a", 1).purposes([Purpose::Requests, Purpose::Responses]);
    let verify = |entry: &KeyEntry, purpose| entry.verify(purpose, at(0), BASE, &tag(1));
    let refused = Err(KeyRefusal::Purpose);
    assert_eq!(verify(&requests, Purpose::Responses), refused);
    assert_eq!(verify(&responses, Purpose::Requests), refused);
    assert_eq!(verify(&neither, Purpose::Requests), refused);
    assert_eq!(requests.keys(Purpose::Responses, at(0)).count(), 0);
    assert_eq!(verify(&requests, Purpose::Requests), Ok(KeyAge::Current));
    assert_eq!(verify(&responses, Purpose::Responses), Ok(KeyAge::Current));
    assert_eq!(verify(&both, Purpose::Requests), Ok(KeyAge::Current));
    assert_eq!(verify(&both, Purpose::Responses), Ok(KeyAge::Current));
}

#[test]
fn refuses_before_its_beginning_and_from_its_end() {
    let entry = entry("a", 1).not_before(at(10)).expires_at(at(20));
    let verify = |now| entry.verify(Purpose::Requests, now, BASE, &tag(1));
    let just_before = Timestamp::from_micros(at(10).as_micros() - 1);
    assert_eq!(verify(just_before), Err(KeyRefusal::NotYet));
    assert_eq!(verify(at(10)), Ok(KeyAge::Current));
    assert_eq!(verify(at(19)), Ok(KeyAge::Current));
    assert_eq!(verify(at(20)), Err(KeyRefusal::Ended));
    for (now, keys) in [(9, 0), (10, 1), (19, 1), (20, 0)] {
        assert_eq!(entry.keys(Purpose::Requests, at(now)).count(), keys);
    }
    assert_eq!(entry.principal().expires_at(), Some(at(20)));
}

#[test]
fn refuses_the_previous_key_from_its_end() {
    let entry = entry("a", 2).previous(hmac(1).verifying_key(), at(100));
    let verify = |byte, now| entry.verify(Purpose::Requests, at(now), BASE, &tag(byte));
    assert_eq!(verify(1, 99), Ok(KeyAge::Previous));
    assert_eq!(verify(1, 100), Err(KeyRefusal::BadSignature));
    assert_eq!(verify(2, 99), Ok(KeyAge::Current));
    assert_eq!(verify(2, 100), Ok(KeyAge::Current));
    assert_eq!(verify(3, 99), Err(KeyRefusal::BadSignature));
    assert_eq!(entry.keys(Purpose::Requests, at(99)).count(), 2);
    assert_eq!(entry.keys(Purpose::Requests, at(100)).count(), 1);
}

#[test]
fn there_is_one_previous_key_at_most() {
    let entry = entry("a", 3)
        .previous(hmac(1).verifying_key(), at(100))
        .previous(hmac(2).verifying_key(), at(100));
    let verify = |byte| entry.verify(Purpose::Requests, at(0), BASE, &tag(byte));
    assert_eq!(verify(1), Err(KeyRefusal::BadSignature));
    assert_eq!(verify(2), Ok(KeyAge::Previous));
}

#[test]
fn the_previous_key_does_not_outlive_the_entry() {
    let entry = entry("a", 2)
        .previous(hmac(1).verifying_key(), at(100))
        .expires_at(at(50));
    let verify = |now| entry.verify(Purpose::Requests, at(now), BASE, &tag(1));
    assert_eq!(verify(49), Ok(KeyAge::Previous));
    assert_eq!(verify(50), Err(KeyRefusal::Ended));
    let ends = |age| entry.principal_by(age).expires_at();
    assert_eq!(ends(KeyAge::Previous), Some(at(50)));
    assert_eq!(ends(KeyAge::Current), Some(at(50)));
}

#[test]
fn a_principal_by_the_previous_key_ends_with_it() {
    let entry = entry("a", 2).previous(hmac(1).verifying_key(), at(100));
    let ends = |age| entry.principal_by(age).expires_at();
    assert_eq!(ends(KeyAge::Previous), Some(at(100)));
    assert_eq!(ends(KeyAge::Current), None);
    // Where there is none, who vouches is the same.
    let alone = super::entry("a", 2);
    assert_eq!(alone.principal_by(KeyAge::Previous).expires_at(), None);
}

#[test]
fn refuses_an_alg_that_is_not_the_keys() {
    let entry = entry("a", 1);
    for alg in ["ed25519", "HMAC-SHA256", "hmac", "none", ""] {
        assert!(!entry.permits_alg(alg), "{alg}");
        let verified = entry.verify_as(Some(alg), Purpose::Requests, at(0), BASE, &tag(1));
        assert_eq!(verified, Err(KeyRefusal::Algorithm), "{alg}");
    }
    assert!(entry.permits_alg("hmac-sha256"));
    let alg = Some("hmac-sha256");
    let verify = |byte| entry.verify_as(alg, Purpose::Requests, at(0), BASE, &tag(byte));
    assert_eq!(verify(1), Ok(KeyAge::Current));
    assert_eq!(verify(2), Err(KeyRefusal::BadSignature));
    assert_eq!(entry.algorithm(), Algorithm::HmacSha256);
}

#[test]
fn the_principal_is_the_owner() {
    let entry = entry("orders-1", 1)
        .scopes(["b", "a"])
        .scopes(["c"])
        .roles(["writer"])
        .issuer("partners")
        .tenant("acme")
        .kind(PrincipalKind::User);
    let principal = entry.principal();
    assert_eq!(principal.kind(), PrincipalKind::User);
    assert_eq!(principal.subject(), "orders");
    assert_eq!(principal.key(), Some("orders-1"));
    assert_eq!(principal.issuer(), Some("partners"));
    assert_eq!(principal.tenant(), Some("acme"));
    assert_eq!(principal.scopes().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(principal.has_role("writer"));
    assert!(principal.methods().eq([AuthMethod::Signature]));
    assert_eq!(
        super::entry("x", 1).principal().kind(),
        PrincipalKind::Service
    );
}

#[test]
fn what_is_made_from_an_entry_does_not_change_it() {
    let first = entry("a", 1);
    let second = first
        .clone()
        .rotated(hmac(2).verifying_key(), at(100))
        .scopes(["more"]);
    let verify = |entry: &KeyEntry, byte| entry.verify(Purpose::Requests, at(0), BASE, &tag(byte));
    assert_eq!(verify(&first, 2), Err(KeyRefusal::BadSignature));
    assert_eq!(verify(&second, 1), Ok(KeyAge::Previous));
    assert_eq!(verify(&second, 2), Ok(KeyAge::Current));
    assert!(!first.principal().has_scope("more"));
}

#[test]
fn debug_shows_no_key() {
    let entry = KeyEntry::new(
        "a",
        VerifyingKey::hmac_sha256(&Secret::from("correct horse battery staple 0123")).unwrap(),
        "orders",
    );
    let text = format!("{entry:?}");
    assert!(text.contains("VerifyingKey(hmac-sha256)"), "{text}");
    assert!(
        !text.contains("horse") && !text.contains("104, 111"),
        "{text}"
    );
}
