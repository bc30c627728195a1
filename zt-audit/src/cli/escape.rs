//! Text from outside, safe to show.

use std::borrow::Cow;

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

/// `json`, a JSON text without line breaks, with every character that can deceive as JSON's own
/// escape. Such a character can only stand inside a string, where both mean the same.
pub(super) fn json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(is_plain) || !json.chars().any(can_deceive) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if can_deceive(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
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

/// Characters that command a terminal, end a line, change the order of the rest (UAX #9 section 2),
/// or cannot be seen.
fn can_deceive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
