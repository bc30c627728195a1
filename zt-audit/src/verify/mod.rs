//! Checks a log: every byte of its records against hashes, and the hashes against signatures.
//!
//! A log is [`Sound`](Finding::Sound) when all of these hold. Each that does not has its own
//! [`Reason`], or is one of the other findings.
//!
//! 1. There is a record. The first is record 0, or the one that the file `pruned` says; then a record
//!    of kind `prune` says the same, with the same root, and the hashes in the file have that root.
//! 2. Each segment's name is the index of its first record. It ends with the commit line of the size
//!    at which the next one begins, and only NULs follow; where something else follows, the next
//!    segment's first record is of kind `recovered`, and what follows is no part of the log.
//! 3. Each line is a record or a commit line in exactly the bytes that a writer writes (see `format`), at
//!    most 65,535 of them, and ends with a newline.
//! 4. Each record is one JSON object whose keys differ; its `idx` is the next, its `origin` that of the
//!    first record, its `prev` the leaf hash of the record before.
//! 5. Each commit line ends at least one record, has their number, and the root of the tree (RFC
//!    6962) over the stored bytes of all records up to it.
//! 6. Each record of kind `key` names a key for this origin, and all but the first carry a signature
//!    over that by the key before it.
//! 7. `checkpoint` is a checkpoint of this origin in exactly the bytes that a log writes; it covers no more
//!    records than there are and has the root that they have. It is signed, with the time, by the key that
//!    the last `key` record before its size names, and that key is trusted or was endorsed, step by
//!    step, by one that is.
//! 8. Each checkpoint that was kept elsewhere ([`Trust::at_least`]) is of this origin, signed like the
//!    log's own (also with signatures of others beside), covers no more than there is, and has the
//!    root that the records have.
//! 9. The checkpoint was not signed before [`Trust::no_older_than`].
//! 10. The checkpoint covers every record, and nothing but NULs follows the last commit line.
//!
//! # What is found
//!
//! | finding | exit | when |
//! |---|---|---|
//! | [`Sound`](Finding::Sound) | 0 | all of it |
//! | [`Unsigned`](Finding::Unsigned) | 2 | 1 to 6 and 8 hold, but no key was given, there is no checkpoint, it is older than was asked for (9), or it covers less (10) |
//! | [`Torn`](Finding::Torn) | 2 | bytes at the end that no commit line covers, and that look as a crash leaves them |
//! | [`Tampered`](Finding::Tampered) | 1 | anything else, with the first bad record and its place |
//!
//! Where several hold, the last in this table is told.
//!
//! A record that was exchanged for another is found by the `prev` of the one after it, or by the
//! commit line; the report names the record that was exchanged where it can tell, and otherwise
//! the last of those that the commit line covers. Where only a signature tells, the record named is the
//! first that no copy kept elsewhere has proved.
//!
//! A log that is written while it is checked is checked as far as it is written: the checkpoint is
//! read first, then the segments; a batch that is half there is looked at again until it is whole.
//!
//! Memory is constant, whatever the log's size. Segments are read by several threads where the hashes
//! in `tree/` are there; these only say where a thread may begin, and are believed in nothing.
//!
//! # What no log can tell by itself
//!
//! - Without a key given, whoever can write the folder can write all of it anew.
//! - The whole folder in an older state, with its checkpoint, is what it was: only a checkpoint kept
//!   elsewhere tells, or the time of the last one.
//! - Two histories that are shown to two readers are each sound; the readers' checkpoints, brought
//!   together, are not.
//! - What was not signed yet, at most the last second, can be written anew or cut by whoever can write
//!   the file; it never reads as sound.
//! - A last batch, not signed yet, whose last line was changed looks like one that a crash tore.
//! - Who has the signing key can write everything anew that no copy elsewhere covers. A key that was
//!   endorsed and then replaced can do so from before its replacement; whoever trusts the newest key
//!   only sees that.
//! - Records that were never written, or say what did not happen.
//! - Where batches ended: a commit line may be taken out, or put in with the true root, and no record
//!   is another for it.
//! - What stands after the end of a segment that was given up, in files that are not the log's, and in
//!   `tree/` and `torn/`: it is no part of the log.
//! - After a pruning: the changes of keys before it. Give the key that signs now.
//!
//! Sealed fields are covered as they are stored; nothing here opens them.
//!
//! ```no_run
//! use zt_audit::{note::VerifierKey, verify::{Finding, Trust, verify}};
//!
//! let key = VerifierKey::parse(&std::fs::read_to_string("audit.keys/vkey")?)?;
//! let report = verify("audit", &Trust::key(key))?;
//! println!("{report}");
//! assert_eq!(report.finding, Finding::Sound);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod json;
mod judge;
mod keys;
mod report;
mod segment;
#[cfg(test)]
mod tests;
mod trust;
mod walk;

use std::{io, num::NonZeroUsize, path::Path, thread};

use self::judge::CheckpointFile;
pub(crate) use self::keys::{KeyChange, endorsed_text};
pub use self::{
    report::{BadRecord, Finding, Reason, Report, Signed, Unsigned},
    trust::Trust,
};
use crate::{
    format::name,
    note::SignedCheckpoint,
    read::{Segments, State, small},
    storage::{Folder, Storage},
};

/// Checks the log in `folder`, as far as it is written now; constant memory.
///
/// # Errors
///
/// When a file cannot be read. What is wrong with the log itself stands in the report.
pub fn verify(folder: impl AsRef<Path>, trust: &Trust) -> io::Result<Report> {
    verify_with(folder, trust, &mut |_| ())
}

/// The same, and tells how far it is.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_with(
    folder: impl AsRef<Path>,
    trust: &Trust,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Report> {
    Verification::new(trust).progress(progress).run(folder)
}

/// How far a log is good: what [`repair`](crate::repair) keeps.
pub(crate) fn good_part(storage: &dyn Storage) -> io::Result<GoodPart> {
    let segments = Segments::list(storage)?;
    let walked = walk::walk(storage, segments, &[], 1, &mut |_| ())?;
    let size = walked.state.tree.size();
    Ok(GoodPart {
        begin: walked.segments.begin(),
        key: walked.keys.named(size).map(str::to_owned),
        segments: walked.segments,
        state: walked.state,
        last: walked.last,
    })
}

/// See [`good_part`].
#[derive(Debug)]
pub(crate) struct GoodPart {
    /// The first record.
    pub(crate) begin: u64,
    pub(crate) segments: Segments,
    /// After the last good commit line.
    pub(crate) state: State,
    /// The segment that it stands in, and where it ends.
    pub(crate) last: (u64, u64),
    /// The verifier key that the last good `key` record names.
    pub(crate) key: Option<String>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many bytes were read.
    pub bytes: u64,
    /// How many there are, about: segments grow, and end with NULs.
    pub total: u64,
}

/// A verification with settings of its own.
pub struct Verification<'a> {
    trust: &'a Trust,
    threads: usize,
    progress: Option<&'a mut dyn FnMut(Progress)>,
}

impl<'a> Verification<'a> {
    /// By `trust`.
    #[must_use]
    pub fn new(trust: &'a Trust) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            trust,
            threads: threads.min(MAX_THREADS),
            progress: None,
        }
    }

    /// By so many threads at most; as many as there are processors, and 8, unless told.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads.get();
        self
    }

    /// Tells how far it is, each few megabytes.
    #[must_use]
    pub fn progress(mut self, progress: &'a mut dyn FnMut(Progress)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Checks the log in `folder`.
    ///
    /// # Errors
    ///
    /// As [`verify`].
    pub fn run(self, folder: impl AsRef<Path>) -> io::Result<Report> {
        self.check(&Folder::read_only(folder)?)
    }

    pub(crate) fn check(mut self, storage: &dyn Storage) -> io::Result<Report> {
        // Before the segments: a log grows, and what was signed is there already.
        let checkpoint = match small(storage, name::CHECKPOINT, MAX_CHECKPOINT + 1)? {
            None => CheckpointFile::None,
            Some(bytes) => match SignedCheckpoint::parse(&bytes) {
                Ok(signed) if signed.encode().as_bytes() == bytes => CheckpointFile::Read(signed),
                _ => CheckpointFile::Bad,
            },
        };
        let own = match &checkpoint {
            CheckpointFile::Read(signed) => Some(signed.checkpoint().size),
            CheckpointFile::None | CheckpointFile::Bad => None,
        };
        let copies = self.trust.copies.iter();
        let sizes: Vec<u64> = copies
            .map(|copy| copy.checkpoint().size)
            .chain(own)
            .collect();
        let segments = Segments::list(storage)?;
        let mut tell = |_| ();
        let mut done = Progress { bytes: 0, total: 0 };
        let walked = match &mut self.progress {
            None => walk::walk(storage, segments, &sizes, self.threads, &mut tell)?,
            Some(progress) => {
                for first in &segments.firsts {
                    done.total += storage.open(&name::segment(*first), false)?.length()?;
                }
                let mut tell = |bytes| {
                    done.bytes += bytes;
                    progress(done);
                };
                let walked = walk::walk(storage, segments, &sizes, self.threads, &mut tell)?;
                done.bytes = walked.bytes;
                progress(done);
                walked
            }
        };
        Ok(judge::judge(storage, &walked, &checkpoint, self.trust))
    }
}

impl std::fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification")
            .field("trust", self.trust)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// The most bytes of a signed note.
pub(crate) const MAX_CHECKPOINT: usize = 16 * 1024;
const MAX_THREADS: usize = 8;
