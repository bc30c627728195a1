//! Text from outside, safe to show.

use std::borrow::Cow;

use crate::shown::can_deceive;
pub(super) use crate::shown::json;

/// `text` with every character that can deceive a reader or command a terminal as an escape. A
/// backslash stands twice, so that an escape cannot be faked.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| is_plain(byte) && byte != b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push(&mut out, character);
    }
    Cow::Owned(out)
}

/// `value` as one word: in quotes where it is empty or has a space, a quote, or what looks like
/// another field.
pub(super) fn word(value: &str) -> Cow<'_, str> {
    let bare = |byte: u8| is_plain(byte) && !matches!(byte, b' ' | b'"' | b'\\' | b'=' | b'\'');
    if !value.is_empty() && value.bytes().all(bare) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            other => push(&mut out, other),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn push(out: &mut String, character: char) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        hidden if can_deceive(hidden) => out.extend(hidden.escape_unicode()),
        shown => out.push(shown),
    }
}
