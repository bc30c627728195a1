//! What a record looks like, and how each is bound to the one before it.
//!
//! A record is one line of JSON. It begins with `v` (2), `idx`, `ts`, `kind`, `origin` and `prev`; then
//! stand the fields of its kind, in a fixed order; then, where there is anything personal in it,
//! `sealed`.
//!
//! 1. `prev` is the leaf hash (RFC 6962 section 2.1) of the record before, over its stored bytes
//!    without the newline; zeros in record 0. Nothing is ever parsed and printed again to be hashed.
//! 2. A record has at most 65,535 bytes. Each field has a bound of its own; of a longer value the
//!    beginning is kept, and the SHA-256 of the whole in `<field>_sha256`. Where the value is
//!    personal its hash is sealed with it: a hash without a key tells a name to whoever guesses it.
//! 3. Numbers are integers below 2^53, times and spans whole microseconds. What is not known is
//!    absent.
//! 4. Characters that could end a line or change how it is shown are escaped.
//! 5. What is personal stands in `sealed`, by the person that it is about:
//!    `[["<pseudonym>","<base64>"],..]`. Each part opens to a JSON object, and [`open_record`] puts its
//!    members back to where they would stand in the clear. Two records, or two parts of one, cannot
//!    exchange what is sealed in them: origin and index are bound to it.
//! 6. Queries, header values other than the user agent, and credentials are not among the fields.
//!    A credential appears as its id.
//!
//! Which field of which kind stands where is in the documentation of the [crate].

mod event;
mod json;
mod open;
mod own;
mod rolled;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use zt_core::clock::Timestamp;

use self::json::{Object, decimal};
pub use self::open::{OpenRecordError, open as open_record};
pub(crate) use self::{
    event::time_of,
    own::{Acknowledged, Erased, Gap, Key, Prune, Recovered},
    rolled::{Refusals, RolledUp, Source},
};
pub(crate) use crate::format::MAX_RECORD;
use crate::{
    merkle::Hash,
    seal::{DataSubject, Vault, VaultError},
};

/// Where a log stands: it writes records that continue it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    next: u64,
    prev: Hash,
    sealing: Option<Arc<Vault>>,
    /// `,"origin":"..","prev":"`, as it stands in every record.
    origin: Vec<u8>,
    /// What is bound to sealed parts: origin, NUL and, behind `bound_to`, the index.
    bound: Vec<u8>,
    bound_to: usize,
    scratch: Scratch,
}

/// Memory that is used again for each record.
#[derive(Debug, Clone, Default)]
struct Scratch {
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Chain {
    /// The log named `origin`, whose next record is number `next` after one that hashes to `prev`
    /// (zeros before record 0). Without a vault personal fields stand in the clear.
    pub(crate) fn new(
        origin: Arc<str>,
        next: u64,
        prev: Hash,
        sealing: Option<Arc<Vault>>,
    ) -> Self {
        let mut written = Vec::with_capacity(64);
        let mut object = Object::resume(&mut written);
        object.text("origin", &origin, ORIGIN);
        written.extend_from_slice(b",\"prev\":\"");
        let mut bound = origin.as_bytes().to_vec();
        bound.push(0);
        Self {
            next,
            prev,
            sealing,
            origin: written,
            bound_to: bound.len(),
            bound,
            scratch: Scratch::default(),
        }
    }

    /// The index of the record that is written next.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The leaf hash of the last record.
    pub(crate) const fn prev(&self) -> Hash {
        self.prev
    }

    /// Writes one record and its newline, and answers its leaf hash. Where that fails nothing was
    /// written and the chain stands where it stood.
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        kind: &'static str,
        at: Timestamp,
        fields: impl FnOnce(&mut Fields<'_>) -> Result<(), VaultError>,
    ) -> Result<Hash, VaultError> {
        let start = out.len();
        self.head(out, kind, at);
        let body = out.len();
        if let Err(error) = self.body(out, fields) {
            out.truncate(start);
            return Err(error);
        }
        if out.len() - start >= MAX_RECORD {
            // The fields' own bounds do not let this happen; a record that nobody can read must
            // not be written all the same. What is hashed has personal fields only as sealed.
            let digest = Sha256::digest(out.get(body..).unwrap_or_default());
            out.truncate(body);
            Object::resume(out).hex("fields_sha256", &digest);
        }
        out.push(b'}');
        self.prev = crate::merkle::leaf_hash(out.get(start..).unwrap_or_default());
        self.next += 1;
        out.push(b'\n');
        Ok(self.prev)
    }

    fn head(&self, out: &mut Vec<u8>, kind: &'static str, at: Timestamp) {
        out.extend_from_slice(b"{\"v\":2,\"idx\":");
        decimal(out, self.next);
        let mut head = Object::resume(out);
        head.time("ts", Some(at));
        head.word("kind", kind);
        out.extend_from_slice(&self.origin);
        json::hex(out, self.prev.as_bytes());
        out.push(b'"');
    }

    fn body(
        &mut self,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Fields<'_>) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        self.bound.truncate(self.bound_to);
        decimal(&mut self.bound, self.next);
        let mut record = Fields {
            out,
            sealing: self.sealing.as_deref(),
            bound: &self.bound,
            scratch: &mut self.scratch,
            parts: 0,
        };
        fields(&mut record)?;
        if record.parts > 0 {
            out.push(b']');
        }
        Ok(())
    }
}

/// The fields of a record that is being written: first those in the clear, then what is about
/// persons.
pub(crate) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    sealing: Option<&'a Vault>,
    bound: &'a [u8],
    scratch: &'a mut Scratch,
    parts: usize,
}

impl Fields<'_> {
    /// Fields that anybody may read. None may follow on [`about`](Self::about).
    fn clear(&mut self) -> Object<'_> {
        debug_assert!(self.parts == 0, "sealed parts stand at the end");
        Object::resume(self.out)
    }

    /// Whether what is personal is sealed.
    const fn seals(&self) -> bool {
        self.sealing.is_some()
    }

    /// Fields about `subject`, sealed where there is a vault.
    fn about(
        &mut self,
        subject: DataSubject<'_>,
        fields: impl FnOnce(&mut Object<'_>),
    ) -> Result<(), VaultError> {
        let Some(vault) = self.sealing else {
            fields(&mut Object::resume(self.out));
            return Ok(());
        };
        let Scratch { plain, sealed } = &mut *self.scratch;
        plain.clear();
        sealed.clear();
        plain.push(b'{');
        fields(&mut Object::begin(plain));
        plain.push(b'}');
        let who = vault.seal(subject, self.bound, plain, sealed)?;
        self.out.extend_from_slice(match self.parts {
            0 => b",\"sealed\":[[\"",
            _ => b",[\"",
        });
        self.parts += 1;
        json::hex(self.out, who.as_bytes());
        self.out.extend_from_slice(b"\",\"");
        base64(self.out, sealed);
        self.out.extend_from_slice(b"\"]");
        Ok(())
    }
}

/// RFC 4648 section 4, with padding.
fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    if let Some(room) = out.get_mut(start..) {
        // The room is exactly what it takes.
        let _ = BASE64_STANDARD.encode_slice(bytes, room);
    }
}

/// Most bytes of an origin.
const ORIGIN: usize = 256;
