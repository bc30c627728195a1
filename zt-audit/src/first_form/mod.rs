//! Checks a log that was written: every record is whole, in its place, and bound to the one
//! before it.
//!
//! A log is good when
//!
//! 1. it has a record (each opening of a log writes one);
//! 2. every line ends with a newline and is at most 65,535 bytes long;
//! 3. every line is one JSON object that begins with `v` (1), `idx`, `ts`, `kind` and `prev`, in
//!    that order and spelling; what follows may be anything;
//! 4. `sum`, at its end, is the beginning of the SHA-256 of all bytes before it;
//! 5. `idx` counts from 0 without a gap;
//! 6. `prev` is the SHA-256 of the line before, over its stored bytes without the newline, and 64
//!    zeros in the first.
//!
//! Nothing is parsed and printed again to be hashed.
//!
//! # What it does not see
//!
//! Whoever can write the file can cut whole records off its end, or write all of it anew with
//! hashes that agree; nothing inside the file can tell. The same goes for an older copy of the
//! file in place of the newer. [`Report::last_hash`] and [`Report::records`], kept elsewhere, can:
//! the log that they came from must still have that hash at that place.
//!
//! A log that is being written may end in half a record; look again.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes_without_reason
)] // goes when the log of the second form stands

mod lines;

use std::{
    fmt,
    io::{self, Read},
};

use sha2::{Digest, Sha256};

use self::lines::{Line, Lines};
use crate::record::to_hex;

type Hash = [u8; 32];

/// Bytes of `,"sum":"0123456789abcdef"}`.
const SUM_LENGTH: usize = 26;

fn write_sum(out: &mut Vec<u8>, digest: Sha256) {
    let sum = digest.finalize();
    out.extend_from_slice(b",\"sum\":\"");
    out.extend_from_slice(&to_hex(sum.get(..8).unwrap_or_default()));
    out.extend_from_slice(b"\"}");
}

/// Reads a log to its end, or to its first bad record, in constant memory.
///
/// ```
/// let report = zt_audit::verify(b"not a log\n".as_slice())?;
/// assert!(!report.is_intact());
/// assert_eq!(report.to_string(), "record 0 at byte 0: it is not a record of this log's form");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When `reader` fails. What is wrong with the log itself stands in the report.
pub fn verify(reader: impl Read) -> io::Result<Report> {
    let mut lines = Lines::new(reader);
    let mut report = Report {
        records: 0,
        bytes: 0,
        last_hash: [0; 32],
        finding: Finding::Empty,
    };
    let mut last_offset = 0;
    loop {
        let finding = match lines.next()? {
            Line::End => return Ok(report),
            Line::Torn(line) => Finding::Torn {
                offset: report.bytes,
                bytes: line.len() as u64,
                sha256: Sha256::digest(line).into(),
            },
            Line::TooLong => bad(report.records, report.bytes, Reason::TooLong),
            Line::Whole(line) => match check(line, report.records, &report.last_hash) {
                Ok(hash) => {
                    last_offset = report.bytes;
                    report.records += 1;
                    report.bytes += line.len() as u64 + 1;
                    report.last_hash = hash;
                    report.finding = Finding::Intact;
                    continue;
                }
                // This record is in itself as it was written, and the one before does not have
                // the hash that it should: that one was exchanged.
                Err(Reason::Chain) if report.records > 0 => {
                    bad(report.records - 1, last_offset, Reason::Chain)
                }
                Err(reason) => bad(report.records, report.bytes, reason),
            },
        };
        report.finding = finding;
        return Ok(report);
    }
}

const fn bad(index: u64, offset: u64, reason: Reason) -> Finding {
    Finding::Bad(BadRecord {
        index,
        offset,
        reason,
    })
}

/// What reading a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many records are good, from the first on.
    pub records: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// SHA-256 of the last good record's line; zeros where there is none.
    pub last_hash: [u8; 32],
    /// What comes after them.
    pub finding: Finding,
}

impl Report {
    /// Whether every byte belongs to a good record, and there is one.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.finding == Finding::Intact
    }
}

/// One line, in plain ASCII; nothing from the log's own text stands in it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.finding {
            Finding::Intact => {
                let hash = to_hex(&self.last_hash);
                let hash = String::from_utf8_lossy(&hash);
                write!(f, "{} records, the last hashes to {hash}", self.records)
            }
            Finding::Empty => f.write_str("record 0 at byte 0: there is none"),
            Finding::Torn { offset, bytes, .. } => write!(
                f,
                "record {} at byte {offset}: its {bytes} bytes have no end",
                self.records
            ),
            Finding::Bad(record) => record.fmt(f),
        }
    }
}

/// What follows the good records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Nothing.
    Intact,
    /// Nothing, and there are no records either.
    Empty,
    /// Bytes without a newline: a record that was never whole, so nobody was told that it was
    /// durable. A cut inside the last record looks the same.
    Torn {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// Their SHA-256.
        sha256: [u8; 32],
    },
    /// A record that is not as it was written.
    Bad(BadRecord),
}

/// The first record that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {index} at byte {offset}: {reason}")]
#[non_exhaustive]
pub struct BadRecord {
    /// Its place, counted from zero.
    pub index: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its line is longer than 65,535 bytes.
    #[error("it is longer than a record can be")]
    TooLong,
    /// It is not a record at all.
    #[error("it is not a record of this log's form")]
    Malformed,
    /// It has a version that this program does not know.
    #[error("it has version {0}, which this program does not know")]
    Version(u64),
    /// Its bytes are not those that were written.
    #[error("its bytes do not have its own sum")]
    Altered,
    /// Another record stands in its place.
    #[error("record {0} stands in its place")]
    Place(u64),
    /// It is not the record that its successor was bound to.
    #[error("it does not have the hash that its successor names")]
    Chain,
}

/// The hash of a line that is the record `index`, after one that hashes to `prev`.
fn check(line: &[u8], index: u64, prev: &Hash) -> Result<Hash, Reason> {
    let head = Head::read(line)?;
    let (body, sum) = line
        .len()
        .checked_sub(SUM_LENGTH)
        .and_then(|at| line.split_at_checked(at))
        .ok_or(Reason::Malformed)?;
    let digest = Sha256::new().chain_update(body);
    let mut expected = Vec::with_capacity(SUM_LENGTH);
    write_sum(&mut expected, digest.clone());
    if sum != expected {
        return Err(Reason::Altered);
    }
    let text = std::str::from_utf8(line).map_err(|_| Reason::Malformed)?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| Reason::Malformed)?;
    if head.index != index {
        return Err(Reason::Place(head.index));
    }
    if head.prev != to_hex(prev) {
        return Err(Reason::Chain);
    }
    Ok(digest.chain_update(sum).finalize().into())
}

/// What every record begins with.
struct Head<'a> {
    index: u64,
    prev: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Reason> {
        let (version, rest) = after(line, b"{\"v\":")
            .and_then(number)
            .ok_or(Reason::Malformed)?;
        if version != 1 {
            return Err(Reason::Version(version));
        }
        Self::read_first_form(rest).ok_or(Reason::Malformed)
    }

    fn read_first_form(rest: &'a [u8]) -> Option<Self> {
        let (index, rest) = number(after(rest, b",\"idx\":")?)?;
        let (_at, rest) = number(after(rest, b",\"ts\":")?)?;
        let rest = after(rest, b",\"kind\":\"")?;
        let kind = rest
            .iter()
            .take_while(|byte| matches!(byte, b'a'..=b'z' | b'-'))
            .count();
        let rest = after(rest.get(kind..)?, b"\",\"prev\":\"")?;
        let (prev, rest) = rest.split_at_checked(64)?;
        (kind > 0 && rest.starts_with(b"\",")).then_some(Self { index, prev })
    }
}

fn after<'a>(bytes: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    bytes.strip_prefix(start)
}

/// A decimal integer without leading zeros, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = bytes.split_at_checked(length)?;
    if digits.starts_with(b"0") && length > 1 {
        return None;
    }
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value, rest))
}
