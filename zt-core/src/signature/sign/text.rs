//! What may stand in the fields.

/// Whether `text` is a string of a structured field (RFC 9651 section 3.3.3), and not empty.
pub(super) fn is_sf_string(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether `text` is a key of a dictionary (RFC 9651 section 3.1.2).
pub(super) fn is_sf_key(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'*';
    let rest = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'_' | b'-' | b'.' | b'*')
    };
    text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}
