use bytes::Bytes;
use futures_util::FutureExt;

use super::{
    super::{
        SharedReplays,
        memory::TOO_EARLY,
        shared::{STORE_FAILED, STORE_FULL, STORE_LATE},
    },
    *,
};
use crate::{
    clock::Clock,
    store::{BoxFuture, Expect, MemoryLimits, Store, StoreError, Swap, Version, Versioned},
};

async fn seen(memory: &SharedReplays, sighting: &Sighting<'_>) -> Verdict {
    memory.record(sighting).verdict().await
}

/// A store that answers everything in one way, or never.
#[derive(Debug)]
struct Odd(Option<StoreError>);

impl Odd {
    fn answer<'a, T: Send + 'a>(&self) -> BoxFuture<'a, Result<T, StoreError>> {
        match self.0.clone() {
            Some(error) => Box::pin(std::future::ready(Err(error))),
            None => Box::pin(std::future::pending()),
        }
    }
}

impl Store for Odd {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.answer()
    }

    fn put_if<'a>(
        &'a self,
        _: &'a str,
        _: Bytes,
        _: Option<Timestamp>,
        _: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.answer()
    }

    fn remove<'a>(&'a self, _: &'a str, _: Version) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.answer()
    }

    fn scan<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        self.answer()
    }
}

#[tokio::test]
async fn refuses_where_the_store_fails_or_is_full() {
    for (error, reason) in [
        (StoreError::Unavailable("gone".into()), STORE_FAILED),
        (StoreError::TooLarge, STORE_FAILED),
        (StoreError::Full, STORE_FULL),
    ] {
        let memory = SharedReplays::new(Arc::new(Odd(Some(error))), ManualClock::default());
        let verdict = seen(&memory, &sighting("k1", "n", start())).await;
        assert_eq!(verdict, Verdict::Unavailable(reason));
    }
    let clock = ManualClock::default();
    let limits = MemoryLimits {
        entries: 1,
        ..MemoryLimits::default()
    };
    let store = MemoryStore::with_limits(clock.clone(), limits);
    let memory = SharedReplays::new(Arc::new(store), clock);
    let first = sighting("k1", "n", start());
    assert_eq!(seen(&memory, &first).await, Verdict::Fresh);
    let second = seen(&memory, &sighting("k1", "m", start())).await;
    assert_eq!(second, Verdict::Unavailable(STORE_FULL));
    assert_eq!(seen(&memory, &first).await, Verdict::Replayed);
}

#[tokio::test]
async fn refuses_at_the_deadline_where_the_store_hangs() {
    let clock = ManualClock::default();
    let memory = SharedReplays::new(Arc::new(Odd(None)), clock.clone()).with_deadline(secs(2));
    let message = sighting("k1", "n", start());
    let mut verdict = std::pin::pin!(seen(&memory, &message));
    assert_eq!(verdict.as_mut().now_or_never(), None);
    clock.advance(Duration::from_micros(1_999_999));
    assert_eq!(verdict.as_mut().now_or_never(), None);
    clock.advance(Duration::from_micros(1));
    assert_eq!(verdict.await, Verdict::Unavailable(STORE_LATE));
}

#[tokio::test]
async fn refuses_on_one_replica_what_another_has_seen() {
    let clock = ManualClock::default();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let one = SharedReplays::new(Arc::clone(&store), clock.clone());
    let other = SharedReplays::new(Arc::clone(&store), clock.clone());
    let elsewhere = SharedReplays::new(store, clock)
        .with_namespace("orders")
        .unwrap();
    let message = sighting("k1", "n", start());
    assert_eq!(seen(&one, &message).await, Verdict::Fresh);
    assert_eq!(seen(&other, &message).await, Verdict::Replayed);
    assert_eq!(seen(&elsewhere, &message).await, Verdict::Fresh);
}

#[tokio::test]
async fn an_entry_is_where_it_is_documented_and_outlives_its_message_by_the_margin() {
    let clock = ManualClock::default();
    for (margin, expected) in [(secs(0), secs(5)), (secs(40), secs(40))] {
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let memory = SharedReplays::new(store.clone(), clock.clone())
            .with_namespace("pay-1")
            .unwrap()
            .with_margin(margin);
        let message = sighting("k1", "n", start());
        assert_eq!(seen(&memory, &message).await, Verdict::Fresh);
        let key = format!("zt:replay:pay-1:{:x}", message.key);
        let found = store.get(&key).await.unwrap().unwrap();
        assert_eq!(found.expires, Some(message.until + expected));
        assert!(found.value.is_empty());
    }
}

/// The store's clock is ahead by less than the margin.
#[tokio::test]
async fn a_store_whose_clock_is_a_little_ahead_forgets_nothing_too_early() {
    let clock = ManualClock::default();
    let ahead = ManualClock::at(clock.now().unwrap() + secs(4));
    let store = Arc::new(MemoryStore::new(ahead.clone()));
    let memory = SharedReplays::new(store, clock).with_margin(secs(5));
    let message = sighting("k1", "n", start());
    assert_eq!(seen(&memory, &message).await, Verdict::Fresh);
    ahead.advance(secs(60));
    let last = Sighting {
        now: message.until,
        ..message
    };
    assert_eq!(seen(&memory, &last).await, Verdict::Replayed);
}

#[tokio::test]
async fn refuses_what_is_older_than_a_store_that_was_empty() {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let memory = SharedReplays::new(store, clock).empty_before(start(), SKEW);
    let early = sighting("k1", "n", start() + SKEW);
    let verdict = memory.record(&early).verdict().now_or_never();
    assert_eq!(verdict, Some(Verdict::Unavailable(TOO_EARLY)));
    let late = sighting("k1", "m", start() + SKEW + secs(1));
    assert_eq!(seen(&memory, &late).await, Verdict::Fresh);
}

#[test]
fn refuses_a_namespace_that_could_be_another_ones() {
    let long = "n".repeat(401);
    for name in ["", "a:b", "a b", "a\n", "ä", "a*", long.as_str()] {
        let memory = SharedReplays::new(Arc::new(Odd(None)), ManualClock::default());
        let error = memory.with_namespace(name).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let memory = SharedReplays::new(Arc::new(Odd(None)), ManualClock::default());
    assert!(memory.with_namespace(&"n".repeat(400)).is_ok());
}
