//! Sets of keys: which are refused, what is left out, and which key a token gets.

use super::signer::Signer;
use crate::{
    algorithm::{Algorithm, Algorithms},
    key::{Found, KeyError, KeySet, VerificationKey},
};

fn key(algorithm: Algorithm, kid: &str) -> VerificationKey {
    Signer::new(algorithm).key().with_kid(kid)
}

fn jwk(algorithm: Algorithm, kid: &str) -> String {
    Signer::new(algorithm).jwk(&format!(r#""kid":"{kid}","#))
}

fn document(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn parse(keys: &[&str]) -> Result<usize, KeyError> {
    KeySet::parse(document(keys).as_bytes()).map(|set| set.len())
}

fn remote(keys: &[&str]) -> Result<(KeySet, Vec<String>), KeyError> {
    KeySet::parse_remote(document(keys).as_bytes(), 100)
}

#[track_caller]
fn found<'a>(set: &'a KeySet, kid: Option<&str>, algorithm: Algorithm) -> &'a VerificationKey {
    match set.find(kid, algorithm) {
        Found::Key(key) => key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_what_is_not_a_set() {
    for bad in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[]"#,
        r#"{"keys":[]} x"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"a":1,"keys":[],"a":1}"#,
        r#"{"keys":[],"a":{"b":1,"b":2}}"#,
        "<html>",
    ] {
        let strict = KeySet::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(strict, KeyError::NotASet, "{bad}");
        let lenient = KeySet::parse_remote(bad.as_bytes(), 100).unwrap_err();
        assert_eq!(lenient, KeyError::NotASet, "{bad}");
    }
    assert_eq!(parse(&[]), Err(KeyError::NoKeys));
    assert_eq!(remote(&[]).unwrap_err(), KeyError::NoKeys);
    assert_eq!(KeySet::new([]).unwrap_err(), KeyError::NoKeys);
}

#[test]
fn a_configured_set_has_no_bad_key() {
    let good = jwk(Algorithm::Es256, "a");
    assert_eq!(parse(&[&good]), Ok(1));
    let secret = jwk(Algorithm::Hs256, "s");
    for (bad, error) in [
        (secret.as_str(), KeyError::Symmetric),
        ("1", KeyError::NotAKey),
        ("{}", KeyError::Missing("kty")),
        (r#"{"kty":"OKP","use":"enc"}"#, KeyError::Use),
    ] {
        assert_eq!(parse(&[&good, bad]), Err(error), "{bad}");
    }
}

#[test]
fn refuses_two_keys_that_a_token_could_mean() {
    let twice = |algorithm| Err(KeyError::KidTwice { algorithm });
    let new = |keys: Vec<VerificationKey>| KeySet::new(keys).map(|set| set.len());
    let same = key(Algorithm::Es256, "a");
    assert_eq!(
        new(vec![same.clone(), same.clone()]),
        twice(Algorithm::Es256)
    );
    assert_eq!(
        new(vec![key(Algorithm::Es256, "a"), key(Algorithm::Es256, "a")]),
        twice(Algorithm::Es256)
    );
    let (one, other) = (Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::EdDsa));
    assert_eq!(new(vec![one.key(), other.key()]), twice(Algorithm::EdDsa));
    // Of different algorithms they cannot be mistaken.
    assert_eq!(
        new(vec![key(Algorithm::Es256, "a"), key(Algorithm::EdDsa, "a")]),
        Ok(2)
    );
    assert_eq!(
        new(vec![key(Algorithm::Es256, "a"), key(Algorithm::Es256, "b")]),
        Ok(2)
    );
    // RSA without `alg` is for six algorithms.
    let rsa = key(Algorithm::Rs256, "a");
    let restricted = Signer::new(Algorithm::Ps256).jwk(r#""alg":"PS256","kid":"a","#);
    let restricted = VerificationKey::from_jwk(restricted.as_bytes()).unwrap();
    assert_eq!(new(vec![rsa, restricted]), twice(Algorithm::Ps256));

    let long = key(Algorithm::Es256, &"k".repeat(257));
    assert_eq!(new(vec![long]), Err(KeyError::KidTooLong));
}

#[test]
fn refuses_secrets_beside_public_keys() {
    let mixed = KeySet::new([key(Algorithm::Es256, "a"), key(Algorithm::Hs256, "b")]);
    assert_eq!(mixed.unwrap_err(), KeyError::Mixed);
    let secrets = KeySet::new([key(Algorithm::Hs256, "a"), key(Algorithm::Hs256, "b")]);
    assert_eq!(secrets.unwrap().len(), 2);
}

#[test]
fn a_fetched_set_loses_bad_keys_one_by_one() {
    let good = jwk(Algorithm::Es256, "good");
    let secret = jwk(Algorithm::Hs256, "secret");
    let private = jwk(Algorithm::EdDsa, "private").replacen('{', r#"{"d":"AA","#, 1);
    let encryption = jwk(Algorithm::Rs256, "enc").replacen('{', r#"{"use":"enc","#, 1);
    let twice = jwk(Algorithm::EdDsa, "twice").replacen('{', r#"{"kid":"other","#, 1);
    let (set, left_out) =
        remote(&[&secret, &private, "7", &good, &encryption, &twice, "[[[]]]"]).unwrap();
    assert_eq!(set.len(), 1);
    found(&set, Some("good"), Algorithm::Es256);
    let expected = [
        ("key 0: ", KeyError::Symmetric),
        ("key 1: ", KeyError::PrivatePublished),
        ("key 2: ", KeyError::NotAKey),
        ("key 4: ", KeyError::Use),
        ("key 5: ", KeyError::NotAKey),
        ("key 6: ", KeyError::NotAKey),
    ];
    let expected: Vec<_> = expected.map(|(place, why)| format!("{place}{why}")).into();
    assert_eq!(left_out, expected);
    assert_eq!(remote(&[&secret]).unwrap_err(), KeyError::NoKeys);
}

#[test]
fn refuses_a_fetched_set_of_too_many_keys() {
    let keys: Vec<_> = (0..4)
        .map(|n| jwk(Algorithm::EdDsa, &n.to_string()))
        .collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let with = |limit| KeySet::parse_remote(document(&keys).as_bytes(), limit);
    assert_eq!(with(4).unwrap().0.len(), 4);
    assert_eq!(with(3).unwrap_err(), KeyError::TooManyKeys { limit: 3 });
    assert_eq!(with(0).unwrap_err(), KeyError::TooManyKeys { limit: 0 });
    // Bad ones count: what is counted is the work.
    let bad = ["1"; 10];
    let refused = KeySet::parse_remote(document(&bad).as_bytes(), 9).unwrap_err();
    assert_eq!(refused, KeyError::TooManyKeys { limit: 9 });
}

#[test]
fn contested_ids_lose_every_key_and_repetitions_collapse() {
    let [one, other, third] = [(); 3].map(|()| Signer::new(Algorithm::Es256));
    let same = r#""kid":"same","#;
    let good = jwk(Algorithm::Es256, "good");

    let (set, left_out) = remote(&[&one.jwk(same), &good, &other.jwk(same)]).unwrap();
    assert_eq!((set.len(), left_out.len()), (1, 2));
    assert!(matches!(
        set.find(Some("same"), Algorithm::Es256),
        Found::Unknown
    ));
    found(&set, Some("good"), Algorithm::Es256);

    let (set, left_out) = remote(&[&one.jwk(same), &one.jwk(same)]).unwrap();
    assert_eq!((set.len(), left_out.len()), (1, 0));

    // Where two of three are the same, nobody can tell all the more.
    let set = remote(&[&one.jwk(same), &one.jwk(same), &third.jwk(same)]);
    assert_eq!(set.unwrap_err(), KeyError::NoKeys);

    // The same key, once for each algorithm.
    let rsa = Signer::new(Algorithm::Rs256);
    let (set, left_out) = remote(&[
        &rsa.jwk(r#""kid":"r","alg":"RS256","#),
        &rsa.jwk(r#""kid":"r","alg":"PS384","#),
    ])
    .unwrap();
    assert_eq!((set.len(), left_out.len()), (1, 0));
    for algorithm in [Algorithm::Rs256, Algorithm::Ps384] {
        let signature = rsa.sign_as(algorithm, b"a.b");
        let key = found(&set, Some("r"), algorithm);
        assert!(key.verify(algorithm, b"a.b", &signature).is_ok());
    }
    assert!(matches!(
        set.find(Some("r"), Algorithm::Rs512),
        Found::Unknown
    ));

    // The same id for another algorithm is no contest.
    let (set, left_out) = remote(&[&one.jwk(same), &jwk(Algorithm::EdDsa, "same")]).unwrap();
    assert_eq!((set.len(), left_out.len()), (2, 0));
}

#[test]
fn what_is_said_of_a_key_cannot_break_a_line() {
    let [one, other] = [(); 2].map(|()| Signer::new(Algorithm::Es256));
    let kid = r#""kid":"a\nb","#;
    let good = jwk(Algorithm::EdDsa, "good");
    let (_, left_out) = remote(&[&one.jwk(kid), &other.jwk(kid), &good]).unwrap();
    assert!(
        left_out.iter().all(|line| !line.contains('\n')),
        "{left_out:?}"
    );
}

#[test]
fn a_token_that_names_a_key_gets_that_key_or_none() {
    let (a, b) = (key(Algorithm::Es256, "a"), key(Algorithm::Es256, "b"));
    let rsa = key(Algorithm::Rs256, "r");
    let set = KeySet::new([a.clone(), b, rsa]).unwrap();
    assert_eq!(
        found(&set, Some("a"), Algorithm::Es256).thumbprint(),
        a.thumbprint()
    );
    assert_eq!(found(&set, Some("r"), Algorithm::Ps512).kid(), Some("r"));
    for (kid, algorithm) in [
        ("a", Algorithm::Es384),
        ("a", Algorithm::Hs256),
        ("A", Algorithm::Es256),
        ("", Algorithm::Es256),
        ("a\0", Algorithm::Es256),
        ("r", Algorithm::Es256),
    ] {
        assert!(
            matches!(set.find(Some(kid), algorithm), Found::Unknown),
            "{kid}"
        );
    }
}

#[test]
fn a_token_that_names_none_gets_the_only_key_of_its_algorithm() {
    let set = KeySet::new([
        key(Algorithm::Es256, "a"),
        key(Algorithm::Es256, "b"),
        key(Algorithm::EdDsa, "c"),
    ])
    .unwrap();
    assert!(matches!(set.find(None, Algorithm::Es256), Found::Ambiguous));
    assert_eq!(found(&set, None, Algorithm::EdDsa).kid(), Some("c"));
    assert!(matches!(set.find(None, Algorithm::Rs256), Found::Unknown));
}

#[test]
fn a_key_without_an_id_answers_for_unknown_ids_in_a_configured_set_alone() {
    let plain = Signer::new(Algorithm::Es256);
    let set = KeySet::new([plain.key(), key(Algorithm::Es256, "a")]).unwrap();
    assert_eq!(found(&set, Some("other"), Algorithm::Es256).kid(), None);
    assert_eq!(found(&set, Some("a"), Algorithm::Es256).kid(), Some("a"));
    // Not for an id that is known, if for another algorithm.
    let set = KeySet::new([plain.key(), key(Algorithm::EdDsa, "a")]).unwrap();
    assert!(matches!(
        set.find(Some("a"), Algorithm::Es256),
        Found::Unknown
    ));

    let (set, _) = remote(&[&plain.jwk("")]).unwrap();
    assert!(matches!(
        set.find(Some("other"), Algorithm::Es256),
        Found::Unknown
    ));
    assert_eq!(found(&set, None, Algorithm::Es256).kid(), None);
    let (set, _) = remote(&[&plain.jwk(""), &Signer::new(Algorithm::Es256).jwk("")]).unwrap();
    assert!(matches!(set.find(None, Algorithm::Es256), Found::Ambiguous));
}

#[test]
fn a_restricted_set_keeps_no_other_algorithm() {
    let rsa = Signer::new(Algorithm::Rs256);
    let set = KeySet::new([rsa.key().with_kid("r"), key(Algorithm::Es256, "e")]).unwrap();
    let set = set.restrict(Algorithms::from([Algorithm::Ps256, Algorithm::Rs384]));
    assert_eq!(set.len(), 1);
    assert!(matches!(
        set.find(Some("e"), Algorithm::Es256),
        Found::Unknown
    ));
    assert!(matches!(
        set.find(Some("r"), Algorithm::Rs256),
        Found::Unknown
    ));
    let key = found(&set, Some("r"), Algorithm::Ps256);
    let signature = rsa.sign_as(Algorithm::Rs256, b"m");
    assert!(key.verify(Algorithm::Rs256, b"m", &signature).is_err());
    assert!(set.restrict(Algorithms::NONE).is_empty());

    // A set that was fetched stays one.
    let (set, _) = remote(&[&Signer::new(Algorithm::Es256).jwk("")]).unwrap();
    let set = set.restrict(Algorithms::ASYMMETRIC);
    assert!(matches!(
        set.find(Some("x"), Algorithm::Es256),
        Found::Unknown
    ));
}

#[test]
fn a_key_that_went_or_changed_is_noticed() {
    let (a, b) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Rs256));
    let set = |keys: &[VerificationKey]| KeySet::new(keys.to_vec()).unwrap();
    let (key_a, key_b) = (a.key().with_kid("a"), b.key().with_kid("b"));
    let old = set(&[key_a.clone(), key_b.clone()]);
    let keeps = |new: &KeySet| new.keeps_all_of(&old);
    assert!(keeps(&old));
    assert!(keeps(&set(&[
        key_b.clone(),
        key_a.clone(),
        key(Algorithm::EdDsa, "c")
    ])));
    assert!(!keeps(&set(std::slice::from_ref(&key_b))));
    assert!(!keeps(&set(&[key_b.clone(), a.key().with_kid("other")])));
    assert!(!keeps(&set(&[key_b.clone(), key(Algorithm::Es256, "a")])));
    let fewer = old
        .clone()
        .restrict(Algorithms::ASYMMETRIC.and([Algorithm::Es256, Algorithm::Rs256].into()));
    assert!(!keeps(&fewer));
    assert!(old.keeps_all_of(&fewer));
    assert!(old.keeps_all_of(&KeySet::default()));
}

#[test]
fn sets_of_jsonwebtoken_are_taken_under_the_rules_of_configured_ones() {
    let theirs = |keys: &[&str]| -> jsonwebtoken::jwk::JwkSet {
        serde_json::from_str(&document(keys)).unwrap()
    };
    let (a, b) = (jwk(Algorithm::Es256, "a"), jwk(Algorithm::Rs256, "b"));
    let set = KeySet::from_jwks(&theirs(&[&a, &b])).unwrap();
    assert_eq!(set.len(), 2);
    found(&set, Some("b"), Algorithm::Ps256);
    let secret = jwk(Algorithm::Hs256, "s");
    let refused = KeySet::from_jwks(&theirs(&[&a, &secret])).unwrap_err();
    assert_eq!(refused, KeyError::Symmetric);
    assert!(KeySet::from_jwks(&theirs(&[&a, &a])).is_err());
}
