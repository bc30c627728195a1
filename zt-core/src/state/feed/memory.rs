use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Notify;

use super::{Cursor, Entry, Feed, FeedError, HEARTBEAT, Subscription, Topic};
use crate::{clock::Clock, store::BoxFuture};

/// How much of each topic a [`MemoryFeed`] keeps for subscribers that come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedLimits {
    /// The most entries; at least one is kept.
    pub entries: usize,
    /// The most bytes of payload; a larger entry is refused.
    pub bytes: usize,
}

impl Default for FeedLimits {
    /// 4096 entries, 4 MiB.
    fn default() -> Self {
        Self {
            entries: 4096,
            bytes: 4 * 1024 * 1024,
        }
    }
}

/// A feed within one process; clones share it.
///
/// Each topic is a ring: the oldest entries go when a limit is reached, and a subscriber that
/// stood before them gets [`FeedError::Lost`].
#[derive(Clone)]
pub struct MemoryFeed(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    limits: FeedLimits,
    topics: Mutex<Topics>,
}

#[derive(Default)]
struct Topics {
    failed: bool,
    rings: HashMap<Topic, Ring>,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    newest: Cursor,
    news: Arc<Notify>,
}

impl MemoryFeed {
    /// An empty feed with the default limits; heartbeats follow `clock`.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self::with_limits(clock, FeedLimits::default())
    }

    /// An empty feed.
    #[must_use]
    pub fn with_limits(clock: impl Clock, limits: FeedLimits) -> Self {
        Self(Arc::new(Inner {
            clock: Arc::new(clock),
            limits,
            topics: Mutex::default(),
        }))
    }

    /// From now on the feed answers nothing but errors, as one that cannot be reached.
    #[cfg(any(test, feature = "test-util"))]
    pub fn fail(&self) {
        self.set_failed(true);
    }

    /// The feed answers again; what it had is still there.
    #[cfg(any(test, feature = "test-util"))]
    pub fn heal(&self) {
        self.set_failed(false);
    }

    #[cfg(any(test, feature = "test-util"))]
    fn set_failed(&self, failed: bool) {
        let mut topics = self.lock();
        topics.failed = failed;
        for ring in topics.rings.values() {
            ring.news.notify_waiters();
        }
    }

    fn with_ring<T>(
        &self,
        topic: Topic,
        act: impl FnOnce(&mut Ring) -> Result<T, FeedError>,
    ) -> Result<T, FeedError> {
        let mut topics = self.lock();
        if topics.failed {
            return Err(FeedError::Unavailable("the feed was told to fail".into()));
        }
        act(topics.rings.entry(topic).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Topics> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFeed")
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

impl Feed for MemoryFeed {
    fn publish(&self, topic: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        let limits = self.0.limits;
        Box::pin(async move { self.with_ring(topic, |ring| ring.push(payload, limits)) })
    }

    fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move { self.with_ring(topic, |ring| Ok(ring.newest)) })
    }

    fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription> {
        Box::new(MemorySubscription {
            feed: self.clone(),
            topic,
            from,
        })
    }
}

impl Ring {
    fn push(&mut self, payload: Bytes, limits: FeedLimits) -> Result<Cursor, FeedError> {
        let len = payload.len();
        if len > limits.bytes {
            return Err(FeedError::TooLarge);
        }
        while self.entries.len() >= limits.entries.max(1) || self.bytes > limits.bytes - len {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
        }
        let cursor = Cursor(self.newest.0.saturating_add(1));
        self.newest = cursor;
        self.bytes += len;
        self.entries.push_back(Entry { cursor, payload });
        self.news.notify_waiters();
        Ok(cursor)
    }

    fn after(&self, from: Cursor) -> Result<Vec<Entry>, FeedError> {
        if from == self.newest {
            return Ok(Vec::new());
        }
        let wanted = from.0.saturating_add(1);
        let oldest = self
            .entries
            .front()
            .map_or(u64::MAX, |entry| entry.cursor.0);
        if from > self.newest || oldest > wanted {
            return Err(FeedError::Lost);
        }
        // Places are consecutive, so the distance is an index.
        let skip = usize::try_from(wanted - oldest).map_err(|_| FeedError::Lost)?;
        Ok(self.entries.iter().skip(skip).cloned().collect())
    }
}

struct MemorySubscription {
    feed: MemoryFeed,
    topic: Topic,
    from: Cursor,
}

impl MemorySubscription {
    fn take(&mut self) -> Result<Vec<Entry>, FeedError> {
        let from = self.from;
        let batch = self.feed.with_ring(self.topic, |ring| ring.after(from))?;
        if let Some(last) = batch.last() {
            self.from = last.cursor;
        }
        Ok(batch)
    }
}

impl Subscription for MemorySubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>> {
        Box::pin(async move {
            let mut heartbeat = self.feed.0.clock.sleep(HEARTBEAT);
            let news = self
                .feed
                .with_ring(self.topic, |ring| Ok(Arc::clone(&ring.news)))?;
            loop {
                // Made before it looks: it hears what is published from here on.
                let heard = news.notified();
                let batch = self.take()?;
                if !batch.is_empty() {
                    return Ok(batch);
                }
                tokio::select! {
                    () = heard => {}
                    () = &mut heartbeat => return self.take(),
                }
            }
        })
    }
}
