//! Public keys as SubjectPublicKeyInfo (RFC 5280 section 4.1), in DER or in PEM (RFC 7468).
//!
//! Only the few forms that signature keys have are read, each in its one DER encoding.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    KeyError,
    public::{Curve, Public},
};
use crate::algorithm::Algorithm;

/// An RSA key of 8192 bits has 1062 bytes, an ML-DSA-87 key 2614.
const MAX_LENGTH: usize = 16 * 1024;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: &[u8] = &[0x05, 0x00];

/// Object identifiers with tag and length.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
const ML_DSA_44: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11";
const ML_DSA_65: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12";
const ML_DSA_87: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13";

/// The DER bytes in `-----BEGIN PUBLIC KEY-----` (RFC 7468 section 13), around which nothing but
/// whitespace may stand.
pub(super) fn from_pem(pem: &[u8]) -> Result<Vec<u8>, KeyError> {
    if pem.len() > 2 * MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    let body = pem
        .trim_ascii()
        .strip_prefix(b"-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix(b"-----END PUBLIC KEY-----"))
        .ok_or(KeyError::Pem)?;
    let base64: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD.decode(base64).map_err(|_| KeyError::Pem)
}

/// The key in a SubjectPublicKeyInfo.
pub(super) fn parse(der: &[u8]) -> Result<Public, KeyError> {
    if der.len() > MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    subject_public_key_info(der).ok_or(KeyError::Der)
}

fn subject_public_key_info(der: &[u8]) -> Option<Public> {
    let (info, b"") = element(der, SEQUENCE)? else {
        return None;
    };
    let (algorithm, info) = element(info, SEQUENCE)?;
    let (bits, b"") = element(info, BIT_STRING)? else {
        return None;
    };
    let (0, key) = bits.split_first()? else {
        return None; // Bits that are left over.
    };
    let is = |oid: &[u8], parameters: &[u8]| {
        algorithm
            .strip_prefix(oid)
            .is_some_and(|rest| rest == parameters)
    };
    // RFC 3279 section 2.3.1.
    if is(RSA, NULL) {
        let (numbers, b"") = element(key, SEQUENCE)? else {
            return None;
        };
        let (n, numbers) = element(numbers, INTEGER)?;
        let (e, b"") = element(numbers, INTEGER)? else {
            return None;
        };
        return Some(Public::Rsa {
            n: positive(n)?,
            e: positive(e)?,
        });
    }
    // RFC 5480 section 2; the point is not compressed (SEC 1 section 2.3.3).
    for (oid, curve) in [
        (P256, Curve::P256),
        (P384, Curve::P384),
        (P521, Curve::P521),
    ] {
        if is(EC, oid) {
            let (x, y) = key
                .strip_prefix(b"\x04")?
                .split_at_checked(curve.length())?;
            let (x, y) = (x.to_vec(), y.to_vec());
            return Some(Public::Ec { curve, x, y });
        }
    }
    // RFC 8410 section 3: no parameters.
    if is(ED25519, b"") {
        return Some(Public::Ed25519 { x: key.to_vec() });
    }
    // RFC 9881 section 2: no parameters.
    for (oid, algorithm) in [
        (ML_DSA_44, Algorithm::MlDsa44),
        (ML_DSA_65, Algorithm::MlDsa65),
        (ML_DSA_87, Algorithm::MlDsa87),
    ] {
        if is(oid, b"") {
            let key = key.to_vec();
            return Some(Public::MlDsa { algorithm, key });
        }
    }
    None
}

/// The contents of the element `tag` that `der` begins with, and what stands behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    any_length(rest)
}

/// X.690 section 10.1: the definite form, as short as it can be.
fn any_length(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
        [0x81, length @ 0x80..=0xff, rest @ ..] => (usize::from(*length), rest),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The bytes of a positive integer without the zero that says so.
fn positive(integer: &[u8]) -> Option<Vec<u8>> {
    match integer {
        [0, high @ 0x80..=0xff, rest @ ..] => {
            let mut bytes = vec![*high];
            bytes.extend_from_slice(rest);
            Some(bytes)
        }
        [1..=0x7f, ..] => Some(integer.to_vec()),
        _ => None,
    }
}

/// Whether `bytes` are one DER sequence of several elements, as keys and certificates are.
pub(super) fn looks_like_der(bytes: &[u8]) -> bool {
    let Some((mut elements, b"")) = element(bytes, SEQUENCE) else {
        return false;
    };
    let mut count = 0;
    while let Some((_, rest)) = elements.split_first() {
        let Some((_, rest)) = any_length(rest) else {
            return false;
        };
        elements = rest;
        count += 1;
    }
    count >= 2
}
