use base64::{Engine as _, engine::general_purpose::STANDARD};
use zt_core::clock::Timestamp;

use super::{NoteError, SignedNote, SigningKey, VerifierKey, is_name};
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
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Of a note's text. Lines after the third are another log's extensions and are passed over.
    ///
    /// # Errors
    ///
    /// [`NoteError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        Self::read(text).ok_or(NoteError::Checkpoint)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|origin| is_name(origin))?;
        let size = lines.next().and_then(decimal)?;
        let root = STANDARD.decode(lines.next()?).ok()?;
        let root = Hash::from_bytes(root.try_into().ok()?);
        lines.all(|line| !line.is_empty()).then(|| Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A checkpoint with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Signs `checkpoint` at `at`: an Ed25519 line and a timestamped line (whole seconds). Its
    /// origin becomes the name of `key`: nobody signs for another log.
    #[must_use]
    pub fn sign(mut checkpoint: Checkpoint, key: &SigningKey, at: Timestamp) -> Self {
        key.name().clone_into(&mut checkpoint.origin);
        let text = checkpoint.text();
        let verifier = key.verifier();
        let mut note = SignedNote::unsigned(text);
        let signature = key.sign(note.text().as_bytes());
        note.push(&verifier, &signature);
        if let Ok(cosigner) = verifier.cosigner() {
            let cosignature = key.cosign(note.text(), at.as_secs());
            note.push(&cosigner, &cosignature);
        }
        Self { checkpoint, note }
    }

    /// Of a note's bytes; says nothing of its signatures yet.
    ///
    /// # Errors
    ///
    /// When it is no checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = SignedNote::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// What it says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, for signatures by others than the log.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The whole note.
    #[must_use]
    pub fn encode(&self) -> String {
        self.note.encode()
    }

    /// Whether `key`, whose name is the checkpoint's origin, signed it; and when, where it has a
    /// timestamped signature by the same key. Signatures by others are passed over, so that who
    /// spoils the timestamped line can take the time away, and nothing else.
    ///
    /// # Errors
    ///
    /// When it did not; also where the timestamped line by the same key is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<Timestamp>, NoteError> {
        if key.name() != self.checkpoint.origin {
            return Err(NoteError::Origin);
        }
        if let Some(at) = self.note.verify(key)? {
            return Ok(Some(at));
        }
        let cosigner = key.cosigner().map_err(|_| NoteError::Origin)?;
        match self.note.verify(&cosigner) {
            Err(NoteError::Unsigned) => Ok(None),
            at => at,
        }
    }

    /// As [`verify`](Self::verify), for a checkpoint that nobody adds to: it has the three lines and
    /// the two signatures that [`sign`](Self::sign) writes, and nothing else. So there is no byte of
    /// it that could be another.
    ///
    /// # Errors
    ///
    /// When that is not so.
    pub fn verify_as_written(&self, key: &VerifierKey) -> Result<Timestamp, NoteError> {
        let at = self.verify(key)?.ok_or(NoteError::Unsigned)?;
        let written = self.note.signatures() == 2 && self.note.text() == self.checkpoint.text();
        if written {
            Ok(at)
        } else {
            Err(NoteError::Form)
        }
    }
}

/// A number in ASCII digits without leading zeros.
fn decimal(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    if !plain || leading {
        return None;
    }
    digits.parse().ok()
}
