use std::io;

use super::{Hash, Hashes};

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf, or the smaller tree, is not within the tree; or the smaller tree is empty.
    #[error("the question is about nothing within the tree")]
    OutOfRange,
    /// It has more or fewer hashes than the question needs.
    #[error("the proof has {found} hashes where {expected} are needed")]
    Length {
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// What shows that leaf `index` is in the tree of `size` leaves (RFC 6962 section 2.1.1).
///
/// # Errors
///
/// `InvalidInput` where `index` is not below `size`; otherwise when a hash cannot be read.
pub fn inclusion_proof(
    _index: u64,
    _size: u64,
    _hashes: &(impl Hashes + ?Sized),
) -> io::Result<Vec<Hash>> {
    todo!()
}

/// What shows that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 6962
/// section 2.1.2).
///
/// # Errors
///
/// `InvalidInput` where `old` is 0 or greater than `new`; otherwise when a hash cannot be read.
pub fn consistency_proof(
    _old: u64,
    _new: u64,
    _hashes: &(impl Hashes + ?Sized),
) -> io::Result<Vec<Hash>> {
    todo!()
}

/// Whether `proof` shows that `leaf` is at `index` of the tree of `size` leaves with this root
/// (RFC 9162 section 2.1.3.2).
///
/// # Errors
///
/// When it does not.
pub fn verify_inclusion(
    _index: u64,
    _size: u64,
    _leaf: &Hash,
    _proof: &[Hash],
    _root: &Hash,
) -> Result<(), ProofError> {
    todo!()
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is the beginning of the one
/// of `new` leaves with `new_root` (RFC 9162 section 2.1.4.2).
///
/// # Errors
///
/// When it does not.
pub fn verify_consistency(
    _old: u64,
    _new: u64,
    _old_root: &Hash,
    _new_root: &Hash,
    _proof: &[Hash],
) -> Result<(), ProofError> {
    todo!()
}
