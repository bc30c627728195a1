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
//! of the tree over all of them. A batch is at least one record and one commit line, written together
//! and made durable together, and no batch is written before the one before it is durable; what has
//! no commit line after it was never acknowledged. Segments begin at
//! multiples of 256, unless one had to be given up: then the next begins at the first index that
//! was not durable, and its first record, of kind `recovered`, says so. What stands in the segment
//! that was given up after the commit line of that size is no part of the log.
//!
//! A segment that has no commit line can only be the last, and its name is the size of the log up to
//! it. Files in `log/` that are not named like a segment are no part of the log.
//!
//! # Reading a line
//!
//! [`Line::read`] takes exactly what a writer writes: a record
//!
//! 1. is at most 65,535 bytes long, begins with `v` (2), `idx`, `ts`, `kind`, `origin` and `prev`, in
//!    that order, without spaces, and ends with `}`;
//! 2. has whole numbers without a sign or leading zeros that fit 64 bits;
//! 3. has a kind of 1 to 32 lower-case letters and hyphens;
//! 4. has an origin of 1 to 255 printable ASCII characters without a space, a quotation mark, a
//!    backslash or a `+`, so that it stands unescaped and can be a key's name (C2SP signed-note);
//! 5. has 64 lower-case hexadecimal digits in `prev`.
//!
//! What follows `prev` is not looked at here: that a record is one JSON object without duplicate keys
//! is checked by [`verify`](crate::verify); that it is as it was written, by its hash. A commit line
//! is exactly its two fields. Reading allocates nothing and ends after one pass, whatever it is given.

mod pruned;
#[cfg(test)]
mod tests;

pub(crate) use self::pruned::Pruned;
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
    pub(crate) fn read(line: &'a [u8]) -> Result<Self, Malformed> {
        if let Some(rest) = line.strip_prefix(b"{\"commit\":") {
            return commit(rest).ok_or(Malformed::Form);
        }
        let (version, rest) = line
            .strip_prefix(b"{\"v\":")
            .and_then(number)
            .ok_or(Malformed::Form)?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        if line.len() > MAX_RECORD || line.last() != Some(&b'}') {
            return Err(Malformed::Form);
        }
        head(rest).map(Line::Record).ok_or(Malformed::Form)
    }
}

/// Writes a commit line and its newline.
pub(crate) fn write_commit(out: &mut Vec<u8>, size: u64, root: &Hash) {
    out.extend_from_slice(b"{\"commit\":");
    out.extend_from_slice(size.to_string().as_bytes());
    out.extend_from_slice(b",\"root\":\"");
    out.extend_from_slice(&root.hex());
    out.extend_from_slice(b"\"}\n");
}

/// Whether `name` can be the origin of a log: it is read in records as it stands, and names its keys.
pub(crate) fn is_origin(name: &str) -> bool {
    crate::note::is_name(name) && name.len() <= MAX_ORIGIN && name.bytes().all(is_origin_byte)
}

const fn is_origin_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'+')
}

/// What follows `{"commit":`.
fn commit(rest: &[u8]) -> Option<Line<'_>> {
    let (size, rest) = number(rest)?;
    let digits = rest.strip_prefix(b",\"root\":\"")?.strip_suffix(b"\"}")?;
    let root = Hash::from_hex(digits)?;
    Some(Line::Commit { size, root })
}

/// What follows `{"v":2`.
fn head(rest: &[u8]) -> Option<Head<'_>> {
    let (index, rest) = number(rest.strip_prefix(b",\"idx\":")?)?;
    let (micros, rest) = number(rest.strip_prefix(b",\"ts\":")?)?;
    let (kind, rest) = word(rest.strip_prefix(b",\"kind\":\"")?, MAX_KIND, |byte| {
        byte.is_ascii_lowercase() || byte == b'-'
    })?;
    let (origin, rest) = word(
        rest.strip_prefix(b",\"origin\":\"")?,
        MAX_ORIGIN,
        is_origin_byte,
    )?;
    let (prev, rest) = rest.strip_prefix(b",\"prev\":\"")?.split_at_checked(64)?;
    let prev = Hash::from_hex(prev)?;
    let rest = rest.strip_prefix(b"\"")?;
    matches!(rest.first(), Some(b',' | b'}')).then_some(Head {
        index,
        micros,
        kind,
        origin,
        prev,
    })
}

/// A whole number as a writer prints it, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut length = 0;
    for byte in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(byte.wrapping_sub(b'0')))?;
        length += 1;
    }
    let (digits, rest) = text.split_at_checked(length)?;
    let plain = digits.len() == 1 || digits.first().is_some_and(|digit| *digit != b'0');
    plain.then_some((value, rest))
}

/// What stands before the next quotation mark, and what follows the mark.
fn word(text: &[u8], most: usize, allowed: fn(u8) -> bool) -> Option<(&str, &[u8])> {
    let length = text
        .iter()
        .take(most + 1)
        .position(|byte| *byte == b'"')
        .filter(|length| *length > 0)?;
    let (word, rest) = text.split_at_checked(length)?;
    if !word.iter().all(|byte| allowed(*byte)) {
        return None;
    }
    Some((str::from_utf8(word).ok()?, rest.strip_prefix(b"\"")?))
}

const MAX_KIND: usize = 32;
const MAX_ORIGIN: usize = 255;
