//! What scopes, reasons and ids are made of.

use std::sync::Arc;

use super::GrantError;
use crate::random::{self, Entropy};

/// The longest scope, in bytes.
const MAX_SCOPE: usize = 100;
/// The longest reason, in bytes.
const MAX_REASON: usize = 500;
/// The longest name of somebody, in bytes.
pub(super) const MAX_NAME: usize = 512;

/// Lower-case letters and digits in words that `.`, `:`, `-` or `_` join, beginning with a letter:
/// `refunds.write`. Nothing in it can be taken for two scopes, or for another one.
pub(super) fn is_scope(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut joined = true;
    for byte in text.bytes() {
        match byte {
            _ if word(byte) => joined = false,
            b'.' | b':' | b'-' | b'_' if !joined => joined = true,
            _ => return false,
        }
    }
    text.len() <= MAX_SCOPE && !joined && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Why somebody does something: people read it before they say yes.
pub(super) fn reason(field: &'static str, text: &str) -> Result<(), GrantError> {
    if text.trim_matches(is_blank).is_empty() || text.len() > MAX_REASON {
        return invalid(field, "it is empty or longer than 500 bytes");
    }
    if text.chars().any(|one| one.is_control() || misleads(one)) {
        return invalid(field, "it has characters that cannot be seen");
    }
    Ok(())
}

/// What shows as nothing: white space, and letters that have no form.
fn is_blank(one: char) -> bool {
    one.is_whitespace()
        || matches!(
            one,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
                | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}'
        )
}

/// Line separators, bidirectional controls and characters without width: with them a reason reads
/// otherwise than it is written.
const fn misleads(one: char) -> bool {
    matches!(
        one,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

pub(super) fn invalid<T>(field: &'static str, reason: &'static str) -> Result<T, GrantError> {
    Err(GrantError::Invalid { field, reason })
}

/// 128 random bits in hexadecimal digits.
pub(super) fn new_id(entropy: &dyn Entropy) -> Result<Arc<str>, GrantError> {
    let bytes = random::bytes::<16>(entropy)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)).into())
}

pub(super) fn is_id(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(digit)
}
