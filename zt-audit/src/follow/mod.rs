//! Sinks: copies of the log elsewhere, that follow its files and never stand on a request's way.
//!
//! A [`Follower`] reads committed records from the files, hands them to a [`Sink`] in batches, and
//! keeps a cursor of what the sink has taken, so that after an outage or a restart it goes on where
//! it was. A sink that is slow or away delays nobody: the log is the truth, the copy is late.
//! Delivery is at least once; sinks that keep what they get tell records apart by (origin, index).

mod cursor;
mod follower;
mod json;
mod ocsf;
#[cfg(feature = "postgres")]
mod postgres;
mod registry;
#[cfg(test)]
mod tests;
mod tracing;

use std::future::Future;

use crate::read::Entry;

/// Takes copies of records.
pub trait Sink: Send + 'static {
    /// Takes `entries`, in order; an answer means that all of them are kept.
    fn deliver(&mut self, entries: &[Entry]) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// A sink that did not take what it was given.
#[derive(Debug, thiserror::Error)]
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
