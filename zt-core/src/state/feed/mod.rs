//! News between instances: what one has changed, the others hear within a second.
//!
//! A subscriber gets every entry of its topic after its cursor, in order, and an empty batch at
//! least each second, which says "nothing is missing". A view that has heard nothing for
//! five seconds is too old to decide by.
//!
//! [`MemoryFeed`] connects the parts of one process; a feed of your own passes the
//! conformance suite, `zt_core::state::feed_conformance`, behind the feature `test-util`.

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod memory;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

pub use self::memory::{FeedLimits, MemoryFeed};
use crate::store::BoxFuture;

/// The name of a stream of entries.
pub type Topic = &'static str;

/// A place in a topic; grows with each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor(pub u64);

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place; a subscriber that has handled it goes on from here.
    pub cursor: Cursor,
    /// What its publisher wrote.
    pub payload: Bytes,
}

/// The feed cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// It cannot be reached, or failed; the subscriber tries again, and its view grows old.
    #[error("the feed is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// Entries after the cursor are gone; the subscriber loads the whole state again.
    #[error("the feed no longer has the entries after the cursor")]
    Lost,
    /// The payload is larger than the feed keeps.
    #[error("the entry is too large for the feed")]
    TooLarge,
}

/// How often a subscriber hears something, be it nothing.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// How old a view may be to decide by.
pub const MAX_VIEW_AGE: Duration = Duration::from_secs(5);

/// Publishes entries to every subscriber of a topic, in one order.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// Adds `payload` to `topic`; done when subscribers can get it.
    fn publish(&self, topic: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>>;

    /// The newest place of `topic`.
    fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>>;

    /// Entries after `from`; [`Cursor::default`] is before the first one.
    ///
    /// A `from` beyond the newest place comes from a feed that has lost its memory since, so it is
    /// [`FeedError::Lost`]: to wait there would be to miss everything in silence.
    fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription>;
}

/// One subscriber's side of a topic.
pub trait Subscription: Send {
    /// The next entries; empty after [`HEARTBEAT`] where there are none. An empty batch says that
    /// nothing is missing, so a feed that cannot know that answers an error.
    ///
    /// Dropping the future before it is ready loses nothing.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>>;
}
