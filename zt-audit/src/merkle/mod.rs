//! The hash tree of RFC 6962 (section 2.1; RFC 9162 section 2.1 is the same): its root over the
//! stored bytes of records, and short proofs that a record is in it and that one tree goes on from
//! another.
//!
//! A leaf is SHA-256 of `0x00` and the record's bytes without their newline; a node is SHA-256 of
//! `0x01` and its two children. The two prefixes keep a node from passing for a record.
//!
//! A proof is accepted when
//!
//! 1. it asks about something within the tree: a leaf below the size, or a smaller tree that is not
//!    empty and not greater than the larger one;
//! 2. it has exactly as many hashes as the question needs, at most 64 for a leaf and 65 for a tree;
//! 3. it leads to the root that is known, and for two trees to both roots.
//!
//! Everything else is a [`ProofError`]. Nothing recurses, and the work is bounded by the length
//! that the question needs, not by the length of what was presented.
//!
//! Nothing here reads a file: hashes come from whoever implements [`Hashes`], and a proof that was
//! made from them is worth what its verification against a signed root says.
//!
//! ```
//! use zt_audit::merkle::{Frontier, leaf_hash, node_hash, verify_inclusion, ProofError};
//!
//! let (first, second) = (leaf_hash(b"one"), leaf_hash(b"two"));
//! let mut tree = Frontier::new();
//! tree.append(first);
//! tree.append(second);
//! assert_eq!(tree.root(), node_hash(&first, &second));
//! assert_eq!(verify_inclusion(1, 2, &second, &[first], &tree.root()), Ok(()));
//! assert_eq!(verify_inclusion(0, 2, &second, &[first], &tree.root()), Err(ProofError::Root));
//! ```
//!
//! Deliberately not as RFC 9162 has it: a proof from a tree without leaves is refused. Any tree goes
//! on from an empty one, so it would show nothing, and other verifiers refuse it as well.

#[cfg(test)]
mod oracles;
mod proof;
#[cfg(test)]
mod tests;
pub mod tile;
mod tree;

use std::{fmt, io};

use sha2::{Digest as _, Sha256};

pub(crate) use self::tree::subtrees;
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
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let (pairs, []) = digits.as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != bytes.len() {
            return None;
        }
        // Without a way out in between: that is twice as fast.
        let mut all = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (digit(*high), digit(*low));
            all |= high | low;
            *byte = high << 4 | low;
        }
        (all < 16).then_some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [hex_digit(byte >> 4), hex_digit(byte & 15)];
        }
        digits
    }
}

/// In lower-case hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a record: of its bytes as they are stored, without the newline.
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0x00])
            .chain_update(record)
            .finalize()
            .into(),
    )
}

/// The hash of a node over its two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0x01])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
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

/// The hashes of leaves themselves: a small tree that is in memory.
impl Hashes for [Hash] {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, "the tree is smaller than that");
        let leaves = 1_usize.checked_shl(level.into()).ok_or_else(absent)?;
        let begin = usize::try_from(index)
            .ok()
            .and_then(|index| index.checked_mul(leaves))
            .ok_or_else(absent)?;
        let leaves = begin
            .checked_add(leaves)
            .and_then(|end| self.get(begin..end))
            .ok_or_else(absent)?;
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.append(*leaf));
        Ok(tree.root())
    }
}

/// The value of a lower-case hexadecimal digit; 255 for anything else.
const fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => u8::MAX,
    }
}

/// The lower-case hexadecimal digit of a value below 16.
const fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + (value - 10),
    }
}
