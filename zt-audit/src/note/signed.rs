use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zt_core::clock::Timestamp;

use super::{Algorithm, SigningKey, VerifierKey, name::is_note_name};

/// The most bytes of a note: what sixteen signatures of the largest kind need, which a verifier
/// must accept (C2SP signed-note, "Format").
pub const MAX_NOTE: usize = 128 << 10;

/// The most signatures of a note.
pub const MAX_SIGNATURES: usize = 100;

/// A text and signatures over it (C2SP signed-note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl SignedNote {
    /// `text` and a signature over it. Only verifies for who takes `text` as such: it is for texts
    /// that are no checkpoints.
    ///
    /// # Errors
    ///
    /// When `text` cannot be a note's: it does not end in a newline, has control characters, is too
    /// long, or begins as what cosigners sign.
    pub fn sign(text: &str, key: &SigningKey) -> Result<Self, NoteError> {
        let another = text.starts_with("cosignature/") || text.starts_with("subtree/");
        if another
            || !text.ends_with('\n')
            || text.contains(is_forbidden)
            || text.len() > MAX_NOTE / 2
        {
            return Err(NoteError::Form);
        }
        let mut note = Self::unsigned(text.to_owned());
        note.push(&key.verifier(), &key.sign(text.as_bytes()));
        Ok(note)
    }

    /// Of its bytes. Base64 is read strictly; at most [`MAX_NOTE`] bytes and [`MAX_SIGNATURES`]
    /// signatures.
    ///
    /// # Errors
    ///
    /// When it is not a signed note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::Form);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Form)?;
        if note.contains(is_forbidden) {
            return Err(NoteError::Form);
        }
        // The text may have empty lines; the last one divides.
        let (text, lines) = note
            .rfind("\n\n")
            .and_then(|at| Some((note.get(..=at)?, note.get(at + 2..)?)))
            .ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::Form);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::Form)?);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, with its last newline. Worth nothing before [`verify`](Self::verify).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole note: exactly the bytes of which it was parsed.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for Signature { name, id, bytes } in &self.signatures {
            let id_and_bytes = [&id.to_be_bytes(), bytes.as_slice()].concat();
            let _ = writeln!(note, "{DASH}{name} {}", STANDARD.encode(id_and_bytes));
        }
        note
    }

    /// Whether `key` signed it; for a timestamped key, when (the latest time, where it did so
    /// several times).
    ///
    /// # Errors
    ///
    /// [`NoteError::Unsigned`] where it has no signature by that name and id, and
    /// [`NoteError::Signature`] where it has one that is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<Timestamp>, NoteError> {
        let mut latest: Result<Option<Timestamp>, _> = Err(NoteError::Unsigned);
        for signature in &self.signatures {
            // C2SP signed-note, "Signatures": passed over unless both are the key's; then it must
            // verify.
            if signature.id != key.id() || signature.name != key.name() {
                continue;
            }
            let at = match key.algorithm() {
                Algorithm::Ed25519 if key.verifies(self.text.as_bytes(), &signature.bytes) => None,
                Algorithm::Ed25519 => return Err(NoteError::Signature),
                Algorithm::CosignatureV1 => {
                    let seconds = key.cosigned(&self.text, &signature.bytes);
                    Some(Timestamp::from_secs(seconds.ok_or(NoteError::Signature)?))
                }
            };
            latest = Ok(latest.unwrap_or_default().max(at));
        }
        latest
    }

    /// How many signatures it has, by whomever.
    #[must_use]
    pub const fn signatures(&self) -> usize {
        self.signatures.len()
    }

    pub(super) const fn unsigned(text: String) -> Self {
        Self {
            text,
            signatures: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, by: &VerifierKey, signature: &[u8]) {
        self.signatures.push(Signature {
            name: by.name().to_owned(),
            id: by.id(),
            bytes: signature.to_vec(),
        });
    }
}

impl Signature {
    /// Of a line without its newline.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        if !is_note_name(name) {
            return None;
        }
        let decoded = STANDARD.decode(encoded).ok()?;
        let (id, bytes) = decoded.split_first_chunk::<4>()?;
        (!bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            bytes: bytes.to_vec(),
        })
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

/// No ASCII control character but the newline (C2SP signed-note, "Format").
const fn is_forbidden(c: char) -> bool {
    c < ' ' && c != '\n'
}

/// An em dash and a space.
const DASH: &str = "\u{2014} ";
