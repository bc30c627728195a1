use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use redis::Value;
use tokio::sync::Notify;

use super::{
    RedisClient, RedisError, RedisScript,
    name::Name,
    store::{number, odd},
};
use crate::{
    clock::{Clock, SystemClock},
    random::{OsEntropy, bytes},
    state::{Cursor, Entry, Feed, FeedError, FeedLimits, HEARTBEAT, Subscription, Topic},
    store::BoxFuture,
};

/// A feed in a Redis server. Clones are one feed.
///
/// What it promises, and on which conditions, stands in the documentation of the
/// [module](super).
#[derive(Clone)]
pub struct RedisFeed(Arc<Inner>);

struct Inner {
    client: RedisClient,
    name: Name,
    limits: FeedLimits,
    channel: Vec<u8>,
    news: Arc<Notify>,
}

/// How many entries one batch has at the most.
const BATCH: usize = 256;
/// How often somebody looks who may not hear.
const POLL: Duration = Duration::from_millis(100);

impl RedisFeed {
    /// The feed `name` of the server, with the default limits for each topic. Names are those of
    /// [`RedisStore::open`](super::RedisStore::open); a store may have the same.
    ///
    /// # Errors
    ///
    /// [`RedisError::Config`] for another name.
    pub fn new(client: &RedisClient, name: &str) -> Result<Self, RedisError> {
        Self::with_limits(client, name, FeedLimits::default())
    }

    /// As [`new`](Self::new), with limits of one's own.
    ///
    /// # Errors
    ///
    /// As those of [`new`](Self::new).
    pub fn with_limits(
        client: &RedisClient,
        name: &str,
        limits: FeedLimits,
    ) -> Result<Self, RedisError> {
        let name = Name::new(name)?;
        let channel = name.key("news");
        Ok(Self(Arc::new(Inner {
            news: client.listen(&channel),
            client: client.clone(),
            name,
            limits,
            channel,
        })))
    }

    /// Runs `script` over the keys of `topic`.
    async fn call(
        &self,
        script: &RedisScript,
        topic: Topic,
        args: &[&[u8]],
    ) -> Result<Value, RedisError> {
        let name = &self.0.name;
        let keys = [
            name.key(&format!("topic:{topic}")),
            name.key(&format!("entries:{topic}")),
            name.key("none"),
        ];
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let base = base()?;
        let args: Vec<&[u8]> = std::iter::once(base.as_bytes())
            .chain(args.iter().copied())
            .collect();
        self.0.client.call(script, &keys, &args).await
    }

    async fn publish_now(&self, topic: Topic, payload: &[u8]) -> Result<Cursor, FeedError> {
        if payload.len() > self.0.limits.bytes {
            return Err(FeedError::TooLarge);
        }
        let entries = self.0.limits.entries.max(1).to_string();
        let bytes = self.0.limits.bytes.to_string();
        let args: [&[u8]; 4] = [
            payload,
            entries.as_bytes(),
            bytes.as_bytes(),
            &self.0.channel,
        ];
        Ok(place(&self.call(&PUBLISH, topic, &args).await?)?)
    }

    /// What comes after `from`, and where that is: the beginning is in another place in each life
    /// of a topic.
    async fn read(&self, topic: Topic, from: Cursor) -> Result<(Cursor, Vec<Entry>), FeedError> {
        let (after, most) = (from.0.to_string(), BATCH.to_string());
        let args = [after.as_bytes(), most.as_bytes()];
        let Value::Array(parts) = self.call(&READ, topic, &args).await? else {
            return Err(odd().into());
        };
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Value::BulkString(what)), None, None) if what == b"lost" => Err(FeedError::Lost),
            (Some(_), Some(from), Some(Value::Array(found))) => {
                let from = place(&from)?;
                // A server that says a place near the end of all numbers says nothing.
                let count = u64::try_from(found.len()).map_err(|_| odd())?;
                let end = from.0.checked_add(count).ok_or_else(odd)?;
                let entries = (from.0.saturating_add(1)..=end).zip(found);
                let entries: Result<_, FeedError> = entries
                    .map(|(place, payload)| match payload {
                        Value::BulkString(payload) => Ok(Entry {
                            cursor: Cursor(place),
                            payload: payload.into(),
                        }),
                        _ => Err(odd().into()),
                    })
                    .collect();
                Ok((from, entries?))
            }
            _ => Err(odd().into()),
        }
    }
}

fn place(answer: &Value) -> Result<Cursor, RedisError> {
    match answer {
        Value::BulkString(digits) => Ok(Cursor(number(digits).ok_or_else(odd)?)),
        _ => Err(odd()),
    }
}

/// Where a new topic begins: random, not zero, and small enough for Lua to count on from there.
fn base() -> Result<String, RedisError> {
    let random: [u8; 8] =
        bytes(&OsEntropy).map_err(|error| RedisError::Unavailable(error.to_string().into()))?;
    Ok(((u64::from_be_bytes(random) >> 12) | 1).to_string())
}

impl Feed for RedisFeed {
    fn publish(&self, topic: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move { self.publish_now(topic, &payload).await })
    }

    fn newest(&self, topic: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move { Ok(place(&self.call(&NEWEST, topic, &[]).await?)?) })
    }

    fn subscribe(&self, topic: Topic, from: Cursor) -> Box<dyn Subscription> {
        Box::new(RedisSubscription {
            feed: self.clone(),
            topic,
            from,
        })
    }
}

struct RedisSubscription {
    feed: RedisFeed,
    topic: Topic,
    from: Cursor,
}

impl RedisSubscription {
    async fn take(&mut self) -> Result<Vec<Entry>, FeedError> {
        let (from, batch) = self.feed.read(self.topic, self.from).await?;
        self.from = batch.last().map_or(from, |last| last.cursor);
        Ok(batch)
    }
}

impl Subscription for RedisSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>> {
        Box::pin(async move {
            let mut heartbeat = SystemClock.sleep(HEARTBEAT);
            let Inner {
                client,
                channel,
                news,
                ..
            } = &*Arc::clone(&self.feed.0);
            loop {
                // Asked for, and made, before it looks: it hears what is published from here on.
                let hears = client.hears(channel).await?;
                let heard = news.notified();
                let batch = self.take().await?;
                if !batch.is_empty() {
                    return Ok(batch);
                }
                let poll = async {
                    match hears {
                        true => std::future::pending().await,
                        false => SystemClock.sleep(POLL).await,
                    }
                };
                tokio::select! {
                    () = heard => {}
                    () = poll => {}
                    // It was so when the server was asked, and it is asked once more.
                    () = &mut heartbeat => return self.take().await,
                }
            }
        })
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFeed")
            .field("name", &self.0.name)
            .field("client", &self.0.client)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

const PRELUDE: &str = include_str!("scripts/feed.lua");
static NEWEST: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/newest.lua")));
static PUBLISH: LazyLock<RedisScript> =
    LazyLock::new(|| script(include_str!("scripts/publish.lua")));
static READ: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/read.lua")));

fn script(text: &str) -> RedisScript {
    RedisScript::new(&[PRELUDE, text].concat())
}
