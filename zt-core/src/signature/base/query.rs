//! `@query-param` (RFC 9421 section 2.2.8): a parameter is decoded as a form is, and encoded again, so
//! that there is one way to write it.

use super::error::BaseError;

/// Writes the value of the one parameter of `query` whose encoded name is `name`.
pub(super) fn write_parameter(query: &str, name: &str, out: &mut Vec<u8>) -> Result<(), BaseError> {
    let mut found = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if is_named(key, name) && found.replace((key, value)).is_some() {
            return Err(BaseError::QueryParamRepeated);
        }
    }
    let (key, value) = found.ok_or(BaseError::QueryParamAbsent)?;
    // The standard decodes what is no UTF-8 to one replacement character, so `%FF` and `%FE` would be
    // the same: neither is covered.
    if replaced(key).is_some() || replaced(value).is_some() {
        return Err(BaseError::QueryParamEncoding);
    }
    out.extend(encoded(value));
    Ok(())
}

/// Whether `name` is what `key` says, or what somebody who replaces what is no UTF-8 makes of it.
fn is_named(key: &str, name: &str) -> bool {
    encoded(key).eq(name.bytes()) || replaced(key).is_some_and(|key| encode(&key) == name)
}

/// What is made of `text` where it decodes to no UTF-8.
fn replaced(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let decoded = String::from_utf8(decoded(text).collect());
    let bytes = decoded.err()?.into_bytes();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `text` in the application/x-www-form-urlencoded percent-encode set, a space as `%20`.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .flat_map(encoded_byte)
        .map(char::from)
        .collect()
}

fn encoded(text: &str) -> impl Iterator<Item = u8> {
    decoded(text).flat_map(encoded_byte)
}

fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..).unwrap_or_default()),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

fn encoded_byte(byte: u8) -> impl Iterator<Item = u8> {
    let hex = |digit: u8| match digit {
        0..=9 => b'0' + digit,
        _ => b'A' + digit - 10,
    };
    let (bytes, len) = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => ([byte, 0, 0], 1),
        _ => ([b'%', hex(byte >> 4), hex(byte & 15)], 3),
    };
    bytes.into_iter().take(len)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
