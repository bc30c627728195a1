//! The store and the feed in a Redis server, over real servers that the tests start and kill.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod contract;
mod feed;
mod model;
mod sanctions;
mod server;
mod store;
#[cfg(feature = "redis-tls")]
mod tls;
mod uses;

use std::time::Duration;

use bytes::Bytes;
use zt_core::{
    clock::{Clock, SystemClock},
    store::{
        Expect, Store, StoreError, Swap, Version,
        redis::{RedisClient, RedisConfig, RedisError, RedisStore},
    },
    testing::RedisServer,
};

/// Every write is on disk before it is acknowledged.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A client of `server` that is patient, for the machine may have other things to do.
async fn client(server: &RedisServer) -> RedisClient {
    let config = RedisConfig::new(&server.url()).unwrap();
    RedisClient::connect(config.timeout(Duration::from_secs(5)))
        .await
        .unwrap()
}

/// A client with the time-out of every application that says nothing.
async fn connect(url: &str) -> Result<RedisClient, RedisError> {
    RedisClient::connect(RedisConfig::new(url).unwrap()).await
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
