//! Servers that must not be used, that hang, and that go away.

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use zt_core::{
    state::{Cursor, Feed, FeedError},
    store::redis::RedisFeed,
};

use super::*;

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    for policy in [
        "allkeys-lru",
        "volatile-ttl",
        "volatile-lru",
        "allkeys-random",
    ] {
        let Some(server) = RedisServer::start(&["--maxmemory-policy", policy]) else {
            return;
        };
        let refused = connect(&server.url()).await.unwrap_err();
        assert!(matches!(refused, RedisError::Unfit(_)), "{refused:?}");
        assert!(refused.to_string().contains(policy), "{refused}");
        // Whoever may ask nothing but for the configuration learns it too.
        let words = [
            "ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-info",
        ];
        assert_eq!(server.command(&words), "OK");
        let url = server.url().replace("//", "//u:p@");
        let refused = connect(&url).await.unwrap_err();
        assert!(matches!(refused, RedisError::Unfit(_)), "{refused:?}");
        let told = server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        assert_eq!(told, "OK");
        assert!(connect(&url).await.is_ok());
    }
}

#[tokio::test]
async fn a_server_that_turned_to_evicting_is_refused_at_the_next_connection() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let told = server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(told, "OK");
    let _ = server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    pass(Duration::from_millis(50)).await;
    let refused = store.get("a").await;
    let Err(StoreError::Unavailable(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("allkeys-lru"), "{why}");
}

#[tokio::test]
async fn a_server_that_cannot_be_checked_is_used() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let words = [
        "ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-info", "-config",
    ];
    assert_eq!(server.command(&words), "OK");
    let client = connect(&server.url().replace("//", "//u:p@"))
        .await
        .unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    // It does not know the server's process, and takes nothing from those who do.
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let other = RedisFeed::new(&connect(&server.url()).await.unwrap(), "zt").unwrap();
    let start = other.newest("t").await.unwrap();
    for _ in 0..3 {
        feed.publish("t", "x".into()).await.unwrap();
        other.publish("t", "x".into()).await.unwrap();
    }
    assert_eq!(feed.newest("t").await, Ok(Cursor(start.0 + 6)));
    assert_eq!(feed.subscribe("t", start).next().await.unwrap().len(), 6);
}

#[tokio::test]
async fn the_rights_that_the_documentation_names_are_enough() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let rights = "~{zt}:* &{zt}:news -@all +@scripting +@read +@write +@pubsub +info +time";
    let user = [
        "ACL",
        "SETUSER",
        "u",
        "on",
        ">p",
        "resetchannels",
        "resetkeys",
    ];
    let words: Vec<_> = user.into_iter().chain(rights.split(' ')).collect();
    assert_eq!(server.command(&words), "OK");
    let client = connect(&server.url().replace("//", "//u:p@"))
        .await
        .unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let version = put(&store, "a", "1").await.unwrap();
    assert!(store.get("a").await.unwrap().is_some());
    assert_eq!(store.scan("", None, 10).await.unwrap().len(), 1);
    assert_eq!(store.remove("a", version).await, Ok(Swap::Done(version)));
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let mut reader = feed.subscribe("t", feed.newest("t").await.unwrap());
    let begun = SystemClock.monotonic();
    let (batch, _) = tokio::join!(reader.next(), async {
        pass(Duration::from_millis(20)).await;
        feed.publish("t", "x".into()).await
    });
    assert_eq!(batch.unwrap().len(), 1);
    // Heard, and not looked for.
    assert!(SystemClock.monotonic() - begun < Duration::from_millis(90));
    // And no more than its own.
    let other = RedisStore::open(&client, "other").await;
    assert!(
        matches!(other, Err(RedisError::Unavailable(_))),
        "{other:?}"
    );
}

#[tokio::test]
async fn a_node_of_a_cluster_takes_every_script() {
    let Some(server) = RedisServer::start(&["--cluster-enabled", "yes"]) else {
        return;
    };
    let slots = ["CLUSTER", "ADDSLOTSRANGE", "0", "16383"];
    assert_eq!(server.command(&slots), "OK");
    until(Duration::from_secs(10), async || {
        server
            .command(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    })
    .await;
    let client = client(&server).await;
    // Small enough that room is made for the last ones.
    let store = RedisStore::with_limit(&client, "zt", 12).await.unwrap();
    let soon = SystemClock.now().unwrap() + Duration::from_millis(200);
    for index in 0..10 {
        let key = format!("ends{index}");
        let put = store.put_if(&key, "x".into(), Some(soon), Expect::Absent);
        assert!(matches!(put.await, Ok(Swap::Done(_))));
    }
    pass(Duration::from_millis(250)).await;
    for index in 0..12 {
        let version = put(&store, &format!("{index:02}"), "x").await.unwrap();
        if index == 0 {
            assert_eq!(store.remove("00", version).await, Ok(Swap::Done(version)));
        }
    }
    assert_eq!(store.scan("", None, 100).await.unwrap().len(), 11);
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let mut reader = feed.subscribe("t", feed.newest("t").await.unwrap());
    feed.publish("t", "x".into()).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_replica_is_refused() {
    let Some(primary) = RedisServer::start(&[]) else {
        return;
    };
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = RedisServer::start(&["--replicaof", &of]).unwrap();
    let refused = connect(&replica.url()).await.unwrap_err();
    assert!(matches!(refused, RedisError::Unfit(_)), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_became_a_replica_answers_nothing_at_all() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let client = client(&server).await;
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let there = put(&store, "there", "x").await.unwrap();
    let newest = feed.publish("t", "x".into()).await.unwrap();
    let mut reader = feed.subscribe("t", newest);
    assert_eq!(reader.next().await, Ok(vec![]));
    // Of one that is not there: it keeps what it has, and may be behind.
    let demote = || assert_eq!(server.command(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    for round in 0..8 {
        assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]), "OK");
        until(Duration::from_secs(3), async || {
            store.get("there").await.is_ok()
        })
        .await;
        assert_eq!(reader.next().await, Ok(vec![]));
        // The connection is open, and the call is the first one on it since.
        demote();
        let absent = Expect::Absent;
        let refused = match round {
            0 => is_unavailable(&store.get("there").await),
            1 => is_unavailable(&store.get("not there").await),
            2 => is_unavailable(&store.put_if("there", "y".into(), None, absent).await),
            3 => is_unavailable(&store.put_if("not there", "y".into(), None, absent).await),
            4 => is_unavailable(&store.remove("there", Version(there.0 + 1)).await),
            5 => is_unavailable(&store.scan("", None, 10).await),
            6 => matches!(feed.newest("t").await, Err(FeedError::Unavailable(_))),
            _ => matches!(reader.next().await, Err(FeedError::Unavailable(_))),
        };
        assert!(refused, "call {round} was answered");
    }
    assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    until(Duration::from_secs(3), async || {
        store.get("there").await.is_ok()
    })
    .await;
    assert_eq!(store.get("there").await.unwrap().unwrap().version, there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable_within_the_time_out_and_comes_back() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let client = connect(&server.url()).await.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server.pause();
    // The first ones over the old connection, the others over one that cannot be made.
    for _ in 0..3 {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let begun = SystemClock.monotonic();
                    let answer = store.get("a").await;
                    (answer, SystemClock.monotonic() - begun)
                })
            })
            .collect();
        for caller in callers {
            let (answer, took) = caller.await.unwrap();
            assert!(is_unavailable(&answer), "{answer:?}");
            assert!(took < Duration::from_millis(800), "{took:?}");
        }
    }
    server.resume();
    let back = until(Duration::from_secs(3), async || {
        store.get("a").await.is_ok()
    })
    .await;
    println!("back after {back:?}");
    assert!(back < Duration::from_millis(1000), "{back:?}");
}

/// Passes on what comes, until it is told that every connection so far leads nowhere: they stay
/// open, and nothing comes through any more. As a network does that forgets them.
async fn network(to: u16) -> (u16, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (forget, forgotten) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut forgotten = forgotten.clone();
            forgotten.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = forgotten.changed() => std::future::pending().await,
                }
            });
        }
    });
    (port, forget)
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_given_up_with_the_first_call_that_is_late() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (port, forget) = network(server.port()).await;
    let client = connect(&format!("redis://127.0.0.1:{port}")).await.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let mut reader = feed.subscribe("t", feed.newest("t").await.unwrap());
    for _ in 0..2 {
        assert_eq!(store.get("a").await, Ok(None));
        forget.send_replace(());
        assert!(is_unavailable(&store.get("a").await));
        assert_eq!(store.get("a").await, Ok(None));
        assert_eq!(reader.next().await, Ok(vec![]));
        forget.send_replace(());
        let batch = reader.next().await;
        assert!(matches!(batch, Err(FeedError::Unavailable(_))), "{batch:?}");
        // News is heard over the new connection too.
        let begun = SystemClock.monotonic();
        let (batch, _) = tokio::join!(reader.next(), async {
            pass(Duration::from_millis(20)).await;
            feed.publish("t", "x".into()).await
        });
        assert_eq!(batch.unwrap().len(), 1);
        assert!(SystemClock.monotonic() - begun < Duration::from_millis(250));
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_at_once_and_comes_back_by_itself() {
    let Some(mut server) = RedisServer::start(&DURABLE) else {
        return;
    };
    let client = connect(&server.url()).await.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server.kill();
    for _ in 0..5 {
        let begun = SystemClock.monotonic();
        assert!(is_unavailable(&store.get("a").await));
        assert!(SystemClock.monotonic() - begun < Duration::from_millis(400));
    }
    server.restart();
    let back = until(Duration::from_secs(3), async || {
        store.get("a").await.is_ok()
    })
    .await;
    assert!(back < Duration::from_millis(500), "{back:?}");
    // A connection that was closed while nobody used it is no refusal.
    for _ in 0..3 {
        let _ = server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        pass(Duration::from_millis(50)).await;
        assert!(store.get("a").await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_or_come_in_crowds_make_no_connections() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    let crowd: Vec<_> = (0..200)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                put(&store, &index.to_string(), "x").await.unwrap();
            })
        })
        .collect();
    for caller in crowd {
        caller.await.unwrap();
    }
    for index in 0..200 {
        let store = store.clone();
        let caller = tokio::spawn(async move { store.get(&format!("k{index}")).await });
        tokio::task::yield_now().await;
        caller.abort();
    }
    assert!(store.get("a").await.is_ok());
    let stats = server.command(&["INFO", "stats"]);
    let made = stats
        .lines()
        .find(|line| line.starts_with("total_connections"));
    // One of ours; the helper's are one for its start and one for each question.
    let made: u32 = made
        .unwrap()
        .split(':')
        .nth(1)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(made <= 4, "{made} connections");
}

#[tokio::test]
async fn a_server_that_may_not_write_is_unavailable() {
    let Some(server) = RedisServer::start(&["--min-replicas-to-write", "1"]) else {
        return;
    };
    let client = client(&server).await;
    // It acknowledges nothing that it could not replicate.
    let refused = RedisStore::open(&client, "zt").await.unwrap_err();
    assert!(matches!(refused, RedisError::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn a_socket_of_files_and_a_password_are_understood_and_not_shown() {
    let Some(server) = RedisServer::start(&["--requirepass", "hunter2"]) else {
        return;
    };
    let socket = server.socket();
    let refused = connect(&format!("redis+unix://{}", socket.display())).await;
    assert!(refused.is_err(), "without its password");
    let url = format!("redis+unix://{}?pass=hunter2&db=3", socket.display());
    let client = connect(&url).await.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    let wrong = connect(&server.url().replace("//", "//:hunter3@")).await;
    let wrong = wrong.unwrap_err();
    let shown = format!("{client:?} {store:?} {wrong:?} {wrong}");
    assert!(!shown.contains("hunter"), "{shown}");
    let refused = RedisConfig::new("redis://:hunter2@:bad:").unwrap_err();
    assert!(!refused.to_string().contains("hunter"), "{refused}");
}

#[tokio::test]
async fn tls_without_its_settings_is_no_plain_connection() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let url = server.url().replace("redis://", "rediss://");
    let refused = connect(&url).await.unwrap_err();
    assert!(matches!(refused, RedisError::Config(_)), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_read_while_a_server_still_loads() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let store = store(&server).await;
    put(&store, "a", "1").await.unwrap();
    assert_eq!(
        server.command(&["CONFIG", "SET", "rdbcompression", "no"]),
        "OK"
    );
    let value = "y".repeat(4096);
    for index in 0..40 {
        let _ = server.command(&["SET", &format!("x{index}"), &value]);
    }
    assert_eq!(server.command(&["SAVE"]), "OK");
    server.kill();
    // Two seconds, a key at a time, and it looks at its clients after each.
    let options = ["--key-load-delay", "50000"];
    let often = ["--loading-process-events-interval-bytes", "1024"];
    let slow = std::thread::spawn(move || {
        server.restart_with(&[options, often].concat());
        server
    });
    let mut refused = 0;
    until(Duration::from_secs(8), async || {
        match store.get("a").await {
            Ok(found) => {
                assert!(found.is_some(), "it was not loaded yet");
                true
            }
            Err(error) => {
                refused += usize::from(error.to_string().contains("loading"));
                false
            }
        }
    })
    .await;
    assert!(refused > 0, "it loaded too fast to tell");
    drop(slow.join().unwrap());
}
