//! What several processes share: the store that holds the sanctions, the feed that tells of them.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Sanction, SanctionError, types::PREFIX};
use crate::{
    clock::{Clock, Timestamp},
    state::{Cursor, Entry, Feed, FeedError, Topic},
    store::{Expect, Store, StoreError, Swap},
};

/// The topic in which keys of changed sanctions are published.
pub(super) const TOPIC: Topic = "zt.sanctions";

/// How long the store and the feed together may take over one thing.
const DEADLINE: Duration = Duration::from_secs(2);
/// How often a write is tried against others that write the same.
const ATTEMPTS: usize = 8;
const PAGE: usize = 512;
/// What every store takes; see [`Store`].
const MAX_VALUE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) feed: Option<Arc<dyn Feed>>,
}

impl Shared {
    /// Writes `sanction` to the store, where there is one to be written, and announces its key.
    /// Gives what stands in the store then: it ends no earlier than what stood there before.
    pub(super) async fn tell(
        &self,
        key: &str,
        sanction: Option<&Sanction>,
        now: Timestamp,
    ) -> Result<Option<Sanction>, SanctionError> {
        self.in_time(async {
            let stored = match sanction {
                Some(sanction) => Some(self.put(key, sanction, now).await?),
                None => None,
            };
            if let Some(feed) = &self.feed {
                let payload = Bytes::copy_from_slice(key.as_bytes());
                feed.publish(TOPIC, payload).await?;
            }
            Ok(stored)
        })
        .await
    }

    async fn put(
        &self,
        key: &str,
        sanction: &Sanction,
        now: Timestamp,
    ) -> Result<Sanction, SanctionError> {
        for _ in 0..ATTEMPTS {
            let (stored, expect) = match self.store.get(key).await? {
                None => (sanction.clone(), Expect::Absent),
                Some(found) => {
                    let before = decode(key, &found.value)?;
                    let stored = sanction.clone();
                    let stored = match before.is_live(now) {
                        true => stored.no_shorter_than(&before),
                        false => stored,
                    };
                    (stored, Expect::Version(found.version))
                }
            };
            let value = encode(&stored)?;
            let swap = self
                .store
                .put_if(key, value, stored.expires, expect)
                .await?;
            if let Swap::Done(_) = swap {
                return Ok(stored);
            }
        }
        Err(contended())
    }

    /// Removes what stands at `key` from the store.
    pub(super) async fn remove(&self, key: &str) -> Result<(), SanctionError> {
        self.in_time(async {
            for _ in 0..ATTEMPTS {
                let Some(found) = self.store.get(key).await? else {
                    return Ok(());
                };
                if let Swap::Done(_) = self.store.remove(key, found.version).await? {
                    return Ok(());
                }
            }
            Err(contended())
        })
        .await
    }

    /// What stands at `key` in the store.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Sanction>, SanctionError> {
        self.in_time(async {
            let found = self.store.get(key).await?;
            found.map(|found| decode(key, &found.value)).transpose()
        })
        .await
    }

    /// Everything that stands in the store, where that is no more than `limit`.
    pub(super) async fn read_all(
        &self,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, Sanction)>, SanctionError> {
        let mut all: Vec<(Arc<str>, Sanction)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| Arc::clone(key));
            let scan = self.store.scan(PREFIX, after.as_deref(), PAGE);
            let page = self.in_time(async { Ok(scan.await?) }).await?;
            if page.is_empty() {
                return Ok(all);
            }
            for (key, found) in page {
                let sanction = decode(&key, &found.value)?;
                all.push((key.into(), sanction));
            }
            if all.len() > limit {
                return Err(SanctionError::Full);
            }
        }
    }

    /// The newest place of the feed; what was announced before it stands in the store.
    pub(super) async fn newest(&self) -> Result<Cursor, SanctionError> {
        match &self.feed {
            Some(feed) => self.in_time(async { Ok(feed.newest(TOPIC).await?) }).await,
            None => Ok(Cursor::default()),
        }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, SanctionError>>,
    ) -> Result<T, SanctionError> {
        in_time(&*self.clock, DEADLINE, work).await
    }
}

/// `work`, or an error where it takes longer than `span`.
pub(super) async fn in_time<T>(
    clock: &dyn Clock,
    span: Duration,
    work: impl Future<Output = Result<T, SanctionError>>,
) -> Result<T, SanctionError> {
    tokio::select! {
        biased;
        done = work => done,
        () = clock.sleep(span) => Err(StoreError::Unavailable("it took too long".into()).into()),
    }
}

/// The key that an entry of the feed announces. Only the key is published: what stands there is
/// read from the store, so that news which comes twice, late or out of order does no harm.
pub(super) fn announced(entry: &Entry) -> Result<Arc<str>, SanctionError> {
    match std::str::from_utf8(&entry.payload) {
        Ok(key) if key.starts_with(PREFIX) => Ok(key.into()),
        _ => Err(FeedError::Unavailable("an entry names no sanction".into()).into()),
    }
}

pub(super) fn encode(sanction: &Sanction) -> Result<Bytes, SanctionError> {
    let value = serde_json::to_vec(sanction).map_err(|_| SanctionError::TooLarge)?;
    if value.len() > MAX_VALUE {
        return Err(SanctionError::TooLarge);
    }
    Ok(value.into())
}

fn decode(key: &str, value: &[u8]) -> Result<Sanction, SanctionError> {
    serde_json::from_slice(value)
        .ok()
        .filter(|sanction: &Sanction| &*sanction.key() == key)
        .ok_or_else(|| SanctionError::Unreadable(key.into()))
}

fn contended() -> SanctionError {
    StoreError::Unavailable("others write the same place all the time".into()).into()
}
