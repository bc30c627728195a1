//! What a signature base looked like, without what it says.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Describes a signature base for whoever compares two of them: each line's component with the
/// length of its value and, where the message has a nonce, four bytes of a hash of nonce and line.
/// Values and the nonce are not shown; whoever has the message can compute the same.
///
/// ```
/// let base = b"\"@method\": POST\n\"@signature-params\": (\"@method\");nonce=\"abc\"";
/// let text = zt_core::signature::explain(base, Some("abc"));
/// assert!(text.starts_with("\"@method\": 4 bytes, #"));
/// assert!(!text.contains("POST") && !text.contains("abc"));
/// ```
#[must_use]
pub fn explain(base: &[u8], nonce: Option<&str>) -> String {
    let base = String::from_utf8_lossy(base);
    let mut text = String::new();
    for line in base.lines() {
        let Some((component, value)) = split(line) else {
            let _ = writeln!(
                text,
                "(a line of {} bytes that is no component)",
                line.len()
            );
            continue;
        };
        if component == "\"@signature-params\"" {
            let _ = write!(text, "{component}: {}", redacted(value, nonce));
            continue;
        }
        let _ = write!(text, "{component}: {} bytes", value.len());
        if let Some(nonce) = nonce {
            let hash = Sha256::new()
                .chain_update((nonce.len() as u64).to_be_bytes())
                .chain_update(nonce)
                .chain_update(line)
                .finalize();
            text.push_str(", #");
            for byte in hash.iter().take(4) {
                let _ = write!(text, "{byte:02x}");
            }
        }
        text.push('\n');
    }
    text
}

/// The identifier of a line, and its value. Identifiers hold `": "` in quoted strings only.
fn split(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => {
                let value = line.get(at + 1..)?;
                return Some((line.get(..at)?, value.strip_prefix(' ')?));
            }
            _ => {}
        }
    }
    None
}

/// The parameters without the nonce.
fn redacted(params: &str, nonce: Option<&str>) -> String {
    match nonce {
        Some(nonce) if !nonce.is_empty() => {
            let escaped = nonce.replace('\\', "\\\\").replace('"', "\\\"");
            params.replace(&format!("nonce=\"{escaped}\""), "nonce=\"..\"")
        }
        _ => params.to_owned(),
    }
}
