use std::io;

use crate::{
    format::name,
    merkle::{Frontier, Hash, Hashes},
    storage::Storage,
};

/// The hashes of complete subtrees in a log's `tree/`: derived, and believed only after a root that
/// was made from them was compared with one that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeFiles<'s> {
    storage: &'s dyn Storage,
}

impl<'s> TreeFiles<'s> {
    pub(crate) const fn new(storage: &'s dyn Storage) -> Self {
        Self { storage }
    }

    /// The tree over the first `size` leaves; `None` where not all of it is there.
    pub(crate) fn frontier(&self, size: u64) -> io::Result<Option<Frontier>> {
        match Frontier::read(size, self) {
            Ok(tree) => Ok(Some(tree)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// `tree/N` has the subtrees of 256^N leaves, one after the other; those between are made from at
/// most 128 of the next smaller ones that are stored.
impl Hashes for TreeFiles<'_> {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        let stored = level / 8;
        let count = 1_usize << (level % 8);
        let file = self
            .storage
            .open(&format!("{}/{stored}", name::TREE), false)?;
        let offset = index
            .checked_mul((count * HASH) as u64)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = vec![0; count * HASH];
        if file.read_at(&mut bytes, offset)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut tree = Frontier::new();
        for hash in bytes.as_chunks::<HASH>().0 {
            // Written ahead, or lost in a crash; no subtree has this hash.
            if *hash == [0; HASH] {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tree.append(Hash::from_bytes(*hash));
        }
        Ok(tree.root())
    }
}

const HASH: usize = 32;
