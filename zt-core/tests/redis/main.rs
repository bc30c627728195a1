//! The store and the feed in a Redis server, over real servers that the tests start and kill.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

mod contract;
mod feed;
mod sanctions;
mod server;
mod store;
mod uses;

use std::time::Duration;

use bytes::Bytes;
use zt_core::{
    clock::{Clock, SystemClock},
    store::{
        Expect, Store, StoreError, Swap, Version,
        redis::{RedisClient, RedisConfig, RedisStore},
    },
    testing::RedisServer,
};

/// Every write is on disk before it is acknowledged.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A client of `server`, with the time-out of every application that says nothing.
async fn client(server: &RedisServer) -> RedisClient {
    let config = RedisConfig::new(&server.url()).unwrap();
    RedisClient::connect(config).await.unwrap()
}

async fn store(server: &RedisServer) -> RedisStore {
    RedisStore::open(&client(server).await, "zt").await.unwrap()
}

async fn put(store: &RedisStore, key: &str, value: &str) -> Result<Version, StoreError> {
    let value = Bytes::copy_from_slice(value.as_bytes());
    match store.put_if(key, value, None, Expect::Absent).await? {
        Swap::Done(version) => Ok(version),
        Swap::Conflict => panic!("{key} was there"),
    }
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

async fn pass(span: Duration) {
    SystemClock.sleep(span).await;
}

/// Tries until it comes out, for at most `limit`; says how long it took.
async fn until(limit: Duration, mut done: impl AsyncFnMut() -> bool) -> Duration {
    let begun = SystemClock.monotonic();
    loop {
        let is_done = done().await;
        let took = SystemClock.monotonic() - begun;
        if is_done {
            return took;
        }
        assert!(took < limit, "it did not come out in {limit:?}");
        pass(Duration::from_millis(5)).await;
    }
}
