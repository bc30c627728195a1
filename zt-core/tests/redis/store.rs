//! Ways to make the store forget, repeat itself or answer wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use zt_core::{clock::Timestamp, store::Versioned};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kills_in_the_middle_of_writes_lose_nothing_acknowledged_and_reuse_no_version() {
    let Some(mut server) = RedisServer::start(&DURABLE) else {
        return;
    };
    let store = store(&server).await;
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 0..4 {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (store, acknowledged) = (store.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    for count in 0.. {
                        let key = format!("{round}/{writer}/{count}");
                        let Ok(version) = put(&store, &key, &key).await else {
                            return;
                        };
                        acknowledged.lock().unwrap().insert(key, version);
                    }
                })
            })
            .collect();
        let enough = (round + 1) * 400;
        until(Duration::from_secs(20), async || {
            acknowledged.lock().unwrap().len() >= enough
        })
        .await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        server.restart();
        until(Duration::from_secs(5), async || {
            store.get("x").await.is_ok()
        })
        .await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        for (key, version) in &acknowledged {
            let found = store.get(key).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{key} was acknowledged and is gone"));
            assert_eq!((found.version, &*found.value), (*version, key.as_bytes()));
        }
    }
    let acknowledged = acknowledged.lock().unwrap();
    let versions: BTreeSet<_> = acknowledged.values().collect();
    assert_eq!(versions.len(), acknowledged.len(), "a version came twice");
    println!("{} acknowledged writes over four kills", versions.len());
}

#[tokio::test]
async fn a_server_that_lost_its_last_writes_does_not_give_their_versions_again() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let mut first = put(&store, "a", "first").await.unwrap();
    for _ in 0..3 {
        // From here on it will know nothing.
        assert_eq!(server.command(&["SAVE"]), "OK");
        let mut last = first;
        let mut gone = BTreeSet::new();
        for count in 0..50 {
            last = write(&store, "a", &count.to_string(), Expect::Version(last)).await;
            gone.insert(last);
        }
        server.restart();
        until(Duration::from_secs(5), async || {
            store.get("a").await.is_ok()
        })
        .await;
        assert_eq!(read(&store, "a").await.version, first, "it was taken back");
        first = write(&store, "a", "again", Expect::Version(first)).await;
        // Not merely later, which a clock that is behind would not give.
        let distance = first.0.abs_diff(last.0);
        assert!(distance > 1 << 40, "it goes on where it was: {distance}");
        for count in 0..50 {
            first = write(&store, "a", &count.to_string(), Expect::Version(first)).await;
            assert!(!gone.contains(&first), "{first:?} was used before");
        }
    }
}

#[tokio::test]
async fn a_counter_that_is_taken_back_under_a_connection_goes_on_with_the_time() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let mut last = put(&store, "a", "0").await.unwrap();
    let copy = |from, to| server.command(&["COPY", from, to, "REPLACE"]);
    assert_eq!(copy("{zt}:meta", "{zt}:old"), "1");
    let mut gone = BTreeSet::from([last]);
    for _ in 0..100 {
        last = write(&store, "a", "1", Expect::Version(last)).await;
        assert!(gone.insert(last));
    }
    assert_eq!(copy("{zt}:old", "{zt}:meta"), "1");
    for _ in 0..100 {
        last = write(&store, "a", "2", Expect::Version(last)).await;
        assert!(gone.insert(last), "{last:?} was used before");
    }
}

#[tokio::test]
async fn a_server_that_was_emptied_is_not_an_empty_store() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let client = client(&server).await;
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let old = put(&store, "revoked", "ada").await.unwrap();
    assert_eq!(server.command(&["FLUSHALL"]), "OK");
    for _ in 0..2 {
        assert!(is_unavailable(&store.get("revoked").await));
        assert!(is_unavailable(&put(&store, "new", "x").await));
        assert!(is_unavailable(&store.remove("revoked", old).await));
        assert!(is_unavailable(&store.scan("", None, 10).await));
    }
    // Whoever opens it now knows that it begins anew; those before still know what they lost.
    let again = RedisStore::open(&client, "zt").await.unwrap();
    assert!(again.born() > store.born());
    assert_ne!(put(&again, "revoked", "ada").await.unwrap(), old);
    assert!(is_unavailable(&store.get("revoked").await));
}

#[tokio::test]
async fn an_entry_that_the_server_dropped_is_no_absent_entry() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    put(&store, "kept", "x").await.unwrap();
    let version = put(&store, "for ever", "x").await.unwrap();
    let end = SystemClock.now().unwrap() + Duration::from_millis(600);
    let once = store.put_if("once", "x".into(), Some(end), Expect::Absent);
    assert!(matches!(once.await, Ok(Swap::Done(_))));
    for key in ["once", "for ever"] {
        // As an eviction would.
        assert_eq!(
            server.command(&["DEL", &format!("{{zt}}:entry:{key}")]),
            "1"
        );
        assert!(is_unavailable(&store.get(key).await), "{key}");
        let put = store.put_if(key, "y".into(), None, Expect::Absent);
        assert!(is_unavailable(&put.await), "{key}");
        assert!(is_unavailable(&store.remove(key, version).await), "{key}");
        assert!(is_unavailable(&store.scan(key, None, 10).await), "{key}");
        assert!(is_unavailable(&store.scan("", None, 10).await), "{key}");
    }
    assert_eq!(&*read(&store, "kept").await.value, b"x");
    // What would have ended by now is no longer missed.
    pass(Duration::from_millis(700)).await;
    assert_eq!(store.get("once").await, Ok(None));
    assert!(put(&store, "once", "z").await.is_ok());
    assert!(is_unavailable(&store.get("for ever").await));
}

#[tokio::test]
async fn a_server_without_memory_is_full_and_reads_and_removes_and_forgets_nothing() {
    let Some(server) = RedisServer::start(&["--maxmemory", "3mb"]) else {
        return;
    };
    let store = store(&server).await;
    let value = "v".repeat(10_000);
    let mut versions = Vec::new();
    let full = loop {
        match put(&store, &format!("k{:04}", versions.len()), &value).await {
            Ok(version) => versions.push(version),
            Err(error) => break error,
        }
        assert!(versions.len() < 1000, "it takes whatever comes");
    };
    assert_eq!(full, StoreError::Full);
    let first = versions[0];
    let change = store.put_if("k0000", value.into(), None, Expect::Version(first));
    assert_eq!(change.await, Err(StoreError::Full));
    let found = read(&store, "k0000").await;
    assert_eq!((found.version, found.value.len()), (first, 10_000));
    let mut seen = 0;
    let mut after: Option<String> = None;
    loop {
        let page = store.scan("k", after.as_deref(), 1000).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen += page.len();
    }
    assert_eq!(seen, versions.len(), "something was forgotten");
    for (index, version) in versions.iter().enumerate() {
        let removed = store.remove(&format!("k{index:04}"), *version).await;
        assert_eq!(removed, Ok(Swap::Done(*version)));
    }
    assert!(put(&store, "again", "x").await.is_ok());
}

#[tokio::test]
async fn a_store_takes_no_more_than_its_limit_and_room_comes_with_time() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let client = client(&server).await;
    let store = RedisStore::with_limit(&client, "zt", 3).await.unwrap();
    let end = SystemClock.now().unwrap() + Duration::from_millis(500);
    let ends = store.put_if("ends", "x".into(), Some(end), Expect::Absent);
    assert!(matches!(ends.await, Ok(Swap::Done(_))));
    let version = put(&store, "a", "1").await.unwrap();
    put(&store, "b", "1").await.unwrap();
    assert_eq!(put(&store, "c", "1").await, Err(StoreError::Full));
    // What is there can be changed, and what is there already conflicts before it is counted.
    write(&store, "a", "2", Expect::Version(version)).await;
    let again = store.put_if("b", "2".into(), None, Expect::Absent).await;
    assert_eq!(again, Ok(Swap::Conflict));
    pass(Duration::from_millis(600)).await;
    assert!(put(&store, "c", "1").await.is_ok());
    assert_eq!(put(&store, "d", "1").await, Err(StoreError::Full));
}

#[tokio::test]
async fn what_has_expired_leaves_nothing_behind() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let end = SystemClock.now().unwrap() + Duration::from_secs(1);
    let names: Vec<_> = (0..100).map(|index| format!("n{index}")).collect();
    for key in &names {
        let put = store.put_if(key, "x".into(), Some(end), Expect::Absent);
        assert!(matches!(put.await, Ok(Swap::Done(_))));
    }
    assert_eq!(server.command(&["ZCARD", "{zt}:index"]), "100");
    pass(Duration::from_millis(1100)).await;
    assert_eq!(store.scan("", None, 10).await.unwrap(), []);
    assert_eq!(server.command(&["ZCARD", "{zt}:index"]), "0");
    assert_eq!(server.command(&["ZCARD", "{zt}:ends"]), "0");
    assert_eq!(server.command(&["KEYS", "{zt}:entry:*"]), "");
}

#[tokio::test]
async fn entries_behind_thousands_that_have_expired_are_found() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    // As they stand when their time has come and nothing was written since.
    for base in 0..50 {
        let members: Vec<_> = (0..100)
            .map(|index| format!("a{base:02}{index:02}"))
            .collect();
        for (set, score) in [("{zt}:index", "0"), ("{zt}:ends", "1")] {
            let mut words = vec!["ZADD", set];
            for member in &members {
                words.extend([score, member]);
            }
            assert_eq!(server.command(&words), "100");
        }
    }
    let version = put(&store, "z", "live").await.unwrap();
    let page = store.scan("", None, 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!((page[0].0.as_str(), page[0].1.version), ("z", version));
    assert_eq!(server.command(&["ZCARD", "{zt}:index"]), "1");
}

#[tokio::test]
async fn ends_are_kept_to_the_microsecond_and_to_the_end_of_time() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let now = SystemClock.now().unwrap();
    let odd = Timestamp::from_micros(now.as_micros() + 3_600_000_001);
    for (key, end) in [("odd", odd), ("max", Timestamp::MAX)] {
        let put = store.put_if(key, "x".into(), Some(end), Expect::Absent);
        assert!(matches!(put.await, Ok(Swap::Done(_))), "{key}");
        assert_eq!(read(&store, key).await.expires, Some(end));
    }
    // Redis removes by milliseconds, and never before the end.
    let removed: u64 = server
        .command(&["PEXPIRETIME", "{zt}:entry:odd"])
        .parse()
        .unwrap();
    assert_eq!(removed, odd.as_micros().div_ceil(1000));
}

#[tokio::test]
async fn an_expired_value_is_nothing_though_the_server_still_has_it() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let end = SystemClock.now().unwrap() + Duration::from_millis(300);
    let put = store.put_if("a", "x".into(), Some(end), Expect::Absent);
    let Ok(Swap::Done(version)) = put.await else {
        panic!("it was put")
    };
    let read = store.put_if("read", "x".into(), Some(end), Expect::Absent);
    assert!(matches!(read.await, Ok(Swap::Done(_))));
    for entry in ["{zt}:entry:a", "{zt}:entry:read"] {
        assert_eq!(server.command(&["PERSIST", entry]), "1");
    }
    pass(Duration::from_millis(400)).await;
    assert_eq!(server.command(&["EXISTS", "{zt}:entry:a"]), "1");
    // And does not come back with the clock.
    assert_eq!(store.get("read").await, Ok(None));
    assert_eq!(server.command(&["EXISTS", "{zt}:entry:read"]), "0");
    assert_eq!(store.remove("a", version).await, Ok(Swap::Conflict));
    let stale = store.put_if("a", "y".into(), None, Expect::Version(version));
    assert_eq!(stale.await, Ok(Swap::Conflict));
    assert_eq!(store.scan("", None, 10).await.unwrap(), []);
    assert_eq!(store.get("a").await, Ok(None));
    assert_eq!(server.command(&["EXISTS", "{zt}:entry:a"]), "0");
}

#[tokio::test]
async fn keys_are_text_to_the_byte_and_stand_in_one_slot() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let client = client(&server).await;
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let other = RedisStore::open(&client, "zt.2").await.unwrap();
    let keys = [
        "",
        " ",
        "a b",
        "a{b}c",
        "}{",
        "{}",
        "[",
        "(",
        "-",
        "+",
        "ключ/鍵",
        "a:b*",
    ];
    for key in keys {
        put(&store, key, key).await.unwrap();
    }
    for key in keys {
        let found = read(&store, key).await;
        assert_eq!(found.value, key);
        let removed = store.remove(key, found.version).await;
        assert_eq!(removed, Ok(Swap::Done(found.version)));
        let put = store.put_if(key, found.value, None, Expect::Absent);
        assert!(matches!(put.await, Ok(Swap::Done(_))));
        assert_eq!(other.get(key).await, Ok(None), "stores do not mix");
    }
    let page = store.scan("", None, 100).await.unwrap();
    let mut sorted = keys;
    sorted.sort_unstable();
    let found: Vec<_> = page.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(found, sorted);
    let slots: BTreeSet<_> = server
        .command(&["KEYS", "{zt}:*"])
        .lines()
        .map(|key| {
            server.command(&[
                "EVAL",
                "return redis.sha1hex(string.match(ARGV[1], '{(.-)}'))",
                "0",
                key,
            ])
        })
        .collect();
    assert_eq!(slots.len(), 1, "one hash tag");
    for name in ["", "a b", "a{b}", "é", "a:b", &"x".repeat(65)] {
        assert!(RedisStore::open(&client, name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again_and_runs_once() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let mut version = put(&store, "a", "0").await.unwrap();
    for count in 1..=20 {
        assert_eq!(server.command(&["SCRIPT", "FLUSH"]), "OK");
        version = write(&store, "a", &count.to_string(), Expect::Version(version)).await;
    }
    assert_eq!(&*read(&store, "a").await.value, b"20");
}

#[tokio::test]
async fn large_values_are_read_page_by_page() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let value = "v".repeat(64 * 1024);
    for index in 0..100 {
        put(&store, &format!("{index:03}"), &value).await.unwrap();
    }
    let mut found = Vec::new();
    loop {
        let after = found.last().cloned();
        let page = store.scan("", after.as_deref(), 1000).await.unwrap();
        assert!(page.len() <= 17, "{} at once", page.len());
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(found.len(), 100);
    assert!(found.is_sorted());
}

async fn write(store: &RedisStore, key: &str, value: &str, expect: Expect) -> Version {
    let value = Bytes::copy_from_slice(value.as_bytes());
    match store.put_if(key, value, None, expect).await {
        Ok(Swap::Done(version)) => version,
        other => panic!("{key}: {other:?}"),
    }
}

async fn read(store: &RedisStore, key: &str) -> Versioned {
    store.get(key).await.unwrap().expect("it is there")
}
