use std::sync::atomic::AtomicBool;

use zt_core::clock::ManualClock;

use super::*;
use crate::{
    cost::{Cost, Currency},
    limit::Window,
};

/// Counters that are away when they are told to be.
#[derive(Debug, Clone, Default)]
struct Flaky(MemoryCounters, Arc<AtomicBool>);

impl Flaky {
    fn away(&self, away: bool) {
        self.1.store(away, Ordering::SeqCst);
    }

    fn answer<T: Send + 'static>(&self, answer: impl FnOnce() -> Answer<T>) -> Answer<T> {
        if self.1.load(Ordering::SeqCst) {
            return Answer::Later(Box::pin(async {
                Err(CounterError::Unavailable("away".into()))
            }));
        }
        answer()
    }
}

impl CounterStore for Flaky {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        if let Err(error) = crate::counter::check(ask) {
            return Answer::Now(Err(error));
        }
        self.answer(|| self.0.reserve(ask))
    }

    fn extend(&self, hold: HoldId, more: u64, lives: Duration, now: Moment) -> Answer<Extended> {
        self.answer(|| self.0.extend(hold, more, lives, now))
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        self.answer(|| self.0.settle(hold, how, now))
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.answer(|| self.0.read(root, claims, now))
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        self.answer(|| self.0.adjust(root, claim, how, now))
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.answer(|| self.0.holds(root, claim, at_most, now))
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        self.answer(|| self.0.expire(at_most, now))
    }
}

fn share(instances: u32) -> OnUnavailable {
    OnUnavailable::LocalShare {
        instances: NonZeroU32::new(instances).unwrap(),
    }
}

struct Limits {
    rate: Arc<Limit>,
    permits: Arc<Limit>,
    budget: Arc<Limit>,
}

fn limits() -> Limits {
    let usd = Cost::from_nanos(100, Currency::USD);
    Limits {
        rate: Arc::new(Limit::rate("rate", 8, Duration::from_secs(8)).unwrap()),
        permits: Arc::new(Limit::concurrency("permits", 4).unwrap()),
        budget: Arc::new(Limit::budget("budget", usd, Window::day()).unwrap()),
    }
}

async fn ask<C: CounterStore>(
    counters: &C,
    limits: &[&Arc<Limit>],
    now: Moment,
) -> Result<Verdict, CounterError> {
    let claims: Vec<_> = limits
        .iter()
        .map(|limit| Claim {
            limit,
            subject: "s",
        })
        .collect();
    let ask = Reserve {
        root: "root",
        claims: &claims,
        cost: 1,
        weight: 1,
        permits: 1,
        expires_in: Duration::from_secs(60),
        purpose: Purpose::Request,
        now,
    };
    counters.reserve(&ask).wait().await
}

fn is_held(verdict: &Result<Verdict, CounterError>) -> bool {
    matches!(verdict, Ok(Verdict::Held(_)))
}

fn is_away(verdict: &Result<Verdict, CounterError>) -> bool {
    matches!(verdict, Err(CounterError::Unavailable(_)))
}

fn moment(clock: &ManualClock) -> Moment {
    Moment::of(clock).unwrap()
}

#[tokio::test]
async fn money_is_never_counted_here() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    store.away(true);
    for on in [OnUnavailable::Closed, share(1)] {
        let closed = Fallback::new(store.clone(), on);
        let open = Fallback::new(store.clone(), on).insecure_open_when_unavailable();
        for counters in [closed, open] {
            for all in [
                &[&limits.budget][..],
                &[&limits.rate, &limits.budget],
                &[&limits.permits, &limits.rate, &limits.budget],
            ] {
                assert!(is_away(&ask(&counters, all, moment(&clock)).await));
            }
            assert_eq!(counters.answered_here(), 0);
        }
    }
}

#[tokio::test]
async fn closed_is_what_nobody_has_to_choose() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    let counters = Fallback::new(store.clone(), OnUnavailable::default());
    assert!(is_held(
        &ask(&counters, &[&limits.rate], moment(&clock)).await
    ));
    store.away(true);
    assert!(is_away(
        &ask(&counters, &[&limits.rate], moment(&clock)).await
    ));
    assert!(is_away(
        &ask(&counters, &[&limits.permits], moment(&clock)).await
    ));
}

#[tokio::test]
async fn an_instance_gives_its_part_and_no_more() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    let counters = Fallback::new(store.clone(), share(4));
    store.away(true);
    // Two of eight, one more each four seconds.
    let mut held = 0;
    for _ in 0..8 {
        held += u32::from(is_held(
            &ask(&counters, &[&limits.rate], moment(&clock)).await,
        ));
    }
    assert_eq!(held, 2);
    clock.advance(Duration::from_millis(3999));
    assert!(!is_held(
        &ask(&counters, &[&limits.rate], moment(&clock)).await
    ));
    clock.advance(Duration::from_millis(1));
    assert!(is_held(
        &ask(&counters, &[&limits.rate], moment(&clock)).await
    ));
    // One of four permits, which comes back.
    let Ok(Verdict::Held(one)) = ask(&counters, &[&limits.permits], moment(&clock)).await else {
        panic!("not held");
    };
    assert!(!is_held(
        &ask(&counters, &[&limits.permits], moment(&clock)).await
    ));
    let settled = counters.settle(one.hold, Settle::ChargeHold, moment(&clock));
    assert!(matches!(settled, Answer::Now(Ok(settled)) if settled.counted));
    assert!(is_held(
        &ask(&counters, &[&limits.permits], moment(&clock)).await
    ));
    // Less than one each is none, and the store's error.
    let many = Fallback::new(store, share(5));
    assert!(is_away(
        &ask(&many, &[&limits.permits], moment(&clock)).await
    ));
}

#[tokio::test]
async fn open_is_for_rates_alone() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    let counters =
        Fallback::new(store.clone(), OnUnavailable::Closed).insecure_open_when_unavailable();
    store.away(true);
    for _ in 0..100 {
        assert!(is_held(
            &ask(&counters, &[&limits.rate], moment(&clock)).await
        ));
    }
    assert_eq!(counters.answered_here(), 100);
    assert!(is_away(
        &ask(&counters, &[&limits.rate, &limits.permits], moment(&clock)).await
    ));
    store.away(false);
    let mut held = 0;
    for _ in 0..20 {
        held += u32::from(is_held(
            &ask(&counters, &[&limits.rate], moment(&clock)).await,
        ));
    }
    assert_eq!(held, 8, "it counts again");
}

#[tokio::test]
async fn holds_of_the_store_are_settled_there() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    let counters = Fallback::new(store.clone(), share(1));
    let Ok(Verdict::Held(held)) = ask(&counters, &[&limits.budget], moment(&clock)).await else {
        panic!("not held");
    };
    let more = counters.extend(held.hold, 4, Duration::from_secs(60), moment(&clock));
    assert_eq!(more.wait().await, Ok(Extended::Done { held: 5 }));
    let settled = counters.settle(held.hold, Settle::Charge(3), moment(&clock));
    let settled = settled.wait().await.unwrap();
    assert_eq!((settled.counted, settled.charged), (true, 3));
    assert_eq!(store.0.live_holds(), 0);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_as_ever() {
    let (limits, clock) = (limits(), ManualClock::default());
    let store = Flaky::default();
    let counters = Fallback::new(store.clone(), share(1)).insecure_open_when_unavailable();
    store.away(true);
    let twice = ask(&counters, &[&limits.rate, &limits.rate], moment(&clock)).await;
    assert!(matches!(twice, Err(CounterError::Invalid(_))));
}
