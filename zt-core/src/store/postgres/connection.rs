//! Connections that are either whole or closed.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool, Postgres as Server,
    pool::PoolConnection,
    postgres::{PgArguments, PgPoolOptions, PgRow},
    query::Query,
};

use super::{
    PostgresConfig, PostgresError,
    config::{Caller, Checked},
    schema,
};
use crate::clock::{Clock, SystemClock};

/// Connections to a server; see the [module](super). Clones share them.
#[derive(Clone)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    pool: PgPool,
    checked: Checked,
}

/// Why nothing was done, or nobody knows whether it was.
pub type Unanswered = Arc<str>;

/// How long a connection that did nothing is trusted to be there.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a migration may take, and wait for another.
pub const MIGRATION: Duration = Duration::from_secs(30);
const CALLER: Caller = Caller {
    name: "zt",
    connect: Duration::from_millis(500),
    answer: Duration::from_secs(1),
};

impl Postgres {
    /// Prepares connections as `config` says. None is made yet: a server that is not there is
    /// noticed by the first call.
    ///
    /// # Errors
    ///
    /// Where the URL or the name of the schema cannot be used, or the server is on another machine
    /// and not verified.
    #[expect(clippy::unused_async, reason = "the pool needs a runtime around it")]
    pub async fn open(config: PostgresConfig) -> Result<Self, PostgresError> {
        let checked = config.check(&CALLER)?;
        let pool = pool(&checked, checked.connections);
        Ok(Self(Arc::new(Inner { pool, checked })))
    }

    /// Makes the schema, or brings it up to date; does nothing where it is. May run at the same
    /// time in as many processes as want: one does it, the others wait.
    ///
    /// # Errors
    ///
    /// Where the server cannot be reached or does not allow it, where something else is in the
    /// schema, or where a later version has been there. Nothing was changed then.
    pub async fn migrate(&self) -> Result<(), PostgresError> {
        let mut lease = self.lease().await.map_err(PostgresError::Unavailable)?;
        let migrated = {
            let connection = lease.connection().ok_or_else(late);
            let connection = connection.map_err(PostgresError::Unavailable)?;
            let migration = schema::migrate(connection, self.schema(), &schema::TABLES);
            in_time(MIGRATION, migration).await
        };
        match migrated {
            Some(Ok(migrated)) => {
                lease.give_back();
                migrated.map_err(PostgresError::Format)
            }
            Some(Err(error)) => Err(PostgresError::Unavailable(unanswered(&error))),
            None => Err(PostgresError::Unavailable(late())),
        }
    }

    pub(super) fn schema(&self) -> &str {
        &self.0.checked.schema
    }

    /// A pool of one, for whoever listens.
    pub(super) fn listening(&self) -> PgPool {
        pool(&self.0.checked, 1)
    }

    /// Runs one statement, once, and gives its rows.
    pub(super) async fn ask(
        &self,
        statement: Query<'_, Server, PgArguments>,
    ) -> Result<Vec<PgRow>, Unanswered> {
        let mut lease = self.lease().await?;
        let answer = {
            let connection = lease.connection().ok_or_else(late)?;
            in_time(self.0.checked.answer, statement.fetch_all(connection)).await
        };
        match answer {
            Some(Ok(rows)) => {
                lease.give_back();
                Ok(rows)
            }
            Some(Err(error)) => {
                // The server has refused the statement, and is there for the next one.
                if matches!(error, sqlx::Error::Database(_)) {
                    lease.give_back();
                }
                Err(unanswered(&error))
            }
            None => Err(late()),
        }
    }

    async fn lease(&self) -> Result<Lease, Unanswered> {
        let connection = self.0.pool.acquire().await;
        connection
            .map(|connection| Lease(Some(connection)))
            .map_err(|error| unanswered(&error))
    }
}

/// A connection that is closed unless it is given back: whoever gives up in the middle leaves
/// nothing for the next one to read.
pub(super) struct Lease(Option<PoolConnection<Server>>);

impl Lease {
    pub(super) fn connection(&mut self) -> Option<&mut PgConnection> {
        self.0.as_deref_mut()
    }

    fn give_back(mut self) {
        if let Some(mut connection) = self.0.take() {
            // It is tried first, which must not hold its place for as long as a dead peer likes.
            let back = connection.return_to_pool();
            tokio::spawn(in_time(TRUSTED, back));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

fn pool(checked: &Checked, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(checked.connect)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| Box::pin(schema::begin_session(connection)))
        .connect_lazy_with(checked.options.clone())
}

/// What comes of `work`, unless it takes longer than `span`.
pub async fn in_time<T>(span: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = SystemClock.sleep(span) => None,
    }
}

/// That there was no answer in time.
#[must_use]
pub fn late() -> Unanswered {
    "the server did not answer in time".into()
}

/// What went wrong, without what was asked.
#[must_use]
pub fn unanswered(error: &sqlx::Error) -> Unanswered {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("25006") => "the server is read-only".into(),
            Some("57014") => late(),
            Some("42P01" | "3F000" | "42883") => "the tables are not there: migrate first".into(),
            Some("42501") => "the role may not do this".into(),
            Some(code) => format!("the server answered {code}").into(),
            None => "the server answered an error".into(),
        },
        sqlx::Error::PoolTimedOut => "there was no connection in time".into(),
        sqlx::Error::Io(error) => format!("the connection failed: {}", error.kind()).into(),
        _ => "the connection failed".into(),
    }
}

/// The schema and how busy it is; nothing of the URL.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("schema", &self.schema())
            .field("connections", &self.0.pool.size())
            .field("idle", &self.0.pool.num_idle())
            .finish_non_exhaustive()
    }
}
