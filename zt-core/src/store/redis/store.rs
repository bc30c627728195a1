use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use redis::Value;

use super::{RedisClient, RedisError, RedisScript, link::ODD, name::Name};
use crate::{
    clock::Timestamp,
    random::{OsEntropy, bytes},
    store::{
        BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned, check_key, check_value,
    },
};

/// A store in a Redis server, which several processes share. Clones are one store.
///
/// What it promises, and on which conditions, stands in the documentation of the
/// [module](super).
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    client: RedisClient,
    name: Name,
    /// Who the store is; one that was emptied is another.
    id: Vec<u8>,
    born: Timestamp,
    limit: usize,
}

/// How many bytes of keys and values one answer to a scan has, the last entry aside.
const PAGE_BYTES: usize = 1024 * 1024;
/// How many entries there may be, unless said otherwise.
const LIMIT: usize = 1_000_000;

impl RedisStore {
    /// The store `name` of the server, which is made where there is none: ASCII letters, digits,
    /// `-`, `_` and `.`, at most 64. It takes a million entries.
    ///
    /// # Errors
    ///
    /// [`RedisError::Config`] for another name, and whatever else keeps the server from answering.
    pub async fn open(client: &RedisClient, name: &str) -> Result<Self, RedisError> {
        Self::with_limit(client, name, LIMIT).await
    }

    /// As [`open`](Self::open), for no more than `limit` entries; past it, a first write is
    /// answered [`StoreError::Full`]. Processes that share a store should say the same.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open).
    pub async fn with_limit(
        client: &RedisClient,
        name: &str,
        limit: usize,
    ) -> Result<Self, RedisError> {
        let name = Name::new(name)?;
        let (id, seed) = (random()?, seed()?);
        let keys = name.key("meta");
        let args: [&[u8]; 2] = [&id, seed.as_bytes()];
        let answer = client.call(&OPEN, &[&keys], &args).await?;
        let Value::Array(parts) = answer else {
            return Err(odd());
        };
        let [Value::BulkString(id), Value::BulkString(born)] = parts.as_slice() else {
            return Err(odd());
        };
        Ok(Self(Arc::new(Inner {
            client: client.clone(),
            name,
            id: id.clone(),
            born: Timestamp::from_micros(number(born).ok_or_else(odd)?),
            limit,
        })))
    }

    /// When the store was made, by the server's clock: what was accepted before, it cannot
    /// remember. For
    /// [`SharedReplays::empty_before`](crate::signature::replay::SharedReplays::empty_before).
    #[must_use]
    pub fn born(&self) -> Timestamp {
        self.0.born
    }

    /// Runs `script` with the keys that all of the store's scripts have, and that of an entry.
    async fn call(
        &self,
        script: &RedisScript,
        key: &str,
        args: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let name = &self.0.name;
        let keys = [
            name.key("meta"),
            name.key("index"),
            name.key("ends"),
            name.key("none"),
            self.entry(key),
        ];
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let args: Vec<&[u8]> = std::iter::once(self.0.id.as_slice())
            .chain(args.iter().copied())
            .collect();
        Ok(self.0.client.call(script, &keys, &args).await?)
    }

    fn entry(&self, key: &str) -> Vec<u8> {
        let mut entry = self.0.name.key("entry:");
        entry.extend_from_slice(key.as_bytes());
        entry
    }

    async fn get_now(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        check_key(key)?;
        match self.call(&GET, key, &[key.as_bytes()]).await? {
            Value::Nil => Ok(None),
            Value::BulkString(stored) => Ok(Some(decode(stored)?)),
            _ => Err(odd().into()),
        }
    }

    async fn put_now(
        &self,
        key: &str,
        value: &Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> Result<Swap, StoreError> {
        check_key(key)?;
        check_value(value)?;
        let (end, millis) = match expires.map(Timestamp::as_micros) {
            // Redis removes it no earlier than it ends.
            Some(micros) => (micros.to_string(), micros.div_ceil(1000).to_string()),
            None => (String::new(), String::new()),
        };
        let expected = match expect {
            Expect::Absent => String::new(),
            Expect::Version(version) => version.0.to_string(),
        };
        let (seed, limit) = (seed()?, self.0.limit.to_string());
        let args: [&[u8]; 8] = [
            key.as_bytes(),
            value,
            end.as_bytes(),
            millis.as_bytes(),
            expected.as_bytes(),
            seed.as_bytes(),
            limit.as_bytes(),
            &self.entry(""),
        ];
        swap(&self.call(&PUT, key, &args).await?)
    }

    async fn remove_now(&self, key: &str, version: Version) -> Result<Swap, StoreError> {
        check_key(key)?;
        let version = version.0.to_string();
        let args = [key.as_bytes(), version.as_bytes()];
        swap(&self.call(&REMOVE, key, &args).await?)
    }

    async fn scan_now(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut from = match after {
            Some(after) if after >= prefix => format!("({after}").into_bytes(),
            _ => format!("[{prefix}").into_bytes(),
        };
        // No byte of UTF-8 is as large.
        let to = [b"(", prefix.as_bytes(), &[0xff]].concat();
        let (limit, most) = (limit.to_string(), PAGE_BYTES.to_string());
        loop {
            let args: [&[u8]; 5] = [
                &from,
                &to,
                limit.as_bytes(),
                most.as_bytes(),
                &self.entry(""),
            ];
            let Value::Array(parts) = self.call(&SCAN, "", &args).await? else {
                return Err(odd().into());
            };
            let Ok([Value::BulkString(last), Value::Array(found)]) = <[Value; 2]>::try_from(parts)
            else {
                return Err(odd().into());
            };
            // Nothing lived among those that were looked at, and there are more.
            if found.is_empty() && !last.is_empty() {
                from = [b"(", last.as_slice()].concat();
                continue;
            }
            return page(found);
        }
    }
}

/// The keys and values of a page, one after the other.
fn page(found: Vec<Value>) -> Result<Vec<(String, Versioned)>, StoreError> {
    let mut page = Vec::with_capacity(found.len() / 2);
    let mut found = found.into_iter();
    while let (Some(key), Some(stored)) = (found.next(), found.next()) {
        let (Value::BulkString(key), Value::BulkString(stored)) = (key, stored) else {
            return Err(odd().into());
        };
        let key = String::from_utf8(key).map_err(|_| odd())?;
        page.push((key, decode(stored)?));
    }
    Ok(page)
}

/// `<version> <end in microseconds, or nothing> <value>`, as the scripts write it.
fn decode(stored: Vec<u8>) -> Result<Versioned, RedisError> {
    let stored = Bytes::from(stored);
    let mut parts = stored.splitn(3, |byte| *byte == b' ');
    let (Some(version), Some(end), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(odd());
    };
    let expires = match end {
        b"" => None,
        end => Some(Timestamp::from_micros(number(end).ok_or_else(odd)?)),
    };
    Ok(Versioned {
        version: Version(number(version).ok_or_else(odd)?),
        expires,
        value: stored.slice_ref(value),
    })
}

fn swap(answer: &Value) -> Result<Swap, StoreError> {
    let Value::Array(parts) = answer else {
        return Err(odd().into());
    };
    match parts.as_slice() {
        [Value::BulkString(what)] if what == b"conflict" => Ok(Swap::Conflict),
        [Value::BulkString(what)] if what == b"full" => Err(StoreError::Full),
        [Value::BulkString(what), Value::BulkString(version)] if what == b"done" => {
            let version = number(version).ok_or_else(odd)?;
            Ok(Swap::Done(Version(version)))
        }
        _ => Err(odd().into()),
    }
}

pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn odd() -> RedisError {
    RedisError::unavailable(ODD)
}

fn random() -> Result<[u8; 16], RedisError> {
    bytes(&OsEntropy).map_err(|error| RedisError::Unavailable(error.to_string().into()))
}

/// Where versions begin: below 2^62, so that they never run out.
fn seed() -> Result<String, RedisError> {
    let [a, b, c, d, e, f, g, h, ..] = random()?;
    let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 2;
    Ok(seed.to_string())
}

impl Store for RedisStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(self.get_now(key))
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move { self.put_now(key, &value, expires, expect).await })
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.remove_now(key, version))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        Box::pin(self.scan_now(prefix, after, limit))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("name", &self.0.name)
            .field("client", &self.0.client)
            .field("limit", &self.0.limit)
            .finish_non_exhaustive()
    }
}

const PRELUDE: &str = include_str!("scripts/store.lua");
static OPEN: LazyLock<RedisScript> =
    LazyLock::new(|| RedisScript::new(include_str!("scripts/open.lua")));
static GET: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/get.lua")));
static PUT: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/put.lua")));
static REMOVE: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/remove.lua")));
static SCAN: LazyLock<RedisScript> = LazyLock::new(|| script(include_str!("scripts/scan.lua")));

fn script(text: &str) -> RedisScript {
    RedisScript::new(&[PRELUDE, text].concat())
}
