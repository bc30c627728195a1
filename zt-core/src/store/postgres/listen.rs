//! Wakes subscribers when something was published.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{Executor, PgPool, postgres::PgListener};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use super::{Postgres, connection::in_time};
use crate::{
    clock::{Clock, SystemClock},
    state::Topic,
};

/// Who is woken; the task that wakes them ends with it.
#[derive(Default)]
pub(super) struct Listening {
    bells: Arc<Bells>,
    task: Mutex<Option<Task>>,
}

#[derive(Default)]
struct Bells(Mutex<HashMap<Topic, watch::Sender<()>>>);

struct Task(AbortHandle, JoinHandle<()>);

/// How long nothing may come before the connection is tried, and how long that may take.
const QUIET: Duration = Duration::from_secs(10);
const TRIED: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(250);

impl Listening {
    /// Hears of `topic` from here on.
    pub(super) fn bell(&self, topic: Topic) -> watch::Receiver<()> {
        self.bells.lock().entry(topic).or_default().subscribe()
    }

    /// Sees to it that somebody listens.
    pub(super) fn begin(&self, postgres: &Postgres) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // It ends by itself only with its runtime.
        if task.as_ref().is_some_and(|task| !task.1.is_finished()) {
            return;
        }
        let channel = postgres.schema().to_owned();
        let listen = listen(postgres.clone(), channel, Arc::clone(&self.bells));
        let spawned = tokio::spawn(listen);
        *task = Some(Task(spawned.abort_handle(), spawned));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, topic: &str) {
        if let Some(bell) = self.lock().get(topic) {
            bell.send_replace(());
        }
    }

    fn ring_all(&self) {
        for bell in self.lock().values() {
            bell.send_replace(());
        }
    }
}

async fn listen(postgres: Postgres, channel: String, bells: Arc<Bells>) {
    loop {
        // A pool of its own each time: a connection that hangs is not waited for. Subscribers ask
        // by themselves meanwhile.
        let pool = postgres.listening();
        if let Err(error) = listen_once(&pool, &channel, &bells).await {
            let error = super::connection::unanswered(&error);
            tracing::debug!(%error, "notifications are interrupted");
        }
        SystemClock.sleep(WAIT).await;
    }
}

async fn listen_once(pool: &PgPool, channel: &str, bells: &Bells) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    // What was published before is in nobody's ears.
    bells.ring_all();
    loop {
        match in_time(QUIET, listener.try_recv()).await {
            Some(Ok(Some(news))) => bells.ring(news.payload()),
            Some(Ok(None)) => return Ok(()),
            Some(Err(error)) => return Err(error),
            None => {
                let tried = in_time(TRIED, listener.execute("SELECT 1")).await;
                tried.ok_or(sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}
