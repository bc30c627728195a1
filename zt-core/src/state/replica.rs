//! What registries have in common that rest in a store and are read in memory: their age, their
//! news, and how they follow the news of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Cursor, Entry, Feed, FeedError, MAX_VIEW_AGE, Topic};
use crate::clock::Clock;

/// How long to wait after something could not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// From so many changed keys on, everything is read again.
const MANY: usize = 512;

/// The part of a registry that others' changes are heard with.
pub(crate) struct Replica {
    clock: Arc<dyn Clock>,
    feed: Option<Arc<dyn Feed>>,
    topic: Topic,
    /// Where the feed stood before the store was first read.
    start: Cursor,
    /// Keys whose news could not be published yet, and how often each changed meanwhile.
    unannounced: Mutex<BTreeMap<Arc<str>, u64>>,
    /// Held from reading the store to changing the view, so that what is older never replaces
    /// what is newer: a revocation must not be undone by news that was late.
    changes: tokio::sync::Mutex<()>,
    /// When the view was last known to be complete; microseconds of the monotonic clock.
    heard: AtomicU64,
}

impl Replica {
    /// Notes where the feed stands; the store is to be read after that.
    pub(crate) async fn open(
        clock: Arc<dyn Clock>,
        feed: Option<Arc<dyn Feed>>,
        topic: Topic,
    ) -> Result<Self, FeedError> {
        let start = match &feed {
            Some(feed) => feed.newest(topic).await?,
            None => Cursor::default(),
        };
        Ok(Self {
            clock,
            feed,
            topic,
            start,
            unannounced: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            heard: AtomicU64::new(0),
        })
    }

    /// The right to change the view.
    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// Only a view that is shared with others can be behind them.
    pub(crate) fn is_stale(&self) -> bool {
        if self.feed.is_none() {
            return false;
        }
        let heard = Duration::from_micros(self.heard.load(Ordering::Acquire));
        self.clock.monotonic().saturating_sub(heard) > MAX_VIEW_AGE
    }

    /// The view was complete at `monotonic`.
    pub(crate) fn heard_at(&self, monotonic: Duration) {
        let micros = u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX);
        self.heard.fetch_max(micros, Ordering::AcqRel);
    }

    /// Tells other instances that `key` has changed. Where they cannot be told now, they are told
    /// later.
    pub(crate) async fn tell(&self, key: &Arc<str>) {
        self.note(key);
        if let Err(error) = self.announce_pending().await {
            let topic = self.topic;
            tracing::warn!(%error, topic, "other instances have not been told of a change yet");
        }
    }

    fn note(&self, key: &Arc<str>) {
        if self.feed.is_some() {
            *self.unannounced().entry(Arc::clone(key)).or_default() += 1;
        }
    }

    /// Publishes what could not be published before.
    pub(crate) async fn announce_pending(&self) -> Result<(), FeedError> {
        let Some(feed) = &self.feed else {
            return Ok(());
        };
        let pending = self.unannounced().clone();
        for (key, changes) in pending {
            let payload = bytes::Bytes::copy_from_slice(key.as_bytes());
            feed.publish(self.topic, payload).await?;
            // Changed again while this was under way: whoever heard of it may have read too early.
            let mut unannounced = self.unannounced();
            if unannounced.get(&key) == Some(&changes) {
                unannounced.remove(&key);
            }
        }
        Ok(())
    }

    fn unannounced(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, u64>> {
        self.unannounced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registry that has a [`Replica`].
pub(crate) trait Follows: Sized + Send + Sync + 'static {
    type Error: From<FeedError> + fmt::Display + Send;

    fn replica(&self) -> &Replica;

    /// Whether news of `key` are for this registry.
    fn owns(key: &str) -> bool;

    /// Reads what stands at `key` again; whoever calls is [changing](Replica::changing).
    fn reload(self: &Arc<Self>, key: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Reads everything again.
    fn reload_all(self: &Arc<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether the store answers, where the view is to grow old when it does not.
    fn probe(self: &Arc<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Applies what other instances change, until every other handle to `registry` is gone. Without a
/// feed it ends at once.
///
/// It tries again where feed or store fails. Meanwhile the view grows older, until it
/// [is too old](Replica::is_stale).
pub(crate) async fn follow<R: Follows>(registry: Arc<R>) {
    let replica = registry.replica();
    let Some(feed) = replica.feed.clone() else {
        return;
    };
    let (mut cursor, topic) = (replica.start, replica.topic);
    let weak = Arc::downgrade(&registry);
    drop(registry);
    let mut subscription = feed.subscribe(topic, cursor);
    loop {
        let news = subscription.next().await;
        let Some(registry) = weak.upgrade() else {
            return;
        };
        if let Err(error) = hear(&registry, &*feed, news, &mut cursor).await {
            tracing::warn!(%error, topic, "changes cannot be followed; trying again");
            let pause = registry.replica().clock.sleep(PAUSE);
            drop(registry);
            pause.await;
            subscription = feed.subscribe(topic, cursor);
        }
    }
}

/// Applies one batch of news and moves the cursor behind it.
async fn hear<R: Follows>(
    registry: &Arc<R>,
    feed: &dyn Feed,
    news: Result<Vec<Entry>, FeedError>,
    cursor: &mut Cursor,
) -> Result<(), R::Error> {
    let replica = registry.replica();
    let at = replica.clock.monotonic();
    match news {
        Ok(entries) => {
            apply(registry, &entries).await?;
            if let Some(last) = entries.last() {
                *cursor = last.cursor;
            }
            registry.probe().await?;
            replica.heard_at(at);
        }
        Err(FeedError::Lost) => {
            let newest = feed.newest(replica.topic).await?;
            registry.reload_all().await?;
            *cursor = newest;
            // A new subscription from there; nothing was missed.
            return Err(FeedError::Lost.into());
        }
        Err(error) => return Err(error.into()),
    }
    replica.announce_pending().await.map_err(R::Error::from)
}

async fn apply<R: Follows>(registry: &Arc<R>, entries: &[Entry]) -> Result<(), R::Error> {
    let keys: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| std::str::from_utf8(&entry.payload).ok())
        .filter(|key| R::owns(key))
        .collect();
    if keys.len() >= MANY {
        return registry.reload_all().await;
    }
    for key in keys {
        let _changing = registry.replica().changing().await;
        registry.reload(key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        state::{MemoryFeed, Subscription},
        store::BoxFuture,
    };

    /// Waits in the middle of publishing, once.
    #[derive(Debug)]
    struct Slow {
        inner: MemoryFeed,
        gate: tokio::sync::Semaphore,
    }

    impl Feed for Slow {
        fn publish(
            &self,
            topic: Topic,
            payload: bytes::Bytes,
        ) -> BoxFuture<'_, Result<Cursor, FeedError>> {
            Box::pin(async move {
                let cursor = self.inner.publish(topic, payload).await;
                if let Ok(permit) = self.gate.acquire().await {
                    permit.forget();
                }
                cursor
            })
        }

        fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
            self.inner.newest(topic)
        }

        fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription> {
            self.inner.subscribe(topic, from)
        }
    }

    #[tokio::test]
    async fn a_change_while_the_one_before_is_announced_is_announced_too() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let feed = Arc::new(Slow {
            inner: MemoryFeed::new(Arc::clone(&clock)),
            gate: tokio::sync::Semaphore::new(0),
        });
        let shared = Arc::clone(&feed) as Arc<dyn Feed>;
        let replica = Replica::open(clock, Some(shared), "t").await.unwrap();
        let (replica, key) = (Arc::new(replica), Arc::<str>::from("k"));
        let before = feed.newest("t").await.unwrap();
        replica.note(&key);
        let announcing = tokio::spawn({
            let replica = Arc::clone(&replica);
            async move { replica.announce_pending().await }
        });
        while feed.newest("t").await.unwrap() == before {
            tokio::task::yield_now().await;
        }
        // Others may have read by now, and then it changes again.
        replica.note(&key);
        feed.gate.add_permits(2);
        announcing.await.unwrap().unwrap();
        let once = feed.newest("t").await.unwrap();
        replica.announce_pending().await.unwrap();
        assert_ne!(feed.newest("t").await.unwrap(), once);
        assert!(replica.unannounced().is_empty());
    }
}
