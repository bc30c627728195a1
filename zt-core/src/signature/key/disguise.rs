//! What must not be taken for a secret.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::der;

/// Whether `secret` is somebody's public key, certificate or JWK: whoever configures one as a
/// secret lets everybody sign who has read it.
pub(super) fn is_public(secret: &[u8]) -> bool {
    let text = secret.strip_prefix(b"\xef\xbb\xbf").unwrap_or(secret);
    let text = text.trim_ascii();
    is_pem(text)
        || is_openssh(text)
        || is_jwk(text)
        || is_der(secret)
        || STANDARD.decode(text).is_ok_and(|bytes| is_der(&bytes))
}

fn is_pem(text: &[u8]) -> bool {
    let begin = b"-----BEGIN ";
    text.windows(begin.len())
        .any(|window| window.eq_ignore_ascii_case(begin))
}

fn is_openssh(text: &[u8]) -> bool {
    [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-ssh-"]
        .iter()
        .any(|start| text.starts_with(start))
}

fn is_jwk(text: &[u8]) -> bool {
    text.first() == Some(&b'{')
        && serde_json::from_slice(text).is_ok_and(|json: serde_json::Value| {
            json.get("kty").is_some() || json.get("keys").is_some()
        })
}

/// Whether `bytes` are one DER sequence that begins with another (SubjectPublicKeyInfo,
/// Certificate) or with a number (RSAPublicKey). Of random secrets, one in eight million is.
fn is_der(bytes: &[u8]) -> bool {
    matches!(
        der::element(bytes, der::SEQUENCE),
        Some(([der::SEQUENCE | der::INTEGER, ..], []))
    )
}
