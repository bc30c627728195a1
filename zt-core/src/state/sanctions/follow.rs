//! Keeps one process's view up with what others do.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::{TryStreamExt, stream};

use super::{
    Inner, SanctionError,
    shared::{Shared, TOPIC, announced, in_time},
};
use crate::{
    state::{Cursor, Entry, FeedError, HEARTBEAT, MAX_VIEW_AGE, Subscription},
    store::StoreError,
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How many keys are read from the store at once.
const READS: usize = 16;
/// How often a place is read again because it changes here at the same time.
const ATTEMPTS: usize = 8;

/// Follows until `inner` is gone.
pub(super) async fn run(inner: Weak<Inner>) {
    let Some((shared, mut news)) = inner.upgrade().and_then(|inner| begin(&inner)) else {
        return;
    };
    let mut wait = FIRST_WAIT;
    loop {
        match turn(&inner, &shared, &mut news).await {
            Ok(true) => wait = FIRST_WAIT,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "sanctions could not be followed");
                // Whatever was missed, it stands in the store.
                news = None;
                shared.clock.sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

type News = Option<Box<dyn Subscription>>;

/// Goes on from where the store was read, or from where an earlier task has come.
fn begin(inner: &Inner) -> Option<(Arc<Shared>, News)> {
    let shared = Arc::clone(inner.shared.as_ref()?);
    let from = Cursor(inner.cursor.load(Ordering::Acquire));
    let news = shared.feed.as_ref().map(|feed| feed.subscribe(TOPIC, from));
    Some((shared, news))
}

/// Hears one batch; `false` when there is nobody to hear it.
async fn turn(
    inner: &Weak<Inner>,
    shared: &Shared,
    news: &mut News,
) -> Result<bool, SanctionError> {
    let Some(feed) = &shared.feed else {
        shared.clock.sleep(HEARTBEAT).await;
        let Some(inner) = inner.upgrade() else {
            return Ok(false);
        };
        inner.tell_the_rest().await;
        return Ok(true);
    };
    let news = match news {
        Some(news) => news,
        None => {
            let Some(inner) = inner.upgrade() else {
                return Ok(false);
            };
            inner.astray.store(false, Ordering::Release);
            let from = inner.load().await?;
            news.insert(feed.subscribe(TOPIC, from))
        }
    };
    // What the batch says was so when it was asked for, at the least.
    let asked = shared.clock.monotonic();
    let next = async { Ok(news.next().await?) };
    let batch = in_time(&*shared.clock, MAX_VIEW_AGE, next).await?;
    let Some(inner) = inner.upgrade() else {
        return Ok(false);
    };
    inner.hear(&batch).await?;
    if let Some(last) = batch.last() {
        inner.cursor.store(last.cursor.0, Ordering::Release);
    }
    inner.heard(asked);
    inner.tell_the_rest().await;
    if inner.astray.load(Ordering::Acquire) {
        return Err(StoreError::Unavailable("news could not be looked up".into()).into());
    }
    Ok(true)
}

impl Inner {
    /// Reads the whole store. What happens after the returned place has to be heard.
    pub(super) async fn load(&self) -> Result<Cursor, SanctionError> {
        let Some(shared) = &self.shared else {
            return Ok(Cursor::default());
        };
        let asked = self.clock.monotonic();
        // In this order: what is announced while the store is being read is heard afterwards.
        let from = shared.newest().await?;
        let generation = self.view.generation();
        let found = shared.read_all(self.view.limit()).await?;
        self.view.adopt_all(found, generation, self.lenient_now())?;
        self.cursor.store(from.0, Ordering::Release);
        self.heard(asked);
        Ok(from)
    }

    async fn hear(&self, batch: &[Entry]) -> Result<(), SanctionError> {
        let mut keys = batch.iter().map(announced).collect::<Result<Vec<_>, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        stream::iter(keys.into_iter().map(Ok))
            .try_for_each_concurrent(READS, |key| async move { self.read_again(&key).await })
            .await
    }

    /// Takes over what the store has at `key` now.
    pub(super) async fn read_again(&self, key: &Arc<str>) -> Result<(), SanctionError> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        for _ in 0..ATTEMPTS {
            let since = self.view.since(key);
            let found = shared.read(key).await?;
            if self.view.adopt(key, since, found, self.lenient_now())? {
                return Ok(());
            }
        }
        // It changes here faster than the store can be read; whoever changes it announces it.
        Ok(())
    }

    /// Tells others of what they could not be told before, and does not take long over it.
    async fn tell_the_rest(&self) {
        let Ok(_turn) = self.turns.try_lock() else {
            return;
        };
        let begun = self.clock.monotonic();
        for key in self.view.untold() {
            match self.tell(&key).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "others could not be told of a sanction");
                    if is_down(&error) {
                        return;
                    }
                }
            }
            if self.clock.monotonic().saturating_sub(begun) >= HEARTBEAT {
                return;
            }
        }
    }
}

/// Whether the next thing would fail alike.
const fn is_down(error: &SanctionError) -> bool {
    matches!(
        error,
        SanctionError::Store(StoreError::Unavailable(_))
            | SanctionError::Feed(FeedError::Unavailable(_))
    )
}
