use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{ErrorKind, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};

use super::{
    RedisConfig, RedisError, RedisScript,
    link::{Link, Listeners},
};
use crate::clock::{Clock, SystemClock};

/// One connection to a Redis server, made again whenever it breaks. Clones share it, and so does
/// everything that is made from it: stores, feeds, and all their topics.
///
/// A server is asked who it is at each connection, and refused where it is a replica or where its
/// `maxmemory-policy` is not `noeviction`: it would forget a nonce or a sanction.
///
/// **Nothing is sent twice.** A call whose answer was lost is an error, and whether it happened
/// is not known; the one thing that is sent again is a script that the server did not have, and
/// therefore did not run.
///
/// **Each call is bounded** by the [time-out](RedisConfig::timeout), with the making of a
/// connection in it. A connection on which one was late is left to those who still wait there,
/// and the next call makes another. After a refusal no other is tried for a tenth of a second.
#[derive(Clone)]
pub struct RedisClient(Arc<Inner>);

struct Inner {
    config: RedisConfig,
    slot: Mutex<Slot>,
    listeners: Listeners,
}

/// The connection, or how it stands with the next one.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    attempt: Option<watch::Receiver<Outcome>>,
    failed: Option<(Duration, RedisError)>,
}

type Outcome = Option<Result<Arc<Link>, RedisError>>;

/// How long nothing is tried after an attempt has failed.
const PAUSE: Duration = Duration::from_millis(100);
/// An attempt may take as long as so many calls.
const PATIENCE: u32 = 4;

impl RedisClient {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`RedisError::Unfit`] where the server must not be used, and whatever else keeps it from
    /// answering.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisError> {
        let client = Self(Arc::new(Inner {
            config,
            slot: Mutex::default(),
            listeners: Listeners::default(),
        }));
        client.over_link(async |_| Ok(())).await?;
        Ok(client)
    }

    /// Runs `script` over `keys`, which stand in one slot, with `args`.
    ///
    /// `ARGV[1]` is the id of the server's process (`run_id`), so that a script can tell that
    /// another one has taken over, which may not have all that the last one acknowledged; it is
    /// empty where the server does not let its `INFO` be read.
    ///
    /// # Errors
    ///
    /// [`RedisError::Full`] where the server has no memory left for a write,
    /// [`RedisError::Lost`] where the script answers the error `ZTLOST`, and
    /// [`RedisError::Unavailable`] otherwise; the script may then have run.
    pub async fn call(
        &self,
        script: &RedisScript,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, RedisError> {
        let fill = |mut command: redis::Cmd, run: &str| {
            command.arg(keys.len()).arg(keys).arg(run).arg(args);
            command
        };
        self.over_link(async |link| {
            let answer = link.ask(&fill(script.by_hash(), &link.run)).await;
            match answer {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    link.ask(&fill(script.whole(), &link.run)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Something to wait on for what is published in `channel`.
    pub(super) fn listen(&self, channel: &[u8]) -> Arc<Notify> {
        let mut listeners = lock(&self.0.listeners);
        Arc::clone(listeners.entry(channel.to_owned()).or_default())
    }

    /// Whether what is published in `channel` is heard. Where it is not, somebody who waits has
    /// to look.
    pub(super) async fn hears(&self, channel: &[u8]) -> Result<bool, RedisError> {
        self.over_link(async |link| link.hears(channel).await).await
    }

    /// Does `work` in time over the connection, which is given up where it is of no further use.
    /// Somebody who just goes away before the end says nothing about it.
    async fn over_link<T>(
        &self,
        work: impl AsyncFnOnce(&Link) -> Result<T, redis::RedisError>,
    ) -> Result<T, RedisError> {
        let mut used = None;
        let done = in_time(self.0.config.timeout, async {
            let link = used.insert(self.link().await?);
            Ok(work(link).await)
        });
        match done.await {
            Some(Ok(Ok(value))) => Ok(value),
            Some(Ok(Err(error))) => {
                if is_over(&error) {
                    self.discard(used);
                }
                Err(RedisError::of(&error))
            }
            Some(Err(error)) => Err(error),
            None => {
                self.discard(used);
                Err(late())
            }
        }
    }

    /// The connection; a new one where there is none. The attempt goes on when whoever waits for
    /// it has gone, so that it comes to an end however impatient they are.
    async fn link(&self) -> Result<Arc<Link>, RedisError> {
        let mut outcome = {
            let mut slot = lock(&self.0.slot);
            match &slot.link {
                Some(link) if !link.is_over() => return Ok(Arc::clone(link)),
                _ => slot.link = None,
            }
            match &slot.attempt {
                Some(outcome) if outcome.has_changed().is_ok() => outcome.clone(),
                _ => {
                    if let Some((at, error)) = &slot.failed
                        && SystemClock.monotonic().saturating_sub(*at) < PAUSE
                    {
                        return Err(error.clone());
                    }
                    let (told, outcome) = watch::channel(None);
                    tokio::spawn(attempt(Arc::clone(&self.0), told));
                    slot.attempt = Some(outcome.clone());
                    outcome
                }
            }
        };
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(made)) => made.clone(),
            _ => Err(RedisError::unavailable("the connection was not made")),
        }
    }

    /// Leaves `link` to those who still wait there.
    fn discard(&self, link: Option<Arc<Link>>) {
        let mut slot = lock(&self.0.slot);
        if let (Some(now), Some(link)) = (&slot.link, link)
            && Arc::ptr_eq(now, &link)
        {
            slot.link = None;
        }
    }
}

/// Makes one connection and tells whoever waits for it.
async fn attempt(inner: Arc<Inner>, told: watch::Sender<Outcome>) {
    let limit = inner.config.timeout.saturating_mul(PATIENCE);
    let made = in_time(limit, Link::connect(&inner.config, &inner.listeners)).await;
    let made = made.unwrap_or_else(|| Err(late())).map(Arc::new);
    {
        let mut slot = lock(&inner.slot);
        slot.attempt = None;
        match &made {
            Ok(link) => {
                slot.link = Some(Arc::clone(link));
                slot.failed = None;
            }
            Err(error) => slot.failed = Some((SystemClock.monotonic(), error.clone())),
        }
    }
    told.send_replace(Some(made));
}

/// What comes of `work`, unless it takes longer than `limit`.
async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = SystemClock.sleep(limit) => None,
    }
}

fn late() -> RedisError {
    RedisError::unavailable("the server is late")
}

/// Whether the connection, or the server at its end, is of no further use.
fn is_over(error: &redis::RedisError) -> bool {
    error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
