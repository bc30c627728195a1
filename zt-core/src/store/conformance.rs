//! What every [`Store`] must do, as tests that a store of your own runs in one line:
//!
//! ```
//! use std::sync::Arc;
//! use zt_core::store::{MemoryStore, conformance::{self, ManualHarness}};
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() {
//! conformance::run(&ManualHarness::new(|clock| Arc::new(MemoryStore::new(clock)))).await;
//! # }
//! ```
//!
//! A store that lives in a server implements [`Harness`] instead, and waits where a manual clock
//! moves. Run the suite on a runtime with several threads, or its races are none.
//!
//! Every case panics where the store does not do what it must.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::{collections::BTreeSet, fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::task::{JoinSet, yield_now};

use super::{
    BoxFuture, Expect, MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError, Swap, Version, Versioned,
};
use crate::clock::{Clock, ManualClock, Timestamp};

/// What the suite needs to know about a kind of store.
pub trait Harness: Send + Sync {
    /// A store with nothing in it, that no other case uses.
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// What the store takes the time to be.
    fn now(&self) -> Timestamp;

    /// Lets at least `span` pass, and not much more.
    fn pass(&self, span: Duration) -> BoxFuture<'_, ()>;

    /// A span that the store can tell from none, whatever the machine does meanwhile: a
    /// microsecond for a manual clock, some hundred milliseconds for a server.
    fn unit(&self) -> Duration {
        Duration::from_micros(1)
    }
}

/// A [`Harness`] for stores that are made over a [`ManualClock`].
pub struct ManualHarness<F> {
    clock: ManualClock,
    make: F,
}

impl<F: Fn(ManualClock) -> Arc<dyn Store> + Send + Sync> ManualHarness<F> {
    /// `make` gives a fresh store that expires its entries by the clock it gets.
    pub fn new(make: F) -> Self {
        Self {
            clock: ManualClock::default(),
            make,
        }
    }
}

impl<F> fmt::Debug for ManualHarness<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualHarness")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(ManualClock) -> Arc<dyn Store> + Send + Sync> Harness for ManualHarness<F> {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(std::future::ready((self.make)(self.clock.clone())))
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(span);
        Box::pin(std::future::ready(()))
    }
}

/// Runs every case.
///
/// # Panics
///
/// Where the store does not do what it must.
pub async fn run(harness: &dyn Harness) {
    nothing_is_there_at_first(harness).await;
    what_was_put_is_read_to_the_byte(harness).await;
    absent_holds_once(harness).await;
    a_version_holds_until_the_next_write(harness).await;
    a_removal_needs_the_version(harness).await;
    a_value_put_again_is_another_one(harness).await;
    a_value_ends_exactly_at_its_time(harness).await;
    an_expired_value_is_nothing_to_a_write(harness).await;
    a_value_that_has_ended_already_is_never_there(harness).await;
    a_write_replaces_the_expiry(harness).await;
    scans_are_in_order_of_bytes(harness).await;
    scans_stay_within_prefix_after_and_limit(harness).await;
    scan_pages_visit_each_key_once(harness).await;
    limits_of_keys_and_values_hold(harness).await;
    concurrent_increments_are_all_counted(harness).await;
    one_of_many_first_writers_wins(harness).await;
    a_removal_and_a_write_do_not_both_happen(harness).await;
    scans_during_writes_are_whole(harness).await;
}

/// A key that nobody put is absent for every call.
pub async fn nothing_is_there_at_first(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(read(&store, "a").await, None);
    assert_eq!(keys(&store, "").await, [""; 0]);
    let never = Version(1);
    assert_eq!(
        put(&store, "a", "x", None, Expect::Version(never)).await,
        Swap::Conflict
    );
    assert_eq!(store.remove("a", never).await.unwrap(), Swap::Conflict);
    assert_eq!(read(&store, "a").await, None);
}

/// Values come back as they were, with the version that the write announced.
pub async fn what_was_put_is_read_to_the_byte(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let end = Timestamp::from_secs(harness.now().as_secs() + 3600);
    for (key, value, expires) in [
        ("bytes", Bytes::from(every_byte), None),
        ("empty", Bytes::new(), None),
        ("ends", Bytes::from_static(b"\0"), Some(end)),
        (
            "odd: ünïcode/ %_*?[a-z]\\ 'quote' \"double\"",
            Bytes::from_static(b"{}"),
            None,
        ),
    ] {
        let swap = store
            .put_if(key, value.clone(), expires, Expect::Absent)
            .await
            .unwrap();
        let version = done(swap, key);
        let expected = Versioned {
            value,
            version,
            expires,
        };
        assert_eq!(read(&store, key).await, Some(expected.clone()), "{key}");
        let scanned = store.scan(key, None, 10).await.unwrap();
        assert_eq!(scanned, [(key.to_owned(), expected)], "{key}");
    }
    assert_eq!(read(&store, "BYTES").await, None, "keys have a case");
}

/// [`Expect::Absent`] holds for the first write alone, and a refused write changes nothing.
pub async fn absent_holds_once(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let first = put_new(&store, "a", "first").await;
    assert_eq!(
        put(&store, "a", "second", None, Expect::Absent).await,
        Swap::Conflict
    );
    let found = read(&store, "a").await.unwrap();
    assert_eq!(
        (found.value, found.version),
        (Bytes::from_static(b"first"), first)
    );
}

/// A version is good for one write, and only at its own key.
pub async fn a_version_holds_until_the_next_write(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let first = put_new(&store, "a", "1").await;
    let other = put_new(&store, "b", "1").await;
    assert_ne!(first, other, "versions are never used twice");
    assert_eq!(
        put(&store, "a", "2", None, Expect::Version(other)).await,
        Swap::Conflict
    );
    let second = done(
        put(&store, "a", "2", None, Expect::Version(first)).await,
        "a",
    );
    assert_ne!(first, second);
    assert_eq!(
        put(&store, "a", "3", None, Expect::Version(first)).await,
        Swap::Conflict
    );
    let found = read(&store, "a").await.unwrap();
    assert_eq!(
        (found.value, found.version),
        (Bytes::from_static(b"2"), second)
    );
    let same = done(
        put(&store, "a", "2", None, Expect::Version(second)).await,
        "a",
    );
    assert_ne!(second, same, "an equal value is a new edition all the same");
}

/// Only the edition that was read can be removed.
pub async fn a_removal_needs_the_version(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let first = put_new(&store, "a", "1").await;
    let second = done(
        put(&store, "a", "2", None, Expect::Version(first)).await,
        "a",
    );
    assert_eq!(store.remove("a", first).await.unwrap(), Swap::Conflict);
    assert!(read(&store, "a").await.is_some());
    assert_eq!(
        store.remove("a", second).await.unwrap(),
        Swap::Done(second),
        "a removal names the removed edition"
    );
    assert_eq!(read(&store, "a").await, None);
    assert_eq!(store.remove("a", second).await.unwrap(), Swap::Conflict);
}

/// ABA: what was removed, or has expired, and was put again does not answer to its old version.
pub async fn a_value_put_again_is_another_one(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let version = put_new(&store, "a", "same").await;
        assert!(seen.insert(version), "{version:?} was used before");
        for old in seen.iter().filter(|old| **old != version) {
            let write = put(&store, "a", "stale", None, Expect::Version(*old)).await;
            assert_eq!(write, Swap::Conflict);
            assert_eq!(store.remove("a", *old).await.unwrap(), Swap::Conflict);
        }
        assert_eq!(
            store.remove("a", version).await.unwrap(),
            Swap::Done(version)
        );
    }
}

/// A value is there before its expiry, and for no call at its expiry.
pub async fn a_value_ends_exactly_at_its_time(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let unit = harness.unit();
    let stays = put_new(&store, "p/stays", "1").await;
    let end = harness.now() + unit * 2;
    let version = done(
        put(&store, "p/ends", "1", Some(end), Expect::Absent).await,
        "p/ends",
    );
    harness.pass(unit).await;
    assert!(read(&store, "p/ends").await.is_some(), "ended too early");
    assert_eq!(keys(&store, "p/").await, ["p/ends", "p/stays"]);
    assert_eq!(
        put(&store, "p/ends", "2", None, Expect::Absent).await,
        Swap::Conflict
    );
    harness.pass(unit).await;
    assert_eq!(read(&store, "p/ends").await, None, "lives too long");
    assert_eq!(keys(&store, "p/").await, ["p/stays"]);
    assert_eq!(
        store.remove("p/ends", version).await.unwrap(),
        Swap::Conflict
    );
    assert_eq!(
        read(&store, "p/stays").await.map(|found| found.version),
        Some(stays)
    );
}

/// An expired value does not answer to its version, and is no obstacle to a first write.
pub async fn an_expired_value_is_nothing_to_a_write(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let unit = harness.unit();
    let end = harness.now() + unit;
    let old = done(put(&store, "a", "1", Some(end), Expect::Absent).await, "a");
    harness.pass(unit).await;
    assert_eq!(
        put(&store, "a", "2", None, Expect::Version(old)).await,
        Swap::Conflict
    );
    let new = put_new(&store, "a", "3").await;
    assert_ne!(old, new);
    harness.pass(unit * 2).await;
    let found = read(&store, "a").await.unwrap();
    assert_eq!(
        (found.value, found.expires),
        (Bytes::from_static(b"3"), None)
    );
}

/// A value whose end lies behind is written and gone; what it replaced is gone too.
pub async fn a_value_that_has_ended_already_is_never_there(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let past = harness.now().saturating_sub(Duration::from_secs(60));
    done(put(&store, "a", "1", Some(past), Expect::Absent).await, "a");
    assert_eq!(read(&store, "a").await, None);
    let version = put_new(&store, "a", "2").await;
    done(
        put(&store, "a", "3", Some(past), Expect::Version(version)).await,
        "a",
    );
    assert_eq!(read(&store, "a").await, None);
    put_new(&store, "a", "4").await;
}

/// The expiry is the last write's: later, or none.
pub async fn a_write_replaces_the_expiry(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let unit = harness.unit();
    let soon = harness.now() + unit * 2;
    let late = soon + Duration::from_secs(3600);
    for (key, expires) in [("later", Some(late)), ("never", None)] {
        let version = done(put(&store, key, "1", Some(soon), Expect::Absent).await, key);
        done(
            put(&store, key, "2", expires, Expect::Version(version)).await,
            key,
        );
    }
    harness.pass(unit * 3).await;
    assert_eq!(keys(&store, "").await, ["later", "never"]);
    let version = read(&store, "later").await.unwrap().version;
    let soon = harness.now() + unit;
    done(
        put(&store, "later", "3", Some(soon), Expect::Version(version)).await,
        "later",
    );
    harness.pass(unit).await;
    assert_eq!(keys(&store, "").await, ["never"]);
}

/// Keys come in the order of their bytes, whatever a collation would say.
pub async fn scans_are_in_order_of_bytes(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut names = [
        "a", "B", "_", "-", "a/b", "a-b", "a b", "aa", "A", "0", "10", "9", "é", "z", "ß",
    ];
    for name in names {
        put_new(&store, name, name).await;
    }
    names.sort_unstable();
    assert_eq!(keys(&store, "").await, names);
}

/// A prefix is text, not a pattern; `after` is exclusive; `limit` is the most.
pub async fn scans_stay_within_prefix_after_and_limit(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for name in [
        "a", "p", "p%", "p%x", "p/1", "p/2", "p/3", "p0", "p?", "p_", "px", "q",
    ] {
        put_new(&store, name, name).await;
    }
    for (prefix, after, limit, expected) in [
        ("p/", None, 10, &["p/1", "p/2", "p/3"][..]),
        ("p/", None, 2, &["p/1", "p/2"]),
        ("p/", None, 0, &[]),
        ("p/", Some("p/1"), 10, &["p/2", "p/3"]),
        ("p/", Some("p/1"), 1, &["p/2"]),
        ("p/", Some("p/3"), 10, &[]),
        // Between two keys, before the prefix, behind it.
        ("p/", Some("p/15"), 10, &["p/2", "p/3"]),
        ("p/", Some("a"), 1, &["p/1"]),
        ("p/", Some("q"), 10, &[]),
        ("p%", None, 10, &["p%", "p%x"]),
        ("p_", None, 10, &["p_"]),
        ("p?", None, 10, &["p?"]),
        ("P/", None, 10, &[]),
        ("q", None, 10, &["q"]),
        ("r", None, 10, &[]),
    ] {
        let found: Vec<String> = store
            .scan(prefix, after, limit)
            .await
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(found, expected, "{prefix} after {after:?}, {limit}");
    }
}

/// Page after page, each key once; an empty page is the end.
pub async fn scan_pages_visit_each_key_once(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut expected = BTreeSet::new();
    for index in 0..57 {
        let key = format!("page/{index}");
        put_new(&store, &key, "x").await;
        expected.insert(key);
    }
    put_new(&store, "pagf", "x").await;
    let mut found = Vec::new();
    loop {
        let page = store
            .scan("page/", found.last().map(String::as_str), 10)
            .await
            .unwrap();
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|(key, _)| key));
        assert!(found.len() <= expected.len(), "a page repeats itself");
    }
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

/// The longest key and the largest value fit; one byte more, or a control character, does not.
pub async fn limits_of_keys_and_values_hold(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let longest = "é".repeat(MAX_KEY_BYTES / 2);
    let largest = "v".repeat(MAX_VALUE_BYTES);
    put_new(&store, &longest, &largest).await;
    let found = read(&store, &longest).await.unwrap();
    assert_eq!(found.value.len(), MAX_VALUE_BYTES);
    for (key, value) in [
        (format!("{longest}x"), "x".to_owned()),
        ("nul\0".to_owned(), "x".to_owned()),
        ("line\nbreak".to_owned(), "x".to_owned()),
        ("delete\u{7f}".to_owned(), "x".to_owned()),
        ("next line\u{85}".to_owned(), "x".to_owned()),
        ("a".to_owned(), format!("{largest}v")),
    ] {
        let put = store.put_if(&key, value.into(), None, Expect::Absent).await;
        assert_eq!(put, Err(StoreError::TooLarge), "{key:?}");
    }
    assert_eq!(keys(&store, "").await, [longest]);
}

/// Many tasks add one to the same number by compare-and-swap; none is lost.
pub async fn concurrent_increments_are_all_counted(harness: &dyn Harness) {
    const TASKS: usize = 8;
    const EACH: usize = 25;
    let store = harness.fresh().await;
    put_new(&store, "counter", "0").await;
    let versions = race(TASKS, |_| {
        let store = Arc::clone(&store);
        async move {
            let mut versions = Vec::new();
            while versions.len() < EACH {
                let found = read(&store, "counter").await.unwrap();
                yield_now().await;
                let next = (number(&found) + 1).to_string();
                let expect = Expect::Version(found.version);
                if let Swap::Done(version) = put(&store, "counter", &next, None, expect).await {
                    versions.push(version);
                }
            }
            versions
        }
    })
    .await;
    let count = number(&read(&store, "counter").await.unwrap());
    assert_eq!(count, TASKS * EACH, "writes were lost");
    let distinct: BTreeSet<Version> = versions.into_iter().flatten().collect();
    assert_eq!(distinct.len(), TASKS * EACH, "a version was used twice");
}

/// Many tasks put the same key for the first time; one does.
pub async fn one_of_many_first_writers_wins(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for round in 0..20 {
        let key = format!("once/{round}");
        let outcomes = race(8, |task| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move {
                yield_now().await;
                let mine = task.to_string();
                let swap = put(&store, &key, &mine, None, Expect::Absent).await;
                matches!(swap, Swap::Done(_)).then_some(mine)
            }
        })
        .await;
        let winners: Vec<String> = outcomes.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?} all won");
        let found = read(&store, &key).await.unwrap();
        assert_eq!(found.value, winners[0].as_bytes());
    }
}

/// A removal and a write that expect the same edition: one happens.
pub async fn a_removal_and_a_write_do_not_both_happen(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for round in 0..20 {
        let key = format!("race/{round}");
        let version = put_new(&store, &key, "old").await;
        let outcomes = race(8, |task| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move {
                yield_now().await;
                let removes = task % 2 == 0;
                let swap = if removes {
                    store.remove(&key, version).await.unwrap()
                } else {
                    put(&store, &key, "new", None, Expect::Version(version)).await
                };
                matches!(swap, Swap::Done(_)).then_some(removes)
            }
        })
        .await;
        let happened: Vec<bool> = outcomes.into_iter().flatten().collect();
        assert_eq!(happened.len(), 1, "one edition was taken twice");
        let found = read(&store, &key).await;
        assert_eq!(found.is_none(), happened[0]);
    }
}

/// A scan sees each key that is there throughout, once and in order, with a value that somebody
/// wrote whole, while others are written and removed around it.
pub async fn scans_during_writes_are_whole(harness: &dyn Harness) {
    const STEADY: usize = 40;
    let store = harness.fresh().await;
    for index in 0..STEADY {
        put_new(&store, &format!("scan/{index:02}"), &"a".repeat(64)).await;
    }
    let checks = race(4, |task| {
        let store = Arc::clone(&store);
        async move {
            for round in 0..25_usize {
                if task < 2 {
                    churn(&store, task, round % STEADY).await;
                } else {
                    inspect(&store, STEADY).await;
                }
                yield_now().await;
            }
        }
    })
    .await;
    assert_eq!(checks.len(), 4);
}

async fn churn(store: &Arc<dyn Store>, task: usize, index: usize) {
    let key = format!("scan/{index:02}");
    let found = read(store, &key).await.unwrap();
    let fill = if task == 0 { "b" } else { "c" };
    let value = fill.repeat(64 + index);
    let _ = put(store, &key, &value, None, Expect::Version(found.version)).await;
    // A key that comes and goes.
    let passing = format!("scan/{index:02}-{task}");
    let version = put_new(store, &passing, "d").await;
    yield_now().await;
    assert_eq!(
        store.remove(&passing, version).await.unwrap(),
        Swap::Done(version)
    );
}

async fn inspect(store: &Arc<dyn Store>, steady: usize) {
    let page = store.scan("scan/", None, 1000).await.unwrap();
    assert!(
        page.is_sorted_by(|(a, _), (b, _)| a < b),
        "out of order, or twice"
    );
    let found = page.iter().filter(|(key, _)| key.len() == 7).count();
    assert_eq!(found, steady, "keys were missed");
    for (key, entry) in &page {
        let first = entry.value[0];
        assert!(
            entry.value.iter().all(|byte| *byte == first),
            "{key} is torn"
        );
    }
}

async fn race<T, F>(tasks: usize, start: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut set = JoinSet::new();
    for task in 0..tasks {
        set.spawn(start(task));
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = set.join_next().await {
        outcomes.push(outcome.unwrap());
    }
    outcomes
}

async fn read(store: &Arc<dyn Store>, key: &str) -> Option<Versioned> {
    store.get(key).await.unwrap()
}

async fn put(
    store: &Arc<dyn Store>,
    key: &str,
    value: &str,
    expires: Option<Timestamp>,
    expect: Expect,
) -> Swap {
    let value = Bytes::copy_from_slice(value.as_bytes());
    store.put_if(key, value, expires, expect).await.unwrap()
}

async fn put_new(store: &Arc<dyn Store>, key: &str, value: &str) -> Version {
    done(put(store, key, value, None, Expect::Absent).await, key)
}

fn done(swap: Swap, key: &str) -> Version {
    match swap {
        Swap::Done(version) => version,
        Swap::Conflict => panic!("the write to `{key}` must happen"),
    }
}

async fn keys(store: &Arc<dyn Store>, prefix: &str) -> Vec<String> {
    let page = store.scan(prefix, None, 1000).await.unwrap();
    page.into_iter().map(|(key, _)| key).collect()
}

fn number(found: &Versioned) -> usize {
    std::str::from_utf8(&found.value).unwrap().parse().unwrap()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::store::MemoryStore;

    /// What is wrong with a [`Broken`] store.
    #[derive(Debug, Clone, Copy)]
    enum Fault {
        ReusesVersions,
        OutlivesItsEnd,
        ReadsThenWrites,
        RemovesWhatever,
        ScansWithPatterns,
        ForgetsTheLimit,
    }

    #[derive(Debug)]
    struct Broken {
        inner: MemoryStore,
        fault: Fault,
        removed: Mutex<Option<Version>>,
    }

    impl Store for Broken {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
            self.inner.get(key)
        }

        fn put_if<'a>(
            &'a self,
            key: &'a str,
            value: Bytes,
            expires: Option<Timestamp>,
            expect: Expect,
        ) -> BoxFuture<'a, Result<Swap, StoreError>> {
            Box::pin(async move {
                let late = expires.map(|end| end + Duration::from_micros(1));
                match self.fault {
                    Fault::OutlivesItsEnd => self.inner.put_if(key, value, late, expect).await,
                    Fault::ReadsThenWrites => {
                        let found = self.inner.get(key).await?;
                        if expect
                            != found
                                .as_ref()
                                .map_or(Expect::Absent, |it| Expect::Version(it.version))
                        {
                            return Ok(Swap::Conflict);
                        }
                        yield_now().await;
                        loop {
                            let now = self.inner.get(key).await?;
                            let now = now.map_or(Expect::Absent, |it| Expect::Version(it.version));
                            let swap = self.inner.put_if(key, value.clone(), expires, now).await?;
                            if swap != Swap::Conflict {
                                return Ok(swap);
                            }
                        }
                    }
                    Fault::ReusesVersions => {
                        let swap = self.inner.put_if(key, value, expires, expect).await?;
                        let old = *self.removed.lock().unwrap();
                        Ok(match swap {
                            Swap::Done(_) => Swap::Done(old.unwrap_or(Version(1))),
                            Swap::Conflict => swap,
                        })
                    }
                    _ => self.inner.put_if(key, value, expires, expect).await,
                }
            })
        }

        fn remove<'a>(
            &'a self,
            key: &'a str,
            version: Version,
        ) -> BoxFuture<'a, Result<Swap, StoreError>> {
            Box::pin(async move {
                let found = self.inner.get(key).await?.map(|found| found.version);
                *self.removed.lock().unwrap() = found;
                match self.fault {
                    Fault::RemovesWhatever => {
                        self.inner.remove(key, found.unwrap_or(version)).await
                    }
                    _ => self.inner.remove(key, version).await,
                }
            })
        }

        fn scan<'a>(
            &'a self,
            prefix: &'a str,
            after: Option<&'a str>,
            limit: usize,
        ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
            match self.fault {
                Fault::ScansWithPatterns => {
                    self.inner
                        .scan(prefix.split('%').next().unwrap(), after, limit)
                }
                Fault::ForgetsTheLimit => self.inner.scan(prefix, after, limit + 1),
                _ => self.inner.scan(prefix, after, limit),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_store_that_does_something_else_fails() {
        for fault in [
            Fault::ReusesVersions,
            Fault::OutlivesItsEnd,
            Fault::ReadsThenWrites,
            Fault::RemovesWhatever,
            Fault::ScansWithPatterns,
            Fault::ForgetsTheLimit,
        ] {
            let suite = tokio::spawn(async move {
                let harness = ManualHarness::new(move |clock| {
                    Arc::new(Broken {
                        inner: MemoryStore::new(clock),
                        fault,
                        removed: Mutex::default(),
                    }) as Arc<dyn Store>
                });
                run(&harness).await;
            });
            assert!(
                suite.await.unwrap_err().is_panic(),
                "{fault:?} was not noticed"
            );
        }
    }
}
