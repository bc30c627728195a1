//! Keys in DER. Only the few forms that signature keys have are read, each in its one encoding.

use crate::signature::key::{
    KeyError,
    der::{INTEGER, SEQUENCE, element},
};

/// What a public key is made of; numbers are big-endian, without zeros in front.
pub(in crate::signature::key) enum Numbers {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
        /// For PSS and nothing else.
        pss: bool,
    },
    /// The point, not compressed (SEC 1 section 2.3.3).
    Ec(Curve, Vec<u8>),
    Ed25519([u8; 32]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::signature::key) enum Curve {
    P256,
    P384,
}

impl Curve {
    const fn point_length(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::P384 => 97,
        }
    }
}

/// What an AlgorithmIdentifier says of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    RsaPss,
    Ec(Curve),
    Ed25519,
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1).
pub(in crate::signature::key) fn parse(der: &[u8]) -> Result<Numbers, KeyError> {
    if der.len() > MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    public_key_info(der).ok_or(KeyError::Der)
}

fn public_key_info(der: &[u8]) -> Option<Numbers> {
    let info = whole(der, SEQUENCE)?;
    let (algorithm, info) = element(info, SEQUENCE)?;
    // No bits are left over.
    let key = whole(info, BIT_STRING)?.strip_prefix(&[0])?;
    match kind(algorithm)? {
        Kind::Rsa => rsa_public_key(key, false),
        Kind::RsaPss => rsa_public_key(key, true),
        Kind::Ec(curve) => {
            let whole = key.first() == Some(&4) && key.len() == curve.point_length();
            whole.then(|| Numbers::Ec(curve, key.to_vec()))
        }
        Kind::Ed25519 => key.try_into().ok().map(Numbers::Ed25519),
    }
}

/// An RSAPublicKey (RFC 8017 appendix A.1.1).
pub(in crate::signature::key) fn parse_rsa(der: &[u8]) -> Result<Numbers, KeyError> {
    if der.len() > MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    rsa_public_key(der, false).ok_or(KeyError::Der)
}

fn rsa_public_key(der: &[u8], pss: bool) -> Option<Numbers> {
    let numbers = whole(der, SEQUENCE)?;
    let (n, numbers) = element(numbers, INTEGER)?;
    let e = whole(numbers, INTEGER)?;
    let (n, e) = (positive(n)?.to_vec(), positive(e)?.to_vec());
    Some(Numbers::Rsa { n, e, pss })
}

/// What a PKCS #8 key is for, and the key in it (RFC 5958 section 2).
pub(super) fn pkcs8(der: &[u8]) -> Result<(Kind, &[u8]), KeyError> {
    if der.len() > MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    one_asymmetric_key(der).ok_or(KeyError::Der)
}

fn one_asymmetric_key(der: &[u8]) -> Option<(Kind, &[u8])> {
    let info = whole(der, SEQUENCE)?;
    let ([0 | 1], info) = element(info, INTEGER)? else {
        return None;
    };
    let (algorithm, info) = element(info, SEQUENCE)?;
    // Attributes and the public key may follow.
    let (key, _) = element(info, OCTET_STRING)?;
    Some((kind(algorithm)?, key))
}

fn kind(algorithm: &[u8]) -> Option<Kind> {
    KINDS
        .iter()
        .find(|(oid, parameters, _)| algorithm.strip_prefix(*oid) == Some(*parameters))
        .map(|(_, _, kind)| *kind)
}

/// The contents of the element `tag` that `der` is.
fn whole(der: &[u8], tag: u8) -> Option<&[u8]> {
    match element(der, tag)? {
        (contents, []) => Some(contents),
        _ => None,
    }
}

/// A positive integer, without the zero that says so.
fn positive(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, number @ ..] if number.first() >= Some(&0x80) => Some(number),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}

/// An RSA key of 8192 bits has 4700 bytes, its private parts included.
const MAX_LENGTH: usize = 8 * 1024;

const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;

/// An object identifier with tag and length, the parameters behind it, and the kind of key.
const KINDS: &[(&[u8], &[u8], Kind)] = &[
    (RSA, NULL, Kind::Rsa),
    // RFC 4055 section 3.1: without parameters, or with those of `rsa-pss-sha512`.
    (RSA_PSS, b"", Kind::RsaPss),
    (RSA_PSS, PSS_SHA512, Kind::RsaPss),
    (EC, P256, Kind::Ec(Curve::P256)),
    (EC, P384, Kind::Ec(Curve::P384)),
    // RFC 8410 section 3: no parameters.
    (ED25519, b"", Kind::Ed25519),
];

const NULL: &[u8] = b"\x05\x00";
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_PSS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// SHA-512, MGF1 with SHA-512, a salt of 64 bytes.
const PSS_SHA512: &[u8] = b"\x30\x34\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\
    \xa2\x03\x02\x01\x40";
