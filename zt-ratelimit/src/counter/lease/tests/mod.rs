mod division;
mod figures;
mod give_back;
#[cfg(feature = "redis")]
mod over_redis;
mod race;
mod refusals;
mod serve;
mod simulation;
mod wire;

use std::{sync::Arc, time::Duration};

use zt_core::clock::{Clock as _, ManualClock};

use self::wire::Wire;
use super::{Leased, Leasing};
use crate::{
    counter::{
        Adjust, Answer, CellState, Claim, CounterError, CounterStore as _, Extended, Held, HoldId,
        Moment, Purpose, Refused, Reserve, Settle, Settled, Verdict,
    },
    limit::{Limit, Window},
};

const CENT: u64 = 10_000_000;
const DOLLAR: u64 = 100 * CENT;
const MINUTE: Duration = Duration::from_secs(60);

/// An instance: its leases, its wire to the common store, its clock.
struct Instance {
    leased: Leased<Wire>,
    wire: Wire,
    clock: ManualClock,
}

type Claims<'a> = [(&'a Arc<Limit>, &'a str)];

impl Instance {
    fn new(wire: &Wire, clock: &ManualClock, leasing: Leasing) -> Self {
        let wire = wire.another();
        let runtime = tokio::runtime::Handle::current();
        let time = Arc::new(clock.clone());
        Self {
            leased: Leased::new(wire.clone(), leasing, time, runtime).unwrap(),
            wire,
            clock: clock.clone(),
        }
    }

    /// One instance alone, and its store.
    fn alone() -> Self {
        Self::with(Leasing::among(1))
    }

    fn with(leasing: Leasing) -> Self {
        let clock = noon();
        Self::new(&Wire::new(&clock), &clock, leasing)
    }

    fn now(&self) -> Moment {
        Moment::of(&self.clock).unwrap()
    }

    async fn ask(
        &self,
        claims: &Claims<'_>,
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
            expires_in: MINUTE,
            purpose: Purpose::Request,
            now: self.now(),
        };
        change(&mut ask);
        let answer = self.leased.reserve(&ask);
        answer.wait().await
    }

    async fn reserve(&self, claims: &Claims<'_>, cost: u64) -> Result<Held, Refused> {
        match self.ask(claims, cost, |_| ()).await.unwrap() {
            Verdict::Held(held) => Ok(held),
            Verdict::Refused(refused) => Err(refused),
        }
    }

    async fn settle(&self, hold: HoldId, how: Settle) -> Settled {
        self.leased
            .settle(hold, how, self.now())
            .wait()
            .await
            .unwrap()
    }

    async fn extend(&self, hold: HoldId, more: u64) -> Extended {
        let answer = self.leased.extend(hold, more, MINUTE, self.now());
        answer.wait().await.unwrap()
    }

    /// One request from its beginning to its end.
    async fn spend(&self, claims: &Claims<'_>, cost: u64) -> Result<(), Refused> {
        let held = self.reserve(claims, cost).await?;
        assert!(self.settle(held.hold, Settle::ChargeHold).await.counted);
        Ok(())
    }

    /// So that there is a lease.
    async fn warm(&self, claims: &Claims<'_>, cost: u64) {
        self.spend(claims, cost).await.unwrap();
        self.spend(claims, cost).await.unwrap();
        assert!(self.leased.leases() > 0, "there is a lease");
        self.rest().await;
    }

    async fn state(&self, limit: &Arc<Limit>, subject: &str) -> CellState {
        let claim = Claim { limit, subject };
        let store = self.wire.store();
        let states = store
            .read("acme", &[claim], self.now())
            .wait()
            .await
            .unwrap();
        states.into_iter().next().unwrap()
    }

    async fn adjust(&self, limit: &Arc<Limit>, subject: &str, how: &Adjust) -> CellState {
        let claim = Claim { limit, subject };
        let answer = self.leased.adjust("acme", claim, how, self.now());
        answer.wait().await.unwrap()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.rest().await;
    }

    /// Until nothing moves any more.
    async fn rest(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// The trips that `what` takes.
    async fn trips<T>(&self, what: impl Future<Output = T>) -> (u64, T) {
        let before = self.wire.trips();
        let done = what.await;
        (self.wire.trips() - before, done)
    }
}

fn budget(name: &str, nanos: u64, window: Window) -> Arc<Limit> {
    let amount = crate::Cost::from_nanos(nanos, crate::cost::Currency::USD);
    Arc::new(Limit::budget(name, amount, window).unwrap())
}

fn day(name: &str, dollars: u64) -> Arc<Limit> {
    budget(name, dollars * DOLLAR, Window::day())
}

/// Noon: the manual clock begins at midnight, where nothing is leased.
fn noon() -> ManualClock {
    let clock = ManualClock::default();
    clock.advance(Duration::from_secs(43_200));
    clock
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn monotonic(clock: &ManualClock) -> Duration {
    clock.monotonic()
}
