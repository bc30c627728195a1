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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsigned {
    /// No key was given to believe.
    NoKey,
    /// There is no checkpoint.
    NoCheckpoint,
    /// The checkpoint covers less; the rest was not signed yet.
    Newer,
    /// The checkpoint is older than was asked for.
    Stale,
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
}
