//! Ways to make the feed pass over something in silence, or be late.

use zt_core::{
    state::{Cursor, Entry, Feed, FeedError, FeedLimits, HEARTBEAT, Subscription, Topic},
    store::redis::RedisFeed,
};

use super::*;

const TOPIC: Topic = "news";

async fn feed(server: &RedisServer) -> RedisFeed {
    RedisFeed::new(&client(server).await, "zt").unwrap()
}

async fn publish(feed: &RedisFeed, payload: &'static str) -> Cursor {
    let payload = Bytes::from_static(payload.as_bytes());
    feed.publish(TOPIC, payload).await.unwrap()
}

/// The next batch that has something in it, or the error.
async fn hear(reader: &mut dyn Subscription) -> Result<Vec<Entry>, FeedError> {
    for _ in 0..10 {
        let batch = reader.next().await?;
        if !batch.is_empty() {
            return Ok(batch);
        }
    }
    panic!("nothing came");
}

#[tokio::test]
async fn a_topic_that_was_emptied_is_lost_however_much_it_has_by_now() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let feed = feed(&server).await;
    let start = feed.newest(TOPIC).await.unwrap();
    let mut behind = feed.subscribe(TOPIC, start);
    // It never asked for a place, and has begun all the same.
    let mut beginner = feed.subscribe(TOPIC, Cursor::default());
    assert_eq!(beginner.next().await, Ok(vec![]));
    let newest = publish(&feed, "a").await;
    let mut waiting = feed.subscribe(TOPIC, newest);
    assert_eq!(waiting.next().await, Ok(vec![]));
    assert_eq!(server.command(&["FLUSHALL"]), "OK");
    for _ in 0..5 {
        publish(&feed, "later").await;
    }
    for reader in [&mut behind, &mut beginner, &mut waiting] {
        for _ in 0..2 {
            assert_eq!(reader.next().await, Err(FeedError::Lost));
        }
    }
    let batch = feed.subscribe(TOPIC, Cursor::default()).next().await;
    assert_eq!(batch.unwrap().len(), 5);
}

#[tokio::test]
async fn a_topic_that_was_emptied_while_nothing_happens_is_lost_by_the_next_heartbeat() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let feed = feed(&server).await;
    let newest = publish(&feed, "a").await;
    let mut waiting = feed.subscribe(TOPIC, newest);
    let (batch, flushed) = tokio::join!(waiting.next(), async {
        pass(HEARTBEAT / 4).await;
        server.command(&["FLUSHALL"])
    });
    assert_eq!((batch, flushed.as_str()), (Err(FeedError::Lost), "OK"));
}

#[tokio::test]
async fn a_server_that_lost_its_last_entries_tells_whoever_had_them() {
    for options in [&[][..], &DURABLE] {
        let Some(mut server) = RedisServer::start(options) else {
            return;
        };
        let feed = feed(&server).await;
        let first = publish(&feed, "a").await;
        if options.is_empty() {
            assert_eq!(server.command(&["SAVE"]), "OK");
        }
        let second = publish(&feed, "b").await;
        let mut one = feed.subscribe(TOPIC, first);
        let mut two = feed.subscribe(TOPIC, second);
        server.restart();
        // Another "b" stands in the place of the first one now, if anybody counted on.
        until(Duration::from_secs(5), async || {
            feed.publish(TOPIC, "other".into()).await.is_ok()
        })
        .await;
        publish(&feed, "more").await;
        for reader in [&mut one, &mut two] {
            assert_eq!(reader.next().await, Err(FeedError::Lost));
        }
    }
}

#[tokio::test]
async fn a_topic_whose_entries_alone_are_gone_is_lost_to_whoever_had_not_read_them() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let feed = feed(&server).await;
    let first = publish(&feed, "a").await;
    let second = publish(&feed, "b").await;
    assert_eq!(server.command(&["DEL", "{zt}:entries:news"]), "1");
    let mut behind = feed.subscribe(TOPIC, first);
    assert_eq!(behind.next().await, Err(FeedError::Lost));
    let mut there = feed.subscribe(TOPIC, second);
    publish(&feed, "c").await;
    assert_eq!(behind.next().await, Err(FeedError::Lost));
    assert_eq!(hear(&mut *there).await.unwrap()[0].payload, "c");
}

#[tokio::test]
async fn bytes_are_bounded_and_a_larger_entry_is_refused() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let limits = FeedLimits {
        entries: 100,
        bytes: 10,
    };
    let feed = RedisFeed::with_limits(&client(&server).await, "zt", limits).unwrap();
    let large = feed
        .publish(TOPIC, Bytes::from_static(b"12345678901"))
        .await;
    assert_eq!(large, Err(FeedError::TooLarge));
    let start = feed.newest(TOPIC).await.unwrap();
    for _ in 0..5 {
        publish(&feed, "1234").await;
    }
    assert_eq!(server.command(&["LLEN", "{zt}:entries:news"]), "2");
    let mut behind = feed.subscribe(TOPIC, start);
    assert_eq!(behind.next().await, Err(FeedError::Lost));
    let kept = feed.subscribe(TOPIC, Cursor(start.0 + 3)).next().await;
    assert_eq!(kept.unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_without_memory_takes_no_news_and_says_so() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let feed = feed(&server).await;
    let newest = publish(&feed, "a").await;
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let refused = feed.publish(TOPIC, "b".into()).await;
    assert!(
        matches!(refused, Err(FeedError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(feed.newest(TOPIC).await, Ok(newest), "no place is left out");
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    assert_eq!(publish(&feed, "b").await, Cursor(newest.0 + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_comes_at_once_over_one_connection_for_all_topics() {
    const TOPICS: [Topic; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (feed, publisher) = (feed(&server).await, feed(&server).await);
    let mut readers = Vec::new();
    for topic in TOPICS {
        for _ in 0..4 {
            let mut reader = feed.subscribe(topic, feed.newest(topic).await.unwrap());
            readers.push(tokio::spawn(async move {
                let mut at = Vec::new();
                while at.len() < 20 {
                    for _ in hear(&mut *reader).await.unwrap() {
                        at.push(SystemClock.monotonic());
                    }
                }
                at
            }));
        }
    }
    pass(Duration::from_millis(100)).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(SystemClock.monotonic());
        for topic in TOPICS {
            publisher.publish(topic, "x".into()).await.unwrap();
        }
        pass(Duration::from_millis(20)).await;
    }
    let clients = server.command(&["CLIENT", "LIST"]);
    // Two clients of ours, and the one that asks.
    assert_eq!(clients.trim().lines().count(), 3, "{clients}");
    let mut took = Vec::new();
    for reader in readers {
        let heard = reader.await.unwrap();
        took.extend(
            heard
                .iter()
                .zip(&sent)
                .map(|(at, sent)| at.saturating_sub(*sent)),
        );
    }
    took.sort_unstable();
    let (half, last) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "news took {half:?} in the middle, {last:?} at most, of {}",
        took.len()
    );
    assert!(half < Duration::from_millis(100), "{half:?}");
    assert!(last < Duration::from_millis(900), "{last:?}");
}

#[tokio::test]
async fn news_that_may_not_be_heard_is_looked_for() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let rules = ["on", ">secret", "~*", "+@all", "resetchannels"];
    let words = [&["ACL", "SETUSER", "deaf"][..], &rules].concat();
    assert_eq!(server.command(&words), "OK");
    let url = server.url().replace("//", "//deaf:secret@");
    let client = connect(&url).await.unwrap();
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let start = feed.newest(TOPIC).await.unwrap();
    let mut reader = feed.subscribe(TOPIC, start);
    let begun = SystemClock.monotonic();
    let (batch, _) = tokio::join!(reader.next(), async {
        pass(Duration::from_millis(30)).await;
        publish(&feed, "a").await
    });
    assert_eq!(batch.unwrap().len(), 1);
    assert!(SystemClock.monotonic() - begun < Duration::from_millis(450));
}

#[tokio::test]
async fn no_heartbeat_comes_from_a_server_that_does_not_answer() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let client = connect(&server.url()).await.unwrap();
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let newest = publish(&feed, "a").await;
    let mut reader = feed.subscribe(TOPIC, newest);
    assert_eq!(reader.next().await, Ok(vec![]));
    server.pause();
    for _ in 0..3 {
        let begun = SystemClock.monotonic();
        let batch = reader.next().await;
        assert!(matches!(batch, Err(FeedError::Unavailable(_))), "{batch:?}");
        let took = SystemClock.monotonic() - begun;
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    server.resume();
    until(Duration::from_secs(3), async || reader.next().await.is_ok()).await;
    // In the middle of a wait.
    let (batch, ()) = tokio::join!(reader.next(), async {
        pass(HEARTBEAT / 4).await;
        server.kill();
    });
    assert!(matches!(batch, Err(FeedError::Unavailable(_))), "{batch:?}");
}
