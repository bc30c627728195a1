//! Each with a server of its own, since they stop it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::state::{Cursor, Feed, FeedError};

/// Ready when the server answers again.
async fn comes_back(store: &PostgresStore) {
    let begun = SystemClock.monotonic();
    while store.get("nothing").await.is_err() {
        assert!(
            elapsed(begun) < Duration::from_secs(20),
            "it does not come back"
        );
        sleep(20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    let Some(mut server) = PostgresServer::with(&[]) else {
        return;
    };
    let postgres = open(PostgresConfig::new(&server.url())).await;
    let store = PostgresStore::new(&postgres);
    let feed = PostgresFeed::new(&postgres);
    let mut versions = BTreeMap::new();
    let mut published = BTreeMap::new();
    for round in 0..4_u64 {
        comes_back(&store).await;
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for count in 0.. {
                        let key = format!("{round}/{writer}/{count}");
                        match put(&store, &key, None).await {
                            Ok(version) => done.push((version, key)),
                            Err(StoreError::Unavailable(_)) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    done
                })
            })
            .collect();
        let publisher = feed.clone();
        let publisher = tokio::spawn(async move {
            let mut done = Vec::new();
            for count in 0.. {
                let text = format!("{round}/{count}");
                match publisher.publish("t", text.clone().into()).await {
                    Ok(cursor) => done.push((cursor, text)),
                    Err(_) => break,
                }
            }
            done
        });
        sleep(300 + 170 * round).await;
        server.kill();
        for writer in writers {
            for (version, key) in writer.await.unwrap() {
                assert_eq!(versions.insert(version, key), None, "a version came twice");
            }
        }
        for (cursor, text) in publisher.await.unwrap() {
            assert_eq!(published.insert(cursor, text), None, "a place came twice");
        }
        server.restart();
    }
    comes_back(&store).await;
    assert!(
        versions.len() > 100 && published.len() > 20,
        "too few writes to tell"
    );
    for (version, key) in &versions {
        let found = store.get(key).await.unwrap();
        assert_eq!(found.map(|found| found.version), Some(*version), "{key}");
    }
    let next = put(&store, "after", None).await.unwrap();
    assert!(
        versions
            .last_key_value()
            .is_some_and(|(last, _)| *last < next)
    );

    let newest = feed.newest("t").await.unwrap();
    let mut reader = feed.subscribe("t", Cursor(0));
    let mut seen = BTreeMap::new();
    while u64::try_from(seen.len()).unwrap() < newest.0 {
        let batch = reader.next().await.unwrap();
        seen.extend(batch.into_iter().map(|entry| (entry.cursor, entry.payload)));
    }
    for (cursor, text) in &published {
        assert_eq!(seen[cursor], text.as_bytes());
    }
    println!(
        "{} acknowledged writes and {} publications over four kills",
        versions.len(),
        published.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable_in_time_and_comes_back() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let postgres = open(PostgresConfig::new(&server.url())).await;
    let store = PostgresStore::new(&postgres);
    let feed = PostgresFeed::new(&postgres);
    let version = put(&store, "a", None).await.unwrap();
    let mut reader = feed.subscribe("t", Cursor(0));
    assert_eq!(reader.next().await, Ok(Vec::new()));
    server.pause();
    // The first call has a connection, later ones do not get one; more than there are at once.
    for _ in 0..3 {
        let begun = SystemClock.monotonic();
        let calls = (0..20).map(|_| store.get("a"));
        let answers = futures_util::future::join_all(calls).await;
        let took = elapsed(begun);
        assert!(answers.into_iter().all(is_unavailable));
        assert!(took < Duration::from_millis(2500), "it took {took:?}");
        println!("unavailable after {took:?}");
    }
    assert!(is_unavailable(put(&store, "b", None).await));
    assert!(is_unavailable(store.remove("a", version).await));
    assert!(is_unavailable(store.scan("", None, 1).await));
    // Nobody knows whether something is missing, so this is no heartbeat.
    for _ in 0..2 {
        let begun = SystemClock.monotonic();
        let batch = reader.next().await;
        assert!(matches!(batch, Err(FeedError::Unavailable(_))), "{batch:?}");
        assert!(elapsed(begun) < Duration::from_millis(2500));
    }
    server.resume();
    comes_back(&store).await;
    assert!(store.get("a").await.unwrap().is_some());
    feed.publish("t", "x".into()).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_nothing_not_even_reads() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let postgres = open(PostgresConfig::new(&server.url())).await;
    let store = PostgresStore::new(&postgres);
    let version = put(&store, "a", None).await.unwrap();
    let feed = PostgresFeed::new(&postgres);
    server.restart_as_standby();
    for _ in 0..10 {
        assert!(is_unavailable(store.get("a").await));
        assert!(is_unavailable(store.scan("", None, 1).await));
        assert!(is_unavailable(store.remove("a", version).await));
    }
    assert!(feed.newest("t").await.is_err());
    // It is the standby that refuses, not a server that is not there.
    administer(&server, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_written_again() {
    let Some(mut server) = PostgresServer::with(&[]) else {
        return;
    };
    let postgres = open(PostgresConfig::new(&server.url())).await;
    let store = PostgresStore::new(&postgres);
    let mut lost = 0;
    for round in 0..6 {
        comes_back(&store).await;
        // Many small writes, cut off somewhere; each one is asked for exactly once.
        let keys: Vec<String> = (0..40).map(|key| format!("{round}/{key}")).collect();
        let writes: Vec<_> = keys
            .iter()
            .map(|key| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move { put(&store, &key, None).await })
            })
            .collect();
        sleep(round * 3).await;
        server.kill();
        let mut answers = Vec::new();
        for write in writes {
            answers.push(write.await.unwrap());
        }
        server.restart();
        comes_back(&store).await;
        let mut versions = BTreeSet::new();
        for (key, answer) in keys.iter().zip(answers) {
            let found = store.get(key).await.unwrap();
            let found = found.map(|found| found.version);
            match answer {
                Ok(version) => assert_eq!(found, Some(version), "{key}"),
                Err(_) => lost += usize::from(found.is_some()),
            }
            if let Some(version) = found {
                assert!(versions.insert(version), "a version was used twice");
            }
        }
        // A first write of what was refused is a conflict exactly where it has happened.
        for key in &keys {
            let is_there = store.get(key).await.unwrap().is_some();
            let again = store.put_if(key, "y".into(), None, Expect::Absent).await;
            assert_eq!(again == Ok(Swap::Conflict), is_there, "{key}");
        }
    }
    println!("{lost} writes happened whose answers were lost");
}
