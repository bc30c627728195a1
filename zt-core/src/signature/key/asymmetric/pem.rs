//! PEM (RFC 7468): one block with nothing but whitespace around it.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::signature::key::KeyError;

pub(in crate::signature::key) const PUBLIC: &str = "PUBLIC KEY";
pub(in crate::signature::key) const RSA_PUBLIC: &str = "RSA PUBLIC KEY";
pub(in crate::signature::key) const PRIVATE: &str = "PRIVATE KEY";
pub(in crate::signature::key) const EC_PRIVATE: &str = "EC PRIVATE KEY";
pub(in crate::signature::key) const RSA_PRIVATE: &str = "RSA PRIVATE KEY";

/// The DER bytes in `pem`, and which of `labels` they stand under. Wiped on drop.
pub(in crate::signature::key) fn decode(
    pem: &[u8],
    labels: &[&'static str],
) -> Result<(&'static str, Zeroizing<Vec<u8>>), KeyError> {
    if pem.len() > MAX_LENGTH {
        return Err(KeyError::TooLong);
    }
    let (label, body) = labels
        .iter()
        .find_map(|label| Some((*label, body(pem, label)?)))
        .ok_or(KeyError::Pem)?;
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let der = STANDARD.decode(&*base64).map_err(|_| KeyError::Pem)?;
    Ok((label, Zeroizing::new(der)))
}

fn body<'p>(pem: &'p [u8], label: &str) -> Option<&'p [u8]> {
    pem.trim_ascii()
        .strip_prefix(b"-----BEGIN ")?
        .strip_prefix(label.as_bytes())?
        .strip_prefix(b"-----")?
        .strip_suffix(b"-----")?
        .strip_suffix(label.as_bytes())?
        .strip_suffix(b"-----END ")
}

/// Lines of 64 characters (RFC 7468 section 2). Wiped on drop.
pub(in crate::signature::key) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    // Room for all, so that no copy is left behind.
    let room = der.len() * 3 / 2 + 2 * label.len() + 64;
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(48) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// An RSA key of 8192 bits has 6500 bytes, its private parts included.
const MAX_LENGTH: usize = 16 * 1024;
