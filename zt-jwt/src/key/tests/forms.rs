//! Public keys as PEM and DER.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::signer::Signer;
use crate::{
    algorithm::{Algorithm, Algorithms},
    key::{KeyError, VerificationKey},
};

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn signers() -> impl Iterator<Item = Signer> {
    let all = Algorithm::ALL.iter().filter(|one| !one.is_symmetric());
    all.map(|algorithm| Signer::new(*algorithm))
}

#[test]
fn pem_der_and_jwk_give_the_same_key() {
    for signer in signers() {
        let der = signer.spki().unwrap();
        let jwk = VerificationKey::from_jwk(signer.jwk("").as_bytes()).unwrap();
        let from_der = VerificationKey::from_der(&der, signer.algorithm).unwrap();
        assert_eq!(
            from_der.thumbprint(),
            jwk.thumbprint(),
            "{}",
            signer.algorithm
        );
        assert_eq!(from_der.algorithms(), signer.algorithm.into());
        let from_pem = pem("PUBLIC KEY", &der);
        for text in [
            from_pem.clone(),
            format!("\n  {from_pem}\n"),
            from_pem.replace('\n', "\r\n"),
        ] {
            let key = VerificationKey::from_pem(text.as_bytes(), signer.algorithm).unwrap();
            assert_eq!(key.thumbprint(), jwk.thumbprint());
        }
        let message = b"a.b";
        let signature = signer.sign(message);
        assert!(
            from_der
                .verify(signer.algorithm, message, &signature)
                .is_ok()
        );
    }
}

#[test]
fn refuses_algorithms_that_are_for_another_kind_of_key() {
    for signer in signers() {
        let der = signer.spki().unwrap();
        for algorithm in Algorithm::ALL {
            let key = VerificationKey::from_der(&der, *algorithm).map(|_| ());
            if signer.fits(*algorithm) {
                assert_eq!(key, Ok(()));
            } else {
                assert_eq!(key, Err(KeyError::AlgorithmMismatch(*algorithm)));
            }
            let both = Algorithms::from(signer.algorithm).with(*algorithm);
            assert_eq!(VerificationKey::from_der(&der, both).map(|_| ()), key);
        }
        let none = VerificationKey::from_der(&der, Algorithms::NONE);
        assert_eq!(none.unwrap_err(), KeyError::NoAlgorithm);
    }
}

#[test]
fn refuses_pem_that_is_not_one_public_key() {
    let der = Signer::new(Algorithm::Rs256).spki().unwrap();
    let read =
        |text: &str| VerificationKey::from_pem(text.as_bytes(), Algorithm::Rs256).map(|_| ());
    let good = pem("PUBLIC KEY", &der);
    assert_eq!(read(&good), Ok(()));
    for bad in [
        String::new(),
        "-----BEGIN PUBLIC KEY-----".into(),
        pem("CERTIFICATE", &der),
        pem("RSA PUBLIC KEY", &der),
        pem("PRIVATE KEY", &der),
        pem("RSA PRIVATE KEY", &der),
        format!("{good}{good}"),
        format!("x{good}"),
        format!("{good}x"),
        good.replace("END PUBLIC", "END PRIVATE"),
        good.replacen('M', "-", 1),
        good.replacen('M', "M=", 1),
    ] {
        assert_eq!(read(&bad), Err(KeyError::Pem), "{bad}");
    }
    assert_eq!(
        read(&pem("PUBLIC KEY", &[0; 40_000])),
        Err(KeyError::TooLong)
    );
}

#[test]
fn refuses_der_that_is_written_in_another_way() {
    for signer in signers() {
        let der = signer.spki().unwrap();
        let read = |der: &[u8]| VerificationKey::from_der(der, signer.algorithm).map(|_| ());
        assert_eq!(read(&der), Ok(()));
        assert_eq!(read(&[&der[..], &[0]].concat()), Err(KeyError::Der));
        for length in 0..der.len().min(80) {
            assert_eq!(read(&der[..length]), Err(KeyError::Der), "{length}");
        }
        assert_eq!(read(&der[..der.len() - 1]), Err(KeyError::Der));
        // Every byte in front of the key counts.
        for place in 0..12 {
            let mut other = der.clone();
            other[place] ^= 1;
            assert_eq!(read(&other), Err(KeyError::Der), "{place}");
        }
    }
    // A raw key is not DER, though the library would take it.
    let point = [&[4][..], &[1; 64]].concat();
    let raw = VerificationKey::from_der(&point, Algorithm::Es256);
    assert_eq!(raw.unwrap_err(), KeyError::Der);
    let raw = VerificationKey::from_der(&[0x30; 32], Algorithm::EdDsa);
    assert_eq!(raw.unwrap_err(), KeyError::Der);
}

#[test]
fn weak_keys_are_refused_in_der_too() {
    let signer = Signer::new(Algorithm::Rs256);
    let mut der = signer.spki().unwrap();
    let last = der.len() - 1;
    der[last] = 2; // The exponent 65538.
    let even = VerificationKey::from_der(&der, Algorithm::Rs256);
    assert!(matches!(even.unwrap_err(), KeyError::Weak(_)));

    let mut der = Signer::new(Algorithm::Es256).spki().unwrap();
    let last = der.len() - 1;
    der[last] ^= 1;
    let off = VerificationKey::from_der(&der, Algorithm::Es256);
    assert_eq!(off.unwrap_err(), KeyError::NotOnCurve);

    let mut der = Signer::new(Algorithm::EdDsa).spki().unwrap();
    der[12..].fill(0);
    let small = VerificationKey::from_der(&der, Algorithm::EdDsa);
    assert!(matches!(small.unwrap_err(), KeyError::Weak(_)));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_der_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..91,
        place in 0_usize..91,
        byte in any::<u8>(),
    ) {
        let _ = VerificationKey::from_der(&bytes, Algorithm::Es256);
        let _ = VerificationKey::from_pem(&bytes, Algorithm::Es256);
        let mut der = Signer::new(Algorithm::Es256).spki().unwrap();
        der[place] = byte;
        let _ = VerificationKey::from_der(&der, Algorithm::Es256);
        let _ = VerificationKey::from_der(&[&der[..cut], &bytes].concat(), Algorithm::Es256);
    }
}
