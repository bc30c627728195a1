//! A store and a feed in PostgreSQL (feature `postgres`): shared between processes, and durable.
//!
//! **Protects against** what one process sees and another does not: a nonce that was used here is
//! used everywhere, and a sanction that is imposed here strikes everywhere within a second.
//!
//! **A call is answered** when
//!
//! 1. the server is the primary: a connection to a standby is not used, for what it reads is old,
//! 2. it gave a connection and an answer in time ([`PostgresConfig`] says how long that is),
//! 3. a write is committed and flushed (`synchronous_commit` is never `off` here; a server with
//!    `fsync = off` forgets all the same),
//! 4. there is room; what has expired is cleared away by later writes, some with each.
//!
//! **A refusal** is [`StoreError::Unavailable`](super::StoreError::Unavailable), or
//! [`StoreError::Full`](super::StoreError::Full). An answer may be lost after its commit: then the
//! call is refused though the write has happened. Nothing here asks twice, so no write is made
//! twice: a nonce that was lost in this way is `replayed` when it comes again. A connection that
//! was given up is closed, never used again, and the next call makes another.
//!
//! **Atomic** are the calls because each is one statement, in its own transaction, at `read
//! committed`. A first write is `insert .. on conflict do update .. where` the row has expired: the
//! unique index lets one through, and who waited for it looks at the row that came of it. A
//! write over an edition, and a removal, are `update` and `delete` `where version =`: they lock
//! the row and ask again once they have it. A read and a scan are one snapshot.
//!
//! **Time** is the server's `clock_timestamp()`, read in the same statement, so that processes
//! need not agree on theirs: an entry is nothing from its expiry on. Should the server's clock go
//! back, what has expired and is not cleared away yet is there again. (Expiries after the year
//! 294 000 are kept as [`Timestamp::MAX`](crate::clock::Timestamp::MAX).)
//!
//! **Versions** come from a sequence, which never goes back: not by a rollback, nor by a crash
//! after a commit. A backup that is restored, or a standby that is promoted before it has heard
//! everything, forgets what it had not heard, and goes back with all of it.
//!
//! **Places of the feed** have no holes. A `bigserial` would: its numbers are taken before they
//! are committed, so a reader who saw 5 would miss a 4 that came later. Here a publication locks
//! the row of its topic, counts it up, adds the entry and commits; the next one waits. `notify`
//! only wakes: what there is the table says, and it is asked at each heartbeat in any case, so
//! a lost notification costs half a second and no entry. Publications of one topic are therefore
//! as fast as commits are.
//!
//! **Set it up** by [`Postgres::migrate`]: it makes the schema where there is none, and may run in
//! every process at once. Afterwards the role needs no more than `usage` on the schema and its
//! sequence, `select`, `insert`, `update`, `delete` on its tables and `execute` on its functions.
//!
//! **On the way** a server on another machine proves who it is (`sslmode=verify-full`), or opening
//! is refused. It is believed by `sslrootcert`, and by the public authorities that browsers
//! believe.
//!
//! **What it does not do**: it does not hide what is in it from the server. It does not work through
//! a pooler that gives each transaction another session (`LISTEN`, prepared statements). The bound
//! of entries may be exceeded by as many as are written at the same moment. After a backup was
//! restored, restart the processes that follow its feed.
//!
//! ```no_run
//! use zt_core::{
//!     state::Feed,
//!     store::{
//!         Expect, Store, Swap,
//!         postgres::{Postgres, PostgresConfig, PostgresFeed, PostgresStore},
//!     },
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://zt@db.example/app?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem";
//! let postgres = Postgres::open(PostgresConfig::new(url)).await?;
//! postgres.migrate().await?;
//! let store = PostgresStore::new(&postgres);
//! let feed = PostgresFeed::new(&postgres);
//! let first = store.put_if("seen/7", "x".into(), None, Expect::Absent).await?;
//! assert!(matches!(first, Swap::Done(_)));
//! feed.publish("news", "seen/7".into()).await?;
//! # Ok(()) }
//! ```

mod config;
mod connection;
mod feed;
mod listen;
mod schema;
mod store;
#[cfg(test)]
#[cfg(unix)]
mod tests;

pub use self::{
    config::{PostgresConfig, PostgresError},
    connection::Postgres,
    feed::PostgresFeed,
    store::PostgresStore,
};

/// What the audit log's copies share with stores: how a server is checked, asked and set up.
#[doc(hidden)]
pub mod shared {
    pub use super::{
        config::{Caller, Checked},
        connection::{MIGRATION, Unanswered, in_time, late, unanswered},
        schema::{Tables, begin_session, migrate},
    };
}
