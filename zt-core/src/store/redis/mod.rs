//! A store and a feed in a Redis server.

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
