//! How a log stands on the disk.
//!
//! ```text
//! audit/                        a log
//!   LOCK                        locked by the process that writes
//!   log/00000000000000000000.jsonl   a segment: records from index 0 on, and commit lines
//!   log/00000000000000065536.jsonl   the next; its name is its first index
//!   tree/0  tree/1  tree/2      hashes of complete subtrees of 1, 256, 65,536 .. leaves, 32 bytes each;
//!                               derived: made anew from the segments where they are missing
//!   checkpoint                  the latest signed checkpoint, exchanged whole
//!   pruned                      where older segments were dropped: up to which index, and the
//!                               hashes from which the tree goes on
//!   torn/                       what recovery set aside
//! audit.keys/                   its keys, never inside it
//!   signing.key  vkey           signs checkpoints; what verifies them
//!   sealing.key                 wraps the keys of subjects and makes pseudonyms
//!   subjects                    the key of each subject
//! ```
//!
//! A segment is lines, and then NUL bytes that were written ahead, so that a flush changes no
//! length. A line is a record or a commit line:
//!
//! ```text
//! {"v":2,"idx":7,"ts":1893456000000000,"kind":"decision","origin":"shop/1","prev":"<64 hex>",...}
//! {"commit":8,"root":"<64 hex>"}
//! ```
//!
//! `prev` is the leaf hash (RFC 6962: SHA-256 of 0x00 and the line without its newline) of the record
//! before, zeros in record 0. A commit line says how many records the log has up to it, and the root
//! of the tree over all of them. A batch is records and one commit line, written together and made
//! durable together; what has no commit line after it was never acknowledged. Segments begin at
//! multiples of 256, unless one had to be given up: then the next begins at the first index that
//! was not durable, and its first record, of kind `recovered`, says so.

use crate::merkle::Hash;

/// The most bytes of a record, without its newline: what a 16-bit length can say (C2SP tlog-tiles,
/// entry bundles).
pub(crate) const MAX_RECORD: usize = 65_535;

/// The version of records that is written.
pub(crate) const VERSION: u64 = 2;

/// The names within a log's folder.
pub(crate) mod name {
    pub(crate) const LOCK: &str = "LOCK";
    pub(crate) const LOG: &str = "log";
    pub(crate) const TREE: &str = "tree";
    pub(crate) const CHECKPOINT: &str = "checkpoint";
    pub(crate) const PRUNED: &str = "pruned";
    pub(crate) const TORN: &str = "torn";

    /// `log/<first index>.jsonl`.
    pub(crate) fn segment(first: u64) -> String {
        format!("{LOG}/{first:020}.jsonl")
    }

    /// The first index of the segment with this file name (without `log/`).
    pub(crate) fn first_of(file: &str) -> Option<u64> {
        let digits = file.strip_suffix(".jsonl")?;
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())
            .flatten()
    }
}

/// A line of a segment, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A record; its head was read, the rest was not.
    Record(Head<'a>),
    /// A commit line.
    Commit { size: u64, root: Hash },
}

/// What every record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) index: u64,
    pub(crate) micros: u64,
    pub(crate) kind: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) prev: Hash,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is neither a record nor a commit line.
    Form,
    /// A record of a version that is not known.
    Version(u64),
}

impl<'a> Line<'a> {
    /// Reads a line strictly: exactly the bytes that a writer writes, no other spacing, no leading
    /// zeros, lower-case digits.
    pub(crate) fn read(_line: &'a [u8]) -> Result<Self, Malformed> {
        todo!()
    }
}

/// Writes a commit line and its newline.
pub(crate) fn write_commit(_out: &mut Vec<u8>, _size: u64, _root: &Hash) {
    todo!()
}
