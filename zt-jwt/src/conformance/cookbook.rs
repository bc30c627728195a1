//! The JOSE cookbook: RFC 7520 sections 3 and 4, RFC 8037 appendix A, RFC 7797 section 4.

#![expect(clippy::string_slice, reason = "a token is ASCII")]

use serde_json::Value;

use super::{Verdict, jsonwebtokens, ours, vectors};
use crate::{
    key::{KeyError, VerificationKey},
    refusal::Refusal,
};

/// The key and the compact output of an example.
fn example(name: &str) -> Option<(Value, Value)> {
    let example = vectors(&format!("jose-cookbook/{name}"))?;
    let key = example["input"]["key"].clone();
    Some((key, example["output"].clone()))
}

#[test]
fn compact_signatures_are_verified() {
    for name in [
        "jws/4_1.rsa_v15_signature.json",
        "jws/4_2.rsa-pss_signature.json",
        "jws/4_3.ecdsa_signature.json",
        "jws/4_4.hmac-sha2_integrity_protection.json",
        "curve25519/jws.json",
    ] {
        let Some((key, output)) = example(name) else {
            return;
        };
        let token = output["compact"].as_str().unwrap();
        println!(
            "{name}: verified; plain jsonwebtoken {}",
            if jsonwebtokens(&key, token) {
                "too"
            } else {
                "not"
            }
        );
        let payload = vectors(&format!("jose-cookbook/{name}")).unwrap();
        let payload = payload["input"]["payload"]
            .as_str()
            .unwrap()
            .as_bytes()
            .to_vec();
        assert_eq!(ours(&key, token), Ok(payload), "{name}");

        // The last character before the end carries no bits that are left over.
        let at = token.len() - 2;
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        assert_eq!(
            ours(&key, &changed),
            Err(Verdict::Token(Refusal::Signature)),
            "{name}"
        );
    }
}

#[test]
fn refuses_what_is_not_one_whole_token() {
    // Detached: the payload that the signature is over stands elsewhere.
    let Some((key, output)) = example("jws/4_5.signature_with_detached_content.json") else {
        return;
    };
    let token = output["compact"].as_str().unwrap();
    assert_eq!(ours(&key, token), Err(Verdict::Token(Refusal::Signature)));

    // `b64` is false, and critical.
    let (key, output) = example("rfc7797/hmac-sha2_b64_false.json").unwrap();
    let token = output["compact"].as_str().unwrap();
    let refused = ours(&key, token);
    assert!(
        matches!(
            refused,
            Err(Verdict::Token(Refusal::Critical | Refusal::Segments))
        ),
        "{refused:?}"
    );
}

#[test]
fn refuses_json_serialization() {
    for name in [
        "jws/4_1.rsa_v15_signature.json",
        "jws/4_2.rsa-pss_signature.json",
        "jws/4_3.ecdsa_signature.json",
        "jws/4_4.hmac-sha2_integrity_protection.json",
        "jws/4_5.signature_with_detached_content.json",
        "jws/4_6.protecting_specific_header_fields.json",
        "jws/4_7.protecting_content_only.json",
        "jws/4_8.multiple_signatures.json",
        "curve25519/jws.json",
        "rfc7797/4.2.hmac-sha2_b64_false.json",
        "rfc7797/hmac-sha2_b64_false.json",
    ] {
        let Some((_, output)) = example(name) else {
            return;
        };
        for form in ["json", "json_flat"] {
            let Some(json) = output.get(form) else {
                continue;
            };
            let json = json.to_string();
            let split = crate::jose::Compact::split(json.as_bytes(), 8192);
            let refused = split.and_then(|token| token.header()).map(|_| ());
            assert!(
                matches!(refused, Err(Refusal::Segments | Refusal::Base64)),
                "{name} {form} {refused:?}"
            );
        }
    }
}

#[test]
fn keys_are_read() {
    let Some(public) = vectors("jose-cookbook/jwk/3_1.ec_public_key.json") else {
        return;
    };
    let read = |name: &str| {
        let jwk = vectors(&format!("jose-cookbook/jwk/{name}")).unwrap();
        VerificationKey::from_jwk(jwk.to_string().as_bytes())
    };
    let key = VerificationKey::from_jwk(public.to_string().as_bytes()).unwrap();
    assert_eq!(key.kid(), Some("bilbo.baggins@hobbiton.example"));
    assert_eq!(key.algorithms(), crate::Algorithm::Es512.into());
    // Of a private key the public part alone is kept.
    let private = read("3_2.ec_private_key.json").unwrap();
    assert_eq!(private.thumbprint(), key.thumbprint());
    let key = read("3_3.rsa_public_key.json").unwrap();
    let private = read("3_4.rsa_private_key.json").unwrap();
    assert_eq!(private.thumbprint(), key.thumbprint());
    assert_eq!(key.algorithms().iter().count(), 6);

    assert_eq!(
        read("3_5.symmetric_key_mac_computation.json").unwrap_err(),
        KeyError::Symmetric
    );
    let jwk = vectors("jose-cookbook/jwk/3_6.symmetric_key_encryption.json").unwrap();
    assert_eq!(
        VerificationKey::from_any_jwk(jwk.to_string().as_bytes()).unwrap_err(),
        KeyError::Use
    );
}
