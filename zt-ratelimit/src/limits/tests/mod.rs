mod acts;
mod burning;
mod calendar;
mod configured;
mod events;
mod expiring;
mod ledgers;
mod refusals;
mod replacing;
mod settling;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::sync::Semaphore;
use zt_core::{
    clock::{ManualClock, Timestamp},
    state::{BudgetEvent, Durable, Event, Events, MemoryRecorder, RecordError, Recorder},
};

use super::*;
use crate::{
    Limit,
    cost::Cost,
    counter::{
        Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, HoldId,
        HoldState, MemoryCounters, Moment, Reserve, Settle, Settled, Verdict,
    },
    limit::Window,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DOLLAR: u64 = 1_000_000_000;

/// Limits with a clock and a record.
struct World {
    clock: ManualClock,
    recorder: Arc<MemoryRecorder>,
    limits: Limits,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self::at(ManualClock::default(), policy)
    }

    fn at(clock: ManualClock, policy: Policy) -> Self {
        Self::with(clock, policy, MemoryCounters::new())
    }

    fn with(clock: ManualClock, policy: Policy, store: impl CounterStore) -> Self {
        let recorder = Arc::new(MemoryRecorder::new(100_000));
        let limits = Limits::builder(store)
            .clock(clock.clone())
            .recorder(Arc::clone(&recorder))
            .build(policy)
            .unwrap();
        Self {
            clock,
            recorder,
            limits,
        }
    }

    fn now(&self) -> Moment {
        Moment::of(&self.clock).unwrap()
    }

    fn reserve<G: Guarantee>(&self, who: &Subjects<'_>, ask: Ask) -> Outcome<G> {
        at_once(self.limits.reserve(who, ask, self.now()))
    }

    fn hold<G: Guarantee>(&self, who: &Subjects<'_>, at_most: &str) -> Reservation<G> {
        match self.reserve(who, Ask::at_most(cost(at_most))) {
            Outcome::Held(reservation) => reservation,
            Outcome::Refused(overspent) => panic!("{overspent:?}"),
        }
    }

    /// Spends all of it.
    fn spend(&self, who: &Subjects<'_>, amount: &str) {
        self.hold::<Hard>(who, amount).settle(cost(amount)).unwrap();
    }

    fn refused(&self, who: &Subjects<'_>, at_most: &str) -> Overspent {
        match self.reserve::<Hard>(who, Ask::at_most(cost(at_most))) {
            Outcome::Refused(overspent) => overspent,
            Outcome::Held(reservation) => panic!("{reservation:?}"),
        }
    }

    fn state(&self, who: &Subjects<'_>, limit: &str) -> CellState {
        let cells = ready(self.limits.standing(who)).unwrap();
        let found = cells.into_iter().find(|cell| &**cell.limit.name() == limit);
        found.unwrap().state
    }

    fn spent(&self, who: &Subjects<'_>, limit: &str) -> u64 {
        self.state(who, limit).spent
    }

    fn held(&self, who: &Subjects<'_>, limit: &str) -> u64 {
        self.state(who, limit).held
    }

    fn budget_events(&self) -> Vec<BudgetEvent> {
        let events = self.recorder.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Budget(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    fn told(&self, action: &str) -> Vec<BudgetEvent> {
        let mut events = self.budget_events();
        events.retain(|event| event.action == action);
        events
    }
}

fn cost(text: &str) -> Cost {
    text.parse().unwrap()
}

fn key() -> Subjects<'static> {
    Subjects::new(["acme", "key-1"])
}

fn budget(name: &str, amount: &str, window: &str) -> Limit {
    Limit::budget(name, cost(amount), window.parse().unwrap()).unwrap()
}

/// An organisation with 9 dollars a month, and keys with 5 a day.
fn policy() -> Policy {
    Policy::new([
        Level::new("organisation", [budget("org-month", "9 USD", "month")]),
        Level::new("key", [budget("key-day", "5 USD", "day")]),
    ])
    .unwrap()
}

fn at_once<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Now(result) => result.unwrap(),
        Answer::Later(_) => panic!("it is to be waited for"),
    }
}

/// What a future says that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn at(text: &str) -> ManualClock {
    ManualClock::at(moment(text))
}

fn moment(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(u64::try_from(instant.as_microsecond()).unwrap())
}

/// A store whose answers come when they are let through; it does what it is asked at once.
#[derive(Debug, Clone)]
struct Slow {
    counters: MemoryCounters,
    gate: Arc<Semaphore>,
    down: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        Self {
            counters: MemoryCounters::new(),
            gate: Arc::new(Semaphore::new(0)),
            down: Arc::default(),
        }
    }

    /// Lets `answers` through.
    fn let_through(&self, answers: usize) {
        self.gate.add_permits(answers);
    }

    fn later<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        let (gate, down) = (Arc::clone(&self.gate), Arc::clone(&self.down));
        Answer::Later(Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            if down.load(Ordering::Relaxed) {
                return Err(CounterError::Unavailable("it is down".into()));
            }
            answer.wait().await
        }))
    }
}

impl CounterStore for Slow {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        self.later(self.counters.reserve(ask))
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        self.later(self.counters.extend(hold, more, expires_in, now))
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        self.later(self.counters.settle(hold, how, now))
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.counters.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        if self.down.load(Ordering::Relaxed) {
            return Answer::Now(Err(CounterError::Unavailable("it is down".into())));
        }
        self.counters.adjust(root, claim, how, now)
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.counters.holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        let expired = self.counters.expire(at_most, now);
        Answer::Later(Box::pin(expired.wait()))
    }
}

/// Cannot write.
#[derive(Debug)]
struct Broken;

impl Recorder for Broken {
    fn record(&self, _: Event) -> Durable {
        Durable::done(Err(RecordError::Unavailable("no disk".into())))
    }

    fn subscribe(&self, capacity: usize) -> Events {
        MemoryRecorder::new(1).subscribe(capacity)
    }
}
