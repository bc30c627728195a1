use std::{io, sync::Arc};

use super::{
    Stored,
    stored::{absent, join},
};
use crate::{
    merkle::{Hash, Hashes, node_hash},
    read::LogReader,
    storage::Storage,
};

/// The hashes of a log's last records, in memory.
#[derive(Debug)]
pub(super) struct Recent {
    /// The first, a multiple of 256.
    from: u64,
    leaves: Vec<Hash>,
    /// Of 256 leaves each.
    tiles: Vec<Hash>,
}

/// [`Recent`] hashes, and the stored ones before them.
#[derive(Debug)]
pub(super) struct Over<'r> {
    recent: &'r Recent,
    stored: &'r Stored,
}

impl Recent {
    /// All records of a small log, else those that have no stored hash; `None` where these are too
    /// many, or cannot be read.
    pub(super) fn read(storage: &Arc<dyn Storage>, stored: &Stored, size: u64) -> Option<Self> {
        let begin = stored.pruned.size();
        let from = match size.saturating_sub(begin) <= MOST {
            true => begin,
            false => stored.length(0).ok()?.min(size) & !255,
        };
        if from < begin || !from.is_multiple_of(256) || size.saturating_sub(from) > MOST {
            return None;
        }
        let mut reader = LogReader::over(Arc::clone(storage), from).ok()?;
        let mut leaves = Vec::new();
        while from + (leaves.len() as u64) < size {
            leaves.push(reader.next().ok()??.leaf);
        }
        let tiles = leaves
            .as_chunks::<256>()
            .0
            .iter()
            .map(|tile| join(tile))
            .collect();
        Some(Self {
            from,
            leaves,
            tiles,
        })
    }

    pub(super) const fn over<'r>(&'r self, stored: &'r Stored) -> Over<'r> {
        Over {
            recent: self,
            stored,
        }
    }

    /// A subtree that begins at leaf `begin`, which is not before `from`.
    fn subtree(&self, level: u8, begin: u64) -> Option<Hash> {
        let place = begin.checked_sub(self.from)?;
        let (row, level, place) = match level.checked_sub(8) {
            Some(level) => (&self.tiles, level, place / 256),
            None => (&self.leaves, level, place),
        };
        let place = usize::try_from(place).ok()?;
        let end = place.checked_add(1_usize.checked_shl(level.into())?)?;
        row.get(place..end).map(join)
    }
}

impl Hashes for Over<'_> {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        let count = 1_u64.checked_shl(level.into()).ok_or_else(absent)?;
        let begin = index.checked_mul(count).ok_or_else(absent)?;
        let last = begin.checked_add(count - 1).ok_or_else(absent)?;
        if begin >= self.recent.from {
            return self.recent.subtree(level, begin).ok_or_else(absent);
        }
        if last < self.recent.from {
            return self.stored.subtree(level, index);
        }
        // Partly of each; also the one of which a pruned log knows the hash is not.
        let level = level.checked_sub(1).ok_or_else(absent)?;
        let left = self.subtree(level, 2 * index)?;
        let right = self.subtree(level, 2 * index + 1)?;
        Ok(node_hash(&left, &right))
    }
}

/// So many hashes are kept: 32 MiB.
const MOST: u64 = 1 << 20;
