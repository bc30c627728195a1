use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use super::{Postgres, connection::Unanswered};
use crate::{
    clock::Timestamp,
    store::{
        BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned, check_key, check_value,
    },
};

/// A store in PostgreSQL; see the [module](super). Clones share it.
#[derive(Clone)]
pub struct PostgresStore {
    postgres: Postgres,
    statements: Arc<Statements>,
    purging: Arc<Purging>,
    most: i64,
}

struct Statements {
    get: Arc<str>,
    put_new: Arc<str>,
    put_over: Arc<str>,
    remove: Arc<str>,
    scan: Arc<str>,
    purge: Arc<str>,
}

#[derive(Default)]
struct Purging {
    writes: AtomicU64,
    is_on: AtomicBool,
}

/// After how many writes expired entries are cleared away, and how many at once.
const EVERY: u64 = 8;
const PURGE: i64 = 64;

impl PostgresStore {
    /// The store in the schema of `postgres`, with a million entries at most unless
    /// [told otherwise](Self::with_max_entries).
    #[must_use]
    pub fn new(postgres: &Postgres) -> Self {
        Self {
            postgres: postgres.clone(),
            statements: Arc::new(Statements::new(postgres.schema())),
            purging: Arc::default(),
            most: 1_000_000,
        }
    }

    /// At most `most` entries, by this handle and its clones, or a few more where many are written
    /// at the same moment; expired ones count until they are cleared away.
    #[must_use]
    pub fn with_max_entries(self, most: u64) -> Self {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Self { most, ..self }
    }

    async fn get_now(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        check_key(key)?;
        let get = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.get)));
        let rows = self.postgres.ask(get.bind(key.as_bytes())).await;
        let rows = rows.map_err(StoreError::Unavailable)?;
        rows.first().map(versioned).transpose()
    }

    async fn put_now(
        &self,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> Result<Swap, StoreError> {
        check_key(key)?;
        check_value(value)?;
        let swap = match expect {
            Expect::Absent => match self.put_new(key, value, expires).await {
                // Nothing was written, so this is no second write.
                Err(StoreError::Full) if self.purge().await? > 0 => {
                    self.put_new(key, value, expires).await
                }
                swap => swap,
            },
            Expect::Version(version) => self.put_over(key, value, expires, version).await,
        }?;
        if let Swap::Done(_) = swap {
            self.purge_sometimes();
        }
        Ok(swap)
    }

    async fn put_new(
        &self,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
    ) -> Result<Swap, StoreError> {
        let put = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.put_new)))
            .bind(key.as_bytes())
            .bind(value)
            .bind(expires.map(to_micros))
            .bind(self.most);
        let rows = self.postgres.ask(put).await;
        let rows = rows.map_err(StoreError::Unavailable)?;
        let row = rows.first().ok_or_else(unreadable)?;
        let version: Option<i64> = row.try_get(0).map_err(|_| unreadable())?;
        let has_room: bool = row.try_get(1).map_err(|_| unreadable())?;
        match version {
            Some(version) => Ok(Swap::Done(to_version(version)?)),
            None if has_room => Ok(Swap::Conflict),
            None => Err(StoreError::Full),
        }
    }

    async fn put_over(
        &self,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
        version: Version,
    ) -> Result<Swap, StoreError> {
        let Ok(version) = i64::try_from(version.0) else {
            return Ok(Swap::Conflict);
        };
        let put = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.put_over)))
            .bind(key.as_bytes())
            .bind(value)
            .bind(expires.map(to_micros))
            .bind(version);
        swapped(self.postgres.ask(put).await)
    }

    async fn remove_now(&self, key: &str, version: Version) -> Result<Swap, StoreError> {
        check_key(key)?;
        let Ok(version) = i64::try_from(version.0) else {
            return Ok(Swap::Conflict);
        };
        let remove = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.remove)))
            .bind(key.as_bytes())
            .bind(version);
        swapped(self.postgres.ask(remove).await)
    }

    async fn scan_now(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        let scan = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.scan)))
            .bind(from(prefix, after))
            .bind(behind(prefix))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.postgres.ask(scan).await;
        let rows = rows.map_err(StoreError::Unavailable)?;
        let entry = |row: &PgRow| {
            let key: Vec<u8> = row.try_get(3).map_err(|_| unreadable())?;
            let key = String::from_utf8(key).map_err(|_| unreadable())?;
            Ok((key, versioned(row)?))
        };
        rows.iter().map(entry).collect()
    }

    /// Clears away some expired entries and says how many it found.
    pub(super) async fn purge(&self) -> Result<usize, StoreError> {
        let purge = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.purge))).bind(PURGE);
        let rows = self.postgres.ask(purge).await;
        Ok(rows.map_err(StoreError::Unavailable)?.len())
    }

    /// In the background, and never twice at once.
    fn purge_sometimes(&self) {
        let writes = self.purging.writes.fetch_add(1, Ordering::Relaxed);
        if writes.is_multiple_of(EVERY) && !self.purging.is_on.swap(true, Ordering::AcqRel) {
            let store = self.clone();
            tokio::spawn(async move {
                let _ = store.purge().await;
                store.purging.is_on.store(false, Ordering::Release);
            });
        }
    }
}

impl Statements {
    fn new(schema: &str) -> Self {
        let statement = |text: &str| {
            let text = text.replace("{s}", &format!(r#""{schema}""#));
            text.replace("{now}", NOW).into()
        };
        Self {
            get: statement(GET),
            put_new: statement(PUT_NEW),
            put_over: statement(PUT_OVER),
            remove: statement(REMOVE),
            scan: statement(SCAN),
            purge: statement(PURGE_SOME),
        }
    }
}

/// Microseconds; read anew each time it is asked for, as after a wait for a row.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

const GET: &str = "
SELECT value, version, expires FROM {s}.entries
WHERE key = $1 AND (expires IS NULL OR expires > {now})";

// What is there already is looked for first: a conflict locks nothing and writes nothing.
const PUT_NEW: &str = "
WITH state AS (
    SELECT
        EXISTS (
            SELECT FROM {s}.entries
            WHERE key = $1 AND (expires IS NULL OR expires > {now})
        ) AS is_there,
        EXISTS (SELECT FROM {s}.entries WHERE key = $1)
            OR (SELECT sum(entries) FROM {s}.counts) < $4 AS has_room
), done AS (
    INSERT INTO {s}.entries AS e (key, value, version, expires)
    SELECT $1, $2, nextval('{s}.versions'), $3 FROM state WHERE has_room AND NOT is_there
    ON CONFLICT (key) DO UPDATE
    SET value = excluded.value, version = excluded.version, expires = excluded.expires
    WHERE e.expires <= {now}
    RETURNING e.version
)
SELECT (SELECT version FROM done), has_room FROM state";

const PUT_OVER: &str = "
UPDATE {s}.entries
SET value = $2, version = nextval('{s}.versions'), expires = $3
WHERE key = $1 AND version = $4 AND (expires IS NULL OR expires > {now})
RETURNING version";

const REMOVE: &str = "
DELETE FROM {s}.entries
WHERE key = $1 AND version = $2 AND (expires IS NULL OR expires > {now})
RETURNING version";

// One time for all rows.
const SCAN: &str = "
SELECT value, version, expires, key FROM {s}.entries
WHERE key >= $1 AND ($2::bytea IS NULL OR key < $2)
    AND (expires IS NULL OR expires > (SELECT {now}))
ORDER BY key LIMIT $3";

// A statement of its own that waits for no entry: within a write, two could wait for each other.
const PURGE_SOME: &str = "
DELETE FROM {s}.entries
WHERE key = ANY (ARRAY(
    SELECT key FROM {s}.entries WHERE expires <= (SELECT {now})
    ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
)) AND expires <= {now}
RETURNING 1";

/// The first key that may come.
fn from(prefix: &str, after: Option<&str>) -> Vec<u8> {
    match after {
        Some(after) if after >= prefix => {
            // The next one in the order of bytes.
            let mut from = after.as_bytes().to_vec();
            from.push(0);
            from
        }
        _ => prefix.as_bytes().to_vec(),
    }
}

/// The first key that comes after all that begin with `prefix`. UTF-8 has no byte 255.
fn behind(prefix: &str) -> Option<Vec<u8>> {
    let mut behind = prefix.as_bytes().to_vec();
    let last = behind.last_mut()?;
    *last = last.saturating_add(1);
    Some(behind)
}

fn versioned(row: &PgRow) -> Result<Versioned, StoreError> {
    let value: Vec<u8> = row.try_get(0).map_err(|_| unreadable())?;
    let version: i64 = row.try_get(1).map_err(|_| unreadable())?;
    let expires: Option<i64> = row.try_get(2).map_err(|_| unreadable())?;
    Ok(Versioned {
        value: value.into(),
        version: to_version(version)?,
        expires: expires.map(to_timestamp),
    })
}

fn swapped(rows: Result<Vec<PgRow>, Unanswered>) -> Result<Swap, StoreError> {
    let rows = rows.map_err(StoreError::Unavailable)?;
    let Some(row) = rows.first() else {
        return Ok(Swap::Conflict);
    };
    let version = row.try_get(0).map_err(|_| unreadable())?;
    Ok(Swap::Done(to_version(version)?))
}

fn to_version(version: i64) -> Result<Version, StoreError> {
    let version = u64::try_from(version).map_err(|_| unreadable())?;
    Ok(Version(version))
}

fn to_micros(end: Timestamp) -> i64 {
    i64::try_from(end.as_micros()).unwrap_or(i64::MAX)
}

fn to_timestamp(micros: i64) -> Timestamp {
    match u64::try_from(micros) {
        Ok(_) if micros == i64::MAX => Timestamp::MAX,
        Ok(micros) => Timestamp::from_micros(micros),
        Err(_) => Timestamp::EPOCH,
    }
}

fn unreadable() -> StoreError {
    StoreError::Unavailable("the server answered what nobody asked for".into())
}

impl Store for PostgresStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(self.get_now(key))
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move { self.put_now(key, &value, expires, expect).await })
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.remove_now(key, version))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        Box::pin(self.scan_now(prefix, after, limit))
    }
}

/// Where it is; keys and values may be secret.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("postgres", &self.postgres)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
