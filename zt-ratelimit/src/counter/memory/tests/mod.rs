mod attacks;
mod basics;
mod bounds;
mod model;
mod race;
mod shuttled;
mod snapshots;
mod waits;
mod walk;

use std::{sync::Arc, time::Duration};

use zt_core::clock::{ManualClock, Timestamp};

use super::{MemoryBounds, MemoryCounters};
use crate::{
    counter::{
        Adjust, Answer, CellState, Claim, CounterError, CounterStore, Extended, Held, HoldId,
        Moment, Purpose, Refused, Reserve, Settle, Settled, Verdict,
    },
    limit::{Limit, Window},
};

const CENT: u64 = 10_000_000;

/// A store, a clock, and the limits of a key, its team and its organisation.
struct Shop {
    store: MemoryCounters,
    clock: ManualClock,
}

impl Shop {
    fn new() -> Self {
        Self::with(MemoryBounds::default())
    }

    fn with(bounds: MemoryBounds) -> Self {
        Self {
            store: MemoryCounters::with_bounds(bounds),
            clock: ManualClock::default(),
        }
    }

    fn now(&self) -> Moment {
        Moment::of(&self.clock).unwrap()
    }

    fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    fn wall(&self) -> Timestamp {
        self.now().wall
    }

    fn reserve(&self, claims: &[(&Arc<Limit>, &str)], cost: u64) -> Result<Held, Box<Refused>> {
        match self.ask(claims, cost, |_| ()).unwrap() {
            Verdict::Held(held) => Ok(held),
            Verdict::Refused(refused) => Err(refused.into()),
        }
    }

    fn ask(
        &self,
        claims: &[(&Arc<Limit>, &str)],
        cost: u64,
        change: impl FnOnce(&mut Reserve<'_>),
    ) -> Result<Verdict, CounterError> {
        let claims: Vec<Claim<'_>> = claims
            .iter()
            .map(|(limit, subject)| Claim { limit, subject })
            .collect();
        let mut ask = Reserve {
            root: "acme",
            claims: &claims,
            cost,
            weight: 1,
            permits: 1,
            expires_in: Duration::from_secs(60),
            purpose: Purpose::Request,
            now: self.now(),
        };
        change(&mut ask);
        now(self.store.reserve(&ask))
    }

    fn settle(&self, hold: HoldId, how: Settle) -> Settled {
        now(self.store.settle(hold, how, self.now())).unwrap()
    }

    fn extend(&self, hold: HoldId, more: u64, secs: u64) -> Extended {
        let span = Duration::from_secs(secs);
        now(self.store.extend(hold, more, span, self.now())).unwrap()
    }

    fn read(&self, limit: &Arc<Limit>, subject: &str) -> CellState {
        let claims = [Claim { limit, subject }];
        now(self.store.read("acme", &claims, self.now()))
            .unwrap()
            .remove(0)
    }

    fn adjust(
        &self,
        limit: &Arc<Limit>,
        subject: &str,
        how: &Adjust,
    ) -> Result<CellState, CounterError> {
        let claim = Claim { limit, subject };
        now(self.store.adjust("acme", claim, how, self.now()))
    }
}

fn now<T>(answer: Answer<T>) -> Result<T, CounterError> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(_) => panic!("a store in this process answers at once"),
    }
}

fn budget(name: &str, amount: &str, window: Window) -> Arc<Limit> {
    Arc::new(Limit::budget(name, amount.parse().unwrap(), window).unwrap())
}
