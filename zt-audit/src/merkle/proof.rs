use std::io;

use super::{Hash, Hashes, node_hash, tree::range};

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
    index: u64,
    size: u64,
    hashes: &(impl Hashes + ?Sized),
) -> io::Result<Vec<Hash>> {
    if index >= size {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, size);
    // From the root down to the leaf: the half that the leaf is not in.
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            proof.push(range(middle, end, hashes)?);
            end = middle;
        } else {
            proof.push(range(begin, middle, hashes)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What shows that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 6962
/// section 2.1.2).
///
/// # Errors
///
/// `InvalidInput` where `old` is 0 or greater than `new`; otherwise when a hash cannot be read.
pub fn consistency_proof(
    old: u64,
    new: u64,
    hashes: &(impl Hashes + ?Sized),
) -> io::Result<Vec<Hash>> {
    if old == 0 || old > new {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, new);
    while old != end {
        let middle = begin + split(end - begin);
        if old <= middle {
            proof.push(range(middle, end, hashes)?);
            end = middle;
        } else {
            proof.push(range(begin, middle, hashes)?);
            begin = middle;
        }
    }
    // The verifier has the old root; the last part is left out where it is the whole old tree.
    if begin > 0 {
        proof.push(range(begin, end, hashes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` is at `index` of the tree of `size` leaves with this root
/// (RFC 9162 section 2.1.3.2).
///
/// # Errors
///
/// When it does not.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let way = Way::of(index, size);
    let (inner, border) = split_exactly(proof, way.inner, way.border)?;
    let found = along_border(along(*leaf, inner, index), border);
    if found == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is the beginning of the one
/// of `new` leaves with `new_root` (RFC 9162 section 2.1.4.2).
///
/// # Errors
///
/// When it does not; also where `old` is 0, which would show nothing.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == new {
        split_exactly(proof, 0, 0)?;
        return if old_root == new_root {
            Ok(())
        } else {
            Err(ProofError::Root)
        };
    }
    // The way of the old tree's last leaf, from the largest complete subtree that ends with it:
    // its hash is where both trees are begun, and the old root itself where there is no other.
    let way = Way::of(old - 1, new);
    let level = old.trailing_zeros();
    let inner = way.inner.saturating_sub(level as usize);
    let whole = old.is_power_of_two();
    let (seed, rest) = match proof {
        _ if whole => (old_root, proof),
        [first, rest @ ..] => (first, rest),
        [] => {
            return Err(ProofError::Length {
                expected: inner + way.border + 1,
                found: 0,
            });
        }
    };
    let (inner, border) = split_exactly(rest, inner, way.border).map_err(|error| match error {
        ProofError::Length { expected, found } if !whole => ProofError::Length {
            expected: expected + 1,
            found: found + 1,
        },
        error => error,
    })?;
    let turns = (old - 1) >> level;
    let old_found = along_border(along_left(*seed, inner, turns), border);
    let new_found = along_border(along(*seed, inner, turns), border);
    if old_found == *old_root && new_found == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// How many hashes lead from a leaf to the root: first on either side, up to where its way meets
/// that of the last leaf, then only from the left.
struct Way {
    inner: usize,
    border: usize,
}

impl Way {
    /// For `index` below `size`.
    const fn of(index: u64, size: u64) -> Self {
        let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
        let border = match index.checked_shr(inner) {
            Some(rest) => rest.count_ones(),
            None => 0,
        };
        Self {
            inner: inner as usize,
            border: border as usize,
        }
    }
}

/// `proof` in two parts of these lengths, and nothing more.
fn split_exactly(
    proof: &[Hash],
    inner: usize,
    border: usize,
) -> Result<(&[Hash], &[Hash]), ProofError> {
    match proof.split_at_checked(inner) {
        Some((first, second)) if second.len() == border => Ok((first, second)),
        _ => Err(ProofError::Length {
            expected: inner + border,
            found: proof.len(),
        }),
    }
}

/// Up from `seed`, whose place at each level is even or odd as the bits of `turns` say.
fn along(seed: Hash, proof: &[Hash], turns: u64) -> Hash {
    turned(proof, turns).fold(seed, |hash, (sibling, right)| {
        if right {
            node_hash(sibling, &hash)
        } else {
            node_hash(&hash, sibling)
        }
    })
}

/// As [`along`], without what lies to the right of it: that was not in the old tree.
fn along_left(seed: Hash, proof: &[Hash], turns: u64) -> Hash {
    turned(proof, turns)
        .filter(|(_, right)| *right)
        .fold(seed, |hash, (sibling, _)| node_hash(sibling, &hash))
}

/// Up from `seed`, where everything lies to the left of it.
fn along_border(seed: Hash, proof: &[Hash]) -> Hash {
    proof
        .iter()
        .fold(seed, |hash, sibling| node_hash(sibling, &hash))
}

/// Each hash of `proof`, and whether the way comes to it from the right. A proof has at most 64.
fn turned(proof: &[Hash], turns: u64) -> impl Iterator<Item = (&Hash, bool)> {
    proof
        .iter()
        .zip(0_u32..)
        .map(move |(sibling, level)| (sibling, turns.checked_shr(level).unwrap_or(0) & 1 == 1))
}

/// The largest power of two below `count`, which is at least 2 (RFC 6962 section 2.1: `k`).
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}
