//! Signed notes and checkpoints: what a log says of itself, so that others can hold it to that.
//!
//! The formats are those of C2SP signed-note, tlog-checkpoint and tlog-cosignature; other programs
//! read and verify them. A checkpoint names the log's origin, its size and its root. It has two
//! signature lines by one Ed25519 key: the log's own (algorithm 0x01) and a timestamped one
//! (cosignature/v1, 0x04), which says when it was made and which who does not know it passes over.

mod checkpoint;
mod key;
mod signed;
#[cfg(test)]
mod tests;

pub use self::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    key::{Algorithm, KeyError, SigningKey, VerifierKey},
    signed::{NoteError, SignedNote},
};
