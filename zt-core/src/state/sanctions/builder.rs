use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use super::{ALWAYS, Inner, SanctionError, Sanctions, shared::Shared, view::View};
use crate::{
    clock::Clock,
    state::{Feed, Recorder},
    store::Store,
};

/// Collects what [`Sanctions`] work with; see [`Sanctions::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SanctionsBuilder {
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn Store>>,
    feed: Option<Arc<dyn Feed>>,
    recorder: Option<Arc<dyn Recorder>>,
    limit: usize,
}

impl SanctionsBuilder {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store: None,
            feed: None,
            recorder: None,
            limit: 1_000_000,
        }
    }

    /// Sanctions stand in `store`, under `sanction/`, and are loaded from it.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Changes are announced on `feed`, in the topic `zt.sanctions`, and heard from it. Needs a
    /// store that is shared as far as the feed is.
    pub fn feed(mut self, feed: Arc<dyn Feed>) -> Self {
        self.feed = Some(feed);
        self
    }

    /// Changes are recorded before they take effect.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// At most `limit` sanctions; a million unless said otherwise. Past it none can be imposed
    /// until one is lifted or expires. Processes that share a store should have the same: one
    /// that cannot hold what the others imposed refuses every caller.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Loads the store. With a feed, spawn [`Sanctions::follow`] next.
    ///
    /// # Errors
    ///
    /// When the store or the feed does not answer, has something that this version does not
    /// understand, or holds more than the limit; when there is a feed without a store.
    pub async fn open(self) -> Result<Sanctions, SanctionError> {
        if self.feed.is_some() && self.store.is_none() {
            return Err(SanctionError::FeedWithoutStore);
        }
        let sanctions = self.local();
        sanctions.0.load().await?;
        Ok(sanctions)
    }

    /// As [`open`](Self::open), without what would have to be loaded.
    pub(super) fn local(self) -> Sanctions {
        let followed = self.feed.is_some();
        let clock = self.clock;
        let shared = self.store.map(|store| {
            Arc::new(Shared {
                clock: Arc::clone(&clock),
                store,
                feed: self.feed,
            })
        });
        Sanctions(Arc::new(Inner {
            clock,
            view: View::new(self.limit),
            heard_at: AtomicU64::new(if followed { 0 } else { ALWAYS }),
            cursor: AtomicU64::new(0),
            astray: AtomicBool::new(false),
            shared,
            recorder: self.recorder,
            turns: tokio::sync::Mutex::new(()),
        }))
    }
}
