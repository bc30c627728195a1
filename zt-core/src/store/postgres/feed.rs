use std::{fmt, sync::Arc};

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};
use tokio::sync::watch;

use super::{Postgres, listen::Listening};
use crate::{
    clock::{Clock, SystemClock},
    state::{Cursor, Entry, Feed, FeedError, FeedLimits, HEARTBEAT, Subscription, Topic},
    store::BoxFuture,
};

/// A feed in PostgreSQL; see the [module](super). Clones share it.
///
/// Each topic is bounded: the oldest entries go when a limit is reached, and a subscriber that
/// stood before them gets [`FeedError::Lost`]. A publication whose answer was lost may be there,
/// and be there twice when it is repeated.
#[derive(Clone)]
pub struct PostgresFeed(Arc<Inner>);

struct Inner {
    postgres: Postgres,
    listening: Listening,
    limits: FeedLimits,
    publish: Arc<str>,
    newest: Arc<str>,
    after: Arc<str>,
}

/// The most entries of one batch.
const BATCH: i64 = 256;

impl PostgresFeed {
    /// The feed in the schema of `postgres`, with the default limits. One more connection listens
    /// from the first subscription on.
    #[must_use]
    pub fn new(postgres: &Postgres) -> Self {
        Self::with_limits(postgres, FeedLimits::default())
    }

    /// The feed in the schema of `postgres`, that keeps no more than `limits` of each topic.
    #[must_use]
    pub fn with_limits(postgres: &Postgres, limits: FeedLimits) -> Self {
        let statement = |text: &str| {
            text.replace("{s}", &format!(r#""{}""#, postgres.schema()))
                .into()
        };
        Self(Arc::new(Inner {
            postgres: postgres.clone(),
            listening: Listening::default(),
            limits,
            publish: statement(PUBLISH),
            newest: statement(NEWEST),
            after: statement(AFTER),
        }))
    }
}

const PUBLISH: &str = "SELECT {s}.publish($1, $2, $3, $4, $5)";

const NEWEST: &str = "SELECT newest FROM {s}.topics WHERE topic = $1";

// One snapshot: an entry is seen with the place that counts it.
const AFTER: &str = "
SELECT t.newest, f.place, f.payload FROM {s}.topics AS t
LEFT JOIN {s}.feed AS f ON f.topic = t.topic AND f.place > $2 AND f.place <= t.newest
WHERE t.topic = $1 ORDER BY f.place LIMIT $3";

impl Inner {
    async fn publish(&self, topic: Topic, payload: &[u8]) -> Result<Cursor, FeedError> {
        if payload.len() > self.limits.bytes {
            return Err(FeedError::TooLarge);
        }
        let publish = sqlx::query(AssertSqlSafe(Arc::clone(&self.publish)))
            .bind(topic)
            .bind(payload)
            .bind(size(self.limits.entries.max(1)))
            .bind(size(self.limits.bytes))
            .bind(self.postgres.schema());
        let rows = self.postgres.ask(publish).await;
        let rows = rows.map_err(FeedError::Unavailable)?;
        rows.first()
            .map_or_else(|| Err(unreadable()), |row| cursor(row, 0))
    }

    async fn newest(&self, topic: Topic) -> Result<Cursor, FeedError> {
        let newest = sqlx::query(AssertSqlSafe(Arc::clone(&self.newest))).bind(topic);
        let rows = self.postgres.ask(newest).await;
        let rows = rows.map_err(FeedError::Unavailable)?;
        rows.first()
            .map_or(Ok(Cursor::default()), |row| cursor(row, 0))
    }

    async fn after(&self, topic: Topic, from: Cursor) -> Result<Vec<Entry>, FeedError> {
        // No place is further on than a `bigint`.
        let Ok(place) = i64::try_from(from.0) else {
            return Err(FeedError::Lost);
        };
        let after = sqlx::query(AssertSqlSafe(Arc::clone(&self.after)))
            .bind(topic)
            .bind(place)
            .bind(BATCH);
        let rows = self.postgres.ask(after).await;
        let rows = rows.map_err(FeedError::Unavailable)?;
        let newest = rows
            .first()
            .map_or(Ok(Cursor::default()), |row| cursor(row, 0))?;
        if from == newest {
            return Ok(Vec::new());
        }
        // Beyond the newest, or before the oldest, or something between is gone.
        if from > newest {
            return Err(FeedError::Lost);
        }
        let mut batch = Vec::with_capacity(rows.len());
        for (row, expected) in rows.iter().zip(from.0.saturating_add(1)..) {
            let entry = entry(row)?.filter(|entry| entry.cursor.0 == expected);
            batch.push(entry.ok_or(FeedError::Lost)?);
        }
        Ok(batch)
    }
}

fn entry(row: &PgRow) -> Result<Option<Entry>, FeedError> {
    let place: Option<i64> = row.try_get(1).map_err(|_| unreadable())?;
    if place.is_none() {
        return Ok(None);
    }
    let payload: Vec<u8> = row.try_get(2).map_err(|_| unreadable())?;
    Ok(Some(Entry {
        cursor: cursor(row, 1)?,
        payload: payload.into(),
    }))
}

fn cursor(row: &PgRow, column: usize) -> Result<Cursor, FeedError> {
    let place: i64 = row.try_get(column).map_err(|_| unreadable())?;
    u64::try_from(place).map(Cursor).map_err(|_| unreadable())
}

fn size(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn unreadable() -> FeedError {
    FeedError::Unavailable("the server answered what nobody asked for".into())
}

impl Feed for PostgresFeed {
    fn publish(&self, topic: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move { self.0.publish(topic, &payload).await })
    }

    fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(self.0.newest(topic))
    }

    fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription> {
        Box::new(PostgresSubscription {
            bell: self.0.listening.bell(topic),
            feed: Arc::clone(&self.0),
            topic,
            from,
            is_behind: true,
        })
    }
}

struct PostgresSubscription {
    feed: Arc<Inner>,
    bell: watch::Receiver<()>,
    topic: Topic,
    from: Cursor,
    /// Whether there may be more than it was told of.
    is_behind: bool,
}

impl PostgresSubscription {
    async fn take(&mut self) -> Result<Vec<Entry>, FeedError> {
        // Before it looks: it hears what is published from here on.
        self.bell.mark_unchanged();
        self.is_behind = true;
        let batch = self.feed.after(self.topic, self.from).await?;
        match batch.last() {
            Some(last) => self.from = last.cursor,
            None => self.is_behind = false,
        }
        Ok(batch)
    }
}

impl Subscription for PostgresSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>> {
        Box::pin(async move {
            self.feed.listening.begin(&self.feed.postgres);
            let mut heartbeat = SystemClock.sleep(HEARTBEAT);
            loop {
                if self.is_behind {
                    let batch = self.take().await?;
                    if !batch.is_empty() {
                        return Ok(batch);
                    }
                }
                tokio::select! {
                    biased;
                    _ = self.bell.changed() => self.is_behind = true,
                    () = &mut heartbeat => return self.take().await,
                }
            }
        })
    }
}

/// Where it is, and its limits; payloads may be secret.
impl fmt::Debug for PostgresFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresFeed")
            .field("postgres", &self.0.postgres)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}
