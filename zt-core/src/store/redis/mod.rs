//! A store and a feed in a Redis server (or Valkey), which several processes share.
//!
//! Nonces, sanctions and service tokens are forgotten by a server that drops what it was given,
//! and come back with one that lost its last writes. [`RedisStore`] and [`RedisFeed`] notice both
//! as far as a server shows it, and refuse.
//!
//! ```no_run
//! use std::sync::Arc;
//! use zt_core::{
//!     clock::SystemClock,
//!     state::Sanctions,
//!     store::redis::{RedisClient, RedisConfig, RedisFeed, RedisStore},
//! };
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let client = RedisClient::connect(RedisConfig::new("redis://cache.example:6379")?).await?;
//! let sanctions = Sanctions::builder(SystemClock)
//!     .store(Arc::new(RedisStore::open(&client, "zt").await?))
//!     .feed(Arc::new(RedisFeed::new(&client, "zt")?))
//!     .open()
//!     .await?;
//! tokio::spawn(sanctions.follow());
//! # Ok(()) }
//! ```
//!
//! # What holds, and why
//!
//! 1. **A call is one step.** It is one script, which the server runs alone. All keys of a store
//!    or a feed begin with one hash tag, `{name}:`, so they stand in one slot of a cluster. A
//!    client speaks to one server, though: in a cluster, to the one that has the slot.
//! 2. **Nothing is sent twice**, by us or by the library below, so a write happens once or not at
//!    all. A call whose answer was lost is [`Unavailable`](crate::store::StoreError::Unavailable),
//!    and the write may have happened; whoever writes reads again, as every user of a store does.
//! 3. **Time is the server's**, to the microsecond: an entry at its end is nothing to every call,
//!    whether or not the server has removed it. It is told to, so that memory comes back.
//! 4. **Versions are not used twice**, nor are they by a server that lost some. They go up from a
//!    random number of 62 bits, by one or by the microseconds since the last write, whichever is
//!    more. Whenever another process of the server has taken over (its `run_id` is another, as
//!    after a restart or a failover), they go on from another random number. So a version that was
//!    given and then lost comes again only if numbers of 62 bits meet; or, where one process loses
//!    writes (a proxy that changes servers under a connection), if its clock goes back as well.
//! 5. **What was lost is missed.** A store has a random identity. One that was emptied
//!    (`FLUSHALL`, a restart without persistence) answers `Unavailable` to whoever had it open,
//!    until they open it again: it is an empty store, and not one in which nobody is revoked. An
//!    entry that is gone before its end, as after an eviction, is `Unavailable` at its key, and to
//!    scans over it, until that end; one without an end until
//!    `ZREM {name}:index <key>` says that it may be gone.
//! 6. **It is bounded**: a million entries to a store and 4 MiB to a topic, unless said otherwise.
//!    Past the limit, and where the server answers `OOM`, a write is
//!    [`Full`](crate::store::StoreError::Full), and reads and removals go on.
//! 7. **A place in a topic is a number that counts up by one** from a random place below 2^52,
//!    another one in each life of the topic, and a new life begins when the topic is gone or
//!    another process of the server has taken over. Whoever stood in the old one gets
//!    [`Lost`](crate::state::FeedError::Lost), as does whoever stands before the oldest kept entry
//!    or beyond the newest. So each restart of the server, even one that lost nothing, makes every
//!    subscriber load its state again.
//! 8. **An empty batch is an answer**: the server was asked, and had nothing after the place. News
//!    is published beside the entry as a hint to ask at once, so it takes about one round trip;
//!    where the hints are forbidden (no channels in the user's ACL), ten times a second.
//! 9. **One connection for everything**: a [`RedisClient`] has one, however many stores, feeds,
//!    topics and subscriptions there are.
//!
//! # Which server
//!
//! Redis 6.2 or later, or Valkey, with
//!
//! - `maxmemory-policy noeviction`. Any other is refused at each connection, also where there is no
//!   `maxmemory` yet. It is read from `INFO`, or else by `CONFIG GET`; where the user may do
//!   neither it is not known, a warning is logged, and it is up to you. So it is after
//!   `CONFIG SET`: number 5 is then all there is.
//! - `appendonly yes` and `appendfsync always`, if what was acknowledged must outlive the server.
//!   With `everysec` a crash forgets up to a second of it: a nonce that was used is fresh again, a
//!   sanction that was imposed is gone from the store.
//! - No replica that is promoted without the last writes, which is the same: a failover forgets
//!   what had not been replicated. `min-replicas-to-write` narrows the gap and does not close it. A
//!   server that is a replica, or becomes one under an open connection, answers nothing at all; one
//!   that is cut off and still believes itself the primary cannot be told from it.
//! - A clock that does not jump. An entry lives longer when it is set back, and ends sooner when it
//!   is set forward.
//! - Users need `+@scripting +@read +@write +@pubsub +info +time`, their keys `~{name}:*` and the
//!   channel `&{name}:news`. Without `INFO` the feed cannot tell a restart that lost its last
//!   entries from one that lost nothing, and versions rest on the clock alone.
//!
//! A server that is down, late (500 ms unless [said otherwise](RedisConfig::timeout)), loading, a
//! replica, or that answers anything else than it should, is `Unavailable`, and the layers refuse
//! with `store-unavailable` or `replay-unavailable`. The connection is made again by the next call.
//!
//! # TLS
//!
//! Feature `redis-tls`, a `rediss://` URL, and [`RedisConfig::tls`] with a `rustls` configuration
//! that names its own provider and roots. The `redis` crate's own TLS is not used: version 1.8
//! builds its configuration from the process's default provider, which panics where two crates
//! have chosen two.
//!
//! # What it does not do
//!
//! Cluster redirections and Sentinel: give it the address of the primary, or a name that follows
//! it. Encryption at rest: whoever can read the server reads keys and values. Authenticity: whoever
//! can write to the server can lift any sanction.

mod client;
mod config;
mod error;
mod feed;
mod link;
mod name;
mod script;
mod store;

/// What a [`RedisScript`] answers.
pub use redis::Value as RedisValue;

pub use self::{
    client::RedisClient, config::RedisConfig, error::RedisError, feed::RedisFeed,
    script::RedisScript, store::RedisStore,
};
