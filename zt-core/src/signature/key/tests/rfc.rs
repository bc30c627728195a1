//! The keys and signatures printed in RFC 9421.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::*;
use crate::signature::Algorithm;

/// `None`, with a line, where the vectors are not there.
fn vectors(name: &str) -> Option<Value> {
    let path = format!(
        "{}/../../shared/vectors/http-signatures/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(_) => {
            println!("skipped: no vectors at {path}");
            None
        }
    }
}

struct TestKey {
    verifying: VerifyingKey,
    signing: Result<SigningKey, KeyError>,
}

/// `None` where the feature that the key needs is off.
fn key(keys: &Value, id: &str) -> Option<TestKey> {
    let key = &keys["keys"][id];
    let algorithm = Algorithm::from_name(key["alg"].as_str().unwrap()).unwrap();
    if let Some(base64) = key["base64"].as_str() {
        let secret = Secret::new(STANDARD.decode(base64).unwrap());
        return Some(TestKey {
            verifying: VerifyingKey::hmac_sha256(&secret).unwrap(),
            signing: SigningKey::hmac_sha256(&secret),
        });
    }
    #[cfg(feature = "asymmetric")]
    {
        let pem = |member: &str| key[member].as_str().unwrap().as_bytes();
        Some(TestKey {
            verifying: VerifyingKey::from_pem(algorithm, pem("publicPem")).unwrap(),
            signing: SigningKey::from_pem(algorithm, pem("privatePem")),
        })
    }
    #[cfg(not(feature = "asymmetric"))]
    {
        let _ = algorithm;
        None
    }
}

struct Case {
    id: String,
    key: TestKey,
    base: Vec<u8>,
    signature: Vec<u8>,
    valid: bool,
    deterministic: bool,
}

/// Every case, or those with shared secrets where the feature is off.
fn cases() -> Option<Vec<Case>> {
    let (keys, signatures) = (vectors("keys.json")?, vectors("signatures.json")?);
    let cases = signatures["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 20);
    let cases: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let text = |member: &str| case[member].as_str().unwrap().to_owned();
            Some(Case {
                id: text("id"),
                key: key(&keys, &text("keyid"))?,
                base: text("signatureBase").into_bytes(),
                signature: STANDARD.decode(text("signature")).unwrap(),
                valid: text("expect") == "valid",
                deterministic: case["deterministic"].as_bool().unwrap(),
            })
        })
        .collect();
    assert_eq!(
        cases.len(),
        if cfg!(feature = "asymmetric") { 20 } else { 1 }
    );
    Some(cases)
}

#[test]
fn refuses_the_signatures_that_are_invalid() {
    let Some(cases) = cases() else { return };
    let invalid: Vec<_> = cases.iter().filter(|case| !case.valid).collect();
    for case in &invalid {
        let verified = case.key.verifying.verify(&case.base, &case.signature);
        assert_eq!(verified, Err(BadSignature), "{}", case.id);
    }
    assert_eq!(
        invalid.len(),
        if cfg!(feature = "asymmetric") { 3 } else { 0 }
    );
}

#[test]
fn verifies_the_signatures_that_are_valid_and_none_with_a_byte_changed() {
    let Some(cases) = cases() else { return };
    let valid: Vec<_> = cases.iter().filter(|case| case.valid).collect();
    assert_eq!(
        valid.len(),
        if cfg!(feature = "asymmetric") { 17 } else { 1 }
    );
    for Case {
        id,
        key,
        base,
        signature,
        ..
    } in valid
    {
        let verify = |base: &[u8], signature: &[u8]| key.verifying.verify(base, signature);
        assert_eq!(verify(base, signature), Ok(()), "{id}");
        for at in 0..base.len() {
            let mut other = base.clone();
            other[at] ^= 1;
            assert_eq!(
                verify(&other, signature),
                Err(BadSignature),
                "{id}: base {at}"
            );
        }
        for at in 0..signature.len() {
            for bit in [1, 0x80] {
                let mut other = signature.clone();
                other[at] ^= bit;
                assert_eq!(
                    verify(base, &other),
                    Err(BadSignature),
                    "{id}: signature {at}"
                );
            }
        }
        for length in 0..signature.len() {
            let shorter = verify(base, &signature[..length]);
            assert_eq!(shorter, Err(BadSignature), "{id}: {length} bytes");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert_eq!(verify(base, &longer), Err(BadSignature), "{id}: longer");
    }
}

#[test]
fn signs_again_what_was_signed() {
    let Some(cases) = cases() else { return };
    let mut same = 0;
    for Case {
        id,
        key,
        base,
        signature,
        valid,
        deterministic,
    } in cases
    {
        let signing = match key.signing {
            Err(KeyError::VerifiedOnly(Algorithm::RsaV15Sha256)) => continue,
            signing => signing.unwrap(),
        };
        assert_eq!(signing.algorithm(), key.verifying.algorithm());
        let again = signing.sign(&base).unwrap();
        assert_eq!(key.verifying.verify(&base, &again), Ok(()), "{id}");
        assert_eq!(
            signing.verifying_key().verify(&base, &again),
            Ok(()),
            "{id}"
        );
        if deterministic && valid {
            assert_eq!(again, signature, "{id}");
            same += 1;
        }
    }
    assert_eq!(same, if cfg!(feature = "asymmetric") { 6 } else { 1 });
}

#[cfg(feature = "asymmetric")]
#[test]
fn a_key_is_for_one_kind_of_algorithm() {
    let Some(keys) = vectors("keys.json") else {
        return;
    };
    let mut good = 0;
    for (id, key) in keys["keys"].as_object().unwrap() {
        let Some(public) = key["publicPem"].as_str() else {
            continue;
        };
        let private = key["privatePem"].as_str().unwrap();
        let own = Algorithm::from_name(key["alg"].as_str().unwrap()).unwrap();
        for algorithm in Algorithm::ALL {
            let verifying = VerifyingKey::from_pem(*algorithm, public.as_bytes());
            let signing = SigningKey::from_pem(*algorithm, private.as_bytes());
            let rsa =
                |algorithm| matches!(algorithm, Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256);
            // An RSA key that is not marked as for PSS is for both.
            if *algorithm == own || (rsa(*algorithm) && rsa(own)) {
                assert_eq!(verifying.unwrap().algorithm(), *algorithm, "{id}");
                good += 1;
            } else {
                let refused = match algorithm {
                    Algorithm::HmacSha256 => KeyError::Symmetric(*algorithm),
                    _ => KeyError::AlgorithmMismatch(*algorithm),
                };
                assert_eq!(verifying.unwrap_err(), refused, "{id}");
            }
            match algorithm {
                Algorithm::HmacSha256 => {
                    assert_eq!(
                        signing.unwrap_err(),
                        KeyError::Symmetric(*algorithm),
                        "{id}"
                    );
                }
                Algorithm::RsaV15Sha256 => {
                    assert_eq!(
                        signing.unwrap_err(),
                        KeyError::VerifiedOnly(*algorithm),
                        "{id}"
                    );
                }
                _ if *algorithm == own || (rsa(*algorithm) && rsa(own)) => {
                    signing.unwrap();
                }
                // Of an EC PRIVATE KEY the library does not say which curve it is on.
                _ => assert!(
                    matches!(signing, Err(KeyError::AlgorithmMismatch(_) | KeyError::Der)),
                    "{id} {algorithm}"
                ),
            }
            let mut text = Secret::from(public);
            for _ in 0..2 {
                let refused = SigningKey::hmac_sha256(&text).unwrap_err();
                assert_eq!(refused, KeyError::PublicAsSecret, "{id}");
                text = Secret::from(private);
            }
        }
    }
    assert_eq!(good, 6);
}
