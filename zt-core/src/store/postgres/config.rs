use std::{fmt, sync::Arc, time::Duration};

use serde::Deserialize;
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::secret::Secret;

/// Where the server is, and how long it may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct PostgresConfig {
    url: Secret,
    #[serde(default = "schema")]
    schema: String,
    #[serde(default = "connections")]
    connections: u32,
    #[serde(default)]
    connect_millis: Option<u64>,
    #[serde(default)]
    answer_millis: Option<u64>,
    #[serde(default)]
    insecure_unverified_server: bool,
}

/// Who connects, and how long it waits where it was not told.
#[doc(hidden)]
#[derive(Debug)]
pub struct Caller {
    /// As the server shows it.
    pub name: &'static str,
    pub connect: Duration,
    pub answer: Duration,
}

/// A configuration that was looked at.
#[doc(hidden)]
pub struct Checked {
    pub options: PgConnectOptions,
    pub schema: Box<str>,
    pub connections: u32,
    pub connect: Duration,
    pub answer: Duration,
}

/// A database that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The URL cannot be read.
    #[error("the URL of the database cannot be read")]
    Url,
    /// The name cannot be a schema.
    #[error("`{0}` cannot be a schema: up to 40 of `a-z`, `0-9` and `_`, a letter first")]
    Name(Box<str>),
    /// The server is on another machine, and would not have to prove who it is.
    #[error("the server is not verified: `sslmode=verify-full` in the URL of the database")]
    Unverified,
    /// The tables are another version's.
    #[error("the schema has the format {0}, which this version does not know")]
    Format(i32),
    /// The server cannot be reached, or does not let it happen.
    #[error("the database is unavailable: {0}")]
    Unavailable(Arc<str>),
}

impl PostgresConfig {
    /// `url` is `postgres://user:password@host:port/database`, with `sslmode=verify-full` and
    /// `sslrootcert=/path` for a server on another machine; `postgres://user@%2Fvar%2Frun/database`
    /// is a socket in that folder.
    pub fn new(url: &str) -> Self {
        Self {
            url: Secret::from(url),
            schema: schema(),
            connections: connections(),
            connect_millis: None,
            answer_millis: None,
            insecure_unverified_server: false,
        }
    }

    /// Everything stands in the schema `name`; `zt` unless told. Stores in different schemas know
    /// nothing of each other.
    pub fn schema(self, name: impl Into<String>) -> Self {
        Self {
            schema: name.into(),
            ..self
        }
    }

    /// At most `most` connections, and one that listens; 8 unless told. A copy of an audit log has
    /// one, whatever is said here.
    pub fn connections(self, most: u32) -> Self {
        Self {
            connections: most,
            ..self
        }
    }

    /// How long a call may wait for a connection; unless told 500 ms, and 2 s for a copy of an audit
    /// log.
    pub fn connect_within(self, span: Duration) -> Self {
        Self {
            connect_millis: Some(millis(span)),
            ..self
        }
    }

    /// How long a call may wait for its answer, once it has a connection; unless told 1 s, and 5 s
    /// for a copy of an audit log (less than its follower's deadline, so that the server has given
    /// up by then too).
    pub fn answer_within(self, span: Duration) -> Self {
        Self {
            answer_millis: Some(millis(span)),
            ..self
        }
    }

    /// Takes any server on another machine for the right one, and speaks in the clear where it
    /// wants that: whoever is in between reads and writes what is stored.
    pub fn insecure_unverified_server(self) -> Self {
        Self {
            insecure_unverified_server: true,
            ..self
        }
    }

    /// What it comes to for `caller`.
    ///
    /// # Errors
    ///
    /// Where the URL or the name of the schema cannot be used, or the server is on another machine
    /// and not verified.
    #[doc(hidden)]
    pub fn check(&self, caller: &Caller) -> Result<Checked, PostgresError> {
        if !is_name(&self.schema) {
            return Err(PostgresError::Name(self.schema.as_str().into()));
        }
        let url = std::str::from_utf8(self.url.expose()).map_err(|_| PostgresError::Url)?;
        // The parser takes any scheme, and what it says may have the password in it.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(PostgresError::Url);
        }
        let options: PgConnectOptions = url.parse().map_err(|_| PostgresError::Url)?;
        if !self.insecure_unverified_server && !is_near(&options) && !is_verified(&options) {
            return Err(PostgresError::Unverified);
        }
        let span = |told: Option<u64>, other| {
            told.map_or(other, |millis| Duration::from_millis(millis.max(1)))
        };
        let answer = span(self.answer_millis, caller.answer);
        let options = options
            .application_name(caller.name)
            .options([
                ("search_path", "pg_catalog"),
                ("default_transaction_isolation", "read committed"),
            ])
            .options([
                ("statement_timeout", answer.as_millis()),
                ("idle_in_transaction_session_timeout", answer.as_millis()),
            ])
            // Keys, and records, are in its arguments.
            .disable_statement_logging();
        Ok(Checked {
            options,
            schema: self.schema.as_str().into(),
            connections: self.connections.max(1),
            connect: span(self.connect_millis, caller.connect),
            answer,
        })
    }
}

/// The schema; nothing of the URL.
impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// Names like these mean the same within quotes, without them, and within a literal.
fn is_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.starts_with("pg_")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_near(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host)
}

fn is_verified(options: &PgConnectOptions) -> bool {
    matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn schema() -> String {
    "zt".to_owned()
}

const fn connections() -> u32 {
    8
}
