//! The hash tree of RFC 6962 (section 2.1; RFC 9162 section 2.1 is the same): its root over the
//! stored bytes of records, and short proofs that a record is in it and that one tree goes on from
//! another.
//!
//! A leaf is SHA-256 of `0x00` and the record's bytes without their newline; a node is SHA-256 of
//! `0x01` and its two children. The two prefixes keep a node from passing for a record.
//!
//! Nothing here reads a file: hashes come from whoever implements [`Hashes`], and a proof that was
//! made from them is worth what its verification against a signed root says.

mod proof;
#[cfg(test)]
mod tests;
pub mod tile;
mod tree;

use std::{fmt, io};

pub use self::{
    proof::{ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion},
    tree::{Frontier, root},
};

/// A SHA-256 hash: of a leaf, of a node, of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The root of a tree without leaves: SHA-256 of nothing (RFC 6962 section 2.1).
    pub const EMPTY_TREE: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// These bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of 64 lower-case hexadecimal digits, and nothing else.
    #[must_use]
    pub fn from_hex(_digits: &[u8]) -> Option<Self> {
        todo!()
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> [u8; 64] {
        todo!()
    }
}

/// In lower-case hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a record: of its bytes as they are stored, without the newline.
#[must_use]
pub fn leaf_hash(_record: &[u8]) -> Hash {
    todo!()
}

/// The hash of a node over its two children.
#[must_use]
pub fn node_hash(_left: &Hash, _right: &Hash) -> Hash {
    todo!()
}

/// Where hashes of complete subtrees are read from.
pub trait Hashes {
    /// The hash of the complete subtree of 2^`level` leaves that begins at leaf
    /// `index` × 2^`level`.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash>;
}
