//! A storm of refusals, and what it leaves to everybody else.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use zt_core::{
    context::Stage,
    gate::{Check, Gate, Keep, Link, Step},
    stack::slots::Records,
    state::{Durable, RecordError, Recorder},
};

use super::*;
use crate::{
    AuditLog, Options, RecordAuditLayer,
    testing::{admin, log_with},
};

fn poll(durable: &mut Durable) -> Poll<Result<(), RecordError>> {
    pin!(durable).poll(&mut Context::from_waker(Waker::noop()))
}

fn permit(millis: u64) -> Event {
    let trail = trail_from(Some("198.51.100.1"), millis);
    decided(&trail, permitted(), Some(Acknowledgement::Sync))
}

/// From many sources, more than are told apart, for two reasons.
fn storm(log: &AuditLog, refusals: u64) {
    for index in 0..refusals {
        let host = u32::try_from(index % 300).unwrap();
        let source = IpAddr::from((0xc000_0200 + host).to_be_bytes()).to_string();
        let trail = trail_from(Some(&source), index / 100);
        let code = match index % 3 {
            0 => Code::RateLimited,
            _ => Code::CredentialInvalid,
        };
        log.record(denied(&trail, code)).detach();
        log.record(ended(&trail, HandlerRun::NotReached)).detach();
    }
}

fn options() -> Options {
    Options::default().max_records(800).denial_sources(64)
}

/// Decisions by code, and outcomes of refused requests: in full, and counted.
fn told(records: &[Value]) -> (BTreeMap<String, u64>, u64) {
    let mut codes = BTreeMap::new();
    let mut outcomes = 0;
    for record in records {
        match record["kind"].as_str().unwrap() {
            "decision" if record["decision"] == "deny" => {
                *codes
                    .entry(record["code"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            "outcome" if record["handler"] == "not-reached" => outcomes += 1,
            "rolled-up" => {
                for (code, count) in record["denied"].as_object().unwrap() {
                    *codes.entry(code.clone()).or_default() += count.as_u64().unwrap();
                }
                outcomes += record["outcomes"].as_u64().unwrap();
                assert_eq!(
                    (&record["lost_decisions"], &record["lost_outcomes"]),
                    (&0.into(), &0.into())
                );
            }
            _ => {}
        }
    }
    (codes, outcomes)
}

/// The disk hangs, and a storm goes on: nothing of it takes the place of permits or outcomes.
#[test]
fn a_storm_of_refusals_leaves_permits_their_room() {
    let (log, disk) = log_with(options());
    disk.hold();
    log.record(admin("first")).detach();
    disk.wait_until_stalled();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| storm(&log, 2_500));
        }
    });
    let mut permits: Vec<_> = (0..300).map(|_| log.record(permit(0))).collect();
    let outcomes = (0..300).map(|_| {
        let trail = trail_from(None, 0);
        log.record(ended(&trail, HandlerRun::Reached))
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    let health = log.health();
    assert!(health.is_writable());
    assert_eq!((health.refused, health.lost), (0, 0));
    // An eighth of the room has some in full; the rest is counted.
    assert_eq!(health.rolled_up, 2 * 10_000 - 100);
    disk.release();
    log.close().unwrap();
    for durable in permits.iter_mut().chain(&mut outcomes) {
        assert_eq!(poll(durable), Poll::Ready(Ok(())));
    }
    let (codes, outcomes) = told(&disk.records());
    let expected = [("credential-invalid", 4 * 1666), ("rate-limited", 4 * 834)];
    assert_eq!(
        codes,
        expected
            .map(|(code, count)| (code.to_owned(), count))
            .into()
    );
    assert_eq!(outcomes, 10_000);
}

/// The disk works: each permit is durable while the storm goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_become_durable_in_the_middle_of_a_storm() {
    let (log, disk) = log_with(options());
    let ends = Arc::new(AtomicBool::new(false));
    let stormy = {
        let (log, ends) = (log.clone(), Arc::clone(&ends));
        std::thread::spawn(move || {
            let mut refusals = 0;
            while !ends.load(Ordering::Relaxed) {
                storm(&log, 500);
                refusals += 500;
            }
            refusals
        })
    };
    while log.health().rolled_up < 500 {
        tokio::task::yield_now().await;
    }
    for turn in 0..500 {
        assert_eq!(log.record(permit(turn)).await, Ok(()));
    }
    ends.store(true, Ordering::Relaxed);
    let refusals = stormy.join().unwrap();
    log.close().unwrap();
    assert_eq!(log.health().refused, 0);
    let records = disk.records();
    let permits = records
        .iter()
        .filter(|record| record["decision"] == "permit");
    assert_eq!(permits.count(), 500);
    let (codes, outcomes) = told(&records);
    assert_eq!(
        (codes.values().sum::<u64>(), outcomes),
        (refusals, refusals)
    );
}

/// The claims of a token are as long as its issuer makes them.
#[test]
fn permits_of_huge_tokens_take_as_much_room_as_they_keep() {
    let (log, disk) = log_with(Options::default().max_bytes(1 << 20));
    disk.hold();
    let wide = |claims: usize| {
        let (parts, ()) = Request::new(()).into_parts();
        let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
        let who = Principal::assertion(PrincipalKind::User, "mallory", AuthMethod::Jwt);
        cx.set_principal(Arc::new(who.claims("x".repeat(claims)).finish()));
        decided(cx.trail(), permitted(), Some(Acknowledgement::Sync))
    };
    // Three eighths of a mebibyte over a little more than 60,000.
    for _ in 0..6 {
        assert!(poll(&mut log.record(wide(60_000))).is_pending());
    }
    let full = Poll::Ready(Err(RecordError::Full));
    assert_eq!(poll(&mut log.record(wide(60_000))), full);
    // There is room for one that keeps less.
    assert!(poll(&mut log.record(wide(100))).is_pending());
    disk.release();
    log.close().unwrap();
    assert_eq!(disk.records().len(), 7);
}

/// Refuses everything.
#[derive(Clone)]
struct Refuses;

impl Check for Refuses {
    type Guard = ();

    const NAME: &'static str = "Refuses";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        Denial::new(Code::PolicyDenied).into()
    }
}

async fn refused(log: &AuditLog, source: &str) {
    let (outer, commit) = RecordAuditLayer::new(log.clone()).split();
    let chain = Link::first(outer).then(Refuses).then(commit);
    let handler = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let settings = Settings::default().with_clock(ManualClock::at(BEGIN));
    let source: IpAddr = source.parse().unwrap();
    let request = Request::post("/orders")
        .extension(PeerAddr((source, 4711).into()))
        .body(Full::<Bytes>::default())
        .unwrap();
    let gate: Gate<_, _, Keep> = Gate::with_settings(handler, chain, Arc::new(settings));
    let response = gate.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 403);
    response.into_body().collect().await.unwrap();
}

/// Of one request both halves are there, or both are counted in the same row.
#[tokio::test]
async fn requests_that_are_refused_are_told_whole_or_counted_whole() {
    let (log, disk) = log_with(Options::default());
    for _ in 0..50 {
        refused(&log, "192.0.2.7").await;
        refused(&log, "2001:db8:0:1::9").await;
    }
    assert_eq!(log.health().rolled_up, 2 * 2 * 30);
    log.close().unwrap();
    let mut halves = BTreeMap::<String, Vec<String>>::new();
    let mut rolled = Vec::new();
    for record in disk.records() {
        match record["request_id"].as_str() {
            Some(id) => halves
                .entry(id.to_owned())
                .or_default()
                .push(record["kind"].as_str().unwrap().to_owned()),
            None => rolled.push(record),
        }
    }
    assert_eq!(halves.len(), 40);
    assert!(
        halves
            .values()
            .all(|kinds| kinds == &["decision", "outcome"])
    );
    let [rolled] = &rolled[..] else {
        panic!("{rolled:?}")
    };
    assert_eq!(rolled["denied"]["policy-denied"], 60);
    assert_eq!(rolled["outcomes"], 60);
}

/// Nothing comes any more, and the log is not closed.
#[tokio::test]
async fn the_counts_of_a_flood_that_is_over_are_written() {
    let clock = ManualClock::default();
    let (log, disk) = log_with(Options::default().clock(clock.clone()));
    for _ in 0..100 {
        refused(&log, "192.0.2.7").await;
    }
    // The keeper looks each second, by the clock that it was given.
    while told(&disk.records()).1 < 100 {
        clock.advance(Duration::from_secs(10));
        std::thread::yield_now();
    }
    let (codes, outcomes) = told(&disk.records());
    assert_eq!((codes["policy-denied"], outcomes), (100, 100));
}
