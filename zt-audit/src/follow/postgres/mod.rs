//! Copies of logs in PostgreSQL (feature `postgres`): of one log, or of a whole fleet.
//!
//! **Protects against** the loss of a machine with its log, and against a log that is changed after
//! the fact where nobody looks: the copy was made before, by another hand, and is compared.
//!
//! **A record is in the copy** when
//!
//! 1. the statement that inserts its batch is committed and flushed (`synchronous_commit` is never
//!    `off` here; a server with `fsync = off` forgets all the same), on a primary and not on a
//!    standby, within the time that [`PostgresConfig`] gives,
//! 2. nothing else was in its place. (origin, index) is the primary key; a record that comes again
//!    with the same bytes is one record, and one with other bytes is
//!    [`SinkError::Conflict`](super::SinkError::Conflict): an alarm, and the follower stops. Nothing
//!    here changes or removes a row, and triggers refuse it to others who try without meaning to.
//!
//! What is stored are the bytes of the log, sealed; also where the follower opens them for others.
//!
//! **Set it up** by [`Postgres::migrate`], as the owner of the schema. Afterwards each instance needs no
//! more than
//!
//! ```sql
//! grant usage on schema zt to writer;
//! grant select, insert on zt.zt_audit_records, zt.zt_audit_checkpoints to writer;
//! ```
//!
//! **A fleet** of N instances is N logs, each with an origin of its own; no head is shared, so none
//! can fork. [`Fleet::merged`] reads them as one, by (time, origin, index), page by page; what an
//! instance delivers late stands where it belongs in time, before a place where a reader may have
//! been already. [`Fleet::verify`] computes the root of a copy and compares it with a checkpoint that
//! the log signed: the copy proves itself. [`CheckpointSink`] publishes checkpoints here, as the
//! second place that a rolled-back log cannot reach, and the [registry](super::registry) names an
//! instance that went silent.
//!
//! **On the way** a server on another machine proves who it is (`sslmode=verify-full`), or opening
//! is refused.
//!
//! **What it does not do**: it does not keep an administrator of the database from changing a row,
//! but [`Fleet::verify`] names the record. It does not work through a pooler that gives each
//! transaction another session. It does not forget: who prunes the log prunes the copy apart.
//!
//! ```no_run
//! use zt_audit::follow::{FollowOptions, Follower, postgres::{Postgres, PostgresConfig}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://zt@db.example/audit?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem";
//! let postgres = Postgres::new(PostgresConfig::new(url))?;
//! postgres.migrate().await?;
//! let follower = Follower::spawn("/var/lib/shop/audit", postgres.sink(), FollowOptions::new("postgres"))?;
//! assert!(follower.health().is_well());
//! # follower.shutdown().await;
//! # Ok(()) }
//! ```

mod checkpoints;
mod error;
mod fleet;
mod link;
mod schema;
mod sink;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use zt_core::store::postgres::shared::{Caller, Checked};

pub use zt_core::store::postgres::PostgresConfig;

use self::link::Link;
pub use self::{
    checkpoints::{CheckpointSink, PublishError},
    error::PostgresError,
    fleet::{Copied, CopiedLog, CopyFinding, Filter, Fleet, Merged},
    sink::PostgresSink,
};

/// A database for copies of logs; see the [module](self). Each sink and each reader has one
/// connection of its own.
#[derive(Clone)]
pub struct Postgres(Arc<Checked>);

const CALLER: Caller = Caller {
    name: "zt-audit",
    connect: Duration::from_secs(2),
    answer: Duration::from_secs(5),
};

impl Postgres {
    /// Looks at `config`. No connection is made yet: a server that is not there is noticed when
    /// something is asked of it.
    ///
    /// # Errors
    ///
    /// Where the URL or the name of the schema cannot be used, or the server is on another machine
    /// and not verified.
    pub fn new(config: PostgresConfig) -> Result<Self, PostgresError> {
        Ok(Self(Arc::new(config.check(&CALLER)?)))
    }

    /// Makes schema and tables where they are not; may run in every process at once.
    ///
    /// # Errors
    ///
    /// Where the server cannot be reached or does not allow it, or a later version has been there.
    /// Nothing was changed then.
    pub async fn migrate(&self) -> Result<(), PostgresError> {
        self.link().migrate().await
    }

    /// A sink for a [`Follower`](super::Follower).
    #[must_use]
    pub fn sink(&self) -> PostgresSink {
        PostgresSink::new(self.link())
    }

    /// A reader of all logs that are copied here.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        Fleet::new(self.link())
    }

    fn link(&self) -> Link {
        Link::new(Arc::clone(&self.0))
    }
}

/// The schema; nothing of the URL.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("schema", &self.0.schema)
            .finish_non_exhaustive()
    }
}
