//! Public and private keys that must not be taken, and what signs what.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaKeyPair, RsaPssSaltLength,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::signature::Algorithm;

const BASE: &[u8] = b"base";

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match length {
        0..=0x7f => vec![tag, length.to_le_bytes()[0]],
        0x80..=0xff => vec![tag, 0x81, length.to_le_bytes()[0]],
        _ => vec![tag, 0x82, length.to_le_bytes()[1], length.to_le_bytes()[0]],
    };
    [head, contents.to_vec()].concat()
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = element(0x03, &[&[0], key].concat());
    element(0x30, &[element(0x30, algorithm), bits].concat())
}

const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P521: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

fn number(bytes: &[u8]) -> Vec<u8> {
    let zero: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
    element(0x02, &[zero, bytes].concat())
}

fn rsa(n: &[u8], e: &[u8]) -> Vec<u8> {
    let numbers = element(0x30, &[number(n), number(e)].concat());
    spki(RSA, &numbers)
}

fn refusal(algorithm: Algorithm, der: &[u8]) -> KeyError {
    VerifyingKey::from_der(algorithm, der).unwrap_err()
}

/// A modulus of 2048 bits with large factors, from RFC 9421 appendix B.1.2.
fn modulus() -> Vec<u8> {
    STANDARD
        .decode(
            "r4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\
             oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1F\
             pWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0K\
             SyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oy\
             c6XI2w==",
        )
        .unwrap()
}

#[test]
fn refuses_weak_rsa_keys() {
    let n = modulus();
    let even = [&n[..255], &[0xda]].concat();
    let long = [&[1], [0xa5; 1023].as_slice(), &n[..]].concat();
    // 65537^129, a power of 65537 modulo everything.
    let mut power = vec![1];
    for _ in 0..129 {
        power = multiply(&power, 65537);
    }
    for (n, e, says) in [
        (&n[..255], &[1, 0, 1][..], "fewer than 2048 bits"),
        (
            &[&[0x7f], &n[1..]].concat(),
            &[1, 0, 1],
            "fewer than 2048 bits",
        ),
        (&long, &[1, 0, 1], "more than 8192 bits"),
        (&even, &[1, 0, 1], "is even"),
        (&n, &[1], "exponent"),
        (&n, &[2], "exponent"),
        (&n, &[1, 0, 0], "exponent"),
        (&n, &[2, 0, 0, 0, 1], "exponent"),
        (&n, &[1, 0, 0, 0, 0, 0, 0, 0, 1], "exponent"),
        (
            &[&[0xff; 255][..], &[0xff]].concat(),
            &[1, 0, 1],
            "small factor",
        ),
        (&power, &[1, 0, 1], "ROCA"),
    ] {
        for algorithm in [Algorithm::RsaPssSha512, Algorithm::RsaV15Sha256] {
            let refused = refusal(algorithm, &rsa(n, e));
            assert!(
                matches!(refused, KeyError::Weak(why) if why.contains(says)),
                "{refused}"
            );
        }
    }
    VerifyingKey::from_der(Algorithm::RsaPssSha512, &rsa(&n, &[1, 0, 1])).unwrap();
    VerifyingKey::from_der(Algorithm::RsaPssSha512, &rsa(&n, &[3])).unwrap();
}

/// Big-endian.
fn multiply(number: &[u8], by: u32) -> Vec<u8> {
    let mut carry = 0_u64;
    let mut product: Vec<u8> = Vec::new();
    for byte in number.iter().rev() {
        carry += u64::from(*byte) * u64::from(by);
        product.push(carry.to_le_bytes()[0]);
        carry >>= 8;
    }
    while carry > 0 {
        product.push(carry.to_le_bytes()[0]);
        carry >>= 8;
    }
    product.reverse();
    product
}

#[test]
fn refuses_ed25519_keys_for_which_anybody_can_sign() {
    let mut small = Vec::new();
    for y in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let y: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(y.get(at..at + 2).unwrap(), 16).unwrap())
            .collect();
        let mut y: [u8; 32] = y.try_into().unwrap();
        small.push(y);
        y[31] |= 0x80;
        small.push(y);
    }
    for key in small {
        assert!(
            matches!(VerifyingKey::ed25519(&key), Err(KeyError::Weak(_))),
            "{key:?}"
        );
        let refused = refusal(Algorithm::Ed25519, &spki(ED25519, &key));
        assert!(matches!(refused, KeyError::Weak(_)));
    }
    // Other writings of small numbers: 2^255 - 19 and all above.
    for low in 0xed..=0xff {
        let mut key = [0xff; 32];
        key[0] = low;
        assert_eq!(
            VerifyingKey::ed25519(&key).unwrap_err(),
            KeyError::NotOnCurve
        );
        key[31] = 0x7f;
        assert_eq!(
            VerifyingKey::ed25519(&key).unwrap_err(),
            KeyError::NotOnCurve
        );
    }
}

#[test]
fn refuses_points_that_are_not_on_the_curve_or_in_another_form() {
    let key = SigningKey::generate_p256().unwrap().verifying_key();
    let der = key.to_spki_der().unwrap();
    let point = &der[der.len() - 65..];
    let with = |point: &[u8]| refusal(Algorithm::EcdsaP256Sha256, &spki(P256, point));
    let mut off = point.to_vec();
    off[64] ^= 1;
    assert_eq!(with(&off), KeyError::NotOnCurve);
    assert_eq!(with(&[4; 65]), KeyError::NotOnCurve);
    assert_eq!(with(&[&[4][..], &[0; 64]].concat()), KeyError::NotOnCurve);
    let compressed = [&[2 + point[64] % 2], &point[1..33]].concat();
    let hybrid = [&[6 + point[64] % 2], &point[1..]].concat();
    for other in [
        &[0][..],
        &[],
        &compressed,
        &hybrid,
        &point[..64],
        &[point, &[0]].concat(),
    ] {
        assert_eq!(with(other), KeyError::Der);
    }
    VerifyingKey::from_der(Algorithm::EcdsaP256Sha256, &spki(P256, point)).unwrap();
}

#[test]
fn refuses_what_is_not_one_public_key_in_der() {
    let key = SigningKey::generate_ed25519().unwrap().verifying_key();
    let der = key.to_spki_der().unwrap();
    for length in 0..der.len() {
        assert_eq!(refusal(Algorithm::Ed25519, &der[..length]), KeyError::Der);
    }
    let raw = &der[der.len() - 32..];
    let null = [ED25519, &[5, 0]].concat();
    let ed448 = b"\x06\x03\x2b\x65\x71";
    for other in [
        [&der[..], &[0]].concat(),
        spki(&null, raw),
        spki(ed448, raw),
        spki(ED25519, &raw[1..]),
        spki(P521, &[4; 133]),
        // Without the NULL.
        spki(&RSA[..11], &[]),
        // The length in more bytes than it takes.
        [&[0x30, 0x81], &der[1..]].concat(),
        vec![0x30, 0x80],
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        raw.to_vec(),
    ] {
        assert_eq!(
            refusal(Algorithm::Ed25519, &other),
            KeyError::Der,
            "{other:02x?}"
        );
    }
    let long = vec![0x30; 100_000];
    assert_eq!(refusal(Algorithm::Ed25519, &long), KeyError::TooLong);
    let negative = element(0x30, &[element(2, &modulus()), element(2, &[3])].concat());
    assert_eq!(
        refusal(Algorithm::RsaPssSha512, &spki(RSA, &negative)),
        KeyError::Der
    );
}

#[test]
fn refuses_what_is_not_one_pem_block_of_the_right_kind() {
    let key = SigningKey::generate_ed25519().unwrap();
    let public = key.verifying_key().to_spki_pem().unwrap();
    let private = key.to_pkcs8_pem().unwrap();
    let private = std::str::from_utf8(private.expose()).unwrap();
    let verifying = |pem: &str| VerifyingKey::from_pem(Algorithm::Ed25519, pem.as_bytes());
    let signing = |pem: &str| SigningKey::from_pem(Algorithm::Ed25519, pem.as_bytes());
    for other in [
        private.to_owned(),
        String::new(),
        format!("text\n{public}"),
        format!("{public}text"),
        format!("{public}{public}"),
        public.replace("PUBLIC KEY", "CERTIFICATE"),
        public.replace("-----END PUBLIC KEY-----", "-----END PRIVATE KEY-----"),
        public.replace("BEGIN", "begin"),
        public.replace("MCow", "M*ow"),
    ] {
        assert_eq!(verifying(&other).unwrap_err(), KeyError::Pem, "{other}");
    }
    for other in [
        public.clone(),
        private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        format!("{private}{private}"),
    ] {
        assert_eq!(signing(&other).unwrap_err(), KeyError::Pem, "{other}");
    }
    let long = format!("{public}{}", " ".repeat(20_000));
    assert_eq!(verifying(&long).unwrap_err(), KeyError::TooLong);
    // Lines may end in another way, and whitespace may stand around.
    let signature = key.sign(BASE).unwrap();
    for same in [public.replace('\n', "\r\n"), format!("\n {public}\n\n")] {
        verifying(&same).unwrap().verify(BASE, &signature).unwrap();
    }
    assert_eq!(signing(private).unwrap().sign(BASE).unwrap(), signature);
}

#[test]
fn refuses_to_sign_with_rsa_v1_5() {
    let refused = SigningKey::from_pem(Algorithm::RsaV15Sha256, b"whatever").unwrap_err();
    assert_eq!(refused, KeyError::Pem);
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap();
    let refused = SigningKey::from_pkcs8(Algorithm::RsaV15Sha256, der.as_ref()).unwrap_err();
    assert_eq!(refused, KeyError::VerifiedOnly(Algorithm::RsaV15Sha256));
}

#[test]
fn refuses_a_private_key_for_another_algorithm() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384 = p384.to_pkcs8v1().unwrap();
    let sign = |algorithm| SigningKey::from_pkcs8(algorithm, p384.as_ref());
    for algorithm in [
        Algorithm::EcdsaP256Sha256,
        Algorithm::Ed25519,
        Algorithm::RsaPssSha512,
    ] {
        assert_eq!(
            sign(algorithm).unwrap_err(),
            KeyError::AlgorithmMismatch(algorithm)
        );
    }
    let key = sign(Algorithm::EcdsaP384Sha384).unwrap();
    let signature = key.sign(BASE).unwrap();
    assert_eq!(signature.len(), 96);
    assert_eq!(key.verifying_key().verify(BASE, &signature), Ok(()));
    assert_eq!(
        key.verifying_key().verify(b"other", &signature),
        Err(BadSignature)
    );
    let again = SigningKey::from_pem(
        Algorithm::EcdsaP384Sha384,
        key.to_pkcs8_pem().unwrap().expose(),
    );
    let again = again.unwrap().verifying_key();
    assert_eq!(again.verify(BASE, &signature), Ok(()));
    assert_eq!(
        hmac(1).to_pkcs8_pem().unwrap_err(),
        KeyError::Symmetric(Algorithm::HmacSha256)
    );
    assert!(hmac(1).verifying_key().to_spki_pem().is_none());
}

/// RFC 9421 section 3.3.4: `r` and `s` side by side.
#[test]
fn refuses_ecdsa_signatures_in_der() {
    let key = SigningKey::generate_p256().unwrap();
    let pem = key.to_pkcs8_pem().unwrap();
    let pem = std::str::from_utf8(pem.expose()).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pkcs8 = STANDARD.decode(base64).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap();
    let der = pair.sign(&SystemRandom::new(), BASE).unwrap();
    assert_eq!(
        key.verifying_key().verify(BASE, der.as_ref()),
        Err(BadSignature)
    );
    let fixed = key.sign(BASE).unwrap();
    assert_eq!(fixed.len(), 64);
    assert_eq!(key.verifying_key().verify(BASE, &fixed), Ok(()));
}

/// RFC 9421 section 3.3.1: PSS, SHA-512, a salt of 64 bytes; nothing else of the same key holds.
#[test]
fn refuses_rsa_signatures_of_another_make() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let numbers = pair.public_key().as_ref();
    let der = spki(RSA, numbers);
    let pss = VerifyingKey::from_der(Algorithm::RsaPssSha512, &der).unwrap();
    let v1_5 = VerifyingKey::from_der(Algorithm::RsaV15Sha256, &der).unwrap();
    let sign = |encoding| {
        let mut signature = vec![0; 256];
        pair.sign(encoding, &SystemRandom::new(), BASE, &mut signature)
            .unwrap();
        signature
    };
    let salt = |length| match length {
        0 => &const { RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Custom(0)) },
        32 => &const { RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Custom(32)) },
        64 => &const { RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Custom(64)) },
        _ => &const { RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Max) },
    };
    for (signature, holds_pss, holds_v1_5) in [
        (sign(salt(0)), false, false),
        (sign(salt(32)), false, false),
        (sign(salt(64)), true, false),
        (sign(salt(190)), false, false),
        (sign(&RSA_PSS_SHA256), false, false),
        (sign(&RSA_PKCS1_SHA256), false, true),
    ] {
        assert_eq!(pss.verify(BASE, &signature).is_ok(), holds_pss);
        assert_eq!(v1_5.verify(BASE, &signature).is_ok(), holds_v1_5);
    }
}

/// RFC 4055: a key that is marked as for PSS, with these parameters, is for nothing else.
#[test]
fn keys_marked_as_for_pss_are_for_pss_with_our_parameters_alone() {
    let sha512 = include_bytes!("permit_rsa_pss_sha512.pem");
    let sha256 = include_bytes!("deny_rsa_pss_sha256.pem");
    VerifyingKey::from_pem(Algorithm::RsaPssSha512, sha512).unwrap();
    assert_eq!(
        VerifyingKey::from_pem(Algorithm::RsaV15Sha256, sha512).unwrap_err(),
        KeyError::AlgorithmMismatch(Algorithm::RsaV15Sha256)
    );
    for algorithm in [Algorithm::RsaPssSha512, Algorithm::RsaV15Sha256] {
        let refused = VerifyingKey::from_pem(algorithm, sha256).unwrap_err();
        assert_eq!(refused, KeyError::Der);
    }
}

#[test]
fn debug_shows_the_algorithm_alone() {
    let key = SigningKey::generate_ed25519().unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(ed25519)");
    assert_eq!(
        format!("{:?}", key.verifying_key()),
        "VerifyingKey(ed25519)"
    );
    let pem = key.to_pkcs8_pem().unwrap();
    assert_eq!(format!("{pem:?}"), "Secret(..)");
}

#[test]
fn an_entry_moves_from_a_shared_secret_to_a_key_pair() {
    let (old, new) = (hmac(1), SigningKey::generate_ed25519().unwrap());
    let entry = entry("a", 1).rotated(new.verifying_key(), at(100));
    let verify = |alg, key: &SigningKey, time| {
        let signature = key.sign(BASE).unwrap();
        entry.verify_as(alg, Purpose::Requests, at(time), BASE, &signature)
    };
    let (hmac, ed25519) = (Some("hmac-sha256"), Some("ed25519"));
    assert_eq!(verify(None, &old, 99), Ok(KeyAge::Previous));
    assert_eq!(verify(hmac, &old, 99), Ok(KeyAge::Previous));
    assert_eq!(verify(ed25519, &new, 99), Ok(KeyAge::Current));
    // What the message says of the algorithm holds for the key that it is by.
    assert_eq!(verify(ed25519, &old, 99), Err(KeyRefusal::BadSignature));
    assert_eq!(verify(hmac, &new, 99), Err(KeyRefusal::BadSignature));
    assert_eq!(verify(hmac, &old, 100), Err(KeyRefusal::Algorithm));
    assert_eq!(verify(None, &old, 100), Err(KeyRefusal::BadSignature));
}
