use std::fmt;

use zeroize::Zeroizing;
use zt_core::random::Entropy;

/// A signature algorithm of C2SP signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// 0x01, Ed25519.
    Ed25519,
    /// 0x04, a timestamped cosignature (cosignature/v1) by Ed25519.
    CosignatureV1,
}

/// What a log signs its checkpoints with: an Ed25519 key and the name it signs under.
pub struct SigningKey {
    _todo: (),
}

impl SigningKey {
    /// A new key for `name`, which is a log's origin.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a key's name (empty, with a space or a `+`), or there is no
    /// randomness.
    pub fn generate(_name: &str, _entropy: &dyn Entropy) -> Result<Self, KeyError> {
        todo!()
    }

    /// Of the form in which Go's `sumdb/note` keeps keys:
    /// `PRIVATE+KEY+<name>+<id>+<base64 of 0x01 and the seed>`.
    ///
    /// # Errors
    ///
    /// When it is not of that form.
    pub fn parse(_text: &str) -> Result<Self, KeyError> {
        todo!()
    }

    /// The form that [`parse`](Self::parse) reads. It is a secret.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        todo!()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        todo!()
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        todo!()
    }

    /// An Ed25519 signature (64 bytes) over `message`, with algorithm 0x01's meaning: `message` is
    /// a note's text.
    #[must_use]
    pub fn sign(&self, _message: &[u8]) -> [u8; 64] {
        todo!()
    }
}

/// The name and the key id; never the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// What verifies a log's signatures: a "vkey" of C2SP signed-note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    _todo: (),
}

impl VerifierKey {
    /// Of the form `<name>+<8 hex digits>+<base64 of the algorithm and the key>`.
    ///
    /// # Errors
    ///
    /// When it is not of that form, has an algorithm that is not known, or an id that is not that
    /// of its key.
    pub fn parse(_text: &str) -> Result<Self, KeyError> {
        todo!()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The first four bytes of the SHA-256 that names it.
    #[must_use]
    pub fn id(&self) -> u32 {
        todo!()
    }

    /// Whether `signature` is one over `message`, a note's text.
    #[must_use]
    pub fn verifies(&self, _message: &[u8], _signature: &[u8]) -> bool {
        todo!()
    }
}

/// As [`parse`](VerifierKey::parse) reads it.
impl fmt::Display for VerifierKey {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// A key that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not of the form that it should have.
    #[error("it is not a {0}")]
    Form(&'static str),
    /// It has an algorithm that is not known.
    #[error("it has algorithm {0:#04x}, which is not known")]
    Algorithm(u8),
    /// Its id is not that of its key.
    #[error("its id is not that of its key")]
    Id,
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
}
