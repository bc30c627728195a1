use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zt_core::clock::Timestamp;

use crate::{
    merkle::{Hash, ProofError, leaf_hash, verify_consistency, verify_inclusion},
    note::{MAX_NOTE, NoteError, SignedCheckpoint, VerifierKey},
};

/// What shows that a record is in a log.
///
/// As a text it is a C2SP tlog-proof:
///
/// ```text
/// c2sp.org/tlog-proof@v1
/// index 17
/// <a hash a line, in base64>
///
/// <the signed checkpoint>
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's place.
    pub index: u64,
    /// The hash of the record.
    pub leaf: Hash,
    /// From the record's sibling up to the root's child.
    pub hashes: Vec<Hash>,
    /// In whose tree it is.
    pub checkpoint: SignedCheckpoint,
}

impl Inclusion {
    /// Of a C2SP tlog-proof, for a record's bytes without their newline. Extra data in it is passed
    /// over: nothing vouches for it.
    ///
    /// # Errors
    ///
    /// When it is not of that form. It proves nothing before [`verify`](Self::verify).
    pub fn parse(text: &[u8], record: &[u8]) -> Result<Self, TlogProofError> {
        const FORM: TlogProofError = TlogProofError::Form;
        if text.len() > MAX_TEXT {
            return Err(FORM);
        }
        let text = std::str::from_utf8(text).map_err(|_| FORM)?;
        let rest = text
            .strip_prefix(HEADER)
            .and_then(|text| text.strip_prefix('\n'))
            .ok_or(FORM)?;
        let (proof, checkpoint) = rest.split_once("\n\n").ok_or(FORM)?;
        let mut lines = proof.split('\n').peekable();
        if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
            let extra = extra.strip_prefix("extra ").unwrap_or_default();
            STANDARD.decode(extra).map_err(|_| FORM)?;
        }
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("index ")?))
            .ok_or(FORM)?;
        let hashes = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(FORM)?;
        Ok(Self {
            index,
            leaf: leaf_hash(record),
            hashes,
            checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())?,
        })
    }

    /// The text that [`parse`](Self::parse) reads.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.hashes {
            let _ = writeln!(text, "{}", STANDARD.encode(hash.as_bytes()));
        }
        text.push('\n');
        text.push_str(&self.checkpoint.encode());
        text
    }

    /// Whether it shows that the record is in the log of which `key` signed the checkpoint; and when
    /// that was, where the checkpoint says it.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<Timestamp>, TlogProofError> {
        let at = self.checkpoint.verify(key)?;
        self.holds()?;
        Ok(at)
    }

    /// As [`verify`](Self::verify), whoever signed the checkpoint.
    pub(super) fn holds(&self) -> Result<(), ProofError> {
        let tree = self.checkpoint.checkpoint();
        verify_inclusion(self.index, tree.size, &self.leaf, &self.hashes, &tree.root)
    }
}

/// What shows that the tree of the first `new` records of a log goes on from that of the first `old`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// How many records the smaller tree has.
    pub old: u64,
    /// Its root.
    pub old_root: Hash,
    /// How many records the larger tree has.
    pub new: u64,
    /// Its root.
    pub new_root: Hash,
    /// The proof (RFC 6962 section 2.1.2).
    pub hashes: Vec<Hash>,
    /// The log's checkpoint, which the larger tree was held against.
    pub checkpoint: SignedCheckpoint,
}

impl Consistency {
    /// Whether it shows that.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn verify(&self) -> Result<(), ProofError> {
        verify_consistency(
            self.old,
            self.new,
            &self.old_root,
            &self.new_root,
            &self.hashes,
        )
    }
}

/// A text that does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// It is not of the form of a C2SP tlog-proof.
    #[error("it is not a tlog-proof")]
    Form,
    /// Its checkpoint is not good.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The proof is not good.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// A number in ASCII digits without leading zeros.
fn decimal(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    if !plain || leading {
        return None;
    }
    digits.parse().ok()
}

/// A hash in base64.
fn hash(line: &str) -> Option<Hash> {
    let bytes = STANDARD.decode(line).ok()?;
    bytes.try_into().ok().map(Hash::from_bytes)
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Room for extra data as well.
const MAX_TEXT: usize = 2 * MAX_NOTE;
