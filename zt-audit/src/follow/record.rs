use std::{borrow::Cow, fmt, sync::Arc};

use serde_json::{Map, Value};
use zt_core::clock::Timestamp;

use crate::{merkle::Hash, read::Entry, shown};

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
    /// move a cursor, break a line, turn its direction or cannot be seen are escaped. In what the log
    /// wrote there are none; in what somebody put into its files there may be.
    #[must_use]
    pub fn line(&self) -> Cow<'_, [u8]> {
        match &self.opened {
            Some(opened) => {
                // The same bytes in every build: another crate may have serde_json keep the order
                // in which keys came.
                let mut opened = Value::Object(opened.clone());
                opened.sort_all_objects();
                Cow::Owned(escaped(&opened).into_bytes())
            }
            None => {
                let text = String::from_utf8_lossy(self.stored());
                match (shown::json(&text), &text) {
                    (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(self.stored()),
                    (shown, _) => Cow::Owned(shown.into_owned().into_bytes()),
                }
            }
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
    shown::json(&value.to_string()).into_owned()
}
