//! One small trait for state that must survive: versioned compare-and-swap with expiry, over bytes.
//!
//! Nonces, revocations, service tokens, grants and refresh families are written once on top of it,
//! so each works on every backend. [`MemoryStore`] is the default; with the feature `redis`,
//! `RedisStore` is shared by several processes. A store of your own passes the
//! [conformance suite](conformance).

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
#[cfg(test)]
#[cfg(any(feature = "postgres", feature = "redb"))]
mod in_use_tests;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redb")]
pub mod redb;
#[cfg(feature = "redis")]
pub mod redis;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

pub use self::memory::{MemoryLimits, MemoryStore};
use crate::clock::Timestamp;

/// A boxed future, as the traits of this crate return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which edition of a value this is. Never used twice by one store, so a value that was removed
/// and put again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

/// A value as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Bytes,
    /// Their edition.
    pub version: Version,
    /// When they go away by themselves.
    pub expires: Option<Timestamp>,
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing (a value that has expired is nothing).
    Absent,
    /// This edition.
    Version(Version),
}

/// What a conditional write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// It happened; this is the new edition (the removed one, for a removal).
    Done(Version),
    /// Something else was there; nothing happened.
    Conflict,
}

/// The store cannot answer; whatever asked refuses with `store-unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or failed.
    #[error("the store is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// It has no place left, and forgets nothing that has not expired.
    #[error("the store is full")]
    Full,
    /// The key or the value is larger than the store takes.
    #[error("the entry is too large for the store")]
    TooLarge,
}

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Whether `key` may name an entry; every store asks this first.
///
/// # Errors
///
/// [`StoreError::TooLarge`] where it is longer than [`MAX_KEY_BYTES`] or has control characters.
pub fn check_key(key: &str) -> Result<(), StoreError> {
    if key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
        return Err(StoreError::TooLarge);
    }
    Ok(())
}

/// Whether `value` may be stored.
///
/// # Errors
///
/// [`StoreError::TooLarge`] where it is longer than [`MAX_VALUE_BYTES`].
pub const fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(StoreError::TooLarge);
    }
    Ok(())
}

/// Versioned compare-and-swap with expiry over bytes.
///
/// Each call is one atomic step. Keys are UTF-8 text without control characters, at most 512
/// bytes; values are at most 64 KiB.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The value at `key`, unless it has expired.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>>;

    /// Puts `value` at `key` if `expect` holds; it goes away at `expires`.
    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// Removes what is at `key` if it is this edition.
    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// At most `limit` entries whose keys begin with `prefix` and come after `after`, in the order
    /// of their keys. An empty answer is the end.
    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>>;
}
