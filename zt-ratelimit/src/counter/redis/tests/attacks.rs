//! Copies, orders, hangs, kills.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Stands between a client and a server, and swallows answers when it is told to.
struct Proxy {
    port: u16,
    swallow: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(server: &RedisServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallow = Arc::new(AtomicBool::new(false));
        let (to, flag) = (server.port(), Arc::clone(&swallow));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let flag = Arc::clone(&flag);
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                });
                tokio::spawn(async move {
                    let (mut buffer, mut hung) = (vec![0; 65_536], false);
                    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                        // One answer, and with it this connection for good.
                        hung |= flag.swap(false, Ordering::SeqCst);
                        if !hung && to_client.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, swallow }
    }

    fn swallow(&self) {
        self.swallow.store(true, Ordering::SeqCst);
    }

    async fn connect(&self) -> RedisCounters {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let options = RedisOptions::new(&url).unwrap().shifted();
        let options = options.timeout(Duration::from_millis(200)).unwrap();
        RedisCounters::connect(options, 1).await.unwrap()
    }
}

#[tokio::test]
async fn a_script_cache_that_is_empty_is_filled_again() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let all = [claim(&day, "k")];
    for _ in 0..5 {
        assert_eq!(server.command(&["SCRIPT", "FLUSH"]), "OK");
        let hold = held(reserve(&counters, &all, 10).await).hold;
        assert_eq!(server.command(&["SCRIPT", "FLUSH"]), "OK");
        assert!(settle(&counters, hold, Settle::ChargeHold).await.counted);
    }
    assert_eq!(state(&counters, &day, "k").await.spent, 50);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_it_was_carried_out_is_asked_for_again_and_counts_once() {
    let Some(server) = durable() else { return };
    let _first = counters(&server).await;
    let proxy = Proxy::start(&server).await;
    let counters = proxy.connect().await;
    let day = budget("day", 100, Window::day());
    let few = permits("few", 1);
    let all = [claim(&day, "k"), claim(&few, "k")];
    proxy.swallow();
    let yes = held(reserve(&counters, &all, 60).await);
    assert_eq!(yes.standings[0].remaining, 40);
    proxy.swallow();
    let more = counters.extend(yes.hold, 10, Duration::from_secs(60), now());
    assert_eq!(more.wait().await, Ok(Extended::Done { held: 70 }));
    proxy.swallow();
    let charge = Adjust::Charge { nanos: 5 };
    let cell = counters
        .adjust("root", all[0], &charge, now())
        .wait()
        .await
        .unwrap();
    assert_eq!((cell.spent, cell.held), (5, 70));
    proxy.swallow();
    let settled = settle(&counters, yes.hold, Settle::Charge(50)).await;
    assert_eq!((settled.held, settled.charged), (70, 50));
    // Whoever records it hears that it counted, and what it crossed.
    assert!(settled.counted);
    assert_eq!(
        (settled.budgets[0].spent, settled.budgets[0].crossed),
        (55, 1)
    );
    let again = settle(&counters, yes.hold, Settle::Charge(50)).await;
    assert!(!again.counted, "another one");
    counters.drain().await;
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (55, 0));
    assert_eq!(state(&counters, &few, "k").await.held, 0);
}

#[tokio::test]
async fn a_reservation_that_nobody_answers_is_unavailable_and_taken_back() {
    let Some(server) = durable() else { return };
    let fast = options(&server)
        .timeout(Duration::from_millis(100))
        .unwrap();
    RedisCounters::initialise(fast.clone(), 1).await.unwrap();
    let counters = RedisCounters::connect(fast, 1).await.unwrap();
    let day = budget("day", 100, Window::day());
    let all = [claim(&day, "k")];
    held(reserve(&counters, &all, 10).await);
    server.pause();
    let no = reserve(&counters, &all, 60).await;
    assert!(matches!(no, Err(CounterError::Unavailable(_))), "{no:?}");
    server.resume();
    counters.drain().await;
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (0, 10));
}

#[tokio::test]
async fn a_request_that_goes_away_while_it_waits_leaves_nothing_held() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 1000, Window::day());
    let all = [claim(&day, "k")];
    held(reserve(&counters, &all, 1).await);
    for wait in 0..40 {
        let ask = ask("root", &all, 10);
        let mut waiting = Box::pin(counters.reserve(&ask).wait());
        for _ in 0..wait / 4 {
            tokio::select! {
                biased;
                _ = &mut waiting => break,
                () = tokio::task::yield_now() => {}
            }
        }
        // Before it was sent, under way, or answered and not yet heard of.
        drop(waiting);
    }
    counters.drain().await;
    let left = counters
        .holds("root", all[0], 100, now())
        .wait()
        .await
        .unwrap();
    // Those that were answered and heard of are whoever's who heard.
    let cell = state(&counters, &day, "k").await;
    assert_eq!(cell.held, left.iter().map(|hold| hold.nanos).sum::<u64>());
    for hold in left.iter().skip(1) {
        settle(&counters, hold.hold, Settle::Release).await;
    }
    let unheard = counters.reserve(&ask("root", &all, 10));
    drop(unheard);
    assert_eq!(state(&counters, &day, "k").await.held, 1);
}

#[tokio::test]
async fn a_settlement_before_its_reservation_refuses_it() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let all = [claim(&day, "k")];
    let prepared = counters.0.prepare(&ask("root", &all, 60)).unwrap();
    let hold = prepared.hold;
    let early = settle(&counters, hold, Settle::Charge(60)).await;
    assert_eq!((early.counted, early.charged), (false, 0));
    let late = Arc::clone(&counters.0).reserve(prepared).await;
    assert!(
        matches!(late, Err(CounterError::Unavailable(_))),
        "{late:?}"
    );
    assert_eq!(state(&counters, &day, "k").await.held, 0);
}

#[tokio::test]
async fn copies_of_a_reservation_hold_once_and_never_again_after_it_was_settled() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let few = permits("few", 3);
    let tries = rate("tries", 3, Duration::from_secs(3600));
    let all = [claim(&day, "k"), claim(&few, "k"), claim(&tries, "k")];
    let prepared = counters.0.prepare(&ask("root", &all, 60)).unwrap();
    let copy = || Reservation {
        hold: prepared.hold,
        bucket: prepared.bucket,
        head: prepared.head.clone(),
        asked: Asked::new("root", &all).unwrap(),
        now: prepared.now,
    };
    for _ in 0..3 {
        let yes = held(Arc::clone(&counters.0).reserve(copy()).await);
        let left: Vec<_> = yes.standings.iter().map(|it| it.remaining).collect();
        assert_eq!(left, [40, 2, 2]);
    }
    // The same name for another reservation.
    let mut other = counters.0.prepare(&ask("root", &all, 61)).unwrap();
    let words: Vec<_> = prepared.head.args_iter().collect();
    assert!(words.len() > 5);
    other.hold = prepared.hold;
    let mut head = counters.0.call(Step::Reserve, prepared.bucket);
    head.arg(prepared.hold.to_string()).arg("another");
    head.arg(61).arg(1).arg(1).arg(60_000_000).arg("r");
    other.head = head;
    let no = Arc::clone(&counters.0).reserve(other).await;
    assert!(matches!(no, Err(CounterError::Invalid(_))), "{no:?}");
    settle(&counters, prepared.hold, Settle::Charge(1)).await;
    let late = Arc::clone(&counters.0).reserve(copy()).await;
    assert!(
        matches!(late, Err(CounterError::Unavailable(_))),
        "{late:?}"
    );
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (1, 0));
}

#[tokio::test]
async fn a_full_queue_drops_settlements_counts_them_and_leaves_the_charge_to_the_end_of_the_hold() {
    let Some(server) = durable() else { return };
    let small = options(&server).queue(2);
    let small = small.timeout(Duration::from_millis(100)).unwrap();
    RedisCounters::initialise(small.clone(), 1).await.unwrap();
    let counters = RedisCounters::connect(small, 1).await.unwrap();
    let day = budget("day", 100, Window::day());
    let mut holds = Vec::new();
    for _ in 0..10 {
        holds.push(held(reserve(&counters, &[claim(&day, "k")], 10).await).hold);
    }
    // The worker has no turn in between.
    let answers: Vec<_> = holds
        .iter()
        .map(|hold| counters.settle(*hold, Settle::Release, now()))
        .collect();
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Now(Err(CounterError::Full))))
        .count();
    assert_eq!((refused, counters.settlements_dropped()), (8, 8));
    counters.drain().await;
    assert_eq!(state(&counters, &day, "k").await.held, 80);
    shift(&server, Duration::from_secs(61));
    counters.expire(100, now()).wait().await.unwrap();
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (80, 0));
}

/// Eight tasks ask, extend and settle, while the server is killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_any_moment_forgets_nothing_and_leaks_nothing() {
    let Some(mut server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("total", 1_000_000, Window::total());
    let few = permits("few", 6);
    let ledger = Arc::new(Mutex::new(0_u64));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let (counters, stop) = (counters.clone(), Arc::clone(&stop));
            let (total, few, ledger) = (Arc::clone(&total), Arc::clone(&few), Arc::clone(&ledger));
            tokio::spawn(async move {
                let mut done = 0;
                for turn in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let all = [claim(&total, "k"), claim(&few, "k")];
                    match reserve(&counters, &all, 100).await {
                        Ok(Verdict::Held(held)) => {
                            let mut most = 100;
                            if turn % 3 == 0 {
                                let minute = Duration::from_secs(60);
                                let more = counters.extend(held.hold, 50, minute, now());
                                if matches!(more.wait().await, Ok(Extended::Done { .. })) {
                                    most = 150;
                                }
                            }
                            let spent = (task * 7 + turn * 13) % most;
                            *ledger.lock().unwrap() += spent;
                            let later = counters.settle(held.hold, Settle::Charge(spent), now());
                            drop(later);
                            done += 1;
                        }
                        Ok(Verdict::Refused(_)) | Err(CounterError::Unavailable(_)) => {
                            tokio::task::yield_now().await;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                done
            })
        })
        .collect();
    for round in 0..8_u64 {
        let wait = Duration::from_millis(60 + round * 37 % 90);
        SystemClock.sleep(wait).await;
        server.kill();
        server.restart();
    }
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    counters.drain().await;
    assert!(done > 100, "{done}");
    assert_eq!(counters.settlements_dropped(), 0);
    let cell = state(&counters, &total, "k").await;
    assert_eq!((cell.spent, cell.held), (*ledger.lock().unwrap(), 0));
    assert_eq!(state(&counters, &few, "k").await.held, 0);
    let left = counters
        .holds("root", claim(&total, "k"), 100, now())
        .wait()
        .await;
    assert_eq!(left, Ok(vec![]));
}

#[tokio::test]
async fn what_was_settled_is_remembered_for_the_grace_period_and_no_longer() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 1000, Window::day());
    for _ in 0..10 {
        let hold = held(reserve(&counters, &[claim(&day, "k")], 1).await).hold;
        settle(&counters, hold, Settle::ChargeHold).await;
    }
    // One that never was, too.
    let none = keys::hold(keys::bucket("root"), [7; 16]);
    settle(&counters, none, Settle::Release).await;
    let found = server.command(&["KEYS", "*:h:*"]);
    assert_eq!(found.lines().count(), 11);
    for key in found.lines() {
        let left: u64 = server.command(&["TTL", key]).parse().unwrap();
        assert!(left <= 3600, "{key}: {left} s");
        assert!(left > 3500, "{key}: {left} s");
    }
}

#[tokio::test]
async fn what_was_told_of_one_bucket_is_not_lost_where_another_does_not_answer() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 1000, Window::day());
    let hold = held(reserve(&counters, &[claim(&day, "k")], 1).await).hold;
    shift(&server, Duration::from_secs(61));
    let last = counters.0.options.names.generation(keys::BUCKETS - 1);
    assert!(keys::bucket("root") < keys::BUCKETS - 1);
    assert_eq!(server.command(&["DEL", &last]), "1");
    let told = counters.expire(100, now()).wait().await.unwrap();
    assert_eq!(told.iter().map(|it| it.hold).collect::<Vec<_>>(), [hold]);
    let none = counters.expire(100, now()).wait().await;
    assert!(
        matches!(none, Err(CounterError::Uninitialised(_))),
        "{none:?}"
    );
}
