//! What was seen before.
//!
//! **Protects against** the same signed message being accepted twice: whoever can read one can
//! send it again, signature and all (RFC 9421, section 7.2.2).
//!
//! **A message passes** when
//!
//! 1. its signature holds (the memory is asked after that, so a forger cannot fill it),
//! 2. the memory can tell: it has room, it was already there when the message was made, and it
//!    remembers for as long as the message could be accepted;
//! 3. it was not seen before.
//!
//! **A refusal** is [`Verdict::Replayed`] (the message was seen) or [`Verdict::Unavailable`]
//! (nobody can tell, with the reason for the audit log). Both refuse; the second is nobody's
//! attack by itself, but an alert.
//!
//! **Where it belongs**: behind the check of the signature and in front of the first byte of the
//! body. [`MemoryReplays`] is for one process; several replicas behind one address need
//! [`SharedReplays`], or each of them accepts the message once.
//!
//! **What a proxy can break**: one that repeats a request after a lost answer repeats its nonce;
//! the second copy is refused. Retries belong where the request is signed.
//!
//! **Standards**: RFC 9421, section 2.3 (`nonce`, `created`), section 3.2 (verifying), section
//! 7.2.2 (replay).
//!
//! **What it does not do**: it does not decide how long a message may be accepted, and does not
//! make a handler idempotent: a message whose signature is made again is another message.

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod generations;
mod memory;
mod rooms;
mod seed;
mod shared;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

pub use self::{
    memory::{MemoryReplays, ReplayLimits, ReplayStats},
    shared::{NamespaceError, SharedReplays},
};
use crate::{clock::Timestamp, store::BoxFuture};

/// What is remembered of a signed message: 16 bytes, whatever the message said.
///
/// They are the first half of a SHA-256 hash over the kind, the length of the key id, the key id and
/// the nonce or base, so that no two of these triples are hashed alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayKey([u8; 16]);

impl ReplayKey {
    /// Of a nonce under a key id.
    #[must_use]
    pub fn of_nonce(keyid: &str, nonce: &str) -> Self {
        Self::of(*b"ztn1", keyid, nonce.as_bytes())
    }

    /// Of the signature base, where there is no nonce. Not of the signature: ECDSA's can be
    /// changed without the key.
    #[must_use]
    pub fn of_base(keyid: &str, base: &[u8]) -> Self {
        Self::of(*b"ztb1", keyid, base)
    }

    fn as_number(self) -> u128 {
        u128::from_ne_bytes(self.0)
    }

    /// The 16 bytes; they are no secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What is in front is short, so that a usual nonce leaves all of it in one block of the hash.
    fn of(kind: [u8; 4], keyid: &str, what: &[u8]) -> Self {
        // A key id of four gigabytes is none that anybody looks up.
        let len = u32::try_from(keyid.len()).unwrap_or(u32::MAX);
        let mut hash = Sha256::new();
        hash.update(kind);
        hash.update(len.to_be_bytes());
        hash.update(keyid);
        hash.update(what);
        let hash: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(key)
    }
}

/// As 32 digits.
impl fmt::LowerHex for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplayKey({self:x})")
    }
}

/// A message whose signature holds.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// What is remembered.
    pub key: ReplayKey,
    /// Whose room it takes: the id of the key that verified, never one that was only claimed.
    pub keyid: &'a str,
    /// When it says that it was made, in whole seconds.
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

impl Recording {
    /// The verdict, waited for where it has to be.
    pub async fn verdict(self) -> Verdict {
        match self {
            Self::Now(verdict) => verdict,
            Self::Later(verdict) => verdict.await,
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => f.debug_tuple("Now").field(verdict).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

/// Remembers what was seen, as long as it could be accepted again.
///
/// A memory of your own passes the conformance suite in the module `conformance` (feature
/// `test-util`).
pub trait ReplayMemory: fmt::Debug + Send + Sync + 'static {
    /// Says whether the message was seen before and remembers it: one atomic step, so that of
    /// several copies at once exactly one is [`Verdict::Fresh`]. Asked only where the signature
    /// holds.
    ///
    /// A message that was remembered answers [`Verdict::Replayed`] or [`Verdict::Unavailable`]
    /// until [`Sighting::until`] has passed, and never [`Verdict::Fresh`] again while its `until`
    /// is not later than before, whatever `now` says: clocks step back.
    fn record(&self, sighting: &Sighting<'_>) -> Recording;

    /// The longest time from [`Sighting::now`] to [`Sighting::until`] that it can remember; `None`
    /// where any will do. It refuses what is longer, so whoever asks compares first, when it is
    /// built.
    fn window(&self) -> Option<Duration> {
        None
    }

    /// How far ahead a message may have been dated that an earlier process has accepted, where
    /// this memory counts on that; `None` where it does not. A message that is dated further ahead
    /// would pass once more after a restart, so whoever asks compares first, when it is built.
    fn future_skew(&self) -> Option<Duration> {
        None
    }
}
