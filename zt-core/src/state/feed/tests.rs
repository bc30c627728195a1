use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Cursor, Feed, FeedError, FeedLimits, HEARTBEAT, MemoryFeed,
    conformance::{self, Subject, Time},
};
use crate::clock::ManualClock;

const TOPIC: &str = "test";

fn small(entries: usize, bytes: usize) -> (MemoryFeed, ManualClock) {
    let clock = ManualClock::default();
    let limits = FeedLimits { entries, bytes };
    (MemoryFeed::with_limits(clock.clone(), limits), clock)
}

async fn publish(feed: &MemoryFeed, payload: &'static str) -> Result<Cursor, FeedError> {
    feed.publish(TOPIC, Bytes::from_static(payload.as_bytes()))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_feed_conforms() {
    let (feed, clock) = small(256, 1 << 20);
    conformance::all(&Subject {
        feed: Arc::new(feed),
        time: Time::Manual(clock),
        overflow: 257,
    })
    .await;
}

#[tokio::test]
async fn a_topic_is_bounded_in_bytes() {
    let (feed, _) = small(100, 8);
    let mut all = feed.subscribe(TOPIC, Cursor::default());
    let mut last = feed.subscribe(TOPIC, Cursor(2));
    for payload in ["1234", "5678", "90"] {
        publish(&feed, payload).await.unwrap();
    }
    assert_eq!(all.next().await, Err(FeedError::Lost));
    assert_eq!(last.next().await.unwrap()[0].payload, "90");
    assert_eq!(publish(&feed, "123456789").await, Err(FeedError::TooLarge));
    assert_eq!(feed.newest(TOPIC).await, Ok(Cursor(3)));
}

#[tokio::test]
async fn the_last_entry_of_a_ring_of_one_is_kept() {
    let (feed, _) = small(0, 100);
    for payload in ["a", "b"] {
        publish(&feed, payload).await.unwrap();
    }
    let batch = feed.subscribe(TOPIC, Cursor(1)).next().await.unwrap();
    assert_eq!(batch[0].payload, "b");
}

#[tokio::test]
async fn a_feed_that_failed_answers_errors_until_it_is_healed() {
    let (feed, clock) = small(10, 100);
    let mut reader = feed.subscribe(TOPIC, Cursor::default());
    let waiting = tokio::spawn(async move { (reader.next().await, reader) });
    tokio::task::yield_now().await;
    feed.fail();
    let (failed, mut reader) = waiting.await.unwrap();
    assert!(matches!(failed, Err(FeedError::Unavailable(_))));
    assert!(publish(&feed, "a").await.is_err());
    assert!(feed.newest(TOPIC).await.is_err());
    assert!(reader.next().await.is_err());

    feed.heal();
    publish(&feed, "b").await.unwrap();
    assert_eq!(reader.next().await.unwrap()[0].payload, "b");
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    clock.advance(HEARTBEAT - Duration::from_millis(1));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await.unwrap(), Ok(Vec::new()));
}
