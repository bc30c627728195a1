//! Signatures of every algorithm: those that hold, and every way in which they do not.

use super::signer::Signer;
use crate::{
    algorithm::Algorithm,
    jose::{Compact, base64url::encode},
    key::VerificationKey,
    refusal::Refusal,
};

/// What becomes of `token` under `key`.
fn verify(token: &str, key: &VerificationKey) -> Result<Vec<u8>, Refusal> {
    let token = Compact::split(token.as_bytes(), 16_384)?;
    let header = token.header()?;
    token.verify(header.algorithm, key)?.decode()
}

fn all() -> impl Iterator<Item = Signer> {
    Algorithm::ALL
        .iter()
        .map(|algorithm| Signer::new(*algorithm))
}

#[test]
fn what_is_signed_is_verified() {
    for signer in all() {
        let payload = verify(&signer.plain_token(), &signer.key());
        assert_eq!(
            payload.as_deref(),
            Ok(&br#"{"sub":"a"}"#[..]),
            "{}",
            signer.algorithm
        );
    }
}

#[test]
fn refuses_a_token_that_another_key_signed() {
    for (one, other) in all().zip(all()) {
        // There is one RSA key in these tests.
        if one.jwk("") != other.jwk("") {
            let refused = verify(&one.plain_token(), &other.key());
            assert_eq!(refused, Err(Refusal::Signature), "{}", one.algorithm);
        }
    }
}

#[test]
fn refuses_a_token_of_which_any_segment_was_changed() {
    for signer in all() {
        let (token, key) = (signer.plain_token(), signer.key());
        let [header, payload, signature] = segments(&token);
        let other = format!(r#"{{"alg":"{}","x":1}}"#, signer.algorithm);
        let other = encode(other.as_bytes());
        let more = encode(br#"{"sub":"b"}"#);
        for changed in [
            format!("{other}.{payload}.{signature}"),
            format!("{header}.{more}.{signature}"),
            format!("{header}..{signature}"),
        ] {
            assert_eq!(verify(&changed, &key), Err(Refusal::Signature), "{changed}");
        }
    }
}

#[test]
fn refuses_a_signature_of_another_length() {
    for signer in all() {
        let (token, key) = (signer.plain_token(), signer.key());
        let signed = token.rsplit_once('.').unwrap().0;
        let signature = signer.sign(signed.as_bytes());
        let with = |signature: &[u8]| verify(&format!("{signed}.{}", encode(signature)), &key);
        assert!(with(&signature).is_ok());
        for length in [1, signature.len() / 2, signature.len() - 1] {
            assert_eq!(
                with(&signature[..length]),
                Err(Refusal::Signature),
                "{length}"
            );
        }
        assert_eq!(
            with(&[&signature[..], &[0]].concat()),
            Err(Refusal::Signature)
        );
        assert_eq!(
            with(&[&[0], &signature[..]].concat()),
            Err(Refusal::Signature)
        );
        assert_eq!(with(&vec![0; signature.len()]), Err(Refusal::Signature));
        assert_eq!(with(&vec![0xff; signature.len()]), Err(Refusal::Signature));
    }
}

#[test]
fn refuses_each_bit_of_a_signature_flipped() {
    for signer in all() {
        let (token, key) = (signer.plain_token(), signer.key());
        let signed = token.rsplit_once('.').unwrap().0;
        let mut signature = signer.sign(signed.as_bytes());
        let step = if signature.len() > 132 { 7 } else { 1 };
        for place in (0..signature.len()).step_by(step) {
            signature[place] ^= 1 << (place % 8);
            let refused = verify(&format!("{signed}.{}", encode(&signature)), &key);
            assert_eq!(
                refused,
                Err(Refusal::Signature),
                "{} {place}",
                signer.algorithm
            );
            signature[place] ^= 1 << (place % 8);
        }
    }
}

fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}
