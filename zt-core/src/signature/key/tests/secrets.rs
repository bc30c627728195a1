use super::*;
use crate::signature::Algorithm;

#[test]
fn refuses_a_secret_of_31_bytes() {
    for short in [0, 1, 31] {
        let short = Secret::new(vec![7; short]);
        assert_eq!(
            VerifyingKey::hmac_sha256(&short).unwrap_err(),
            KeyError::ShortSecret
        );
        assert_eq!(
            SigningKey::hmac_sha256(&short).unwrap_err(),
            KeyError::ShortSecret
        );
    }
    VerifyingKey::hmac_sha256(&secret(7)).unwrap();
}

/// The public key of RFC 9421 appendix B.1.4, as it is handed around.
const SPKI: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

#[test]
fn refuses_what_everybody_may_know_as_a_secret() {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let public = [
        format!("-----BEGIN PUBLIC KEY-----\n{SPKI}\n-----END PUBLIC KEY-----\n").into_bytes(),
        format!("\u{feff}  -----begin certificate-----\n{SPKI}").into_bytes(),
        STANDARD.decode(SPKI).unwrap(),
        SPKI.as_bytes().to_vec(),
        format!("{SPKI}\n").into_bytes(),
        br#" {"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#
            .to_vec(),
        br#"{"keys":[{"alg":"a key set, whatever stands in it"}]}"#.to_vec(),
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJrQLj5P orders@example.com".to_vec(),
    ];
    for secret in public {
        let text = String::from_utf8_lossy(&secret).into_owned();
        assert_eq!(
            SigningKey::hmac_sha256(&Secret::new(secret)).unwrap_err(),
            KeyError::PublicAsSecret,
            "{text}"
        );
    }
    // Some that merely look a little like it.
    for secret in [
        &b"0123456789abcdef0123456789abcdef"[..],
        b"{\"a json text\": \"that is no key at all\"}",
        b"\x30\x1e\x04abcdefghijklmnopqrstuvwxyzabc",
    ] {
        SigningKey::hmac_sha256(&Secret::new(secret.to_vec())).unwrap();
    }
}

#[test]
fn refuses_a_tag_that_is_shortened_or_lengthened_or_changed() {
    let key = hmac(7);
    let verifying = key.verifying_key();
    let tag = key.sign(b"base").unwrap();
    assert_eq!(verifying.verify(b"base", &tag), Ok(()));
    for length in 0..tag.len() {
        assert_eq!(verifying.verify(b"base", &tag[..length]), Err(BadSignature));
    }
    let longer = [tag.as_slice(), &[0]].concat();
    assert_eq!(verifying.verify(b"base", &longer), Err(BadSignature));
    assert_eq!(verifying.verify(b"basf", &tag), Err(BadSignature));
    assert_eq!(verifying.verify(b"base\n", &tag), Err(BadSignature));
    assert_eq!(
        hmac(8).verifying_key().verify(b"base", &tag),
        Err(BadSignature)
    );
    // One message does not change what the key says of the next.
    assert_eq!(key.sign(b"base").unwrap(), tag);
}

#[test]
fn debug_shows_the_algorithm_alone() {
    let key = SigningKey::hmac_sha256(&Secret::from("correct horse battery staple 0123")).unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(hmac-sha256)");
    let key = key.verifying_key();
    assert_eq!(format!("{key:?}"), "VerifyingKey(hmac-sha256)");
    assert_eq!(key.algorithm(), Algorithm::HmacSha256);
}

/// The state of the hash function is wiped on drop: the feature `zeroize` of `sha2` is on.
#[test]
fn what_the_secret_leaves_behind_is_wiped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<sha2::Sha256>();
}

#[test]
fn algorithms_are_read_by_their_exact_names() {
    for algorithm in Algorithm::ALL {
        let json = format!("\"{algorithm}\"");
        assert_eq!(
            serde_json::from_str::<Algorithm>(&json).unwrap(),
            *algorithm
        );
        assert_eq!(Algorithm::from_name(algorithm.as_str()), Some(*algorithm));
    }
    for name in ["HMAC-SHA256", "none", "", "hmac-sha256 ", "rsa-v1_5-sha512"] {
        assert_eq!(Algorithm::from_name(name), None);
        assert!(serde_json::from_value::<Algorithm>(name.into()).is_err());
    }
}
