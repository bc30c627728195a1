//! What the fuzz targets reach of the inside. Not part of the library.

use crate::{
    algorithm::Algorithm,
    jose::{Compact, json},
    key::{Found, KeySet, VerificationKey},
    refusal::Refusal,
};

pub fn header(token: &[u8]) -> Result<(Algorithm, Option<Box<str>>, Option<Box<str>>), Refusal> {
    let header = Compact::split(token, LIMIT)?.header()?;
    Ok((header.algorithm, header.kid, header.typ))
}

/// The payload of a token that one of `keys` signed.
pub fn verify(token: &[u8], keys: &KeySet) -> Result<Vec<u8>, Refusal> {
    let token = Compact::split(token, LIMIT)?;
    let header = token.header()?;
    match keys.find(header.kid.as_deref(), header.algorithm) {
        Found::Key(key) => token.verify(header.algorithm, key)?.decode(),
        Found::Unknown => Err(Refusal::UnknownKey),
        Found::Ambiguous => Err(Refusal::AmbiguousKey),
    }
}

/// The signature alone, under every algorithm of the key and others.
pub fn verify_with(key: &VerificationKey, message: &[u8], signature: &[u8]) -> bool {
    let mut algorithms = Algorithm::ALL.iter();
    algorithms.any(|algorithm| key.verify(*algorithm, message, signature).is_ok())
}

pub fn find<'a>(
    keys: &'a KeySet,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Option<&'a VerificationKey> {
    match keys.find(kid, algorithm) {
        Found::Key(key) => Some(key),
        Found::Unknown | Found::Ambiguous => None,
    }
}

pub fn keeps_all_of(new: &KeySet, old: &KeySet) -> bool {
    new.keeps_all_of(old)
}

pub fn is_strict_object(text: &[u8]) -> bool {
    json::is_strict_object(text)
}

const LIMIT: usize = 8 * 1024;
