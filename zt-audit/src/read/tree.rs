use std::io;

use super::{PrunedFile, Segments};
use crate::{merkle::Frontier, storage::Storage, tree::Stored};

/// The tree over the first `size` records, as `tree/` has it: derived, and believed only after a root
/// that was made from it was compared with one that is known. `None` where not all of it is there.
pub(crate) fn stored_tree(
    storage: &dyn Storage,
    segments: &Segments,
    size: u64,
) -> io::Result<Option<Frontier>> {
    match Frontier::read(size, &stored(storage, segments)?) {
        Ok(tree) => Ok(Some(tree)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The hashes of complete subtrees that `tree/` has.
pub(crate) fn stored(storage: &dyn Storage, segments: &Segments) -> io::Result<Stored> {
    let pruned = match &segments.pruned {
        PrunedFile::At(pruned) => pruned.tree.clone(),
        PrunedFile::None | PrunedFile::Bad => Frontier::new(),
    };
    Stored::open(storage, pruned)
}

/// The same for who has not listed the log's segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeFiles<'s>(&'s dyn Storage);

impl<'s> TreeFiles<'s> {
    pub(crate) const fn new(storage: &'s dyn Storage) -> Self {
        Self(storage)
    }

    pub(crate) fn frontier(&self, size: u64) -> io::Result<Option<Frontier>> {
        stored_tree(self.0, &Segments::list(self.0)?, size)
    }
}
