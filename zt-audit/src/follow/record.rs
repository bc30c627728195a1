use std::{borrow::Cow, fmt, sync::Arc};

use serde_json::{Map, Value};
use zt_core::clock::Timestamp;

use crate::{merkle::Hash, read::Entry};

/// A record on its way to a sink.
#[derive(Clone, PartialEq)]
pub struct Record {
    pub(super) origin: Arc<str>,
    pub(super) time: Timestamp,
    pub(super) kind: Box<str>,
    pub(super) entry: Entry,
    pub(super) opened: Option<Map<String, Value>>,
}

impl Record {
    /// Of which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its place in that log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.entry.index
    }

    /// When what it tells of happened.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The hash of its leaf: of [`stored`](Self::stored), also where it was opened.
    #[must_use]
    pub const fn leaf(&self) -> &Hash {
        &self.entry.leaf
    }

    /// Its bytes as they are in the log, without the newline; personal fields are sealed.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        &self.entry.bytes
    }

    /// Its fields; personal ones are among them only where the follower was told to open them.
    ///
    /// # Errors
    ///
    /// Where it is not JSON.
    pub fn fields(&self) -> Result<Cow<'_, Map<String, Value>>, serde_json::Error> {
        match &self.opened {
            Some(opened) => Ok(Cow::Borrowed(opened)),
            None => self.entry.fields().map(Cow::Owned),
        }
    }

    /// One line of JSON without its newline: the stored bytes, or the opened fields. Characters that
    /// move a cursor, break a line or turn its direction are escaped.
    #[must_use]
    pub fn line(&self) -> Cow<'_, [u8]> {
        match &self.opened {
            Some(opened) => Cow::Owned(escaped(&Value::Object(opened.clone())).into_bytes()),
            None => Cow::Borrowed(self.stored()),
        }
    }
}

/// Which it is; what is in it may be personal.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("origin", &self.origin)
            .field("index", &self.entry.index)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// `value` as JSON in which no character is left that a terminal or a viewer of logs obeys.
pub(super) fn escaped(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(is_obeyed) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) {
            // Such characters stand within strings only, and all of them in the first plane.
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out
}

/// Controls, line separators, and what turns the direction of text (Unicode UAX #9). JSON has
/// escaped those below U+0020 already.
fn is_obeyed(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}
