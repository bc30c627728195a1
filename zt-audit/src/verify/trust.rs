use zt_core::clock::Timestamp;

use crate::note::{SignedCheckpoint, VerifierKey};

/// Whom to believe, and what is known of the log from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub(super) keys: Vec<VerifierKey>,
    pub(super) copies: Vec<SignedCheckpoint>,
    pub(super) no_older_than: Option<Timestamp>,
}

impl Trust {
    /// Nobody: whether a log agrees with itself. It never reads as signed.
    #[must_use]
    pub const fn unsigned() -> Self {
        Self {
            keys: Vec::new(),
            copies: Vec::new(),
            no_older_than: None,
        }
    }

    /// The log's own key, known from elsewhere; and each key that it endorses in the log, from then on.
    #[must_use]
    pub fn key(key: VerifierKey) -> Self {
        Self::unsigned().and_key(key)
    }

    /// Another key as well.
    #[must_use]
    pub fn and_key(mut self, key: VerifierKey) -> Self {
        self.keys.push(key);
        self
    }

    /// A checkpoint that was kept elsewhere: the log must have all that it covers.
    #[must_use]
    pub fn at_least(mut self, copy: SignedCheckpoint) -> Self {
        self.copies.push(copy);
        self
    }

    /// The last checkpoint must have been signed then, or later. A log that is written signs at
    /// least each minute, also when nothing happens.
    #[must_use]
    pub const fn no_older_than(mut self, at: Timestamp) -> Self {
        self.no_older_than = Some(at);
        self
    }
}
