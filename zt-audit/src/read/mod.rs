//! Reading a log, also while it is written: records one after the other, across segments, up to the
//! last commit line.
//!
//! A reader hands out a record when
//!
//! 1. a commit line covers it;
//! 2. its line has the form of a record, its index is the next, its origin that of the log;
//! 3. its `prev` is the hash of the record before, where the reader has seen that one;
//! 4. the commit line has the root that the records have, where the reader knows the tree: it does
//!    from the log's beginning, and from a segment for which the hashes in `tree/` are there and fit.
//!
//! Anything else is a [`ReadError`], and the reader stays where it is. A last batch that is only half
//! there is none: the reader waits for the rest. Signatures are [`verify`](mod@crate::verify)'s.
//!
//! A commit line can be read a moment before it is durable. [`LogReader::only_durable`] makes a reader
//! that holds the last batch back until another follows it or the checkpoint covers it: for copies
//! that must never have what a crash can take back.
//!
//! A log may grow, go on in another segment, give a segment up, be pruned behind the reader, and lose
//! the NULs at its end, all while it is read.

mod lines;
mod reader;
mod scan;
mod segments;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tree;

pub use self::reader::{Entry, LogReader, ReadError};
pub(crate) use self::{
    lines::{Lines, Raw, chunks, first_set, last_set, small},
    scan::{Look, MAX_TAIL, Part, Rest, Scanned, Seen, State, Stop, scan},
    segments::{PrunedFile, Segments},
    tree::{TreeFiles, stored, stored_tree},
};
