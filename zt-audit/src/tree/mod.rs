//! The hashes of a log's tree, kept beside its records so that a proof is a few reads.
//!
//! `tree/0` has the hash of every record, 32 bytes each, `tree/1` that of every 256 records in a row
//! that are complete, `tree/2` of every 65,536, and so on. The hash of any complete subtree is made
//! from at most 256 of them. In a log of ten million records a proof takes about 24 reads.
//!
//! 1. The files are derived. Nothing of a log is lost with them: they are made anew from the
//!    records where they are short, missing or wrong.
//! 2. Nothing made from them is believed: a proof is handed out only after it was verified against
//!    the root of the signed checkpoint.
//! 3. A reader never writes to them. Where they do not give what it needs, it reads the records.
//! 4. A hash of 32 NUL bytes means that there is none: a hole that a crash left, or a record that
//!    was pruned before the files were made anew.
//!
//! # Proofs
//!
//! [`Prover`] makes proofs about the log in a folder, also while it is written: that a record is in
//! the tree of the log's checkpoint, and that one tree goes on from another. [`Inclusion`] is also a
//! text, in the format of C2SP tlog-proof, that verifies without the log: with the record and the
//! log's verifier key.
//!
//! A proof about a record that was pruned is made as long as `tree/` has its hash. What the proof
//! shows is that a record with this hash was there.

mod files;
mod proof;
mod prover;
mod recent;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use self::{files::TreeFiles, stored::Stored};
pub use self::{
    proof::{Consistency, Inclusion, TlogProofError},
    prover::{ProveError, Prover},
};
