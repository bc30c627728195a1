//! Hearing what other instances changed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    ServiceTokens, TokenError,
    registry::{BY_DIGEST, BY_ID},
};
use crate::state::{Cursor, Entry, Feed, FeedError, Topic};

/// Where changed tokens are announced, each by its key in the store.
pub(super) const TOPIC: Topic = "service-tokens";

/// How long to wait after something could not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// From so many changed tokens on, all are read again.
const MANY: usize = 512;

impl ServiceTokens {
    /// Applies what other instances change, until every other handle to this registry is gone. To
    /// be spawned by the application where there is a feed; without one it ends at once.
    ///
    /// It tries again where feed or store fails. Meanwhile the view grows older, and after
    /// [`MAX_VIEW_AGE`](crate::state::MAX_VIEW_AGE) it refuses every request with
    /// `store-unavailable`.
    pub async fn follow(self) {
        let Some(feed) = self.0.feed.clone() else {
            return;
        };
        let mut cursor = self.0.start;
        let registry = Arc::downgrade(&self.0);
        drop(self);
        let mut subscription = feed.subscribe(TOPIC, cursor);
        loop {
            let news = subscription.next().await;
            let Some(tokens) = registry.upgrade().map(ServiceTokens) else {
                return;
            };
            if let Err(error) = tokens.hear(&*feed, news, &mut cursor).await {
                tracing::warn!(%error, "service tokens cannot be followed; trying again");
                let pause = tokens.0.clock.sleep(PAUSE);
                drop(tokens);
                pause.await;
                subscription = feed.subscribe(TOPIC, cursor);
            }
        }
    }

    /// Applies one batch of news and moves the cursor behind it.
    async fn hear(
        &self,
        feed: &dyn Feed,
        news: Result<Vec<Entry>, FeedError>,
        cursor: &mut Cursor,
    ) -> Result<(), TokenError> {
        let at = self.0.clock.monotonic();
        match news {
            Ok(entries) => {
                self.apply(&entries).await?;
                if let Some(last) = entries.last() {
                    *cursor = last.cursor;
                }
                self.heard_at(at);
            }
            Err(FeedError::Lost) => {
                let newest = feed.newest(TOPIC).await?;
                self.refresh().await?;
                *cursor = newest;
                // A new subscription from there; nothing was missed.
                return Err(FeedError::Lost.into());
            }
            Err(error) => return Err(error.into()),
        }
        self.announce_pending().await.map_err(TokenError::from)
    }

    async fn apply(&self, entries: &[Entry]) -> Result<(), TokenError> {
        let keys: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| std::str::from_utf8(&entry.payload).ok())
            .filter(|key| key.starts_with(BY_ID) || key.starts_with(BY_DIGEST))
            .collect();
        if keys.len() >= MANY {
            return self.refresh().await;
        }
        for key in keys {
            let _changes = self.0.changes.lock().await;
            self.reload(key).await?;
        }
        Ok(())
    }
}
