//! A store and a feed in a file of this process (feature `redb`): durable, and nobody else's.
//!
//! **Protects against** what a restart forgets: a nonce, a revocation or a token that was
//! acknowledged is there after a crash of the process or of the machine.
//!
//! **A call is answered** when
//!
//! 1. the clock can say what time it is; an entry is nothing from its expiry on, by that clock,
//! 2. its transaction is on the disk (`fsync`), where it changed anything. Calls that come at the
//!    same time share one transaction: each is one step, all are durable together, and each is
//!    answered after that;
//! 3. there is room: a full store answers [`StoreError::Full`](super::StoreError::Full), after it has cleared away what has
//!    expired, and forgets nothing that lives.
//!
//! **A refusal** is [`StoreError::Unavailable`](super::StoreError::Unavailable) where the disk fails, the clock has no time, or too
//! many calls wait. What was asked may then have happened all the same; nothing asks twice.
//! Opening a file that another process (or another handle) has open, that is damaged, or that is
//! something else, is a [`RedbError`].
//!
//! **Versions** come from a counter in the same transaction as the write, so none is used twice,
//! over restarts and removals too. A file that is restored from a copy counts on from there.
//!
//! **Clocks**: what has expired is cleared away by later writes, some with each. Until then it
//! would be there again for a clock that goes back.
//!
//! **What it does not do**: it is not shared between processes; see PostgreSQL's and Redis's for that.
//! It is read and checked as a whole when it is opened, so keep it to what a restart may wait for.
//! Nothing in the file is encrypted; it is created for its owner alone (mode 600).
//!
//! ```
//! use zt_core::{
//!     clock::SystemClock,
//!     state::Feed,
//!     store::{Expect, Store, Swap, redb::{RedbFeed, RedbStore}},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("zt-redb-doc-{}", std::process::id()));
//! let store = RedbStore::open(&path, SystemClock).await?;
//! let feed = RedbFeed::within(&store);
//! let first = store.put_if("seen/7", "x".into(), None, Expect::Absent).await?;
//! assert!(matches!(first, Swap::Done(_)));
//! feed.publish("news", "seen/7".into()).await?;
//! drop((store, feed));
//!
//! let store = RedbStore::open(&path, SystemClock).await?;
//! let again = store.put_if("seen/7", "x".into(), None, Expect::Absent).await?;
//! assert_eq!(again, Swap::Conflict);
//! # std::fs::remove_file(path)?;
//! # Ok(()) }
//! ```

mod feed;
mod file;
mod store;
#[cfg(test)]
mod tests;

pub use self::{feed::RedbFeed, file::RedbError, store::RedbStore};

fn prepare(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    store::prepare(transaction)?;
    feed::prepare(transaction)
}
