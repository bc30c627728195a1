use std::io;

use super::{Hash, Hashes};

/// A tree that grows at its right end: the roots of its complete subtrees, from the largest to the
/// smallest, at most 64 of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            hashes: Vec::new(),
        }
    }

    /// A tree of `size` leaves with these subtrees; `None` where there are not as many subtrees as
    /// `size` has bits set.
    #[must_use]
    pub fn from_parts(_size: u64, _hashes: Vec<Hash>) -> Option<Self> {
        todo!()
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, from the largest to the smallest.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Adds a leaf.
    pub fn append(&mut self, _leaf: Hash) {
        todo!()
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        todo!()
    }
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
///
/// When a hash cannot be read.
pub fn root(_size: u64, _hashes: &(impl Hashes + ?Sized)) -> io::Result<Hash> {
    todo!()
}
