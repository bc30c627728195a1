use std::fmt;

use zt_core::clock::Timestamp;

use crate::{merkle::Hash, note::VerifierKey};

/// What checking a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// The first record that is there; those before were pruned.
    pub first: u64,
    /// The index after the last good record.
    pub records: u64,
    /// How many bytes of lines were read.
    pub bytes: u64,
    /// How many segments.
    pub segments: usize,
    /// The root over `records` records.
    pub root: Hash,
    /// The latest good checkpoint.
    pub signed: Option<Signed>,
    /// The verdict.
    pub finding: Finding,
}

impl Report {
    /// What a program that checked ends with: 0 where the log is sound, 1 where it was tampered with, 2
    /// where it is not signed to its end or has a torn one.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.finding {
            Finding::Sound => 0,
            Finding::Tampered(_) => 1,
            Finding::Unsigned { .. } | Finding::Torn { .. } => 2,
        }
    }

    /// Whether every record is as it was written and covered by a good signature.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.finding == Finding::Sound
    }
}

/// One line, in plain ASCII but for the origin's; only a sound log's says so.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.escape_default();
        match &self.finding {
            Finding::Tampered(bad) => return write!(f, "tampered: {bad}"),
            Finding::Torn {
                file,
                offset,
                bytes,
            } => write!(
                f,
                "torn: {bytes} bytes from byte {offset} of `{file}` on belong to no batch; before them"
            )?,
            Finding::Unsigned { from, why } => {
                write!(f, "unsigned from record {from} on: {why};")?;
            }
            Finding::Sound => f.write_str("sound:")?,
        }
        let (first, next) = (self.first, self.records);
        write!(f, " records {first} to {} of `{origin}`", next.max(1) - 1)?;
        write!(f, ", root {}", self.root)?;
        match &self.signed {
            None => f.write_str(", no signature verified"),
            Some(signed) => {
                write!(f, ", signed up to {} by {}", signed.size, signed.key)?;
                let at = signed
                    .at
                    .and_then(|at| i64::try_from(at.as_secs()).ok())
                    .and_then(|at| jiff::Timestamp::from_second(at).ok());
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
            }
        }
    }
}

/// A checkpoint whose signature was verified and whose root is that of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// How many records it covers.
    pub size: u64,
    /// When it was signed, where it says so.
    pub at: Option<Timestamp>,
    /// By which key.
    pub key: VerifierKey,
}

/// The verdict on a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Every record is as it was written and covered by a good signature.
    Sound,
    /// What is there agrees with itself, but nobody trusted signed all of it.
    Unsigned {
        /// The first record that no signature covers.
        from: u64,
        /// Why.
        why: Unsigned,
    },
    /// Bytes at the end that no commit line covers: they were never acknowledged, or the last
    /// commit line after the checkpoint was damaged.
    Torn {
        /// The segment.
        file: String,
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// Something is not as it was written.
    Tampered(BadRecord),
}

/// Why no signature covers the end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsigned {
    /// No key was given to believe.
    #[error("no key was given to verify with")]
    NoKey,
    /// There is no checkpoint.
    #[error("there is no checkpoint")]
    NoCheckpoint,
    /// The checkpoint covers less; the rest was not signed yet.
    #[error("the checkpoint covers the records before it")]
    Newer,
    /// The checkpoint is older than was asked for, or does not say when it was made.
    #[error("the checkpoint is older than was asked for")]
    Stale,
    /// A copy kept elsewhere covers only records that were pruned, and the hashes in `tree/` that it
    /// could be compared by are not there.
    #[error(
        "a checkpoint kept elsewhere covers only records that were pruned, and cannot be compared"
    )]
    CopyPruned,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index} at byte {offset} of `{file}`: {reason}")]
#[non_exhaustive]
pub struct BadRecord {
    /// The record, or the first one of those that it is about.
    pub index: u64,
    /// The file.
    pub file: String,
    /// Where the bad line begins in it.
    pub offset: u64,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is not a line of a log.
    #[error("it is not a record of this log's form")]
    Malformed,
    /// It is longer than a record.
    #[error("it is longer than a record can be")]
    TooLong,
    /// A record of a version that is not known.
    #[error("it is of version {0}, which is not known")]
    Version(u64),
    /// It is not one JSON object whose keys differ.
    #[error("it is not one JSON object whose keys differ")]
    Json,
    /// It says another index than its place has.
    #[error("it says that it is record {found}")]
    Index {
        /// What it says.
        found: u64,
    },
    /// It is of another log.
    #[error("it is of another log")]
    Origin,
    /// The record after it has another hash for it.
    #[error("the record after it was written after another one")]
    Chain,
    /// The commit line after it has another root.
    #[error("the commit line after it has another root")]
    Root,
    /// The commit line after it has another size, or ends no batch.
    #[error("the commit line after it says that the log has {found} records")]
    Commit {
        /// What it says.
        found: u64,
    },
    /// It is not there, though something after it is.
    #[error("it is missing")]
    Missing,
    /// A segment begins within the one before it.
    #[error("the next segment begins within this one, and not after a commit line")]
    Overlap,
    /// The segment before was left before its end, and this record does not say so.
    #[error("the segment before it has more, and it does not say that that one was given up")]
    Trailing,
    /// There is no record at all.
    #[error("there is no record")]
    Empty,
    /// What says where a pruned log begins is not good, or no record says that it was pruned.
    #[error("what says where the log begins is not what a pruning wrote")]
    Pruned,
    /// A `key` record does not name a key, or is not endorsed by the one that was in force.
    #[error("it puts a key in force that the key before it did not endorse")]
    Key,
    /// The file `checkpoint` cannot be read as one.
    #[error("it is not a signed checkpoint")]
    CheckpointForm,
    /// The checkpoint is another log's.
    #[error("it is another log's checkpoint")]
    CheckpointOrigin,
    /// The checkpoint has no signature by the key that was in force.
    #[error("the key in force did not sign the checkpoint")]
    CheckpointUnsigned,
    /// The checkpoint's signature is wrong.
    #[error("the checkpoint's signature is wrong")]
    CheckpointSignature,
    /// The key in force is none that is trusted, nor endorsed by one.
    #[error("nobody trusted endorsed the key that signs the log")]
    KeyUntrusted,
    /// The checkpoint has another root than the records before it.
    #[error("the records are not those that were signed")]
    CheckpointRoot,
    /// The checkpoint covers more records than there are.
    #[error("it is missing: {signed} records were signed")]
    Truncated {
        /// How many it covers.
        signed: u64,
    },
    /// There is no checkpoint, and there must be one.
    #[error("there is no checkpoint of a log that had one")]
    CheckpointMissing,
    /// The copy is another log's checkpoint.
    #[error("the checkpoint kept elsewhere is another log's")]
    CopyOrigin,
    /// The copy was not signed by a key that is trusted.
    #[error("the checkpoint kept elsewhere is not signed by a trusted key")]
    CopyUnsigned,
    /// The copy has another root than the records before it.
    #[error("the records are not those of the checkpoint kept elsewhere")]
    CopyRoot,
    /// The copy covers more records than there are.
    #[error("it is missing: the checkpoint kept elsewhere covers {size} records")]
    CopyTruncated {
        /// How many it covers.
        size: u64,
    },
}
