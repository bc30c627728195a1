//! Leases of counters in a real server, which is killed meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use zt_core::{clock::SystemClock, testing::RedisServer};

use super::*;
use crate::counter::redis::{RedisCounters, RedisOptions};

fn durable() -> Option<RedisServer> {
    RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
}

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions::new(&server.url()).unwrap()
}

async fn instances(server: &RedisServer, count: u32) -> Vec<Leased<RedisCounters>> {
    RedisCounters::initialise(options(server), 1).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..count {
        let store = RedisCounters::connect(options(server), 1).await.unwrap();
        let runtime = tokio::runtime::Handle::current();
        let clock = Arc::new(SystemClock);
        all.push(Leased::new(store, Leasing::among(count), clock, runtime).unwrap());
    }
    all
}

fn now() -> Moment {
    Moment::of(&SystemClock).unwrap()
}

async fn reserve(
    store: &Leased<RedisCounters>,
    claims: &Claims<'_>,
    cost: u64,
) -> Result<Verdict, CounterError> {
    let claims: Vec<_> = claims
        .iter()
        .map(|(limit, subject)| Claim { limit, subject })
        .collect();
    let answer = store.reserve(&Reserve {
        root: "acme",
        claims: &claims,
        cost,
        weight: 1,
        permits: 1,
        expires_in: MINUTE,
        purpose: Purpose::Request,
        now: now(),
    });
    answer.wait().await
}

async fn state(store: &Leased<RedisCounters>, limit: &Arc<Limit>, subject: &str) -> CellState {
    let claims = [Claim { limit, subject }];
    let read = store.read("acme", &claims, now()).wait().await;
    read.unwrap().remove(0)
}

/// 1,000 requests of 0.10 on 5.00 over four instances; with `kills`, of a server that dies again
/// and again.
async fn race(kills: u32) {
    let Some(mut server) = durable() else { return };
    let shops = instances(&server, 4).await;
    let prepaid = budget("prepaid", 5 * DOLLAR, Window::total());
    let few = Arc::new(Limit::concurrency("few", 400).unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..1000)
        .map(|request: usize| {
            let (shop, over) = (shops[request % 4].clone(), Arc::clone(&over));
            let (prepaid, few) = (Arc::clone(&prepaid), Arc::clone(&few));
            tokio::spawn(async move {
                let claims = [(&prepaid, "acme"), (&few, "acme")];
                loop {
                    match reserve(&shop, &claims, 10 * CENT).await {
                        Ok(Verdict::Held(held)) => {
                            tokio::task::yield_now().await;
                            // Nobody waits for it, as in a destructor.
                            drop(shop.settle(held.hold, Settle::ChargeHold, now()));
                            return 10 * CENT;
                        }
                        Ok(Verdict::Refused(_)) => return 0,
                        Err(CounterError::Unavailable(_)) if !over.load(Ordering::Relaxed) => {
                            tokio::task::yield_now().await;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    for round in 0..kills {
        let wait = Duration::from_millis(u64::from(5 + round * 37 % 60));
        SystemClock.sleep(wait).await;
        server.kill();
        server.restart();
    }
    let mut given = 0;
    for task in tasks {
        given += task.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    assert!(given <= 5 * DOLLAR, "{given}");
    for shop in &shops {
        shop.shutdown().await;
        shop.0.backing.drain().await;
    }
    let cell = state(&shops[0], &prepaid, "acme").await;
    assert_eq!((cell.spent, cell.held, cell.leased), (given, 0, 0));
    assert_eq!(state(&shops[0], &few, "acme").await.held, 0);
    // What nobody got is there for whoever comes, and not more.
    let claims = [(&prepaid, "acme"), (&few, "acme")];
    let mut rest = 0;
    while let Ok(Verdict::Held(held)) = reserve(&shops[1], &claims, 10 * CENT).await {
        let settled = shops[1].settle(held.hold, Settle::ChargeHold, now());
        assert!(settled.wait().await.unwrap().counted);
        rest += 10 * CENT;
    }
    assert_eq!(given + rest, 5 * DOLLAR);
    println!("{given} at once, {rest} after that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_over_a_server_spend_five_dollars_and_no_more() {
    race(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_spend_no_more_while_the_server_is_killed() {
    race(4).await;
}

/// A steady load, with extensions and late settlements, over a server that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_over_a_server_that_is_killed_add_up_to_the_nano_unit() {
    let Some(mut server) = durable() else { return };
    let shops = instances(&server, 3).await;
    let day = budget("org", 1_000_000 * CENT, Window::total());
    let key = budget("key", 300_000 * CENT, Window::total());
    let rate = Arc::new(Limit::rate("rate", 1_000_000, MINUTE).unwrap());
    let few = Arc::new(Limit::concurrency("few", 1000).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..9_usize)
        .map(|task| {
            let (shop, stop) = (shops[task % 3].clone(), Arc::clone(&stop));
            let (day, key) = (Arc::clone(&day), Arc::clone(&key));
            let (rate, few) = (Arc::clone(&rate), Arc::clone(&few));
            tokio::spawn(async move {
                let mut spent = 0;
                let claims = [(&day, "acme"), (&few, "acme"), (&key, "k1"), (&rate, "k1")];
                for turn in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match reserve(&shop, &claims, CENT).await {
                        Ok(Verdict::Held(held)) => {
                            if turn % 5 == 0 {
                                let more = shop.extend(held.hold, CENT, MINUTE, now());
                                let _: Result<_, _> = more.wait().await;
                            }
                            let actual = turn * 7919 % CENT;
                            spent += actual;
                            drop(shop.settle(held.hold, Settle::Charge(actual), now()));
                        }
                        Ok(Verdict::Refused(refused)) => panic!("{refused:?}"),
                        Err(CounterError::Unavailable(_)) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                    tokio::task::yield_now().await;
                }
                spent
            })
        })
        .collect();
    for round in 0..4_u64 {
        SystemClock
            .sleep(Duration::from_millis(80 + round * 31))
            .await;
        server.kill();
        server.restart();
    }
    stop.store(true, Ordering::Relaxed);
    let mut spent = 0;
    for task in tasks {
        spent += task.await.unwrap();
    }
    for shop in &shops {
        shop.shutdown().await;
        shop.0.backing.drain().await;
        assert_eq!(shop.0.backing.settlements_dropped(), 0);
    }
    assert!(spent > 0);
    for (limit, subject) in [(&day, "acme"), (&key, "k1")] {
        let cell = state(&shops[0], limit, subject).await;
        assert_eq!((cell.spent, cell.held, cell.leased), (spent, 0, 0));
    }
    assert_eq!(state(&shops[0], &few, "acme").await.held, 0);
}

/// The server names no rates where it refuses to make a lease larger.
#[tokio::test]
async fn a_lease_that_cannot_grow_forgets_no_rate() {
    let Some(server) = durable() else { return };
    let shops = instances(&server, 1).await;
    let key = budget("key", 1000 * CENT, Window::total());
    let rate = Arc::new(Limit::rate("rate", 1_000_000, 60 * MINUTE).unwrap());
    let claims = [(&key, "k1"), (&rate, "k1")];
    let mut last = None;
    for _ in 0..20 {
        let Ok(Verdict::Held(held)) = reserve(&shops[0], &claims, CENT).await else {
            panic!("there is room");
        };
        last = Some(held.hold);
    }
    let more = shops[0].extend(last.unwrap(), 2000 * CENT, MINUTE, now());
    assert!(matches!(more.wait().await, Ok(Extended::Refused(_))));
    let Ok(Verdict::Held(held)) = reserve(&shops[0], &claims, CENT).await else {
        panic!("there is room");
    };
    assert_eq!(held.standings[1].limit, 1_000_000);
    assert!(held.standings[1].remaining > 900_000);
}
