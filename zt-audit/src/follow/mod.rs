//! Sinks: copies of the log elsewhere, that follow its files and never stand on a request's way.
//!
//! **Protects against** a copy that holds up the log, and against a copy that says something else than
//! the log does. A [`Follower`] reads records from the files, hands them to a [`Sink`] in batches, and
//! keeps a cursor of what the sink has taken.
//!
//! **A record is delivered** when
//!
//! 1. a checkpoint of the log covers it: it is durable and signed for. What could still be lost with
//!    the power, and then be another record in the same place, is in no copy. A copy is therefore
//!    as late as checkpoints are, a second,
//! 2. its form, index, origin and `prev` are right ([`LogReader`](crate::read::LogReader)),
//! 3. all records before it were delivered, or were pruned before they could be, which is an alarm,
//! 4. the sink says so within the deadline. One that hangs is given up, and asked again later, each
//!    time after twice as long, up to a bound.
//!
//! **A follower stops, with an alarm,** where going on would hide something: its cursor is of another
//! log, or the log has another record in that place; the log is shorter than what it once signed
//! for; a record is not as it was written; the sink has other bytes in a record's place
//! ([`SinkError::Conflict`]); what should be opened does not open. [`Halt`] says which. It stays
//! stopped until somebody looks and starts it again. An alarm is an error in `tracing`, and an
//! `alert` record where a [`Recorder`](zt_core::state::Recorder) was named.
//!
//! **Where it stands**: beside the log, on the runtime and its blocking threads. The log knows of no
//! follower; there is no queue, lock or call between them, only the files. A sink that is slow or
//! away delays nobody: the log is the truth, the copy is late.
//!
//! **Sealed** is what a sink gets: the stored bytes, in which personal fields can be read by nobody
//! without the vault. [`FollowOptions::opened`] is the other choice, with a name that is found in
//! review; who was erased before a record is delivered stays erased in it, and who is erased later
//! is still in that copy.
//!
//! **Delivery is at least once.** The cursor is written after the sink has answered, and at most
//! once in [`FollowOptions::save_every`], so that it costs the log's disk little: after a crash some
//! records come again. Sinks that keep what they get tell records apart by (origin, index).
//!
//! **What it does not do**: it checks no signature; [`verify`](mod@crate::verify) does, and
//! `postgres::Fleet` over a copy. It does not hold back pruning: prune what the copies have.

mod alarm;
mod cursor;
mod follower;
mod health;
mod json;
mod lines;
pub mod ocsf;
mod options;
#[cfg(feature = "postgres")]
pub mod postgres;
mod record;
pub mod registry;
mod source;
mod task;
#[cfg(test)]
mod tests;
mod tracing;

use std::future::Future;

pub use self::{
    follower::{FollowError, Follower},
    health::{FollowerHealth, Halt, Stage},
    json::{JsonSink, OcsfSink},
    options::FollowOptions,
    record::Record,
    tracing::TracingSink,
};

/// Takes copies of records.
pub trait Sink: Send + 'static {
    /// Takes `records`, in order; an answer means that all of them are kept.
    ///
    /// The future is dropped at the deadline, and the same records come again: whatever it was in
    /// the middle of must be safe to give up.
    fn deliver(&mut self, records: &[Record])
    -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// A sink that did not take what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Not now; it is asked again, later and later.
    #[error("{0}")]
    Unavailable(String),
    /// It has another record in that place: one of the two logs is not what it says. It is not
    /// asked again until somebody looks.
    #[error("record {index} of `{origin}` is there with other bytes")]
    Conflict {
        /// The log.
        origin: String,
        /// The record.
        index: u64,
    },
}

/// For the fuzz target: a cursor that was read, as it is written.
#[cfg(fuzzing)]
pub(crate) fn cursor_as_written(bytes: &[u8]) -> Option<String> {
    cursor::Cursor::decode(bytes).map(|cursor| cursor.encode())
}
