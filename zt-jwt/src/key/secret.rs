//! Secrets that issuer and verifier share, and what must not be taken for one.

use aws_lc_rs::hmac;

use super::{KeyError, der};
use crate::algorithm::Algorithm;

/// Whether `secret` is somebody's public key, certificate or JWK, which everybody may know:
/// whoever configures it lets everybody sign (CVE-2022-29217, CVE-2026-34950, CVE-2026-48526).
pub(super) fn is_public(secret: &[u8]) -> bool {
    let has = |needle: &[u8]| {
        secret
            .windows(needle.len())
            .any(|window| window.eq_ignore_ascii_case(needle))
    };
    let begins = |start: &[u8]| secret.trim_ascii_start().starts_with(start);
    has(b"-----BEGIN ")
        || begins(b"ssh-")
        || begins(b"ecdsa-sha2-")
        || der::looks_like_der(secret)
        || is_jwk(secret)
}

fn is_jwk(secret: &[u8]) -> bool {
    let text = secret.strip_prefix(b"\xef\xbb\xbf").unwrap_or(secret);
    serde_json::from_slice(text).is_ok_and(|value: serde_json::Value| {
        value.get("kty").is_some() || value.get("keys").is_some()
    })
}

/// The hash of a symmetric algorithm.
pub(super) fn hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// The key, where `secret` is long enough (RFC 7518 section 3.2).
pub(super) fn key(algorithm: Algorithm, secret: &[u8]) -> Result<hmac::Key, KeyError> {
    let hash = hash(algorithm).ok_or(KeyError::NotSymmetric(algorithm))?;
    let least = hash.tag_len();
    if secret.len() < least {
        return Err(KeyError::ShortSecret { least });
    }
    Ok(hmac::Key::new(hash, secret))
}
