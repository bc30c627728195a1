use std::io;

use super::lines::small;
use crate::{
    format::{Pruned, name},
    storage::Storage,
};

/// The segments of a log, in order, and where the log begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments {
    /// The first index of each; never empty names, none before [`pruned`](Self::pruned).
    pub(crate) firsts: Vec<u64>,
    /// Where older ones were dropped.
    pub(crate) pruned: PrunedFile,
}

/// The file `pruned`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrunedFile {
    /// There is none: the log begins with record 0.
    None,
    /// It is good.
    At(Pruned),
    /// It is not what it should be.
    Bad,
}

impl Segments {
    pub(crate) fn list(storage: &dyn Storage) -> io::Result<Self> {
        let pruned = match small(storage, name::PRUNED, MAX_PRUNED)? {
            None => PrunedFile::None,
            Some(bytes) => Pruned::parse(&bytes).map_or(PrunedFile::Bad, PrunedFile::At),
        };
        let begin = match &pruned {
            PrunedFile::At(pruned) => pruned.before(),
            PrunedFile::None | PrunedFile::Bad => 0,
        };
        let mut firsts: Vec<u64> = storage
            .list(name::LOG)?
            .iter()
            .filter_map(|file| name::first_of(file))
            // One that is left behind when pruning was cut short is no part of the log any more.
            .filter(|first| *first >= begin)
            .collect();
        firsts.sort_unstable();
        Ok(Self { firsts, pruned })
    }

    /// The first index that should be there.
    pub(crate) fn begin(&self) -> u64 {
        match &self.pruned {
            PrunedFile::At(pruned) => pruned.before(),
            PrunedFile::None | PrunedFile::Bad => 0,
        }
    }
}

/// 64 hashes and what stands around them.
const MAX_PRUNED: usize = 8 * 1024;
