use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use zt_core::secret::Secret;

/// Where the server is, and how long it may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct PostgresConfig {
    url: Secret,
    #[serde(default = "schema")]
    schema: String,
    #[serde(default = "connect_millis")]
    connect_millis: u64,
    #[serde(default = "answer_millis")]
    answer_millis: u64,
    #[serde(default)]
    insecure_unverified_server: bool,
}

/// A database that cannot be used, or says something that cannot be.
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
    #[error("the tables have the format {0}, which this version does not know")]
    Format(i32),
    /// The server cannot be reached, or does not let it happen.
    #[error("the database is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// A copy that is not what was copied.
    #[error("the copy of record {index} of `{origin}` was altered")]
    Altered {
        /// The log.
        origin: String,
        /// The record.
        index: u64,
    },
    /// The checkpoint is not signed by whom it should be.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] crate::note::NoteError),
}

impl PostgresConfig {
    /// `url` is `postgres://user:password@host:port/database`, with `sslmode=verify-full` and
    /// `sslrootcert=/path` for a server on another machine; `postgres://user@%2Fvar%2Frun/database`
    /// is a socket in that folder.
    pub fn new(url: &str) -> Self {
        Self {
            url: Secret::from(url),
            schema: schema(),
            connect_millis: connect_millis(),
            answer_millis: answer_millis(),
            insecure_unverified_server: false,
        }
    }

    /// Everything stands in the schema `name`; `zt` unless told.
    pub fn schema(self, name: impl Into<String>) -> Self {
        Self {
            schema: name.into(),
            ..self
        }
    }

    /// How long a connection may take; 2 s unless told.
    pub fn connect_within(self, span: Duration) -> Self {
        Self {
            connect_millis: millis(span),
            ..self
        }
    }

    /// How long an answer may take; 5 s unless told. Less than the follower's deadline, so that the
    /// server has given up by then too.
    pub fn answer_within(self, span: Duration) -> Self {
        Self {
            answer_millis: millis(span),
            ..self
        }
    }

    /// Takes any server on another machine for the right one, and speaks in the clear where it
    /// wants that: whoever is in between reads and writes the copy.
    pub fn insecure_unverified_server(self) -> Self {
        Self {
            insecure_unverified_server: true,
            ..self
        }
    }

    pub(super) fn check(&self) -> Result<Checked, PostgresError> {
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
        let answer = Duration::from_millis(self.answer_millis.max(1));
        let options = options
            .application_name("zt-audit")
            .options([
                ("search_path", "pg_catalog"),
                ("default_transaction_isolation", "read committed"),
            ])
            .options([
                ("statement_timeout", answer.as_millis()),
                ("idle_in_transaction_session_timeout", answer.as_millis()),
            ])
            // Records are in its arguments.
            .disable_statement_logging();
        Ok(Checked {
            options,
            schema: self.schema.as_str().into(),
            connect: Duration::from_millis(self.connect_millis.max(1)),
            answer,
        })
    }
}

pub(super) struct Checked {
    pub(super) options: PgConnectOptions,
    pub(super) schema: Box<str>,
    pub(super) connect: Duration,
    pub(super) answer: Duration,
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

const fn connect_millis() -> u64 {
    2000
}

const fn answer_millis() -> u64 {
    5000
}
