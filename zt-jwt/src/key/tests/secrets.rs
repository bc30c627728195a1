//! Shared secrets, and what is never one.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use zt_core::secret::Secret;

use super::signer::Signer;
use crate::{
    algorithm::Algorithm,
    jose::Compact,
    key::{KeyError, VerificationKey},
    refusal::Refusal,
};

fn shared(algorithm: Algorithm, secret: &[u8]) -> Result<(), KeyError> {
    VerificationKey::shared_secret(algorithm, &Secret::new(secret.to_vec())).map(|_| ())
}

#[test]
fn refuses_a_secret_shorter_than_the_hash() {
    for (algorithm, least) in [
        (Algorithm::Hs256, 32),
        (Algorithm::Hs384, 48),
        (Algorithm::Hs512, 64),
    ] {
        let short = Err(KeyError::ShortSecret { least });
        assert_eq!(shared(algorithm, &[]), short);
        assert_eq!(shared(algorithm, &vec![7; least - 1]), short);
        assert_eq!(shared(algorithm, &vec![7; least]), Ok(()));
        assert_eq!(shared(algorithm, &[7; 200]), Ok(()));
    }
}

#[test]
fn refuses_algorithms_that_are_not_symmetric() {
    for algorithm in Algorithm::ALL {
        let expected = if algorithm.is_symmetric() {
            Ok(())
        } else {
            Err(KeyError::NotSymmetric(*algorithm))
        };
        assert_eq!(shared(*algorithm, &[7; 64]), expected);
    }
}

#[test]
fn refuses_public_keys_certificates_and_jwks_as_secrets() {
    for signer in Algorithm::ALL.iter().map(|one| Signer::new(*one)) {
        let jwk = signer.jwk("");
        let mut forms = vec![
            jwk.clone().into_bytes(),
            format!(" \n{jwk}\n").into_bytes(),
            format!("\u{feff}{jwk}").into_bytes(),
            format!(r#"{{"keys":[{jwk}]}}"#).into_bytes(),
        ];
        if let Some(der) = signer.spki() {
            let text = STANDARD.encode(&der);
            for label in ["PUBLIC KEY", "CERTIFICATE", "RSA PUBLIC KEY", "PRIVATE KEY"] {
                let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
                forms.push(format!("\t\r\n {pem}").into_bytes());
                forms.push(format!("Bag Attributes\n{pem}").into_bytes());
                forms.push(pem.to_lowercase().into_bytes());
                forms.push(pem.into_bytes());
            }
            forms.push(der);
        }
        for form in forms {
            let refused = shared(Algorithm::Hs256, &form);
            assert_eq!(refused, Err(KeyError::PublicAsSecret), "{form:?}");
        }
    }
    for text in [
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDZ",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ a@b",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI",
    ] {
        assert_eq!(
            shared(Algorithm::Hs256, text.as_bytes()),
            Err(KeyError::PublicAsSecret)
        );
    }
}

#[test]
fn a_token_that_was_signed_with_the_public_key_as_a_secret_finds_no_key() {
    use aws_lc_rs::hmac;

    use crate::jose::base64url::encode;
    for signer in Algorithm::ALL.iter().map(|one| Signer::new(*one)) {
        let Some(der) = signer.spki() else { continue };
        let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(b"{}"));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &der);
        let tag = hmac::sign(&secret, signed.as_bytes());
        let token = format!("{signed}.{}", encode(tag.as_ref()));
        let token = Compact::split(token.as_bytes(), 8192).unwrap();
        let algorithm = token.header().unwrap().algorithm;
        let refused = token.verify(algorithm, &signer.key()).map(|_| ());
        assert_eq!(refused, Err(Refusal::UnknownKey));
    }
}

#[test]
fn secrets_are_told_apart_and_not_shown() {
    let key = |byte: u8, algorithm| {
        VerificationKey::shared_secret(algorithm, &Secret::new(vec![byte; 64])).unwrap()
    };
    let one = key(1, Algorithm::Hs256);
    assert_eq!(one.thumbprint(), key(1, Algorithm::Hs256).thumbprint());
    assert_ne!(one.thumbprint(), key(2, Algorithm::Hs256).thumbprint());
    assert!(!format!("{one:?}").contains('1'), "{one:?}");
}

proptest! {
    /// Chance does not make a secret look like a key.
    #[test]
    fn random_secrets_pass(secret in prop::collection::vec(any::<u8>(), 32..200)) {
        prop_assert_eq!(shared(Algorithm::Hs256, &secret), Ok(()));
    }
}
