//! Signed notes and checkpoints: what a log says of itself, so that others can hold it to that.
//!
//! The formats are those of C2SP signed-note, tlog-checkpoint and tlog-cosignature; other programs
//! read and verify them. A checkpoint names the log's origin, its size and its root. It has two
//! signature lines by one Ed25519 key: the log's own (algorithm 0x01) and a timestamped one
//! (cosignature/v1, 0x04), which says when it was made and which who does not know it passes over.
//!
//! ```text
//! shop.example/audit
//! 4711
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!
//! — shop.example/audit <base64 of key id and signature>
//! — shop.example/audit <base64 of key id, time and signature>
//! ```
//!
//! # When a checkpoint is accepted
//!
//! 1. It is a signed note: UTF-8 without control characters, a text that ends in a newline, an
//!    empty line, then signature lines and nothing else; at most [`MAX_NOTE`] bytes and
//!    [`MAX_SIGNATURES`] signatures. Base64 is read strictly, so that one note has one form.
//! 2. Its text is an origin, a size without leading zeros, a root of 32 bytes, each on a line;
//!    further lines are not empty.
//! 3. The origin is the name of the key that was given.
//! 4. There is a signature by that key's name and id, and every signature by that name and id
//!    verifies. So does every timestamped one by the same key.
//!
//! Everything else is a [`NoteError`]. Signatures by other keys are passed over, as C2SP signed-note
//! demands: witnesses add theirs. [`SignedCheckpoint::verify_as_written`] is for a checkpoint that
//! nobody adds to, the one in a log's folder: there no byte may be another.
//!
//! ```
//! use zt_audit::{merkle::Hash, note::{Checkpoint, NoteError, SignedCheckpoint, SigningKey}};
//! use zt_core::{clock::Timestamp, random::OsEntropy};
//!
//! let key = SigningKey::generate("shop.example/audit", &OsEntropy)?;
//! let checkpoint = Checkpoint { origin: key.name().to_owned(), size: 0, root: Hash::EMPTY_TREE };
//! let signed = SignedCheckpoint::sign(checkpoint, &key, Timestamp::from_secs(1_893_456_000));
//!
//! let read = SignedCheckpoint::parse(signed.encode().as_bytes())?;
//! assert_eq!(read.verify(&key.verifier())?, Some(Timestamp::from_secs(1_893_456_000)));
//! let another = SigningKey::generate("shop.example/audit", &OsEntropy)?;
//! assert_eq!(read.verify(&another.verifier()), Err(NoteError::Unsigned));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names
//!
//! A key's name, which is its log's origin, is not empty, has no Unicode space, no control character
//! and no `+`, and at most 255 bytes. A name that begins as the header of a cosignature does
//! (`cosignature/`, `subtree/`) is refused: one key signs both kinds of message, and only their first
//! line tells them apart.
//!
//! # What it does not do
//!
//! A signature says that the holder of the key signed this text, not that it is true, nor that it is
//! the newest. What a checkpoint says is to be held against the log, and against checkpoints that
//! were kept elsewhere. ML-DSA-44 (algorithm 0x06), which the specification now prefers, is not
//! there yet; [`Algorithm`] has room for it.

mod checkpoint;
mod key;
mod name;
mod signed;
#[cfg(test)]
mod tests;

pub(crate) use self::name::is_name;
pub use self::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    key::{Algorithm, KeyError, SigningKey, VerifierKey},
    signed::{MAX_NOTE, MAX_SIGNATURES, NoteError, SignedNote},
};
