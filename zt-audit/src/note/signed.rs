use super::VerifierKey;

/// A text and signatures over it (C2SP signed-note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    _todo: (),
}

impl SignedNote {
    /// Of its bytes. Base64 is read strictly; at most 16 KiB and 100 signatures.
    ///
    /// # Errors
    ///
    /// When it is not a signed note.
    pub fn parse(_bytes: &[u8]) -> Result<Self, NoteError> {
        todo!()
    }

    /// The text, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        todo!()
    }

    /// The whole note.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }

    /// Whether `key` signed it; for a cosignature, when.
    ///
    /// # Errors
    ///
    /// [`NoteError::Unsigned`] where it has no signature by that name and id, and
    /// [`NoteError::Signature`] where it has one that is wrong.
    pub fn verify(&self, _key: &VerifierKey) -> Result<(), NoteError> {
        todo!()
    }
}

/// A note that cannot be read, or is not signed by whom it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is not a signed note.
    #[error("it is not a signed note")]
    Form,
    /// Its text is not a checkpoint.
    #[error("its text is not a checkpoint")]
    Checkpoint,
    /// It is another log's.
    #[error("it is of another origin")]
    Origin,
    /// Nobody with that key signed it.
    #[error("it has no signature by this key")]
    Unsigned,
    /// A signature by that key is wrong.
    #[error("its signature by this key is wrong")]
    Signature,
}
