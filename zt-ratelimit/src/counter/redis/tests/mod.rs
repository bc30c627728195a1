//! Over real servers: what is refused, what is counted once, what outlives what.

mod attacks;
mod changes;
mod clocks;
mod conformance;
mod life;
mod walks;

use std::{sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock as _, SystemClock, Timestamp},
    testing::RedisServer,
};

use super::{inner::Reservation, *};
use crate::{
    Limit,
    cost::{Cost, Currency},
    counter::{Held, Purpose, Standing},
    limit::Window,
};

/// A server on which every write is on disk before it is acknowledged.
fn durable() -> Option<RedisServer> {
    RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
}

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions::new(&server.url()).unwrap().shifted()
}

/// New counters of generation 1.
async fn counters(server: &RedisServer) -> RedisCounters {
    RedisCounters::initialise(options(server), 1).await.unwrap();
    RedisCounters::connect(options(server), 1).await.unwrap()
}

/// The keys of all windows of a cell.
fn windows(server: &RedisServer, cell: &str) -> Vec<String> {
    let (tag, name) = cell.split_once(":c:").unwrap();
    let keys = server.command(&["KEYS", "*"]);
    keys.lines()
        .filter(|key| key.starts_with(&format!("{tag}:w:")) && key.ends_with(name))
        .map(ToOwned::to_owned)
        .collect()
}

/// Moves the clock of the server on, as far as scripts see it.
fn shift(server: &RedisServer, by: Duration) {
    shift_in(server, "zt", by);
}

fn shift_in(server: &RedisServer, namespace: &str, by: Duration) {
    let micros = by.as_micros().to_string();
    let keys: Vec<_> = (0..64)
        .map(|bucket| format!("{{{namespace}-{bucket:02}}}:shift"))
        .collect();
    let mut words = vec!["MSET"];
    for key in &keys {
        words.extend([key.as_str(), &micros]);
    }
    assert_eq!(server.command(&words), "OK");
}

fn now() -> Moment {
    Moment::of(&SystemClock).unwrap()
}

fn usd(nanos: u64) -> Cost {
    Cost::from_nanos(nanos, Currency::USD)
}

fn budget(name: &str, nanos: u64, window: Window) -> Arc<Limit> {
    Arc::new(Limit::budget(name, usd(nanos), window).unwrap())
}

fn rate(name: &str, requests: u64, period: Duration) -> Arc<Limit> {
    Arc::new(Limit::rate(name, requests, period).unwrap())
}

fn permits(name: &str, permits: u32) -> Arc<Limit> {
    Arc::new(Limit::concurrency(name, permits).unwrap())
}

fn claim<'a>(limit: &'a Arc<Limit>, subject: &'a str) -> Claim<'a> {
    Claim { limit, subject }
}

fn ask<'a>(root: &'a str, claims: &'a [Claim<'a>], cost: u64) -> Reserve<'a> {
    Reserve {
        root,
        claims,
        cost,
        weight: 1,
        permits: 1,
        expires_in: Duration::from_secs(60),
        purpose: Purpose::Request,
        now: now(),
    }
}

async fn reserve(
    counters: &RedisCounters,
    claims: &[Claim<'_>],
    cost: u64,
) -> Result<Verdict, CounterError> {
    counters.reserve(&ask("root", claims, cost)).wait().await
}

#[track_caller]
fn held(verdict: Result<Verdict, CounterError>) -> Held {
    match verdict {
        Ok(Verdict::Held(held)) => held,
        other => panic!("not held: {other:?}"),
    }
}

#[track_caller]
fn refused(verdict: Result<Verdict, CounterError>) -> Refused {
    match verdict {
        Ok(Verdict::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

async fn state(counters: &RedisCounters, limit: &Arc<Limit>, subject: &str) -> CellState {
    let claims = [claim(limit, subject)];
    let mut read = counters.read("root", &claims, now()).wait().await.unwrap();
    read.remove(0)
}

async fn settle(counters: &RedisCounters, hold: HoldId, how: Settle) -> Settled {
    counters.settle(hold, how, now()).wait().await.unwrap()
}

/// How often the server ran a script.
fn trips(server: &RedisServer) -> u64 {
    let told = server.command(&["INFO", "commandstats"]);
    let line = told
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let calls = line.and_then(|line| line.split_once("calls="));
    let calls = calls.and_then(|(_, rest)| rest.split_once(','));
    calls.map_or(0, |(calls, _)| calls.parse().unwrap())
}

fn dollars(remaining: &Standing) -> (u64, u64) {
    (remaining.limit, remaining.remaining)
}

#[tokio::test]
async fn refuses_what_does_not_fit_and_counts_nothing_of_it() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let key = budget("key", 100, Window::day());
    let team = budget("team", 50, Window::month());
    let tries = rate("tries", 2, Duration::from_secs(3600));
    let few = permits("few", 2);
    let all = [
        claim(&key, "k"),
        claim(&team, "t"),
        claim(&tries, "k"),
        claim(&few, "k"),
    ];
    let no = refused(reserve(&counters, &all, 51).await);
    assert_eq!(no.violated.places().collect::<Vec<_>>(), [1]);
    assert_eq!(no.standings[1].more_in, None, "it is larger than the limit");
    let yes = held(reserve(&counters, &all, 50).await);
    assert_eq!(dollars(&yes.standings[0]), (100, 50));
    assert_eq!(dollars(&yes.standings[1]), (50, 0));
    assert_eq!(dollars(&yes.standings[2]), (2, 1));
    assert_eq!(dollars(&yes.standings[3]), (2, 1));
    let no = refused(reserve(&counters, &all, 1).await);
    assert_eq!(no.violated.places().collect::<Vec<_>>(), [1]);
    assert!(no.standings[1].more_in.unwrap() > Duration::ZERO);
    let _second = held(reserve(&counters, &all[2..], 1).await);
    let no = refused(reserve(&counters, &all[2..], 1).await);
    assert_eq!(no.violated.places().collect::<Vec<_>>(), [0, 1]);
    let wait = no.standings[0].more_in.unwrap();
    assert!(
        wait > Duration::from_secs(1790) && wait <= Duration::from_secs(1800),
        "{wait:?}"
    );
    let cell = state(&counters, &team, "t").await;
    assert_eq!((cell.spent, cell.held, cell.leased), (0, 50, 0));
}

#[tokio::test]
async fn a_settlement_counts_once_however_often_it_comes() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let few = permits("few", 1);
    let all = [claim(&day, "k"), claim(&few, "k")];
    let hold = held(reserve(&counters, &all, 60).await).hold;
    let first = settle(&counters, hold, Settle::Charge(55)).await;
    assert_eq!((first.counted, first.held, first.charged), (true, 60, 55));
    assert_eq!((first.budgets[0].spent, first.budgets[0].crossed), (55, 1));
    for how in [Settle::Charge(55), Settle::Release, Settle::ChargeHold] {
        let again = settle(&counters, hold, how).await;
        assert_eq!((again.counted, again.held, again.charged), (false, 60, 55));
        assert_eq!(again.budgets[0].crossed, 0);
    }
    assert_eq!(state(&counters, &day, "k").await.spent, 55);
    assert_eq!(state(&counters, &few, "k").await.held, 0);
    let hold = held(reserve(&counters, &all, 45).await).hold;
    let over = settle(&counters, hold, Settle::Charge(50)).await;
    assert_eq!((over.charged, over.budgets[0].spent), (50, 105));
    assert_eq!(over.budgets[0].crossed, 0b110);
    let no = refused(reserve(&counters, &all, 0).await);
    assert_eq!(no.violated.places().collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn one_trip_is_on_the_path_of_a_request() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100_000, Window::day());
    let tries = rate("tries", 2000, Duration::from_secs(3600));
    let all = [claim(&day, "k"), claim(&tries, "k")];
    let _warm = held(reserve(&counters, &all, 1).await);
    let before = trips(&server);
    for _ in 0..100 {
        let _hold = held(reserve(&counters, &all, 1).await);
    }
    assert_eq!(trips(&server) - before, 100);
}

#[tokio::test]
async fn a_threshold_is_told_of_once_a_window() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 1000, Window::day());
    let all = [claim(&day, "k")];
    let mut told = Vec::new();
    for _ in 0..10 {
        let hold = held(reserve(&counters, &all, 100).await).hold;
        let settled = settle(&counters, hold, Settle::ChargeHold).await;
        told.push(settled.budgets[0].crossed);
    }
    assert_eq!(told, [0, 0, 0, 0, 1, 0, 0, 2, 0, 4]);
}

#[tokio::test]
async fn a_shadow_limit_refuses_nobody() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let shadow = Limit::budget("shadow", usd(10), Window::day())
        .unwrap()
        .shadow();
    let shadow = Arc::new(shadow);
    let all = [claim(&shadow, "k")];
    let yes = held(reserve(&counters, &all, 11).await);
    assert!(yes.would_refuse.has(0));
    let cell = state(&counters, &shadow, "k").await;
    assert_eq!(cell.held, 11);
}

#[tokio::test]
async fn an_administrator_changes_one_limit_of_one_subject() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let one = claim(&day, "k");
    let adjust = async |how: Adjust| counters.adjust("root", one, &how, now()).wait().await;
    let later = now().wall + Duration::from_secs(3600);
    let lowered = adjust(Adjust::Override {
        limit: 10,
        until: None,
    })
    .await
    .unwrap();
    assert_eq!((lowered.limit, lowered.policy), (10, 100));
    refused(reserve(&counters, &[one], 11).await);
    let grant = |name: &str, amount| Adjust::Grant {
        name: name.into(),
        amount,
        until: later,
    };
    assert_eq!(adjust(grant("a b", 5)).await.unwrap().limit, 15);
    assert_eq!(adjust(grant("a b", 7)).await.unwrap().limit, 17);
    for place in 0..7 {
        adjust(grant(&place.to_string(), 1)).await.unwrap();
    }
    assert!(matches!(
        adjust(grant("ninth", 1)).await,
        Err(CounterError::Invalid(_))
    ));
    let state = adjust(Adjust::Revoke { name: "a b".into() }).await.unwrap();
    assert_eq!((state.limit, state.grants.len()), (17, 7));
    let state = adjust(Adjust::ClearOverride).await.unwrap();
    assert_eq!((state.limit, state.set), (107, None));
    let state = adjust(Adjust::Charge { nanos: 107 }).await.unwrap();
    assert_eq!(state.spent, 107);
    refused(reserve(&counters, &[one], 1).await);
    let hold = counters.reserve(&ask("root", &[one], 0)).wait().await;
    let hold = held(hold).hold;
    let state = adjust(Adjust::Reset).await.unwrap();
    assert_eq!((state.spent, state.held), (0, 0));
    settle(&counters, hold, Settle::Release).await;
    let too_much = Adjust::Charge {
        nanos: MAX_NANOS + 1,
    };
    assert!(matches!(
        adjust(too_much).await,
        Err(CounterError::Invalid(_))
    ));
}

#[tokio::test]
async fn holds_are_listed_oldest_first_and_extended() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let other = budget("other", 100, Window::day());
    let first = held(reserve(&counters, &[claim(&day, "k")], 10).await).hold;
    let _other = held(reserve(&counters, &[claim(&other, "k")], 10).await).hold;
    let second = held(reserve(&counters, &[claim(&day, "k")], 20).await).hold;
    let minute = Duration::from_secs(60);
    let done = counters.extend(first, 15, 10 * minute, now()).wait().await;
    assert_eq!(done, Ok(Extended::Done { held: 25 }));
    let no = counters
        .extend(second, 56, minute, now())
        .wait()
        .await
        .unwrap();
    assert!(matches!(no, Extended::Refused(no) if no.violated.has(0)));
    let listed = counters
        .holds("root", claim(&day, "k"), 10, now())
        .wait()
        .await
        .unwrap();
    let short: Vec<_> = listed.iter().map(|hold| (hold.hold, hold.nanos)).collect();
    assert_eq!(short, [(first, 25), (second, 20)]);
    assert!(listed[0].expires_in > 9 * minute);
    let listed = counters
        .holds("root", claim(&day, "k"), 1, now())
        .wait()
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    settle(&counters, first, Settle::Release).await;
    let gone = counters.extend(first, 1, minute, now()).wait().await;
    assert_eq!(gone, Ok(Extended::Gone));
}

#[tokio::test]
async fn names_of_any_kind_are_names_and_no_two_share_a_cell() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day: a|b", 100, Window::day());
    let long = "ä".repeat(128);
    let names = [
        "{zt-00}:gen",
        "a b",
        "a",
        "}{",
        "\"day\"x",
        "%s %d",
        "ключ 🔑",
        "a:b",
        &long,
    ];
    for (place, subject) in names.iter().enumerate() {
        let all = [claim(&day, subject)];
        let cost = 1 + u64::try_from(place).unwrap();
        let hold = held(counters.reserve(&ask(subject, &all, cost)).wait().await).hold;
        settle(&counters, hold, Settle::ChargeHold).await;
    }
    for (place, subject) in names.iter().enumerate() {
        let all = [claim(&day, subject)];
        let read = counters.read(subject, &all, now()).wait().await.unwrap();
        assert_eq!(
            read[0].spent,
            1 + u64::try_from(place).unwrap(),
            "{subject}"
        );
    }
    let longer = "a".repeat(512);
    let all = [claim(&day, &longer)];
    let no = counters.reserve(&ask("root", &all, 1)).wait().await;
    assert!(matches!(no, Err(CounterError::Invalid(_))));
}

#[tokio::test]
async fn the_largest_amounts_are_counted_exactly_and_refuse_beyond() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let most = budget("most", MAX_NANOS, Window::total());
    let all = [claim(&most, "k")];
    let first = held(reserve(&counters, &all, MAX_NANOS - 1).await);
    assert_eq!(first.standings[0].remaining, 1);
    refused(reserve(&counters, &all, 2).await);
    let second = held(reserve(&counters, &all, 1).await);
    assert_eq!(second.standings[0].remaining, 0);
    settle(&counters, first.hold, Settle::Charge(MAX_NANOS - 3)).await;
    assert_eq!(state(&counters, &most, "k").await.spent, MAX_NANOS - 3);
    let third = held(reserve(&counters, &all, 2).await).hold;
    // Beyond what can be counted it stays at the end of the scale, and refuses.
    settle(&counters, third, Settle::Charge(u64::MAX)).await;
    assert_eq!(state(&counters, &most, "k").await.spent, MAX_NANOS);
    settle(&counters, second.hold, Settle::Charge(MAX_NANOS)).await;
    assert_eq!(state(&counters, &most, "k").await.spent, MAX_NANOS);
    refused(reserve(&counters, &all, 1).await);
    let grant = Adjust::Grant {
        name: "more".into(),
        amount: MAX_NANOS,
        until: Timestamp::MAX,
    };
    let state = counters
        .adjust("root", all[0], &grant, now())
        .wait()
        .await
        .unwrap();
    assert_eq!(state.limit, MAX_NANOS, "a limit does not pass it either");
    refused(reserve(&counters, &all, 1).await);
}

#[test]
fn a_root_is_in_one_place_for_ever() {
    assert_eq!(keys::bucket("acme"), keys::bucket("acme"));
    let spread: std::collections::HashSet<_> = (0..1000)
        .map(|n| keys::bucket(&format!("root-{n}")))
        .collect();
    assert_eq!(spread.len(), 64);
    // Written down: another hash would look for old counters elsewhere.
    assert_eq!(["acme", "root", "ключ"].map(keys::bucket), [12, 26, 31]);
    let hold = keys::hold(63, [0xff; 16]);
    assert_eq!(keys::bucket_of(hold), Some(63));
    assert!(keys::bucket_of(HoldId(64)).is_none());
    assert!(keys::bucket_of(HoldId(1 << 127)).is_none());
}

#[test]
fn an_address_with_a_password_is_not_told() {
    let options = RedisOptions::new("redis://user:hunter2@127.0.0.1/").unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
    let error = RedisOptions::new("redis://user:hunter2@").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(RedisOptions::new("http://127.0.0.1").is_err());
    for bad in ["", "a b", "{}", &"a".repeat(33)] {
        let options = RedisOptions::new("redis://127.0.0.1").unwrap();
        assert!(options.namespace(bad).is_err());
    }
}

#[tokio::test]
async fn a_settlement_in_a_thread_without_a_runtime_arrives() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let hold = held(reserve(&counters, &[claim(&day, "k")], 10).await).hold;
    let elsewhere = counters.clone();
    std::thread::spawn(move || drop(elsewhere.settle(hold, Settle::Charge(4), now())))
        .join()
        .unwrap();
    counters.drain().await;
    let cell = state(&counters, &day, "k").await;
    assert_eq!((cell.spent, cell.held), (4, 0));
}
