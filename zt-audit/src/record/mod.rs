//! What a record looks like, and how each is bound to the one before it.
//!
//! A record is one line of JSON: `v`, `idx`, `ts`, `kind`, `prev`, the fields of its kind in a
//! fixed order (those that are not known are absent), and `sum`.

mod event;
mod json;
mod own;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use zt_core::clock::Timestamp;

use self::json::{Object, hex, print};
pub(crate) use self::{event::time_of, own::RolledUp};

/// SHA-256 of a record's line, without its newline.
pub(crate) type Hash = [u8; 32];

/// The most bytes that a record has, without its newline: what a 16-bit length can say, as in the
/// entry bundles of C2SP tlog-tiles.
pub(crate) const MAX_RECORD: usize = 65_535;

/// Bytes of `,"sum":"0123456789abcdef"}`.
pub(crate) const SUM_LENGTH: usize = 26;

/// Where a log stands: it writes records that continue it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    next: u64,
    prev: Hash,
}

impl Chain {
    /// A log that has no record yet.
    pub(crate) const fn empty() -> Self {
        Self::after(0, [0; 32])
    }

    /// A log of `count` records, the last of which hashes to `last`.
    pub(crate) const fn after(count: u64, last: Hash) -> Self {
        Self {
            next: count,
            prev: last,
        }
    }

    /// Writes one record and its newline.
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        kind: &'static str,
        at: Timestamp,
        fields: impl FnOnce(&mut Object<'_>),
    ) {
        let start = out.len();
        self.open(out, kind, at);
        let body = out.len();
        fields(&mut Object::resume(out));
        if out.len() - start > MAX_RECORD - SUM_LENGTH {
            // The fields' own bounds do not let this happen; a record that nobody can read must
            // not be written all the same.
            let digest = Sha256::digest(out.get(body..).unwrap_or_default());
            out.truncate(body);
            Object::resume(out).hex("fields_sha256", &digest);
        }
        self.seal(out, start);
    }

    fn open(&self, out: &mut Vec<u8>, kind: &'static str, at: Timestamp) {
        out.extend_from_slice(b"{\"v\":1,\"idx\":");
        print(out, self.next);
        let mut head = Object::resume(out);
        head.time("ts", Some(at));
        head.word("kind", kind);
        head.hex("prev", &self.prev);
    }

    /// Ends the record with `sum`, so that damage to the last one shows too, and binds the next
    /// record to its bytes.
    fn seal(&mut self, out: &mut Vec<u8>, start: usize) {
        let digest = Sha256::new().chain_update(out.get(start..).unwrap_or_default());
        let end = out.len();
        write_sum(out, digest.clone());
        self.prev = digest
            .chain_update(out.get(end..).unwrap_or_default())
            .finalize()
            .into();
        self.next += 1;
        out.push(b'\n');
    }
}

/// The end of a record whose bytes so far are in `digest`: the first eight bytes of their
/// SHA-256. It finds accidents; intent is what the chain is for.
pub(crate) fn write_sum(out: &mut Vec<u8>, digest: Sha256) {
    let sum = digest.finalize();
    out.extend_from_slice(b",\"sum\":\"");
    hex(out, sum.get(..8).unwrap_or_default());
    out.extend_from_slice(b"\"}");
}

/// `bytes` as hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    hex(&mut out, bytes);
    out
}
