//! How counters begin, are lost, and are rebuilt.

use super::*;

async fn connect(server: &RedisServer, generation: u64) -> Result<RedisCounters, RedisSetupError> {
    RedisCounters::connect(options(server), generation).await
}

fn is_uninitialised<T>(answer: &Result<T, CounterError>) -> bool {
    matches!(answer, Err(CounterError::Uninitialised(_)))
}

fn entry(limit: &Arc<Limit>, subject: &str, spent: u64) -> Entry {
    Entry {
        root: "root".into(),
        limit: Arc::clone(limit),
        subject: subject.into(),
        span: limit
            .as_budget()
            .unwrap()
            .window()
            .span_at(now().wall)
            .unwrap(),
        spent,
    }
}

#[tokio::test]
async fn counters_that_were_never_begun_count_nothing() {
    let Some(server) = durable() else { return };
    let none = connect(&server, 1).await;
    assert!(matches!(
        none,
        Err(RedisSetupError::Counter(CounterError::Uninitialised(_)))
    ));
    RedisCounters::initialise(options(&server), 1)
        .await
        .unwrap();
    for generation in [1, 2] {
        let again = RedisCounters::initialise(options(&server), generation).await;
        assert!(
            matches!(again, Err(RedisSetupError::Exists(_))),
            "{again:?}"
        );
    }
    assert!(connect(&server, 2).await.is_err());
    assert!(connect(&server, 1).await.is_ok());
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        let _ = server.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let refused = connect(&server, 1).await;
        assert!(
            matches!(&refused, Err(RedisSetupError::Counter(CounterError::Unavailable(why))) if why.contains(policy)),
            "{refused:?}"
        );
        assert!(
            RedisCounters::initialise(options(&server), 1)
                .await
                .is_err()
        );
    }
    // A server that becomes one is refused at the next connection.
    let _ = server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let no = reserve(&counters, &[claim(&day, "k")], 1).await;
    assert!(matches!(no, Err(CounterError::Unavailable(_))), "{no:?}");
    let _ = server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    held(reserve(&counters, &[claim(&day, "k")], 1).await);
}

#[tokio::test]
async fn a_server_that_is_full_refuses() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let hold = held(reserve(&counters, &[claim(&day, "k")], 10).await).hold;
    let _ = server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let no = reserve(&counters, &[claim(&day, "k")], 1).await;
    assert_eq!(no, Err(CounterError::Full));
    let settled = counters.settle(hold, Settle::Charge(3), now());
    let _ = server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(settled.wait().await.unwrap().counted);
    assert_eq!(state(&counters, &day, "k").await.spent, 3);
}

#[tokio::test]
async fn a_server_that_was_flushed_refuses_until_it_is_rebuilt() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let hourly = budget(
        "hourly",
        100,
        Window::rolling(Duration::from_secs(3600)).unwrap(),
    );
    let total = budget("total", 100, Window::total());
    let all = [claim(&day, "k"), claim(&hourly, "k"), claim(&total, "k")];
    let hold = held(reserve(&counters, &all, 60).await).hold;
    let open = held(reserve(&counters, &all, 10).await).hold;
    settle(&counters, hold, Settle::ChargeHold).await;
    let _ = server.command(&["FLUSHALL"]);
    assert!(is_uninitialised(&reserve(&counters, &all, 1).await));
    assert!(is_uninitialised(
        &counters.read("root", &all, now()).wait().await
    ));
    assert!(is_uninitialised(
        &counters.settle(open, Settle::Release, now()).wait().await
    ));
    assert!(is_uninitialised(&counters.expire(10, now()).wait().await));
    let extended = counters
        .extend(open, 1, Duration::from_secs(1), now())
        .wait()
        .await;
    assert!(is_uninitialised(&extended));
    let ledger = [
        entry(&day, "k", 60),
        entry(&day, "k", 10),
        entry(&hourly, "k", 70),
        entry(&total, "k", 70),
        entry(&total, "other", 1),
    ];
    RedisCounters::rebuild(options(&server), 2, ledger)
        .await
        .unwrap();
    assert!(
        is_uninitialised(&reserve(&counters, &all, 1).await),
        "of the old generation"
    );
    let counters = connect(&server, 2).await.unwrap();
    let no = refused(reserve(&counters, &all, 31).await);
    assert_eq!(no.violated.places().collect::<Vec<_>>(), [0, 1, 2]);
    held(reserve(&counters, &all, 30).await);
    let late = settle(&counters, open, Settle::Release).await;
    assert!(!late.counted, "it stands in the ledger as spent");
    assert_eq!(state(&counters, &day, "k").await.spent, 70);
    assert_eq!(state(&counters, &total, "other").await.spent, 1);
}

#[tokio::test]
async fn a_rebuild_needs_another_generation_and_leaves_nothing_of_the_old_one() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    held(reserve(&counters, &[claim(&day, "k")], 60).await);
    let same = RedisCounters::rebuild(options(&server), 1, []).await;
    assert_eq!(same, Err(RedisSetupError::SameGeneration(1)));
    held(reserve(&counters, &[claim(&day, "k")], 1).await);
    RedisCounters::rebuild(options(&server), 2, [entry(&day, "k", 5)])
        .await
        .unwrap();
    let counters = connect(&server, 2).await.unwrap();
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (5, 0));
    let no = RedisCounters::rebuild(
        options(&server),
        3,
        [Entry {
            limit: rate("r", 1, Duration::from_secs(1)),
            ..entry(&day, "k", 1)
        }],
    )
    .await;
    assert!(no.is_err());
    assert!(is_uninitialised(
        &reserve(&counters, &[claim(&day, "k")], 1).await
    ));
}

#[tokio::test]
async fn a_server_without_persistence_that_restarts_refuses() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    held(reserve(&counters, &[claim(&day, "k")], 60).await);
    server.kill();
    let no = reserve(&counters, &[claim(&day, "k")], 1).await;
    assert!(matches!(no, Err(CounterError::Unavailable(_))), "{no:?}");
    server.restart();
    assert!(is_uninitialised(
        &reserve(&counters, &[claim(&day, "k")], 1).await
    ));
}

#[tokio::test]
async fn a_window_that_is_lost_is_not_new() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let hour = Window::rolling(Duration::from_secs(3600)).unwrap();
    for (name, window) in [
        ("day", Window::day()),
        ("all", Window::total()),
        ("hour", hour),
    ] {
        let limit = budget(name, 100, window);
        let all = [claim(&limit, "k")];
        let fine = [claim(&limit, "other")];
        held(reserve(&counters, &all, 60).await);
        let cell = counters.0.options.names.cell("root", all[0]);
        let lost = windows(&server, &cell).pop().unwrap();
        assert_eq!(server.command(&["DEL", &lost]), "1");
        assert!(is_uninitialised(&reserve(&counters, &all, 1).await));
        assert!(is_uninitialised(
            &counters.read("root", &all, now()).wait().await
        ));
        held(reserve(&counters, &fine, 60).await);
        // A window without its record is not whole either: limits that were set may be gone.
        let cell = counters.0.options.names.cell("root", fine[0]);
        assert_eq!(server.command(&["DEL", &cell]), "1");
        assert!(is_uninitialised(&reserve(&counters, &fine, 1).await));
    }
}

#[tokio::test]
async fn windows_outlive_every_hold_that_they_admitted_and_records_outlive_them() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let total = budget("total", 100, Window::total());
    let all = [claim(&day, "k"), claim(&total, "k")];
    let hold = Reserve {
        expires_in: Duration::from_secs(86_400),
        ..ask("root", &all, 1)
    };
    held(counters.reserve(&hold).wait().await);
    let end = now().wall + Duration::from_secs(86_400 + 3600);
    let life = |key: &str| {
        server
            .command(&["PEXPIRETIME", key])
            .parse::<i64>()
            .unwrap()
    };
    let record = counters.0.options.names.cell("root", all[0]);
    let window = windows(&server, &record).pop().unwrap();
    assert!(life(&window) * 1000 > i64::try_from(end.as_micros()).unwrap() - 60_000_000);
    assert!(life(&record) > life(&window));
    let record = counters.0.options.names.cell("root", all[1]);
    let window = windows(&server, &record).pop().unwrap();
    assert_eq!((life(&record), life(&window)), (-1, -1));
}

#[tokio::test]
async fn a_budget_whose_window_is_changed_is_no_second_budget() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let hour = Window::rolling(Duration::from_secs(3600)).unwrap();
    let day = budget("budget", 100, Window::day());
    let month = budget("budget", 1000, Window::month());
    let rolling = budget("budget", 100, hour);
    let spent = held(reserve(&counters, &[claim(&day, "k")], 50).await).hold;
    settle(&counters, spent, Settle::ChargeHold).await;
    let hold = held(reserve(&counters, &[claim(&day, "k")], 30).await).hold;
    for limit in [&rolling, &month] {
        let cell = state(&counters, limit, "k").await;
        assert_eq!((cell.spent, cell.held), (80, 0), "{limit:?}");
    }
    refused(reserve(&counters, &[claim(&rolling, "k")], 21).await);
    held(reserve(&counters, &[claim(&rolling, "k")], 20).await);
    let cell = state(&counters, &month, "k").await;
    assert_eq!(cell.spent, 100, "and so on to the next");
    settle(&counters, hold, Settle::Release).await;
    // Another currency is none of these.
    let euros = Cost::from_nanos(100, Currency::EUR);
    let euros = Arc::new(Limit::budget("budget", euros, Window::day()).unwrap());
    let no = reserve(&counters, &[claim(&euros, "k")], 1).await;
    assert!(matches!(no, Err(CounterError::Invalid(_))));
}
