//! What was seen before.

use crate::{clock::Timestamp, store::BoxFuture};

/// What is remembered of a signed message: 16 bytes, whatever the message said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayKey([u8; 16]);

impl ReplayKey {
    /// Of a nonce under a key id.
    #[must_use]
    pub fn of_nonce(keyid: &str, nonce: &str) -> Self {
        unimplemented!()
    }

    /// Of the signature base, where there is no nonce. Not of the signature: ECDSA's can be
    /// changed without the key.
    #[must_use]
    pub fn of_base(keyid: &str, base: &[u8]) -> Self {
        unimplemented!()
    }
}

/// A message whose signature holds.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// What is remembered.
    pub key: ReplayKey,
    /// Whose room it takes.
    pub keyid: &'a str,
    /// When it says that it was made.
    pub created: Timestamp,
    /// The last moment at which it could be accepted again.
    pub until: Timestamp,
    /// The request's time.
    pub now: Timestamp,
}

/// What the memory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was not seen before, and is remembered now.
    Fresh,
    /// It was seen before.
    Replayed,
    /// Nobody can tell; why, for the audit log.
    Unavailable(&'static str),
}

/// A verdict now, or later.
pub enum Recording {
    /// The verdict.
    Now(Verdict),
    /// The verdict has to be waited for.
    Later(BoxFuture<'static, Verdict>),
}

/// Remembers what was seen, as long as it could be accepted again.
pub trait ReplayMemory: std::fmt::Debug + Send + Sync + 'static {
    /// Says whether the message was seen before and remembers it: one atomic step. Asked only
    /// where the signature holds.
    fn record(&self, sighting: &Sighting<'_>) -> Recording;
}
