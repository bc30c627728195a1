use std::io;

use super::{Hash, Hashes, node_hash};

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
    /// `size` has bits set, or `size` is 2^63 or more.
    #[must_use]
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let fits = usize::try_from(size.count_ones()) == Ok(hashes.len());
        (fits && size <= MAX_SIZE).then_some(Self { size, hashes })
    }

    /// The tree of the first `size` leaves.
    ///
    /// # Errors
    ///
    /// When a hash cannot be read.
    pub fn read(size: u64, hashes: &(impl Hashes + ?Sized)) -> io::Result<Self> {
        if size > MAX_SIZE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let hashes = subtrees(0, size)
            .map(|(level, index)| hashes.subtree(level, index))
            .collect::<io::Result<_>>()?;
        Ok(Self { size, hashes })
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
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each bit that is set at the lower end is a subtree as large as the one in hand.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        join(self.hashes.iter().copied()).unwrap_or(Hash::EMPTY_TREE)
    }
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
///
/// When a hash cannot be read.
pub fn root(size: u64, hashes: &(impl Hashes + ?Sized)) -> io::Result<Hash> {
    Frontier::read(size, hashes).map(|tree| tree.root())
}

/// The hash over the leaves `begin..end`, where `begin` is a multiple of the next power of two that
/// is not below their number (as all of a tree's splits are).
pub(super) fn range(begin: u64, end: u64, hashes: &(impl Hashes + ?Sized)) -> io::Result<Hash> {
    let parts = subtrees(begin, end)
        .map(|(level, index)| hashes.subtree(level, index))
        .collect::<io::Result<Vec<_>>>()?;
    join(parts.into_iter()).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The complete subtrees, level and index, that the leaves `begin..end` are made of, from the
/// largest to the smallest: one for each bit that is set in their number.
pub(crate) fn subtrees(begin: u64, end: u64) -> impl Iterator<Item = (u8, u64)> {
    let count = end.saturating_sub(begin);
    (0..64_u8)
        .rev()
        .filter(move |level| count >> level & 1 == 1)
        .map(move |level| {
            // What the larger ones before it cover.
            let before = count & (u64::MAX << level << 1);
            (level, (begin + before) >> level)
        })
}

/// The root over subtrees from the largest to the smallest: the two smallest are joined, then that
/// with the next larger one.
fn join(subtrees: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    subtrees
        .rev()
        .reduce(|right, left| node_hash(&left, &right))
}

/// More leaves than anybody will have; so that counting one more is always possible.
const MAX_SIZE: u64 = u64::MAX >> 1;
