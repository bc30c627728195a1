use zt_core::clock::Timestamp;

use super::{NoteError, SignedNote, SigningKey, VerifierKey};
use crate::merkle::Hash;

/// How far a log has come (C2SP tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: three lines.
    #[must_use]
    pub fn text(&self) -> String {
        todo!()
    }

    /// Of a note's text. Lines after the third are another log's extensions and are passed over.
    ///
    /// # Errors
    ///
    /// [`NoteError::Checkpoint`].
    pub fn parse(_text: &str) -> Result<Self, NoteError> {
        todo!()
    }
}

/// A checkpoint with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Signs `checkpoint` at `at`: an Ed25519 line and a timestamped line (whole seconds).
    #[must_use]
    pub fn sign(_checkpoint: Checkpoint, _key: &SigningKey, _at: Timestamp) -> Self {
        todo!()
    }

    /// Of a note's bytes; says nothing of its signatures yet.
    ///
    /// # Errors
    ///
    /// When it is no checkpoint.
    pub fn parse(_bytes: &[u8]) -> Result<Self, NoteError> {
        todo!()
    }

    /// What it says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note.
    #[must_use]
    pub fn encode(&self) -> String {
        self.note.encode()
    }

    /// Whether `key`, whose name is the checkpoint's origin, signed it; and when, where it has a
    /// timestamped signature by the same key.
    ///
    /// # Errors
    ///
    /// When it did not; also where the timestamped line by the same key is wrong.
    pub fn verify(&self, _key: &VerifierKey) -> Result<Option<Timestamp>, NoteError> {
        todo!()
    }
}
