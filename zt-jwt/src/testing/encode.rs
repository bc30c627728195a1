//! The few encodings that keys and tokens are written in.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value};

/// Base64url without padding (RFC 7515 section 2).
pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What [`base64url`] was made of.
pub(super) fn from_base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(text)
        .expect("a segment that was made here")
}

/// Base64 with padding, for `x5c` (RFC 7515 section 4.1.6) and credentials.
pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// What [`base64`] was made of, if it was.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Textual encoding with 64 characters a line (RFC 7468 section 2).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// A signature of two halves as DER, as X.509 has it and JOSE has not (RFC 7518 section 3.4).
pub(super) fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [der_head(0x30, body.len()), body].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut digits = bytes.get(zeros..).unwrap_or_default().to_vec();
    if digits.first().is_none_or(|byte| *byte >= 0x80) {
        digits.insert(0, 0);
    }
    [der_head(0x02, digits.len()), digits].concat()
}

fn der_head(tag: u8, len: usize) -> Vec<u8> {
    let len = u8::try_from(len).expect("a signature is short");
    if len < 0x80 {
        vec![tag, len]
    } else {
        vec![tag, 0x81, len]
    }
}

/// An object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
