//! A store that is far away: counts trips, is slow, fails, loses requests and answers, and follows
//! its own clock.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};
use zt_core::clock::ManualClock;

use super::Random;
use crate::counter::{
    Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, HoldId,
    HoldState, MemoryBounds, MemoryCounters, Moment, Reserve, Settle, Settled, Verdict,
};

/// One instance's wire.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    far: Arc<Far>,
    /// False once the instance has crashed: nothing goes through any more.
    alive: Arc<AtomicBool>,
    trips: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Far {
    store: MemoryCounters,
    clock: ManualClock,
    faults: Mutex<Faults>,
    /// Holds that were given, of which nobody heard.
    orphans: Mutex<Vec<HoldId>>,
}

/// What goes wrong, in per cent, and how slow it is.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) random: Random,
    pub(super) lost_requests: u64,
    pub(super) lost_answers: u64,
    /// So many turns of the scheduler, at most, on each way.
    pub(super) delay: u64,
    pub(super) down: bool,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
struct Fate {
    request_lost: bool,
    answer_lost: bool,
    there: u64,
    back: u64,
}

/// Longer than any test, so that all that ended by itself can be looked at.
pub(super) const GRACE: Duration = Duration::from_secs(100 * 86_400);

impl Wire {
    pub(super) fn new(clock: &ManualClock) -> Self {
        let bounds = MemoryBounds {
            grace: GRACE,
            ..MemoryBounds::default()
        };
        let far = Far {
            store: MemoryCounters::with_bounds(bounds),
            clock: clock.clone(),
            faults: Mutex::new(Faults {
                random: Random(1),
                lost_requests: 0,
                lost_answers: 0,
                delay: 0,
                down: false,
            }),
            orphans: Mutex::default(),
        };
        Self {
            far: Arc::new(far),
            alive: Arc::new(AtomicBool::new(true)),
            trips: Arc::default(),
        }
    }

    /// Another instance's wire to the same store.
    pub(super) fn another(&self) -> Self {
        Self {
            far: Arc::clone(&self.far),
            alive: Arc::new(AtomicBool::new(true)),
            trips: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> &MemoryCounters {
        &self.far.store
    }

    pub(super) fn trips(&self) -> u64 {
        self.trips.load(Ordering::SeqCst)
    }

    pub(super) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.far.faults.lock().unwrap());
    }

    pub(super) fn cut(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    /// Charges nothing for the holds of which nobody heard; how many there were.
    pub(super) fn release_orphans(&self) -> usize {
        let orphans: Vec<HoldId> = self.far.orphans.lock().unwrap().drain(..).collect();
        for orphan in &orphans {
            let _ = self
                .far
                .store
                .settle(*orphan, Settle::Release, self.far.now());
        }
        orphans.len()
    }

    fn call<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Far) -> Answer<T> + Send + 'static,
        lost: impl FnOnce(&Far, &T) + Send + 'static,
    ) -> Answer<T> {
        self.trips.fetch_add(1, Ordering::SeqCst);
        let fate = self.far.faults.lock().unwrap().fate();
        let (far, alive) = (Arc::clone(&self.far), Arc::clone(&self.alive));
        let (tell, hear) = oneshot::channel();
        let run = async move {
            for _ in 0..fate.there {
                tokio::task::yield_now().await;
            }
            if fate.request_lost || !alive.load(Ordering::SeqCst) {
                let _: Result<_, _> = tell.send(Err(lost_it()));
                return;
            }
            let Answer::Now(result) = step(&far) else {
                unreachable!("memory answers at once");
            };
            for _ in 0..fate.back {
                tokio::task::yield_now().await;
            }
            let answer = if fate.answer_lost || !alive.load(Ordering::SeqCst) {
                if let Ok(result) = &result {
                    lost(&far, result);
                }
                Err(lost_it())
            } else {
                result
            };
            let _: Result<_, _> = tell.send(answer);
        };
        // Whoever drops the answer has sent the request.
        Handle::current().spawn(run);
        Answer::Later(Box::pin(async move {
            hear.await.unwrap_or_else(|_| Err(lost_it()))
        }))
    }
}

impl Far {
    fn now(&self) -> Moment {
        Moment::of(&self.clock).unwrap()
    }
}

impl Faults {
    fn fate(&mut self) -> Fate {
        let delay = self.delay + 1;
        Fate {
            request_lost: self.down || self.random.percent(self.lost_requests),
            answer_lost: self.random.percent(self.lost_answers),
            there: self.random.below(delay),
            back: self.random.below(delay),
        }
    }
}

fn lost_it() -> CounterError {
    CounterError::Unavailable("no answer".into())
}

impl CounterStore for Wire {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        let claims: Vec<_> = ask
            .claims
            .iter()
            .map(|claim| (Arc::clone(claim.limit), claim.subject.to_owned()))
            .collect();
        let root = ask.root.to_owned();
        let (cost, weight, permits) = (ask.cost, ask.weight, ask.permits);
        let (expires_in, purpose) = (ask.expires_in, ask.purpose);
        let step = move |far: &Far| {
            let claims: Vec<_> = claims
                .iter()
                .map(|(limit, subject)| Claim { limit, subject })
                .collect();
            far.store.reserve(&Reserve {
                root: &root,
                claims: &claims,
                cost,
                weight,
                permits,
                expires_in,
                purpose,
                now: far.now(),
            })
        };
        self.call(step, |far, verdict| {
            if let Verdict::Held(held) = verdict {
                far.orphans.lock().unwrap().push(held.hold);
            }
        })
    }

    fn extend(&self, hold: HoldId, more: u64, expires_in: Duration, _: Moment) -> Answer<Extended> {
        let step = move |far: &Far| far.store.extend(hold, more, expires_in, far.now());
        self.call(step, |_, _| ())
    }

    fn settle(&self, hold: HoldId, how: Settle, _: Moment) -> Answer<Settled> {
        self.call(move |far| far.store.settle(hold, how, far.now()), |_, _| ())
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.far.store.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, _: Moment) -> Answer<CellState> {
        let (root, how) = (root.to_owned(), how.clone());
        let (limit, subject) = (Arc::clone(claim.limit), claim.subject.to_owned());
        let step = move |far: &Far| {
            let claim = Claim {
                limit: &limit,
                subject: &subject,
            };
            far.store.adjust(&root, claim, &how, far.now())
        };
        self.call(step, |_, _| ())
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.far.store.holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, _: Moment) -> Answer<Vec<Expired>> {
        self.call(move |far| far.store.expire(at_most, far.now()), |_, _| ())
    }
}
