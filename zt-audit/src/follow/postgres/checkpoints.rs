use std::{fmt, sync::Arc, time::Duration};

use sqlx::AssertSqlSafe;
use tokio::{sync::watch, task::JoinHandle};
use zt_core::clock::{Clock, SystemClock, Timestamp};

use super::{Postgres, PostgresError, link::Link};
use crate::note::SignedCheckpoint;

/// Publishes checkpoints into the table `zt_audit_checkpoints`: the second place, which whoever
/// rolls a log back cannot roll back with it.
///
/// A log calls its hook with each checkpoint; the hook keeps the latest one and returns. It is
/// published by a task, at most one in a span, again and again while the database is away. Those that
/// a later one has overtaken are not published: a later one says all that they said.
pub struct CheckpointSink {
    latest: watch::Sender<Option<SignedCheckpoint>>,
    failure: watch::Receiver<Option<PublishError>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A checkpoint that is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint of {size} records of `{origin}` is not published: {why}")]
#[non_exhaustive]
pub struct PublishError {
    /// The log.
    pub origin: String,
    /// How many records it covers.
    pub size: u64,
    /// What went wrong.
    pub why: PostgresError,
}

const PUBLISH: &str = "INSERT INTO {s}.zt_audit_checkpoints (origin, size, at, note) \
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl CheckpointSink {
    /// Publishes into `postgres`, at most one checkpoint in `every` (one in ten seconds is 8,640 rows
    /// of half a kilobyte a day; what a log did after the last published one can be rolled back
    /// unnoticed). Runs on the tokio runtime that this is called on.
    #[must_use]
    pub fn spawn(postgres: &Postgres, every: Duration) -> Self {
        let (latest, news) = watch::channel(None);
        let (tell, failure) = watch::channel(None);
        let (stop, asked) = watch::channel(false);
        let link = postgres.link();
        let publisher = Publisher {
            statement: link.statement(PUBLISH),
            link,
            news,
            tell,
            asked,
            every,
        };
        Self {
            latest,
            failure,
            stop,
            task: tokio::spawn(publisher.run()),
        }
    }

    /// What a log calls with each checkpoint (`Options::on_checkpoint`). It never waits.
    pub fn hook(&self) -> impl Fn(&SignedCheckpoint) + Send + Sync + 'static {
        let latest = self.latest.clone();
        move |checkpoint| {
            latest.send_replace(Some(checkpoint.clone()));
        }
    }

    /// What keeps the latest checkpoint from being published, where something does.
    #[must_use]
    pub fn failure(&self) -> Option<PublishError> {
        self.failure.borrow().clone()
    }

    /// Publishes the latest checkpoint where that was not done, with one try, and stops.
    ///
    /// # Errors
    ///
    /// When it could not be published.
    pub async fn shutdown(self) -> Result<(), PublishError> {
        self.stop.send_replace(true);
        // A panic would have been told by the runtime; nothing in there panics.
        let _ = self.task.await;
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for CheckpointSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointSink")
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

struct Publisher {
    link: Link,
    statement: Arc<str>,
    news: watch::Receiver<Option<SignedCheckpoint>>,
    tell: watch::Sender<Option<PublishError>>,
    asked: watch::Receiver<bool>,
    every: Duration,
}

impl Publisher {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = tokio::select! {
                biased;
                // Whoever could ask is gone: that is asking too.
                _ = self.asked.wait_for(|asked| *asked) => true,
                news = self.news.changed() => news.is_err(),
            };
            let good = self.publish_latest().await;
            if is_last {
                return;
            }
            let span = if good {
                pause = FIRST_PAUSE;
                self.every
            } else {
                // As if it were new, so that it is tried again.
                self.news.mark_changed();
                let next = (pause * 2).min(LONGEST_PAUSE);
                std::mem::replace(&mut pause, next)
            };
            tokio::select! {
                biased;
                _ = self.asked.wait_for(|asked| *asked) => {}
                () = SystemClock.sleep(span) => {}
            }
        }
    }

    async fn publish_latest(&mut self) -> bool {
        let Some(note) = self.news.borrow_and_update().clone() else {
            return true;
        };
        let published = self.publish(&note).await;
        let failure = published.err().map(|why| PublishError {
            origin: note.checkpoint().origin.clone(),
            size: note.checkpoint().size,
            why,
        });
        let good = failure.is_none();
        if let Some(failure) = failure.as_ref().filter(|_| self.tell.borrow().is_none()) {
            tracing::warn!(target: "zt_audit", "{failure}");
        }
        self.tell.send_replace(failure);
        good
    }

    async fn publish(&mut self, note: &SignedCheckpoint) -> Result<(), PostgresError> {
        let checkpoint = note.checkpoint();
        let at = SystemClock.now().unwrap_or(Timestamp::EPOCH).as_micros();
        let statement = sqlx::query(AssertSqlSafe(Arc::clone(&self.statement)))
            .bind(&checkpoint.origin)
            .bind(i64::try_from(checkpoint.size).unwrap_or(i64::MAX))
            .bind(i64::try_from(at).unwrap_or(i64::MAX))
            .bind(note.encode());
        self.link.run(statement).await.map(drop)
    }
}
