use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
};

use super::{Consistency, Inclusion, Stored, recent::Recent};
use crate::{
    format::name,
    merkle::{
        Frontier, Hash, Hashes, consistency_proof, inclusion_proof, node_hash, root, subtrees,
        verify_consistency,
    },
    note::{NoteError, SignedCheckpoint, VerifierKey},
    read::{Entry, LogReader, PrunedFile, ReadError, Segments, small},
    storage::{Folder, Storage},
    verify::MAX_CHECKPOINT,
};

/// Makes proofs about the log in a folder; see the [module](super).
///
/// It holds the checkpoint that was there when it was opened, and changes nothing.
#[derive(Debug)]
pub struct Prover {
    checkpoint: SignedCheckpoint,
    pub(crate) stored: Stored,
    pub(crate) records: Records,
    /// What the stored hashes do not give, read once.
    recent: OnceLock<Option<Recent>>,
}

impl Prover {
    /// Reads the log's checkpoint.
    ///
    /// # Errors
    ///
    /// When there is no log, or it has no checkpoint yet.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, ProveError> {
        let folder = folder.as_ref();
        match Folder::read_only(folder) {
            Ok(storage) => Self::over(Arc::new(storage)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::Absent(folder.display().to_string()).into())
            }
            Err(source) => Err(ProveError::file("open", folder.display(), source)),
        }
    }

    pub(crate) fn over(storage: Arc<dyn Storage>) -> Result<Self, ProveError> {
        // Before the files: what a checkpoint covers is written before it.
        let note = small(&*storage, name::CHECKPOINT, MAX_CHECKPOINT)
            .map_err(|error| ProveError::file("read", name::CHECKPOINT, error))?
            .ok_or(ProveError::Unsigned)?;
        let segments = Segments::list(&*storage)
            .map_err(|error| ProveError::file("list", name::LOG, error))?;
        let pruned = match segments.pruned {
            PrunedFile::None => Frontier::new(),
            PrunedFile::At(pruned) => pruned.tree,
            PrunedFile::Bad => return Err(ProveError::Damaged),
        };
        let stored = Stored::open(&*storage, pruned.clone())
            .map_err(|error| ProveError::file("open", name::TREE, error))?;
        Ok(Self {
            checkpoint: SignedCheckpoint::parse(&note)?,
            stored,
            records: Records { storage, pruned },
            recent: OnceLock::new(),
        })
    }

    /// Refuses a checkpoint that `key` did not sign.
    ///
    /// # Errors
    ///
    /// When it did not.
    pub fn trusting(self, key: &VerifierKey) -> Result<Self, ProveError> {
        self.checkpoint.verify(key)?;
        Ok(self)
    }

    /// What the proofs are held against.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// What shows that the record `index` is in the log, as of its checkpoint.
    ///
    /// # Errors
    ///
    /// When the checkpoint does not cover it, its hash is gone with records that were pruned, or the
    /// log does not have the root that was signed.
    pub fn inclusion(&self, index: u64) -> Result<Inclusion, ProveError> {
        let size = self.checkpoint.checkpoint().size;
        if index >= size {
            return Err(ProveError::OutOfRange { size });
        }
        self.proved(|hashes| {
            let proof = Inclusion {
                index,
                leaf: hashes.subtree(0, index)?,
                hashes: inclusion_proof(index, size, hashes)?,
                checkpoint: self.checkpoint.clone(),
            };
            Ok(proof.holds().is_ok().then_some(proof))
        })
    }

    /// What shows that the tree of the first `new` records goes on from that of the first `old`. That
    /// the log's checkpoint goes on from both was verified as well.
    ///
    /// # Errors
    ///
    /// As [`inclusion`](Self::inclusion); also where `old` is 0 or greater than `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Consistency, ProveError> {
        let signed = self.checkpoint.checkpoint();
        if old == 0 || old > new || new > signed.size {
            return Err(ProveError::OutOfRange { size: signed.size });
        }
        self.proved(|hashes| {
            let proof = Consistency {
                old,
                old_root: root(old, hashes)?,
                new,
                new_root: root(new, hashes)?,
                hashes: consistency_proof(old, new, hashes)?,
                checkpoint: self.checkpoint.clone(),
            };
            let to_signed = consistency_proof(new, signed.size, hashes)?;
            let sound = proof.verify().is_ok()
                && verify_consistency(new, signed.size, &proof.new_root, &signed.root, &to_signed)
                    .is_ok();
            Ok(sound.then_some(proof))
        })
    }

    /// The record `index` itself. That it is the one that a proof is about is for the caller to see:
    /// by its `leaf`.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be read.
    pub fn record(&self, index: u64) -> Result<Entry, ProveError> {
        let size = self.checkpoint.checkpoint().size;
        if index >= size {
            return Err(ProveError::OutOfRange { size });
        }
        let mut reader = LogReader::over(Arc::clone(&self.records.storage), index)?;
        reader.next()?.ok_or(ProveError::Damaged)
    }

    /// What `make` makes and finds sound: from the stored hashes; or from those and the hashes of
    /// the last records, which a live log may not have stored yet; or from the records alone.
    fn proved<T>(
        &self,
        make: impl Fn(&dyn Hashes) -> io::Result<Option<T>>,
    ) -> Result<T, ProveError> {
        if let Ok(Some(sound)) = make(&self.stored) {
            return Ok(sound);
        }
        let recent = self.recent.get_or_init(|| {
            let size = self.checkpoint.checkpoint().size;
            Recent::read(&self.records.storage, &self.stored, size)
        });
        if let Some(recent) = recent
            && let Ok(Some(sound)) = make(&recent.over(&self.stored))
        {
            return Ok(sound);
        }
        match make(&self.records) {
            Ok(Some(sound)) => Ok(sound),
            Ok(None) => Err(ProveError::Damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ProveError::Pruned {
                first: self.records.pruned.size(),
            }),
            // The checkpoint covers more than there is.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ProveError::Damaged),
            Err(error) => Err(match error.downcast::<ReadError>() {
                Ok(error) => error.into(),
                Err(error) => ProveError::file("read", name::LOG, error),
            }),
        }
    }
}

/// Hashes of subtrees from the records themselves: one pass over them for each proof.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) storage: Arc<dyn Storage>,
    /// The tree over the records that are gone.
    pub(crate) pruned: Frontier,
}

impl Hashes for Records {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        let invalid = io::ErrorKind::InvalidInput;
        let count = 1_u64.checked_shl(level.into()).ok_or(invalid)?;
        let begin = index.checked_mul(count).ok_or(invalid)?;
        if begin < self.pruned.size() {
            let partly = begin + (count - 1) >= self.pruned.size();
            return self.of_pruned(level, index, partly);
        }
        let mut tree = Frontier::new();
        let mut reader =
            LogReader::over(Arc::clone(&self.storage), begin).map_err(io::Error::other)?;
        while tree.size() < count {
            match reader.next().map_err(io::Error::other)? {
                Some(entry) => tree.append(entry.leaf),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(tree.root())
    }
}

impl Records {
    /// A subtree that begins with records that are gone.
    fn of_pruned(&self, level: u8, index: u64, partly: bool) -> io::Result<Hash> {
        let whole = subtrees(0, self.pruned.size())
            .zip(self.pruned.hashes())
            .find(|(place, _)| *place == (level, index));
        if let Some((_, hash)) = whole {
            return Ok(*hash);
        }
        // Where all of it is gone, what is left says only what larger subtrees had.
        let level = level
            .checked_sub(1)
            .filter(|_| partly)
            .ok_or(io::ErrorKind::NotFound)?;
        let left = self.subtree(level, 2 * index)?;
        let right = self.subtree(level, 2 * index + 1)?;
        Ok(node_hash(&left, &right))
    }
}

/// A proof that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The log has no checkpoint yet.
    #[error("the log has no signed checkpoint")]
    Unsigned,
    /// The checkpoint is not good, or not signed by whom it should.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// It is about more than the checkpoint covers, or about nothing.
    #[error("the checkpoint covers {size} records")]
    OutOfRange {
        /// How many records it covers.
        size: u64,
    },
    /// The hashes that it needs are gone with records that were pruned.
    #[error("the records before {first} were pruned, and their hashes are not there")]
    Pruned {
        /// The first record that is there.
        first: u64,
    },
    /// The log does not have the root that was signed.
    #[error("the log is not what its checkpoint says; `zt-audit verify` tells where")]
    Damaged,
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ProveError {
    fn file(action: &'static str, file: impl ToString, source: io::Error) -> Self {
        Self::Read(ReadError::File {
            action,
            file: file.to_string(),
            source,
        })
    }
}
