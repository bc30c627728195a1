//! Opening a log that was left: cleanly, in a crash, or with damage.

use std::io;

use crate::{
    merkle::{Frontier, Hash},
    storage::Storage,
};

/// Where a log stands, so that a writer can go on.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) origin: String,
    /// The tree over all committed records.
    pub(crate) tree: Frontier,
    /// The leaf hash of the last record.
    pub(crate) last: Hash,
    /// The segment to go on in: its first index.
    pub(crate) segment: u64,
    /// Where its next line goes.
    pub(crate) end: u64,
    /// The verifier key that is in force, as the last `key` record says.
    pub(crate) vkey: Option<String>,
    /// How many times it was started.
    pub(crate) starts: u64,
}

/// What was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    /// Under which name it is now.
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: Hash,
    /// How many whole records were in it; none was acknowledged.
    pub(crate) records: u64,
}

/// A log as it was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none yet.
    Nothing,
    /// It can be continued, once the writer has recorded what was set aside.
    Standing(Standing, Option<Torn>),
    /// Damage under a commit line or a checkpoint: nothing may be appended.
    Damaged(crate::verify::BadRecord),
}

/// Looks at the log in `storage`, sets a torn tail aside, and says where it stands. The caller holds
/// the lock.
pub(crate) fn recover(_storage: &dyn Storage) -> io::Result<Found> {
    todo!()
}
