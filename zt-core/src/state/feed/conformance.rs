//! What every [`Feed`] must do, as functions that panic where one does not.
//!
//! For the authors of feeds; behind the feature `test-util`. The suite writes into topics whose
//! names begin with `zt.conformance`, and a feed that has entries there from an earlier run is
//! fine.
//!
//! ```
//! use std::sync::Arc;
//! use zt_core::{
//!     clock::ManualClock,
//!     state::{FeedLimits, MemoryFeed, feed_conformance::{self, Subject, Time}},
//! };
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let clock = ManualClock::default();
//! let limits = FeedLimits { entries: 1000, bytes: 1 << 20 };
//! feed_conformance::all(&Subject {
//!     feed: Arc::new(MemoryFeed::with_limits(clock.clone(), limits)),
//!     time: Time::Manual(clock),
//!     overflow: 1001,
//! })
//! .await;
//! # });
//! ```

#![expect(
    clippy::expect_used,
    reason = "a conformance suite says what is wrong by panicking"
)]

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Cursor, Entry, Feed, FeedError, Subscription, Topic};
use crate::clock::{Clock, ManualClock, SystemClock};

/// The feed under test.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The feed.
    pub feed: Arc<dyn Feed>,
    /// The time that it lives in.
    pub time: Time,
    /// After so many entries one that came before them is gone.
    pub overflow: usize,
}

/// The time that a feed's heartbeats follow.
#[derive(Debug, Clone)]
pub enum Time {
    /// This clock; the suite moves it.
    Manual(ManualClock),
    /// The system's clock.
    Real,
}

impl Time {
    /// Waits for `future`, and says how long it took.
    async fn measure<F: Future>(&self, future: F) -> (F::Output, Duration) {
        let clock: &dyn Clock = match self {
            Self::Manual(clock) => clock,
            Self::Real => &SystemClock,
        };
        let begun = clock.monotonic();
        let mut future = pin!(future);
        let output = loop {
            tokio::select! {
                biased;
                output = &mut future => break output,
                () = self.step() => {}
            }
        };
        (output, clock.monotonic().saturating_sub(begun))
    }

    async fn step(&self) {
        match self {
            Self::Manual(clock) => {
                // Whoever is ready to go on does so before time moves.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                clock.advance(Duration::from_millis(50));
            }
            Self::Real => SystemClock.sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Every check of this module, one after the other.
pub async fn all(subject: &Subject) {
    entries_come_in_the_order_of_their_publication(subject).await;
    two_subscribers_see_the_same(subject).await;
    topics_do_not_mix(subject).await;
    a_subscriber_goes_on_from_its_cursor(subject).await;
    news_ends_a_wait(subject).await;
    a_heartbeat_comes_within_a_second(subject).await;
    a_wait_that_was_abandoned_loses_nothing(subject).await;
    a_subscriber_that_fell_behind_is_told(subject).await;
    a_cursor_from_the_future_is_lost(subject).await;
    concurrent_publishers_are_put_into_one_order(subject).await;
}

/// Entries come in the order of their publication, with growing cursors.
pub async fn entries_come_in_the_order_of_their_publication(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.order";
    let start = newest(subject, TOPIC).await;
    let mut reader = subject.feed.subscribe(TOPIC, start);
    let cursors = publish(subject, TOPIC, ["a", "b", "c"]).await;
    assert!(start < cursors[0], "the first entry comes after the start");
    assert!(
        cursors.is_sorted() && cursors[0] != cursors[2],
        "cursors grow"
    );
    let read = read(subject, &mut *reader, 3).await;
    assert_eq!(payloads(&read), ["a", "b", "c"], "entries are in order");
    let seen: Vec<_> = read.iter().map(|entry| entry.cursor).collect();
    assert_eq!(
        seen, cursors,
        "entries stand where their publisher was told"
    );
    assert_eq!(
        newest(subject, TOPIC).await,
        cursors[2],
        "the newest is last"
    );
}

/// Two subscribers see the same entries in the same places.
pub async fn two_subscribers_see_the_same(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.two";
    let start = newest(subject, TOPIC).await;
    let mut one = subject.feed.subscribe(TOPIC, start);
    let mut two = subject.feed.subscribe(TOPIC, start);
    publish(subject, TOPIC, ["a", "b"]).await;
    let (one, two) = (
        read(subject, &mut *one, 2).await,
        read(subject, &mut *two, 2).await,
    );
    assert_eq!(one, two, "subscribers agree");
}

/// A subscriber hears nothing of other topics.
pub async fn topics_do_not_mix(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.mine";
    const OTHER: Topic = "zt.conformance.other";
    let start = newest(subject, TOPIC).await;
    publish(subject, OTHER, ["theirs"]).await;
    assert_eq!(
        newest(subject, TOPIC).await,
        start,
        "topics have own places"
    );
    let mut reader = subject.feed.subscribe(TOPIC, start);
    publish(subject, TOPIC, ["mine"]).await;
    assert_eq!(payloads(&read(subject, &mut *reader, 1).await), ["mine"]);
}

/// A subscriber that comes back with its cursor gets what came after it, and nothing twice.
pub async fn a_subscriber_goes_on_from_its_cursor(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.resume";
    let cursors = publish(subject, TOPIC, ["a", "b", "c"]).await;
    let mut reader = subject.feed.subscribe(TOPIC, cursors[0]);
    assert_eq!(payloads(&read(subject, &mut *reader, 2).await), ["b", "c"]);
    let mut reader = subject.feed.subscribe(TOPIC, cursors[2]);
    let (batch, _) = subject.time.measure(reader.next()).await;
    assert_eq!(batch, Ok(Vec::new()), "there is nothing after the newest");
}

/// A subscriber that waits hears of an entry without waiting for its heartbeat.
pub async fn news_ends_a_wait(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.wait";
    let start = newest(subject, TOPIC).await;
    let mut reader = subject.feed.subscribe(TOPIC, start);
    let publisher = async {
        subject.time.step().await;
        publish(subject, TOPIC, ["news"]).await;
    };
    let both = futures_util::future::join(reader.next(), publisher);
    let ((batch, ()), _) = subject.time.measure(both).await;
    let batch = batch.expect("the feed answers");
    assert_eq!(payloads(&batch), ["news"], "the wait ends with the news");
}

/// Where there is no news, an empty batch comes within a second, again and again.
pub async fn a_heartbeat_comes_within_a_second(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.heartbeat";
    let start = newest(subject, TOPIC).await;
    let mut reader = subject.feed.subscribe(TOPIC, start);
    for _ in 0..3 {
        let (batch, took) = subject.time.measure(reader.next()).await;
        assert_eq!(batch, Ok(Vec::new()), "there is no news");
        assert!(took <= Duration::from_secs(1), "a heartbeat took {took:?}");
        assert!(took > Duration::ZERO, "a heartbeat waits for news first");
    }
}

/// A `next` that is dropped before it is ready takes nothing with it.
pub async fn a_wait_that_was_abandoned_loses_nothing(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.abandoned";
    let start = newest(subject, TOPIC).await;
    let mut reader = subject.feed.subscribe(TOPIC, start);
    tokio::select! {
        biased;
        _ = reader.next() => {}
        () = tokio::task::yield_now() => {}
    }
    publish(subject, TOPIC, ["a"]).await;
    assert_eq!(payloads(&read(subject, &mut *reader, 1).await), ["a"]);
}

/// A subscriber whose next entries are gone gets [`FeedError::Lost`], not what comes after them.
pub async fn a_subscriber_that_fell_behind_is_told(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.lost";
    let start = newest(subject, TOPIC).await;
    let mut slow = subject.feed.subscribe(TOPIC, start);
    for _ in 0..subject.overflow {
        publish(subject, TOPIC, ["x"]).await;
    }
    for _ in 0..2 {
        let (batch, _) = subject.time.measure(slow.next()).await;
        assert_eq!(batch, Err(FeedError::Lost), "a gap is an error");
    }
    let mut again = subject.feed.subscribe(TOPIC, newest(subject, TOPIC).await);
    publish(subject, TOPIC, ["y"]).await;
    assert_eq!(payloads(&read(subject, &mut *again, 1).await), ["y"]);
}

/// A cursor beyond the newest place is from another life of the feed.
pub async fn a_cursor_from_the_future_is_lost(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.future";
    let newest = publish(subject, TOPIC, ["a"]).await[0];
    let beyond = Cursor(newest.0.saturating_add(1_000_000));
    let mut reader = subject.feed.subscribe(TOPIC, beyond);
    let (batch, _) = subject.time.measure(reader.next()).await;
    assert_eq!(batch, Err(FeedError::Lost), "the cursor cannot be ours");
}

/// Publishers at the same time: nothing is lost, nothing comes twice, each one's own order holds
/// and every subscriber sees one and the same order.
pub async fn concurrent_publishers_are_put_into_one_order(subject: &Subject) {
    const TOPIC: Topic = "zt.conformance.concurrent";
    const PUBLISHERS: usize = 8;
    let each = (subject.overflow.saturating_sub(1) / PUBLISHERS).clamp(1, 25);
    let start = newest(subject, TOPIC).await;
    let mut readers = [
        subject.feed.subscribe(TOPIC, start),
        subject.feed.subscribe(TOPIC, start),
    ];
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let feed = Arc::clone(&subject.feed);
            tokio::spawn(async move {
                for count in 0..each {
                    let payload = Bytes::from(format!("{publisher} {count:03}"));
                    feed.publish(TOPIC, payload)
                        .await
                        .expect("the feed takes it");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.expect("the publisher ends");
    }
    let one = read(subject, &mut *readers[0], PUBLISHERS * each).await;
    let two = read(subject, &mut *readers[1], PUBLISHERS * each).await;
    assert_eq!(one, two, "subscribers agree");
    assert!(
        one.is_sorted_by(|a, b| a.cursor < b.cursor),
        "cursors grow strictly"
    );
    let all = payloads(&one);
    for publisher in 0..PUBLISHERS {
        let own = format!("{publisher} ");
        let own: Vec<_> = all.iter().filter(|text| text.starts_with(&own)).collect();
        assert_eq!(own.len(), each, "nothing is lost or doubled");
        assert!(own.is_sorted(), "a publisher's own order holds");
    }
}

async fn newest(subject: &Subject, topic: Topic) -> Cursor {
    let newest = subject.feed.newest(topic).await;
    newest.expect("the feed knows its newest place")
}

async fn publish<const N: usize>(
    subject: &Subject,
    topic: Topic,
    payloads: [&'static str; N],
) -> [Cursor; N] {
    let mut cursors = [Cursor::default(); N];
    for (payload, cursor) in payloads.into_iter().zip(&mut cursors) {
        let payload = Bytes::from_static(payload.as_bytes());
        let published = subject.feed.publish(topic, payload).await;
        *cursor = published.expect("the feed takes an entry");
    }
    cursors
}

/// Reads until there are `count` entries; a feed may give them in any number of batches.
async fn read(subject: &Subject, reader: &mut dyn Subscription, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut empty = 0;
    while entries.len() < count {
        let (batch, _) = subject.time.measure(reader.next()).await;
        let batch = batch.expect("the feed answers");
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        assert!(empty < 10, "{} of {count} entries came", entries.len());
        entries.extend(batch);
    }
    assert_eq!(entries.len(), count, "nothing comes that was not published");
    entries
}

fn payloads(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| String::from_utf8_lossy(&entry.payload).into_owned();
    entries.iter().map(text).collect()
}
