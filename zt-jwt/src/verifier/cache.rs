//! Tokens that were verified a moment ago.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::decide::Accepted;

/// Remembers verified tokens, so that one that comes again costs a hash and a look-up. Clones
/// share it, and several verifiers may.
///
/// A token is found by SHA-256 over the verifier's own id and the *whole* token, and only one that
/// was good is remembered. What may have changed since is looked at on every hit: the time, the
/// issuer's keys, what the token is bound to, and sanctions. Tokens of one use do not belong here;
/// see [`VerifierBuilder::without_cache`](crate::VerifierBuilder::without_cache).
#[derive(Clone)]
pub struct TokenCache(Arc<Inner>);

struct Inner {
    entries: Cache<Key, Arc<Remembered>, Weigh, BuildHasherDefault<Beginning>>,
    bounds: CacheBounds,
}

/// How much a [`TokenCache`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheBounds {
    /// How many tokens, at most; 50,000 unless said otherwise.
    pub entries: u32,
    /// How many bytes, at most: of claims, of names, and of what the cache needs itself. 64 MiB
    /// unless said otherwise.
    pub bytes: u64,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self {
            entries: 50_000,
            bytes: 64 << 20,
        }
    }
}

/// SHA-256, so no two tokens share one.
pub(super) type Key = [u8; 32];

/// The first bytes of a key are hash enough: nobody can choose them, since nobody knows the id that
/// was hashed before the token.
#[derive(Debug, Default)]
struct Beginning(u64);

impl Hasher for Beginning {
    fn write(&mut self, key: &[u8]) {
        if let Some(first) = key.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length stands in front of the bytes, and is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// SHA-256 that has taken a verifier's id in: a whole block of it, so that each token's hash goes on
/// from there.
#[derive(Clone)]
pub(super) struct Seed(Sha256);

impl Seed {
    pub(super) fn new(id: &[u8; 64]) -> Self {
        Self(Sha256::new_with_prefix(id))
    }
}

/// What is remembered of a token.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) accepted: Accepted,
    /// Whose token it is, by its place among the verifier's issuers.
    pub(super) issuer: usize,
    /// When none of the issuer's keys had been taken away since.
    pub(super) epoch: u64,
    /// What it weighs, in bytes.
    pub(super) bytes: u64,
}

#[derive(Clone)]
struct Weigh {
    /// No entry weighs less, so that there are no more than were allowed.
    least: u64,
}

impl Weighter<Key, Arc<Remembered>> for Weigh {
    fn weight(&self, _: &Key, remembered: &Arc<Remembered>) -> u64 {
        remembered.bytes.max(self.least)
    }
}

impl TokenCache {
    /// Within `bounds`; each is at least 1.
    #[must_use]
    pub fn new(bounds: CacheBounds) -> Self {
        let entries = u64::from(bounds.entries.max(1));
        let bytes = bounds.bytes.max(1);
        let weigh = Weigh {
            least: bytes.div_ceil(entries),
        };
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(entries).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .build();
        let entries = match options {
            Ok(options) => Cache::with_options(
                options,
                weigh,
                BuildHasherDefault::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with(
                bounds.entries as usize,
                bytes,
                weigh,
                BuildHasherDefault::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
        };
        Self(Arc::new(Inner { entries, bounds }))
    }

    pub(super) fn key(seed: &Seed, token: &[u8]) -> Key {
        seed.0.clone().chain_update(token).finalize().into()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Remembered>> {
        self.0.entries.get(key)
    }

    pub(super) fn insert(&self, key: Key, remembered: Remembered) {
        self.0.entries.insert(key, Arc::new(remembered));
    }

    pub(super) fn remove(&self, key: &Key) {
        self.0.entries.remove(key);
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// How many bytes they weigh.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.entries.weight()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.entries.clear();
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("bounds", &self.0.bounds)
            .field("len", &self.len())
            .finish()
    }
}

/// What a remembered token takes up, in bytes: its claims, the texts that were copied out of them,
/// and for each scope and role an allocation and a place in a set.
pub(super) fn weigh(claims: usize, accepted: &Accepted) -> u64 {
    const FIXED: usize = 1_024;
    const EACH: usize = 96;
    let principal = &accepted.principal;
    let each = principal.scopes().count() + principal.roles().count();
    (FIXED + 3 * claims + EACH * each) as u64
}
