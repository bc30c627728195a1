//! Signatures of every algorithm: those that hold, and every way in which they do not.

#![expect(clippy::string_slice, reason = "a token is ASCII")]

use proptest::prelude::*;

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

#[test]
fn refuses_psychic_signatures_and_the_edges_of_their_range() {
    // CVE-2022-21449: r = s = 0 held for every message. The order of P-256, and what lies around.
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut above = order.clone();
    above[31] += 1;
    let signer = Signer::new(Algorithm::Es256);
    let key = signer.key();
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(b"{}"));
    let good = signer.sign(signed.as_bytes());
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let one = [&[0; 31][..], &[1]].concat();
    for (r, s) in [
        (&zero[..], &zero[..]),
        (&zero, s),
        (r, &zero),
        (&one, &zero),
        (&order, &order),
        (&order, s),
        (r, &order),
        (&above, &above),
        (&one, &one),
        (s, r),
    ] {
        let token = format!("{signed}.{}", encode(&[r, s].concat()));
        assert_eq!(verify(&token, &key), Err(Refusal::Signature));
    }
    assert!(verify(&format!("{signed}.{}", encode(&good)), &key).is_ok());
}

#[test]
fn refuses_a_signature_in_der() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let signer = Signer::new(algorithm);
        let signed = format!(
            "{}.{}",
            encode(format!(r#"{{"alg":"{algorithm}"}}"#).as_bytes()),
            encode(b"{}")
        );
        let good = signer.sign(signed.as_bytes());
        let integer = |number: &[u8]| {
            let number = &number[number.iter().position(|byte| *byte != 0).unwrap()..];
            let sign: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
            let length = u8::try_from(number.len() + sign.len()).unwrap();
            [&[2, length], sign, number].concat()
        };
        let (r, s) = good.split_at(good.len() / 2);
        let body = [integer(r), integer(s)].concat();
        let length = u8::try_from(body.len()).unwrap();
        let head = if length < 0x80 {
            vec![0x30, length]
        } else {
            vec![0x30, 0x81, length]
        };
        let der = [head, body].concat();
        let refused = verify(&format!("{signed}.{}", encode(&der)), &signer.key());
        assert_eq!(refused, Err(Refusal::Signature), "{algorithm}");
    }
}

#[test]
fn refuses_a_key_for_another_algorithm_of_its_kind() {
    use Algorithm::{Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let signer = Signer::new(Rs256);
    let any = signer.key();
    for algorithm in [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512] {
        let signature = signer.sign_as(algorithm, b"m");
        assert_eq!(any.verify(algorithm, b"m", &signature), Ok(()));
        for other in [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512] {
            if other != algorithm {
                assert_eq!(any.verify(other, b"m", &signature), Err(Refusal::Signature));
                let pinned = signer.jwk(&format!(r#""alg":"{other}","#));
                let pinned = VerificationKey::from_jwk(pinned.as_bytes()).unwrap();
                let refused = pinned.verify(algorithm, b"m", &signature);
                assert_eq!(refused, Err(Refusal::UnknownKey));
            }
        }
    }
}

#[test]
fn refuses_every_other_writing_of_a_good_token() {
    for signer in all() {
        let (token, key) = (signer.plain_token(), signer.key());
        let dots: Vec<_> = token.match_indices('.').map(|(at, _)| at).collect();
        let ends = [dots[0], dots[1], token.len()];
        let mut others = Vec::new();
        for end in ends {
            for more in ["=", "==", "A", "\n", " ", "%3D", "\0", "A==="] {
                others.push(format!("{}{more}{}", &token[..end], &token[end..]));
            }
            // Bits that are left over: any of the 63 other last characters.
            for last in ('A'..='Z')
                .chain('a'..='z')
                .chain('0'..='9')
                .chain(['-', '_', '+', '/'])
            {
                let other = format!("{}{last}{}", &token[..end - 1], &token[end..]);
                if other != token {
                    others.push(other);
                }
            }
        }
        others.push(token.replace('-', "+").replace('_', "/") + "=");
        others.push(format!(" {token}"));
        others.push(format!("{token}."));
        others.push(format!(".{token}"));
        others.push(token.replacen('.', "..", 1));
        for other in others {
            let refused = verify(&other, &key);
            assert!(refused.is_err(), "{} {other}", signer.algorithm);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// There is one writing of a good token: whatever is changed, it is another or none.
    #[test]
    fn no_change_to_a_token_leaves_it_good(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let signer = Signer::new(Algorithm::EdDsa);
        let (token, key) = (signer.plain_token().into_bytes(), signer.key());
        let at = place.index(token.len());
        let mut changed = token.clone();
        changed[at] = byte;
        let judge = |token: &[u8]| {
            let token = Compact::split(token, 8192)?;
            let header = token.header()?;
            token.verify(header.algorithm, &key)?.decode()
        };
        prop_assert_eq!(judge(&changed).is_ok(), changed == token);
        changed.remove(at);
        prop_assert!(judge(&changed).is_err());
        changed = token;
        changed.insert(at, byte);
        prop_assert!(judge(&changed).is_err());
    }

    #[test]
    fn no_bytes_make_reading_a_token_panic(token in prop::collection::vec(any::<u8>(), 0..300), header in ".{0,120}") {
        let key = Signer::new(Algorithm::Hs256).key();
        let made = format!("{}.{}.AAAA", encode(header.as_bytes()), encode(&token));
        for token in [&token[..], made.as_bytes()] {
            if let Ok(token) = Compact::split(token, 512) {
                let _ = token.header();
                prop_assert!(token.verify(Algorithm::Hs256, &key).is_err());
            }
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}
