//! Against a server that the tests start.

mod attacks;
mod contract;
mod crashes;
mod refusals;
mod together;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{Postgres, PostgresConfig, PostgresError, PostgresFeed, PostgresStore};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    store::{Expect, Store, StoreError, Swap, Version},
    testing::PostgresServer,
};

/// The server that the tests of this process share; it ends with the process.
fn server() -> Option<&'static PostgresServer> {
    static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start).as_ref()
}

/// A schema that nobody else uses, on the shared server.
async fn fresh() -> Option<Postgres> {
    Some(open(PostgresConfig::new(&server()?.url())).await)
}

async fn open(config: PostgresConfig) -> Postgres {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let postgres = Postgres::open(config.schema(format!("test_{next}"))).await;
    let postgres = postgres.unwrap();
    postgres.migrate().await.unwrap();
    postgres
}

async fn put(
    store: &PostgresStore,
    key: &str,
    expires: Option<Timestamp>,
) -> Result<Version, StoreError> {
    match store
        .put_if(key, Bytes::from_static(b"x"), expires, Expect::Absent)
        .await?
    {
        Swap::Done(version) => Ok(version),
        Swap::Conflict => panic!("{key} was there"),
    }
}

/// Runs a script as the administrator would.
async fn administer(server: &PostgresServer, script: &str) -> Result<(), sqlx::Error> {
    use sqlx::{Connection as _, Executor as _};
    let mut connection = sqlx::PgConnection::connect(&server.url()).await?;
    connection.execute(sqlx::AssertSqlSafe(script)).await?;
    connection.close().await
}

fn elapsed(since: Duration) -> Duration {
    SystemClock.monotonic().saturating_sub(since)
}

async fn sleep(millis: u64) {
    SystemClock.sleep(Duration::from_millis(millis)).await;
}

fn is_unavailable<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}
