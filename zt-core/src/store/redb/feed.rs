use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    RedbError, RedbStore,
    file::{File, Writing},
};
use crate::{
    clock::Clock,
    state::{Cursor, Entry, Feed, FeedError, FeedLimits, HEARTBEAT, Subscription, Topic},
    store::BoxFuture,
};

/// A feed in a file; see the [module](super). Clones share it.
///
/// Entries and places outlive the process. A publication is on the disk before it is answered and
/// before a subscriber sees it. Each topic is bounded: the oldest entries go when a limit is
/// reached, and a subscriber that stood before them gets [`FeedError::Lost`].
#[derive(Clone)]
pub struct RedbFeed {
    file: File,
    clock: Arc<dyn Clock>,
    limits: FeedLimits,
}

const FEED: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("zt.feed");
const TOPICS: TableDefinition<'_, &str, Place> = TableDefinition::new("zt.topics");
/// The newest place, the oldest that is kept, and the bytes of payload from there to here.
type Place = (u64, u64, u64);
const NOWHERE: Place = (0, 1, 0);
/// The most entries of one batch.
const BATCH: usize = 256;

impl RedbFeed {
    /// The feed in the file of `store`, with the default limits; heartbeats follow its clock.
    #[must_use]
    pub fn within(store: &RedbStore) -> Self {
        Self {
            file: store.file().clone(),
            clock: Arc::clone(store.clock()),
            limits: FeedLimits::default(),
        }
    }

    /// The feed in a file of its own, with the default limits; heartbeats follow `clock`.
    ///
    /// # Errors
    ///
    /// As [`RedbStore::open`].
    pub async fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, RedbError> {
        Ok(Self::within(&RedbStore::open(path, clock).await?))
    }

    /// Keeps no more than `limits` of each topic.
    #[must_use]
    pub fn with_limits(self, limits: FeedLimits) -> Self {
        Self { limits, ..self }
    }
}

fn publish(
    writing: &mut Writing<'_>,
    topic: Topic,
    payload: &[u8],
    limits: FeedLimits,
) -> Result<Option<Cursor>, redb::Error> {
    let mut places = writing.transaction.open_table(TOPICS)?;
    let mut feed = writing.transaction.open_table(FEED)?;
    let (newest, mut oldest, mut bytes) = place(&places, topic)?;
    let Some(newest) = newest.checked_add(1) else {
        return Ok(None);
    };
    let (most, largest) = (size(limits.entries.max(1)), size(limits.bytes));
    bytes = bytes.saturating_add(size(payload.len()));
    while oldest < newest && (newest - oldest >= most || bytes > largest) {
        let gone = feed.remove((topic, oldest))?;
        bytes = bytes.saturating_sub(gone.map_or(0, |gone| size(gone.value().len())));
        oldest += 1;
    }
    feed.insert((topic, newest), payload)?;
    places.insert(topic, (newest, oldest, bytes))?;
    writing.changed = true;
    writing.announced = true;
    Ok(Some(Cursor(newest)))
}

fn after(
    read: &ReadTransaction,
    topic: Topic,
    from: Cursor,
) -> Result<Result<Vec<Entry>, FeedError>, redb::Error> {
    let (newest, oldest, _) = place(&read.open_table(TOPICS)?, topic)?;
    if from.0 == newest {
        return Ok(Ok(Vec::new()));
    }
    let wanted = from.0.saturating_add(1);
    if from.0 > newest || oldest > wanted {
        return Ok(Err(FeedError::Lost));
    }
    let feed = read.open_table(FEED)?;
    let mut batch = Vec::new();
    for (row, expected) in feed
        .range((topic, wanted)..=(topic, newest))?
        .take(BATCH)
        .zip(wanted..)
    {
        let (key, payload) = row?;
        let cursor = Cursor(key.value().1);
        if cursor.0 != expected {
            return Ok(Err(FeedError::Lost));
        }
        let payload = Bytes::copy_from_slice(payload.value());
        batch.push(Entry { cursor, payload });
    }
    match batch.is_empty() {
        true => Ok(Err(FeedError::Lost)),
        false => Ok(Ok(batch)),
    }
}

fn place(
    places: &impl ReadableTable<&'static str, Place>,
    topic: Topic,
) -> Result<Place, redb::Error> {
    Ok(places.get(topic)?.map_or(NOWHERE, |place| place.value()))
}

pub(super) fn prepare(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(FEED)?;
    transaction.open_table(TOPICS)?;
    Ok(())
}

fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Feed for RedbFeed {
    fn publish(&self, topic: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        let limits = self.limits;
        Box::pin(async move {
            if payload.len() > limits.bytes {
                return Err(FeedError::TooLarge);
            }
            let written = self
                .file
                .write(move |writing| publish(writing, topic, &payload, limits));
            let place = written.await.map_err(FeedError::Unavailable)?;
            place.ok_or_else(|| FeedError::Unavailable("places have run out".into()))
        })
    }

    fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move {
            let read = self
                .file
                .read(move |read| place(&read.open_table(TOPICS)?, topic));
            let (newest, ..) = read.await.map_err(FeedError::Unavailable)?;
            Ok(Cursor(newest))
        })
    }

    fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription> {
        Box::new(RedbSubscription {
            feed: self.clone(),
            topic,
            from,
        })
    }
}

struct RedbSubscription {
    feed: RedbFeed,
    topic: Topic,
    from: Cursor,
}

impl RedbSubscription {
    async fn take(&mut self) -> Result<Vec<Entry>, FeedError> {
        let (topic, from) = (self.topic, self.from);
        let read = self.feed.file.read(move |read| after(read, topic, from));
        let batch = read.await.map_err(FeedError::Unavailable)??;
        if let Some(last) = batch.last() {
            self.from = last.cursor;
        }
        Ok(batch)
    }
}

impl Subscription for RedbSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>> {
        Box::pin(async move {
            let mut heartbeat = self.feed.clock.sleep(HEARTBEAT);
            let file = self.feed.file.clone();
            loop {
                // Made before it looks: it hears what is published from here on.
                let heard = file.news().notified();
                let batch = self.take().await?;
                if !batch.is_empty() {
                    return Ok(batch);
                }
                tokio::select! {
                    () = heard => {}
                    () = &mut heartbeat => return self.take().await,
                }
            }
        })
    }
}

/// Its limits; payloads may be secret.
impl fmt::Debug for RedbFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbFeed")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
