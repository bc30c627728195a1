use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Deserialize;

use super::{
    BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned, check_key, check_value,
};
use crate::clock::{Clock, Timestamp};

/// A store in this process's memory: the default, gone when the process is.
///
/// It is bounded by entries and by bytes. Where a bound is reached and nothing has expired it
/// answers [`StoreError::Full`]: it never forgets what still lives, because that could be a
/// revocation. Clones share their contents.
///
/// ```
/// use zt_core::{clock::SystemClock, store::{Expect, MemoryStore, Store, Swap}};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new(SystemClock);
/// let put = store.put_if("seen/7", "x".into(), None, Expect::Absent).await.unwrap();
/// assert!(matches!(put, Swap::Done(_)));
/// let again = store.put_if("seen/7", "x".into(), None, Expect::Absent).await.unwrap();
/// assert_eq!(again, Swap::Conflict);
/// # });
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    clock: Box<dyn Clock>,
    limits: MemoryLimits,
    state: Mutex<State>,
}

/// How much a [`MemoryStore`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryLimits {
    /// The most entries.
    pub entries: usize,
    /// The most bytes, keys and values and [`OVERHEAD`](Self::OVERHEAD) for each entry.
    pub bytes: usize,
}

impl MemoryLimits {
    /// What an entry is taken to cost besides its key and value, in bytes.
    pub const OVERHEAD: usize = 192;
}

impl Default for MemoryLimits {
    /// A million entries, 256 MiB.
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            bytes: 256 * 1024 * 1024,
        }
    }
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Arc<str>, Versioned>,
    /// When entries expire, the next one first.
    expiries: BTreeSet<(Timestamp, Arc<str>)>,
    bytes: usize,
    last: u64,
}

/// How many expired entries one call clears away besides its own work.
const PURGE: usize = 32;

impl MemoryStore {
    /// An empty store with the default bounds; entries expire by `clock`.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self::with_limits(clock, MemoryLimits::default())
    }

    /// An empty store that holds no more than `limits`.
    #[must_use]
    pub fn with_limits(clock: impl Clock, limits: MemoryLimits) -> Self {
        Self(Arc::new(Inner {
            clock: Box::new(clock),
            limits,
            state: Mutex::default(),
        }))
    }

    /// How many entries it holds; expired ones count until they are cleared away.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contents as of now; without a time nothing can be said to live.
    fn open(&self) -> Result<(MutexGuard<'_, State>, Timestamp), StoreError> {
        let mut state = self.lock();
        let now = self
            .0
            .clock
            .now()
            .map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        state.purge(now, PURGE);
        Ok((state, now))
    }

    fn put_now(
        &self,
        key: &str,
        value: &Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> Result<Swap, StoreError> {
        check_key(key)?;
        check_value(value)?;
        let (mut state, now) = self.open()?;
        let found = state.live(key, now);
        if !holds(expect, found.as_ref()) {
            return Ok(Swap::Conflict);
        }
        state.make_room(
            cost(key, value),
            found.as_ref().map(|old| cost(key, &old.value)),
            now,
            self.0.limits,
        )?;
        state.take(key);
        state.last += 1;
        let version = Version(state.last);
        if expires.is_none_or(|end| now < end) {
            state.insert(
                Arc::from(key),
                Versioned {
                    // A copy: a slice of something larger would keep all of it.
                    value: Bytes::copy_from_slice(value),
                    version,
                    expires,
                },
            );
        }
        Ok(Swap::Done(version))
    }

    fn remove_now(&self, key: &str, version: Version) -> Result<Swap, StoreError> {
        check_key(key)?;
        let (mut state, now) = self.open()?;
        if !holds(Expect::Version(version), state.live(key, now).as_ref()) {
            return Ok(Swap::Conflict);
        }
        state.take(key);
        Ok(Swap::Done(version))
    }

    fn scan_now(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        let (state, now) = self.open()?;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        Ok(state
            .entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, entry)| lives(entry, now))
            .take(limit)
            .map(|(key, entry)| (key.to_string(), entry.clone()))
            .collect())
    }
}

impl State {
    /// What is at `key`; what has expired is cleared away and will not come back with the clock.
    fn live(&mut self, key: &str, now: Timestamp) -> Option<Versioned> {
        let entry = self.entries.get(key)?;
        if lives(entry, now) {
            return Some(entry.clone());
        }
        self.take(key);
        None
    }

    fn make_room(
        &mut self,
        new: usize,
        old: Option<usize>,
        now: Timestamp,
        limits: MemoryLimits,
    ) -> Result<(), StoreError> {
        loop {
            let entries = self.entries.len() + usize::from(old.is_none());
            let bytes = self.bytes - old.unwrap_or(0) + new;
            if entries <= limits.entries && bytes <= limits.bytes {
                return Ok(());
            }
            if self.purge(now, PURGE) == 0 {
                return Err(StoreError::Full);
            }
        }
    }

    fn insert(&mut self, key: Arc<str>, entry: Versioned) {
        self.bytes += cost(&key, &entry.value);
        if let Some(end) = entry.expires {
            self.expiries.insert((end, Arc::clone(&key)));
        }
        self.entries.insert(key, entry);
    }

    fn take(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes -= cost(&key, &entry.value);
            if let Some(end) = entry.expires {
                self.expiries.remove(&(end, key));
            }
        }
    }

    /// Clears away at most `limit` expired entries and says how many it found.
    fn purge(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut purged = 0;
        while purged < limit
            && let Some((end, key)) = self.expiries.first()
            && *end <= now
        {
            let key = Arc::clone(key);
            self.take(&key);
            purged += 1;
        }
        purged
    }
}

fn lives(entry: &Versioned, now: Timestamp) -> bool {
    entry.expires.is_none_or(|end| now < end)
}

fn holds(expect: Expect, found: Option<&Versioned>) -> bool {
    match expect {
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found.is_some_and(|entry| entry.version == version),
    }
}

fn cost(key: &str, value: &Bytes) -> usize {
    key.len() + value.len() + MemoryLimits::OVERHEAD
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        ready(
            check_key(key)
                .and_then(|()| self.open())
                .map(|(mut state, now)| state.live(key, now)),
        )
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        ready(self.put_now(key, &value, expires, expect))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        ready(self.remove_now(key, version))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        ready(self.scan_now(prefix, after, limit))
    }
}

/// How much it holds; keys and values may be secret.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::ManualClock,
        store::conformance::{self, ManualHarness},
    };

    fn harness() -> ManualHarness<impl Fn(ManualClock) -> Arc<dyn Store> + Send + Sync> {
        ManualHarness::new(|clock| Arc::new(MemoryStore::new(clock)))
    }

    #[tokio::test]
    async fn keeps_the_contract_on_one_thread() {
        conformance::run(&harness()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn keeps_the_contract_on_many_threads() {
        conformance::run(&harness()).await;
    }

    async fn put(store: &MemoryStore, key: &str, expires: Option<Timestamp>) -> bool {
        match store
            .put_if(key, Bytes::from_static(b"x"), expires, Expect::Absent)
            .await
        {
            Ok(Swap::Done(_)) => true,
            Ok(Swap::Conflict) => panic!("{key} was there"),
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                false
            }
        }
    }

    #[tokio::test]
    async fn a_full_store_refuses_and_forgets_nothing_that_lives() {
        let clock = ManualClock::default();
        let limits = MemoryLimits {
            entries: 3,
            ..MemoryLimits::default()
        };
        let store = MemoryStore::with_limits(clock.clone(), limits);
        let end = clock.now().unwrap() + Duration::from_secs(10);
        assert!(put(&store, "a", None).await);
        assert!(put(&store, "b", Some(end)).await);
        assert!(put(&store, "c", None).await);
        assert!(!put(&store, "d", None).await);
        // A value that is there can still be changed.
        let version = store.get("c").await.unwrap().unwrap().version;
        let changed = store
            .put_if("c", "y".into(), None, Expect::Version(version))
            .await;
        assert!(matches!(changed, Ok(Swap::Done(_))));
        clock.advance(Duration::from_secs(10));
        assert!(put(&store, "d", None).await);
        assert!(store.get("a").await.unwrap().is_some());
        assert!(store.get("b").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_given_back() {
        let limits = MemoryLimits {
            bytes: 2 * (MemoryLimits::OVERHEAD + 2),
            ..MemoryLimits::default()
        };
        let store = MemoryStore::with_limits(ManualClock::default(), limits);
        assert!(put(&store, "a", None).await);
        assert!(put(&store, "b", None).await);
        assert!(!put(&store, "c", None).await);
        let version = store.get("a").await.unwrap().unwrap().version;
        let larger = store
            .put_if("a", "xx".into(), None, Expect::Version(version))
            .await;
        assert_eq!(larger, Err(StoreError::Full));
        assert_eq!(
            store.remove("a", version).await.unwrap(),
            Swap::Done(version)
        );
        assert!(put(&store, "c", None).await);
    }

    #[tokio::test]
    async fn what_has_expired_is_cleared_away_and_does_not_come_back() {
        let clock = ManualClock::default();
        let start = clock.now().unwrap();
        let store = MemoryStore::new(clock.clone());
        for index in 0..1000 {
            let end = start + Duration::from_secs(1 + index % 10);
            assert!(put(&store, &format!("{index}"), Some(end)).await);
        }
        clock.advance(Duration::from_secs(10));
        assert_eq!(store.get("1").await.unwrap(), None);
        for _ in 0..1000 / PURGE {
            store.get("none").await.unwrap();
        }
        assert!(store.is_empty());
        assert_eq!(store.lock().bytes, 0);
        assert!(store.lock().expiries.is_empty());
        clock.set_wall(start);
        assert_eq!(store.get("1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_clock_that_cannot_answer_is_a_store_that_cannot() {
        let clock = ManualClock::default();
        let store = MemoryStore::new(clock.clone());
        assert!(put(&store, "a", None).await);
        clock.fail();
        assert!(matches!(
            store.get("a").await,
            Err(StoreError::Unavailable(_))
        ));
        assert!(matches!(
            store.scan("", None, 1).await,
            Err(StoreError::Unavailable(_))
        ));
    }

    #[test]
    fn debug_shows_no_contents() {
        let store = MemoryStore::new(ManualClock::default());
        let value = Bytes::from_static(b"value-7");
        let put = store.put_now("key-7", &value, None, Expect::Absent);
        assert!(matches!(put, Ok(Swap::Done(_))));
        let shown = format!("{store:?}");
        assert!(
            !shown.contains("key-7") && !shown.contains("value-7"),
            "{shown}"
        );
    }
}
