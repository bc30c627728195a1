use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::state::{Cursor, Entry, Feed, HEARTBEAT};

#[tokio::test]
async fn keys_and_values_are_never_read_as_anything_else() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    let schema = postgres.schema();
    let drop_it = format!("'; DROP TABLE {schema}.entries; --");
    let longest = "\u{10ffff}".repeat(128);
    let keys = [
        &*drop_it, "", "%", "_", "a%", "a_", "ab", "$1", "\\", "\\x41", "'", "\"", "{s}", "NULL",
        "é", "e\u{301}", "\u{feff}", "🦀", "ß", "SS", &longest,
    ];
    let mut versions = BTreeSet::new();
    for key in keys {
        let value = Bytes::copy_from_slice(key.as_bytes());
        let swap = store.put_if(key, value, None, Expect::Absent).await;
        let Ok(Swap::Done(version)) = swap else {
            panic!("{key}: {swap:?}");
        };
        assert!(versions.insert(version));
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    let all = store.scan("", None, 100).await.unwrap();
    let listed: Vec<&str> = all.iter().map(|(key, _)| &**key).collect();
    assert_eq!(listed, sorted);
    for key in keys {
        let found = store.get(key).await.unwrap().unwrap();
        assert_eq!(found.value, key.as_bytes(), "{key}");
        let below = store.scan(key, None, 100).await.unwrap();
        let expected = sorted.iter().filter(|other| other.starts_with(key));
        assert!(
            below.iter().map(|(key, _)| &**key).eq(expected.copied()),
            "{key}"
        );
        let after = store.scan("", Some(key), 100).await.unwrap();
        let expected = sorted.iter().filter(|other| **other > key);
        assert!(
            after.iter().map(|(key, _)| &**key).eq(expected.copied()),
            "{key}"
        );
    }
    for (key, found) in all {
        let removed = store.remove(&key, found.version).await;
        assert_eq!(removed, Ok(Swap::Done(found.version)));
    }
    assert_eq!(store.scan("", None, 100).await, Ok(Vec::new()));
    let feed = PostgresFeed::new(&postgres);
    let topic = "'; DROP TABLE feed; --";
    assert_eq!(feed.publish(topic, drop_it.into()).await, Ok(Cursor(1)));
    assert_eq!(
        feed.subscribe(topic, Cursor(0)).next().await.unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_migrations_all_succeed() {
    let Some(server) = server() else {
        return;
    };
    let migrations = (0..8).map(|_| async {
        let config = PostgresConfig::new(&server.url()).schema("raced");
        let postgres = Postgres::open(config).await.unwrap();
        let migrated = postgres.migrate().await;
        let again = postgres.migrate().await;
        (migrated, again)
    });
    for migrated in join_all(migrations).await {
        assert_eq!(migrated, (Ok(()), Ok(())));
    }
}

/// Other connections to the same schema.
async fn beside(postgres: &Postgres) -> Postgres {
    let config = PostgresConfig::new(&server().unwrap().url()).schema(postgres.schema());
    Postgres::open(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_subscribers_see_concurrent_publishers_in_one_order_without_holes() {
    const EACH: usize = 100;
    const PUBLISHERS: usize = 6;
    let Some(postgres) = fresh().await else {
        return;
    };
    let feeds = join_all((0..PUBLISHERS).map(|_| beside(&postgres))).await;
    let feeds: Vec<_> = feeds.iter().map(PostgresFeed::new).collect();
    // Readers read while others write: what is seen too early or too late is a hole then.
    let readers = feeds.iter().map(|feed| {
        let mut subscription = feed.subscribe("t", Cursor(0));
        tokio::spawn(async move {
            let mut seen: Vec<Entry> = Vec::new();
            while seen.len() < EACH * PUBLISHERS {
                seen.extend(subscription.next().await.unwrap());
            }
            seen
        })
    });
    let readers: Vec<_> = readers.collect();
    let publishers = feeds.iter().enumerate().map(|(publisher, feed)| {
        let feed = feed.clone();
        tokio::spawn(async move {
            let mut cursors = Vec::new();
            for count in 0..EACH {
                let payload = format!("{publisher} {count:03}");
                cursors.push(feed.publish("t", payload.into()).await.unwrap());
            }
            cursors
        })
    });
    let mut told = BTreeSet::new();
    for cursors in join_all(publishers).await {
        told.extend(cursors.unwrap());
    }
    let places = (1..=(EACH * PUBLISHERS) as u64).map(Cursor);
    assert!(
        told.into_iter().eq(places.clone()),
        "a place was told twice"
    );
    let mut seen = join_all(readers).await.into_iter().map(Result::unwrap);
    let first = seen.next().unwrap();
    assert!(first.iter().map(|entry| entry.cursor).eq(places));
    assert!(seen.all(|other| other == first), "subscribers disagree");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_is_not_committed_is_never_overtaken() {
    use sqlx::{Connection as _, Executor as _};
    let Some(postgres) = fresh().await else {
        return;
    };
    let feed = PostgresFeed::new(&postgres);
    let schema = postgres.schema();
    let mut slow = sqlx::PgConnection::connect(&server().unwrap().url())
        .await
        .unwrap();
    let publish = format!("BEGIN; SELECT {schema}.publish('t', 'slow', 100, 1000, 'c')");
    for (end, expected) in [("COMMIT", &["slow", "fast"][..]), ("ROLLBACK", &["fast"])] {
        let start = feed.newest("t").await.unwrap();
        let mut reader = feed.subscribe("t", start);
        slow.execute(sqlx::AssertSqlSafe(&*publish)).await.unwrap();
        let other = feed.clone();
        let fast = tokio::spawn(async move { other.publish("t", "fast".into()).await });
        assert_eq!(reader.next().await, Ok(Vec::new()), "{end}");
        assert!(!fast.is_finished(), "{end}: it did not wait");
        slow.execute(end).await.unwrap();
        fast.await.unwrap().unwrap();
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.extend(reader.next().await.unwrap());
        }
        assert!(
            seen.iter().map(|entry| &entry.payload).eq(expected),
            "{end}"
        );
        assert_eq!(seen[0].cursor.0, start.0 + 1, "{end}: a hole");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_that_are_lost_cost_no_entry() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let feed = PostgresFeed::new(&postgres);
    let mut reader = feed.subscribe("t", Cursor(0));
    assert_eq!(reader.next().await, Ok(Vec::new()));
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN \"{}\"'",
        postgres.schema()
    );
    for round in 1..=20 {
        let waits = tokio::spawn(async move {
            let begun = SystemClock.monotonic();
            let mut seen = Vec::new();
            while seen.is_empty() {
                seen.extend(reader.next().await.unwrap());
            }
            (reader, seen, elapsed(begun))
        });
        administer(server().unwrap(), &cut).await.unwrap();
        let told = feed.publish("t", "x".into()).await.unwrap();
        assert_eq!(told, Cursor(round));
        let (again, seen, took) = waits.await.unwrap();
        assert!(seen.len() == 1 && seen[0].cursor == told, "{seen:?}");
        assert!(took < HEARTBEAT * 2, "it took {took:?}");
        reader = again;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_what_has_expired_do_not_wait_for_each_other_forever() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    let past = SystemClock.now().unwrap();
    let writers = (0..8).map(|writer: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..150 {
                let key = format!("{}", (writer * 7 + round) % 20);
                put(&store, &key, Some(past)).await.unwrap();
                if round % 8 == 0 {
                    store.purge().await.unwrap();
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_given_up_leave_nothing_half_done() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    for round in 0..200 {
        let key = format!("{round}");
        tokio::select! {
            biased;
            _ = store.put_if(&key, "x".into(), None, Expect::Absent) => {}
            () = SystemClock.sleep(Duration::from_micros(50 * round)) => {}
        }
        // The next call gets its own answer, and not the one that nobody waited for.
        let own = store.scan("none", None, 1).await.unwrap();
        assert_eq!(own, []);
    }
    put(&store, "last", None).await.unwrap();
    let found = store.scan("", None, 1000).await.unwrap();
    let versions: BTreeSet<_> = found.iter().map(|(_, entry)| entry.version).collect();
    assert_eq!(versions.len(), found.len(), "a version was used twice");
    assert!(found.len() > 1, "all were given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_is_waited_for_no_longer_than_allowed() {
    use sqlx::{Connection as _, Executor as _};
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    let version = put(&store, "a", None).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&server().unwrap().url())
        .await
        .unwrap();
    let lock = format!("BEGIN; LOCK TABLE {}.entries", postgres.schema());
    other.execute(sqlx::AssertSqlSafe(&*lock)).await.unwrap();
    let begun = SystemClock.monotonic();
    let (got, wrote, removed) = tokio::join!(
        store.get("a"),
        put(&store, "b", None),
        store.remove("a", version)
    );
    let took = elapsed(begun);
    assert!(is_unavailable(got) && is_unavailable(wrote) && is_unavailable(removed));
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    other.execute("COMMIT").await.unwrap();
    put(&store, "c", None).await.unwrap();
    assert!(store.get("a").await.unwrap().is_some());
}
