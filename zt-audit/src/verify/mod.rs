//! Checks a log: every byte of it against hashes, and the hashes against signatures.

mod report;

use std::{io, path::Path};

pub use self::report::{BadRecord, Finding, Reason, Report, Signed, Unsigned};
use crate::note::{SignedCheckpoint, VerifierKey};

/// Checks the log in `folder`, as far as it is written now; constant memory.
///
/// # Errors
///
/// When a file cannot be read. What is wrong with the log itself stands in the report.
pub fn verify(_folder: impl AsRef<Path>, _trust: &Trust) -> io::Result<Report> {
    todo!()
}

/// Whom to believe.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    _keys: Vec<VerifierKey>,
    _copies: Vec<SignedCheckpoint>,
}

/// The most bytes of a signed note.
pub(crate) const MAX_CHECKPOINT: usize = 16 * 1024;
