use std::io;

use crate::{
    format::name,
    merkle::{Frontier, Hash, Hashes, node_hash, subtrees},
    storage::{Storage, StorageFile},
};

/// Reads the hashes in `tree/`.
#[derive(Debug)]
pub(crate) struct Stored {
    /// By level: `tree/0`, `tree/1`, ..
    pub(super) files: Vec<Option<Box<dyn StorageFile>>>,
    /// The tree over the records that are gone.
    pub(super) pruned: Frontier,
}

impl Stored {
    /// The files that are there.
    pub(crate) fn open(storage: &dyn Storage, pruned: Frontier) -> io::Result<Self> {
        let files = (0..LEVELS)
            .map(|level| match storage.open(&file(level), false) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { files, pruned })
    }

    /// `count` hashes of a level, from `first` on; `NotFound` where there are not as many.
    pub(crate) fn row(&self, level: u8, first: u64, count: usize) -> io::Result<Vec<Hash>> {
        let file = self
            .files
            .get(usize::from(level))
            .and_then(Option::as_ref)
            .ok_or_else(absent)?;
        let mut bytes = vec![0; count * HASH];
        let offset = first.checked_mul(HASH as u64).ok_or_else(absent)?;
        if file.read_at(&mut bytes, offset)? < bytes.len() {
            return Err(absent());
        }
        let hashes = bytes.as_chunks::<HASH>().0;
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    }

    /// How many hashes a level has.
    pub(super) fn length(&self, level: u8) -> io::Result<u64> {
        match self.files.get(usize::from(level)) {
            Some(Some(file)) => Ok(file.length()? / HASH as u64),
            _ => Ok(0),
        }
    }

    /// What is not stored itself, from its two halves: where a file's hash is not there yet, and
    /// where a subtree is partly of records that were pruned. The first hash that is nowhere ends
    /// it, so it does no more work than there are hashes.
    fn halved(&self, level: u8, index: u64) -> io::Result<Hash> {
        if let Some(hash) = self.pruned_subtree(level, index) {
            return Ok(hash);
        }
        let (Some(level), Some(left)) = (level.checked_sub(1), index.checked_mul(2)) else {
            return Err(absent());
        };
        let first = self.subtree(level, left)?;
        let second = self.subtree(level, left + 1)?;
        Ok(node_hash(&first, &second))
    }

    /// One of the subtrees from which a pruned log's tree goes on.
    fn pruned_subtree(&self, level: u8, index: u64) -> Option<Hash> {
        subtrees(0, self.pruned.size())
            .zip(self.pruned.hashes())
            .find(|(place, _)| *place == (level, index))
            .map(|(_, hash)| *hash)
    }
}

impl Hashes for Stored {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        if level >= 64 {
            return Err(absent());
        }
        let count = 1 << (level % 8);
        let first = index.checked_mul(count).ok_or_else(absent)?;
        match self.row(level / 8, first, 1 << (level % 8)) {
            Ok(row) if !row.contains(&ABSENT) => Ok(join(&row)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.halved(level, index),
        }
    }
}

/// The root over a row of hashes.
pub(super) fn join(row: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    row.iter().for_each(|hash| tree.append(*hash));
    tree.root()
}

/// `tree/<level>`.
pub(super) fn file(level: u8) -> String {
    format!("{}/{level}", name::TREE)
}

pub(super) fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the hash is not stored")
}

/// No subtree has this hash.
pub(super) const ABSENT: Hash = Hash::from_bytes([0; HASH]);

pub(super) const HASH: usize = 32;

/// 256^8 is more than there can be records.
pub(super) const LEVELS: u8 = 8;
