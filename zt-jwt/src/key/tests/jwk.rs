//! Which JSON Web Keys are keys, and which are refused, rule by rule.

#![expect(clippy::string_slice, reason = "base64url is ASCII")]

use proptest::prelude::*;

use super::signer::Signer;
use crate::{
    algorithm::{Algorithm, Algorithms},
    jose::base64url::{decode, encode},
    key::{KeyError, VerificationKey},
};

/// RFC 8037 appendix A.2.
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 7517 appendix A.1.
const P256: [&str; 2] = [
    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
];
const RSA: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn read(json: &str) -> Result<VerificationKey, KeyError> {
    VerificationKey::from_jwk(json.as_bytes())
}

#[track_caller]
fn refused(json: &str, error: KeyError) {
    assert_eq!(read(json).map(|_| ()), Err(error), "{json}");
}

fn ed25519(extra: &str) -> String {
    format!(r#"{{{extra}"kty":"OKP","crv":"Ed25519","x":"{ED25519}"}}"#)
}

fn ec(crv: &str, x: &str, y: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"}}"#)
}

fn rsa(n: &str, e: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

#[test]
fn refuses_what_is_not_strict_json() {
    for bad in [
        "",
        "null",
        "[]",
        "{}x",
        r#"{"kty":"OKP","kty":"OKP"}"#,
        r#"{"kty":"OKP","a":1,"a":1}"#,
        r#"{"kty":"OKP","a":{"b":1,"b":1}}"#,
    ] {
        refused(bad, KeyError::NotAKey);
    }
    refused(
        &ed25519(&format!(r#""x5c":["{}"],"#, "A".repeat(70_000))),
        KeyError::TooLong,
    );
    assert!(read(&ed25519(r#""x5c":["AA"],"x5t":"AA","iat":1,"exp":[null],"#)).is_ok());
}

#[test]
fn refuses_members_of_the_wrong_type_or_length() {
    for (json, member) in [
        (r#"{"kty":1}"#.to_owned(), "kty"),
        (ed25519(r#""kid":1,"#), "kid"),
        (ed25519(r#""alg":null,"#), "alg"),
        (ed25519(r#""use":["sig"],"#), "use"),
        (ed25519(r#""key_ops":"verify","#), "key_ops"),
        (ed25519(r#""key_ops":["verify",1],"#), "key_ops"),
        (ed25519(r#""key_ops":["verify","verify"],"#), "key_ops"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":[]}"#.to_owned(), "x"),
        (ed25519("").replace(ED25519, "AA"), "x"),
        (ed25519("").replace(ED25519, &format!("{ED25519}=")), "x"),
        // Four bits are left over, and one of them is set.
        (
            ed25519("").replace(ED25519, &(ED25519[..42].to_owned() + "p")),
            "x",
        ),
        (ec("P-256", &encode(&[1; 31]), P256[1]), "x"),
        (ec("P-256", P256[0], &encode(&[1; 33])), "y"),
        (
            ec(
                "P-256",
                &encode(&[&[0][..], &decode(P256[0].as_bytes()).unwrap()].concat()),
                P256[1],
            ),
            "x",
        ),
        (rsa("", "AQAB"), "n"),
        (rsa(RSA, ""), "e"),
        (rsa(RSA, "AA"), "e"),
        (rsa(RSA, "AAEAAQ"), "e"),
        (
            rsa(
                &encode(&[&[0][..], &decode(RSA.as_bytes()).unwrap()].concat()),
                "AQAB",
            ),
            "n",
        ),
        (
            format!(
                r#"{{"kty":"AKP","alg":"ML-DSA-44","pub":"{}"}}"#,
                encode(&[1; 1311])
            ),
            "pub",
        ),
        (
            format!(
                r#"{{"kty":"AKP","alg":"ML-DSA-65","pub":"{}"}}"#,
                encode(&[1; 1312])
            ),
            "pub",
        ),
    ] {
        refused(&json, KeyError::Malformed(member));
    }
    refused(
        &ed25519(&format!(r#""kid":"{}","#, "k".repeat(257))),
        KeyError::KidTooLong,
    );
}

#[test]
fn refuses_a_key_of_which_a_member_is_missing() {
    for (json, member) in [
        ("{}", "kty"),
        (r#"{"kty":"EC","x":"AA","y":"AA"}"#, "crv"),
        (r#"{"kty":"EC","crv":"P-256","x":"AA"}"#, "y"),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#, "x"),
        (r#"{"kty":"RSA","n":"AA"}"#, "e"),
        (r#"{"kty":"RSA","e":"AQAB"}"#, "n"),
        (r#"{"kty":"AKP","pub":"AA"}"#, "alg"),
        (r#"{"kty":"AKP","alg":"ML-DSA-44"}"#, "pub"),
    ] {
        refused(json, KeyError::Missing(member));
    }
}

#[test]
fn refuses_kinds_and_curves_that_are_not_for_signatures_here() {
    refused(r#"{"kty":"oct","k":"AA"}"#, KeyError::Symmetric);
    for kty in ["", "rsa", "ec", "OCT", "okp", "DSA"] {
        refused(&format!(r#"{{"kty":"{kty}"}}"#), KeyError::KeyType);
    }
    for crv in ["", "p-256", "P256", "secp256k1", "Ed25519", "P-224"] {
        refused(&ec(crv, P256[0], P256[1]), KeyError::Curve);
    }
    for crv in ["X25519", "Ed448", "P-256", "ed25519"] {
        refused(
            &format!(r#"{{"kty":"OKP","crv":"{crv}","x":"{ED25519}"}}"#),
            KeyError::Curve,
        );
    }
}

#[test]
fn refuses_a_key_whose_algorithm_is_for_another_kind() {
    for signer in Algorithm::ALL.iter().map(|one| Signer::new(*one)) {
        if signer.algorithm.is_symmetric() {
            continue;
        }
        let plain = signer
            .jwk("")
            .replace(r#","alg":"ML-DSA"#, r#","was":"ML-DSA"#);
        for algorithm in Algorithm::ALL {
            let json = plain.replacen('{', &format!(r#"{{"alg":"{algorithm}","#), 1);
            let key = read(&json);
            if signer.fits(*algorithm) {
                assert_eq!(key.unwrap().algorithms(), Algorithms::from(*algorithm));
            } else {
                assert!(
                    matches!(
                        key,
                        Err(KeyError::AlgorithmMismatch(_) | KeyError::Malformed("pub"))
                    ),
                    "{json} {key:?}"
                );
            }
        }
        for unknown in [
            "", "none", "ES521", "es256", "RSA-OAEP", "ECDH-ES", "ES256K",
        ] {
            let json = plain.replacen('{', &format!(r#"{{"alg":"{unknown}","#), 1);
            refused(&json, KeyError::UnknownAlgorithm);
        }
    }
}

#[test]
fn a_key_without_an_algorithm_is_for_every_one_of_its_kind() {
    use Algorithm::{EdDsa, Es256, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let algorithms = |json: &str| read(json).unwrap().algorithms();
    assert_eq!(algorithms(&ed25519("")), EdDsa.into());
    assert_eq!(algorithms(&ed25519(r#""alg":"Ed25519","#)), EdDsa.into());
    assert_eq!(algorithms(&ec("P-256", P256[0], P256[1])), Es256.into());
    assert_eq!(
        algorithms(&rsa(RSA, "AQAB")),
        [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512].into()
    );
}

#[test]
fn refuses_a_key_that_is_not_for_checking_signatures() {
    for bad in [
        r#""use":"enc","#,
        r#""use":"SIG","#,
        r#""use":"","#,
        r#""key_ops":[],"#,
        r#""key_ops":["encrypt"],"#,
        r#""key_ops":["sign"],"#,
        r#""use":"enc","key_ops":["verify"],"#,
        r#""use":"sig","key_ops":["wrapKey"],"#,
    ] {
        refused(&ed25519(bad), KeyError::Use);
    }
    for good in [
        r#""use":"sig","#,
        r#""key_ops":["verify"],"#,
        r#""key_ops":["sign","verify"],"use":"sig","#,
        // Who may sign may check.
        r#""key_ops":["sign"],"d":"AA","#,
    ] {
        assert!(read(&ed25519(good)).is_ok(), "{good}");
    }
}

#[test]
fn refuses_points_that_are_not_on_their_curve() {
    let x = decode(P256[0].as_bytes()).unwrap();
    for y in [[0; 32], [0xff; 32], [1; 32]] {
        refused(&ec("P-256", P256[0], &encode(&y)), KeyError::NotOnCurve);
    }
    refused(&ec("P-256", P256[1], P256[0]), KeyError::NotOnCurve);
    refused(
        &ec("P-256", &encode(&[0; 32]), &encode(&[0; 32])),
        KeyError::NotOnCurve,
    );
    // A point of another curve.
    let wide = [&[0; 16][..], &x].concat();
    refused(
        &ec("P-384", &encode(&wide), &encode(&wide)),
        KeyError::NotOnCurve,
    );
}

#[test]
fn refuses_points_of_small_order() {
    let key = |bytes: [u8; 32]| read(&ed25519("").replace(ED25519, &encode(&bytes))).map(|_| ());
    let weak = Err(KeyError::Weak("the point has a small order"));
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    for mut point in [[0; 32], one, minus_one] {
        assert_eq!(key(point), weak);
        point[31] |= 0x80;
        assert_eq!(key(point), weak);
    }
    // 2^255 - 19 and more are other writings of 0 and more.
    for low in 0xed..=0xff {
        let mut again = minus_one;
        again[0] = low;
        assert_eq!(key(again), Err(KeyError::Malformed("x")), "{low}");
    }
    assert_eq!(key([0xff; 32]), Err(KeyError::Malformed("x")));
}

#[test]
fn refuses_weak_rsa_keys() {
    let n = decode(RSA.as_bytes()).unwrap();
    let weak = |n: &[u8], e: &[u8], why: &str| match read(&rsa(&encode(n), &encode(e))) {
        Err(KeyError::Weak(said)) => assert!(said.contains(why), "{said}"),
        other => panic!("{other:?}"),
    };
    let e = [1, 0, 1];
    weak(&n[1..], &e, "fewer than 2048");
    let mut short = n.clone();
    short[0] = 0x7f; // 2047 bits.
    weak(&short, &e, "fewer than 2048");
    weak(&[&[1][..], &[0xff; 1024]].concat(), &e, "more than 8192");
    let mut even = n.clone();
    even[255] &= 0xfe;
    weak(&even, &e, "even");
    weak(&[0xff; 256], &e, "small factor");
    for exponent in [
        &[1][..],
        &[2],
        &[4],
        &[1, 0, 0],
        &[2, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0, 1],
        &[0xff; 9],
        &[0xff; 255],
    ] {
        weak(&n, exponent, "exponent");
    }
    for exponent in [&[3][..], &[17], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert!(read(&rsa(RSA, &encode(exponent))).is_ok(), "{exponent:?}");
    }
}

#[test]
fn thumbprints_are_those_of_the_standards() {
    // RFC 7638 section 3.1.
    assert_eq!(
        encode(&read(&rsa(RSA, "AQAB")).unwrap().thumbprint()),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    // RFC 8037 appendix A.3.
    assert_eq!(
        encode(
            &read(&ed25519(r#""kid":"a","use":"sig","#))
                .unwrap()
                .thumbprint()
        ),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    // RFC 7638 section 3.2: only what the key must have, in the order of the names.
    use sha2::{Digest, Sha256};
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::MlDsa44,
    ] {
        let jwk: serde_json::Value = serde_json::from_str(&Signer::new(algorithm).jwk("")).unwrap();
        let ordered: std::collections::BTreeMap<_, _> = jwk.as_object().unwrap().iter().collect();
        let expected = Sha256::digest(serde_json::to_string(&ordered).unwrap());
        let key = read(&jwk.to_string()).unwrap();
        assert_eq!(key.thumbprint()[..], expected[..], "{algorithm}");
    }
}

#[test]
fn keys_of_jsonwebtoken_are_taken_under_the_same_rules() {
    let theirs = |json: &str| -> jsonwebtoken::jwk::Jwk { serde_json::from_str(json).unwrap() };
    for json in [
        ed25519(r#""kid":"a","alg":"EdDSA","use":"sig","key_ops":["verify"],"#),
        ec("P-256", P256[0], P256[1]),
        rsa(RSA, "AQAB"),
        Signer::new(Algorithm::Es384).jwk(r#""alg":"ES384","#),
    ] {
        let (one, other) = (
            VerificationKey::try_from(&theirs(&json)).unwrap(),
            read(&json).unwrap(),
        );
        assert_eq!(one.thumbprint(), other.thumbprint());
        assert_eq!(
            (one.kid(), one.algorithms()),
            (other.kid(), other.algorithms())
        );
    }
    let refused = |json: &str| VerificationKey::try_from(&theirs(json)).unwrap_err();
    assert_eq!(refused(&ed25519(r#""use":"enc","#)), KeyError::Use);
    assert_eq!(
        refused(r#"{"kty":"oct","k":"AAAA","alg":"HS256"}"#),
        KeyError::Symmetric
    );
    assert_eq!(
        refused(&ed25519(r#""alg":"RSA-OAEP","#)),
        KeyError::UnknownAlgorithm
    );
}

#[test]
fn nothing_of_a_key_stands_in_debug_or_errors() {
    let key = read(&ed25519(r#""kid":"a","#)).unwrap();
    assert_eq!(
        format!("{key:?}"),
        r#"VerificationKey { kid: Some("a"), algorithms: {EdDsa}, .. }"#
    );
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_key_panic(text in ".{0,200}", member in "kty|x|y|n|e|crv|alg|k|pub|use|key_ops") {
        let _ = read(&text);
        let quoted = serde_json::to_string(&text).unwrap();
        let _ = read(&ed25519(&format!("\"{member}\":{quoted},")));
        let _ = read(&format!(r#"{{"kty":"EC","crv":"P-256","{member}":{quoted}}}"#));
    }

    /// Another writing of the same number is another text; there is one text for any key.
    #[test]
    fn a_key_has_one_writing(place in 0_usize..43, other in "[A-Za-z0-9_-]") {
        let mut text = ED25519.to_owned();
        text.replace_range(place..=place, &other);
        if let Ok(key) = read(&ed25519("").replace(ED25519, &text)) {
            let same = key.thumbprint() == read(&ed25519("")).unwrap().thumbprint();
            prop_assert_eq!(same, text == ED25519);
        }
    }
}
