use std::{io, path::Path};

use super::{DataSubject, Pseudonym};

/// Bounds of a vault.
#[derive(Debug, Clone)]
pub struct VaultOptions {
    _todo: (),
}

/// The keys of subjects; see the [module](super). Shared by the writer, which seals, and by whoever
/// reads or erases; each process opens its own, and only one may seal or erase at a time (it locks
/// the folder).
#[derive(Debug)]
pub struct Vault {
    _todo: (),
}

/// What [`Vault::open_sealed`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sealed {
    /// The fields, as a JSON object's text.
    Open(Vec<u8>),
    /// The key was destroyed.
    Erased,
    /// This vault has no such key.
    Unknown,
}

impl Vault {
    /// The vault in `folder`, made with new keys where there is none; locked for writing.
    ///
    /// # Errors
    ///
    /// When it cannot be read or made, or another process has it.
    pub fn open(_folder: impl AsRef<Path>, _options: VaultOptions) -> Result<Self, VaultError> {
        todo!()
    }

    /// The same to read from only, also while another process writes.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_only(_folder: impl AsRef<Path>) -> Result<Self, VaultError> {
        todo!()
    }

    /// The pseudonym of `subject`.
    #[must_use]
    pub fn pseudonym(&self, _subject: DataSubject<'_>) -> Pseudonym {
        todo!()
    }

    /// Seals `fields` (a JSON object's text) under the key of `subject`, made where there is none, and
    /// writes nonce, ciphertext and tag to `out`. `bound` is bound to it: the record's origin and index.
    /// A new key is durable only after [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// When there is no randomness or no room for another key and none of the day's.
    pub(crate) fn seal(
        &self,
        _subject: DataSubject<'_>,
        _bound: &[u8],
        _fields: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<Pseudonym, VaultError> {
        todo!()
    }

    /// Makes keys made since the last call durable; no system call where there are none.
    ///
    /// # Errors
    ///
    /// When they may be lost: what they seal must not be written.
    pub(crate) fn commit(&self) -> io::Result<()> {
        todo!()
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// When it is not what was sealed for `who` and `bound`.
    pub fn open_sealed(
        &self,
        _who: Pseudonym,
        _bound: &[u8],
        _sealed: &[u8],
    ) -> Result<Sealed, VaultError> {
        todo!()
    }

    /// Destroys the key of `who`, durably. Whether there was one. Sealing for them again begins with
    /// another key.
    ///
    /// # Errors
    ///
    /// When it may still be there.
    pub(crate) fn destroy(&self, _who: Pseudonym) -> Result<bool, VaultError> {
        todo!()
    }
}

/// A vault that cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The disk.
    #[error("{action} `{file}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another process has the vault open")]
    InUse,
    /// A file is not what it should be.
    #[error("`{0}` is not what it should be")]
    Damaged(String),
    /// What was sealed does not open: it was altered, or belongs to another record or subject.
    #[error("what was sealed does not open")]
    Sealed,
    /// There is no room for the key of another subject.
    #[error("there is no room for another subject's key")]
    Full,
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
}
