//! Reading a log, also while it is written: records one after the other, across segments, up to the
//! last commit line.
//!
//! A reader sees no record before it is durable: it stops at the last commit line, and a record is
//! handed out only once a commit line covers it and its root is the one that the records have, when
//! the reader began at a place whose tree it knows. It checks form, index, origin and `prev`;
//! signatures are [`verify`](crate::verify)'s.

mod reader;
#[cfg(test)]
mod tests;

pub use self::reader::{Entry, LogReader, ReadError};
