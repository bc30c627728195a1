//! The connection: one, shared, made anew where it broke or hung.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::runtime::Handle;

use super::script::Scripts;
use crate::counter::CounterError;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The call was not sent: nothing has happened.
    NotSent(Arc<str>),
    /// It was sent, and may have been carried out.
    Unknown(Arc<str>),
    /// The server cannot do it now: nothing has happened.
    Busy(CounterError),
    /// The server does not take it, now or later.
    Refused(CounterError),
}

impl From<Failure> for CounterError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(why) | Failure::Unknown(why) => Self::Unavailable(why),
            Failure::Busy(error) | Failure::Refused(error) => error,
        }
    }
}

pub(super) struct Link {
    client: Client,
    runtime: Handle,
    timeout: Duration,
    pub(super) scripts: Scripts,
    current: Mutex<Current>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    count: u64,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    pub(super) fn new(
        client: Client,
        runtime: Handle,
        timeout: Duration,
        scripts: Scripts,
    ) -> Self {
        Self {
            client,
            runtime,
            timeout,
            scripts,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// One call; the words of its answer.
    pub(super) async fn ask(&self, call: &Cmd) -> Result<Vec<String>, Failure> {
        let (count, mut connection) = self.connection().await?;
        let mut answer = call.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(is_unknown_script) {
            self.load(&mut connection)
                .await
                .map_err(|error| self.failed(count, &error))?;
            answer = call.query_async(&mut connection).await;
        }
        answer.map_err(|error| self.failed(count, &error))
    }

    /// Several calls in one trip, each with an answer of its own.
    pub(super) async fn ask_all(
        &self,
        calls: &Pipeline,
    ) -> Result<Vec<Result<Vec<String>, Failure>>, Failure> {
        let (count, mut connection) = self.connection().await?;
        let mut answers: Vec<redis::RedisResult<Vec<String>>> = calls
            .query_async(&mut connection)
            .await
            .map_err(|error| self.failed(count, &error))?;
        let unknown =
            |answer: &redis::RedisResult<_>| answer.as_ref().is_err_and(is_unknown_script);
        if answers.iter().any(unknown) {
            self.load(&mut connection)
                .await
                .map_err(|error| self.failed(count, &error))?;
            // Only these: others of the same trip have been carried out.
            for (call, answer) in calls.cmd_iter().zip(&mut answers) {
                if unknown(answer) {
                    *answer = call.query_async(&mut connection).await;
                }
            }
        }
        let each = |answer: redis::RedisResult<_>| answer.map_err(|error| judge(&error));
        Ok(answers.into_iter().map(each).collect())
    }

    /// Runs `calls` as they are, over keys and not over scripts.
    pub(super) async fn plain<T: redis::FromRedisValue>(
        &self,
        calls: &Pipeline,
    ) -> Result<T, Failure> {
        let (count, mut connection) = self.connection().await?;
        calls
            .query_async(&mut connection)
            .await
            .map_err(|error| self.failed(count, &error))
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Failure> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let (client, timeout) = (self.client.clone(), self.timeout);
        // On the runtime that stays, since the connection's own task lives there.
        let connect = self.runtime.spawn(async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(timeout))
                .set_response_timeout(Some(timeout))
                .set_pipeline_buffer_size(1024);
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        });
        let gone = || Failure::NotSent("the runtime has ended".into());
        let mut connection = connect
            .await
            .map_err(|_| gone())?
            .map_err(|error| Failure::NotSent(describe(&error)))?;
        refuse_eviction(&mut connection).await?;
        self.load(&mut connection)
            .await
            .map_err(|error| Failure::NotSent(describe(&error)))?;
        let mut current = self.lock();
        current.count += 1;
        current.connection = Some(connection.clone());
        Ok((current.count, connection))
    }

    async fn load(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        self.scripts.load().query_async(connection).await
    }

    fn open(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.lock();
        let connection = current.connection.clone()?;
        Some((current.count, connection))
    }

    /// A connection that broke, or on which an answer was waited for in vain, is left behind.
    fn failed(&self, count: u64, error: &RedisError) -> Failure {
        // One that has become a replica is no longer the server at this address.
        let demoted = error.code() == Some("READONLY");
        if demoted || error.is_timeout() || error.is_unrecoverable_error() || error.is_io_error() {
            let mut current = self.lock();
            if current.count == count {
                current.connection = None;
            }
        }
        judge(error)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may have a password in it.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// A server that throws keys away when it is full forgets what was spent.
async fn refuse_eviction(connection: &mut MultiplexedConnection) -> Result<(), Failure> {
    let told: redis::RedisResult<String> = redis::cmd("INFO")
        .arg("memory")
        .query_async(connection)
        .await;
    // Not everybody may ask.
    let Ok(told) = told else { return Ok(()) };
    let policy = told
        .lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"));
    match policy {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(Failure::NotSent(
            format!("the server evicts keys (`{policy}`); it has to be `noeviction`").into(),
        )),
    }
}

fn judge(error: &RedisError) -> Failure {
    let what = describe(error);
    match (error.kind(), error.code()) {
        (ErrorKind::Server(_) | ErrorKind::Extension, Some("OOM")) => {
            Failure::Busy(CounterError::Full)
        }
        (ErrorKind::Server(_) | ErrorKind::Extension, Some("ERR" | "WRONGTYPE")) => {
            Failure::Refused(CounterError::Unavailable(what))
        }
        // Loading, read-only, busy with a script, without its master ...
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => {
            Failure::Busy(CounterError::Unavailable(what))
        }
        _ => Failure::Unknown(what),
    }
}

/// The kind of the error, and what the server said; never what was asked.
fn describe(error: &RedisError) -> Arc<str> {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    match error.code() {
        Some(code) => format!("the server answers {code}").into(),
        None => format!("{:?}", error.kind()).into(),
    }
}
