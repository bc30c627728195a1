//! What may be shown as it is, and what only as an escape: one answer for what the log writes, for
//! what sinks pass on, and for what the program says.

use std::borrow::Cow;

/// Characters that command a terminal, end a line, change the order of the rest (UAX #9 section 2),
/// or cannot be seen.
pub(crate) fn can_deceive(character: char) -> bool {
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

/// `json`, a JSON text without line breaks, with every character that can deceive as JSON's own
/// escape. Such a character can only stand inside a string, where both mean the same. What the log
/// wrote has none.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !json.chars().any(can_deceive) {
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
