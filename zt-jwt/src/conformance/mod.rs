//! Vectors that others made, and what plain jsonwebtoken says to them beside what is said here.
//!
//! They are looked for in `shared/vectors` beside the repository; where they are not there, the
//! tests say so and pass.

mod cookbook;
mod wycheproof;

use std::path::Path;

use serde_json::Value;

use crate::{
    jose::{Compact, base64url},
    key::{Found, KeyError, KeySet},
    refusal::Refusal,
};

/// The file `name`, or `None` and a line that says so.
fn vectors(name: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/vectors")
        .join(name);
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

/// Why a token was not verified.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Key(KeyError),
    Token(Refusal),
}

/// What a verifier with these keys, shared secrets too, makes of `token`: the payload, whatever it
/// is.
fn ours(keys: &Value, token: &str) -> Result<Vec<u8>, Verdict> {
    let set = match keys.get("keys") {
        Some(_) => keys.clone(),
        None => serde_json::json!({ "keys": [keys] }),
    };
    let set = KeySet::parse_any(set.to_string().as_bytes()).map_err(Verdict::Key)?;
    verify(&set, token).map_err(Verdict::Token)
}

fn verify(keys: &KeySet, token: &str) -> Result<Vec<u8>, Refusal> {
    let token = Compact::split(token.as_bytes(), 8192)?;
    let header = token.header()?;
    match keys.find(header.kid.as_deref(), header.algorithm) {
        Found::Key(key) => token.verify(header.algorithm, key)?.decode(),
        Found::Unknown => Err(Refusal::UnknownKey),
        Found::Ambiguous => Err(Refusal::AmbiguousKey),
    }
}

/// What jsonwebtoken makes of it as it is commonly used: the algorithm of the header, and the key
/// of the header's `kid`, or else the first.
fn jsonwebtokens(keys: &Value, token: &str) -> bool {
    let check = || {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = match keys.get("keys") {
            Some(keys) => keys.as_array()?.clone(),
            None => vec![keys.clone()],
        };
        let named = keys
            .iter()
            .find(|key| header.kid.is_some() && key["kid"].as_str() == header.kid.as_deref());
        let jwk = serde_json::from_value(named.or(keys.first())?.clone()).ok()?;
        let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).ok()?;
        let (signed, signature) = token.rsplit_once('.')?;
        // It decodes the payload after the signature.
        base64url::decode(signed.split_once('.')?.1.as_bytes())?;
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, header.alg).ok()
    };
    check() == Some(true)
}
