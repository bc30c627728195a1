//! What every [`CounterStore`] must do, as tests that a store of your own runs in one line:
//!
//! ```
//! use std::sync::Arc;
//! use zt_ratelimit::counter::{MemoryCounters, conformance::{self, ManualHarness}};
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() {
//! conformance::run(&ManualHarness::new(|_| Arc::new(MemoryCounters::new()))).await;
//! # }
//! ```
//!
//! A store that lives in a server implements [`Harness`] instead, and waits where a manual clock
//! moves. Run the suite on a runtime with several threads, or its races are none.
//!
//! Every case panics where the store does not do what it must.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod adjust;
mod ends;
mod races;
mod reserve;
mod settle;
#[cfg(test)]
mod tests;
mod windows;

use std::{fmt, sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock, ManualClock},
    store::BoxFuture,
};

pub use self::{adjust::*, ends::*, races::*, reserve::*, settle::*, windows::*};
use super::{
    Adjust, CellState, Claim, CounterError, CounterStore, Expired, Extended, Held, HoldId, Marks,
    Moment, Purpose, Refused, Reserve, Settle, Settled, Verdict,
};
use crate::limit::{Limit, Window};

/// What the suite needs to know about a kind of store.
pub trait Harness: Send + Sync {
    /// A store that has counted nothing, and that no other case uses.
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn CounterStore>>;

    /// What the store takes the time to be, near enough.
    fn now(&self) -> Moment;

    /// Lets at least `span` pass, and not much more.
    fn pass(&self, span: Duration) -> BoxFuture<'_, ()>;

    /// A span that the store can tell from none, whatever the machine does meanwhile: a second for
    /// a manual clock, some hundred milliseconds for a server. No less than a millisecond.
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// The longest that [`pass`](Self::pass) is ready to wait; cases that need more are left out.
    fn patience(&self) -> Duration {
        Duration::MAX
    }

    /// How long a hold of these stores can be corrected after it has ended: some units at least.
    fn grace(&self) -> Duration;
}

/// A [`Harness`] for stores that follow the moments that they are given.
pub struct ManualHarness<F> {
    clock: ManualClock,
    make: F,
    grace: Duration,
}

impl<F: Fn(ManualClock) -> Arc<dyn CounterStore> + Send + Sync> ManualHarness<F> {
    /// `make` gives a fresh store; one with a clock of its own uses that clock.
    pub fn new(make: F) -> Self {
        Self {
            clock: ManualClock::default(),
            make,
            grace: super::MemoryBounds::default().grace,
        }
    }

    /// For a store with another grace period than ten minutes.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }
}

impl<F> fmt::Debug for ManualHarness<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualHarness")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(ManualClock) -> Arc<dyn CounterStore> + Send + Sync> Harness for ManualHarness<F> {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn CounterStore>> {
        Box::pin(std::future::ready((self.make)(self.clock.clone())))
    }

    fn now(&self) -> Moment {
        Moment::of(&self.clock as &dyn Clock).unwrap()
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(span);
        Box::pin(std::future::ready(()))
    }

    fn grace(&self) -> Duration {
        self.grace
    }
}

/// Runs every case.
///
/// # Panics
///
/// Where the store does not do what it must.
pub async fn run(harness: &dyn Harness) {
    nothing_is_counted_at_first(harness).await;
    all_is_held_or_nothing(harness).await;
    a_budget_is_held_to_the_last_nano_unit(harness).await;
    a_refusal_says_why_and_until_when(harness).await;
    what_breaks_the_rules_of_a_reservation_is_invalid(harness).await;
    a_limit_of_another_kind_or_currency_is_invalid(harness).await;
    roots_and_subjects_are_counted_apart(harness).await;
    a_limit_of_another_size_goes_on_from_what_was_spent(harness).await;
    shadow_limits_count_and_refuse_nobody(harness).await;
    leases_are_counted_beside_requests(harness).await;
    holds_are_listed_oldest_first(harness).await;

    a_settlement_charges_what_was_spent(harness).await;
    more_than_was_held_is_charged_and_stops_admission(harness).await;
    a_settlement_counts_once(harness).await;
    a_hold_that_nobody_made_is_not_settled(harness).await;
    permits_come_back_and_units_of_a_rate_do_not(harness).await;
    thresholds_are_crossed_once(harness).await;
    an_extension_fits_or_changes_nothing(harness).await;
    an_extension_is_refused_by_the_limit_of_its_own_tier(harness).await;

    a_hold_that_ends_is_charged_and_told_of_once(harness).await;
    a_late_settlement_corrects_what_was_charged(harness).await;
    a_settlement_after_the_grace_does_not_count(harness).await;
    an_extension_keeps_a_hold_alive(harness).await;
    a_hold_that_ended_is_taken_up_again(harness).await;

    a_rate_comes_back_with_time(harness).await;
    a_total_never_comes_back(harness).await;
    a_rolling_window_gives_back_what_has_left_it(harness).await;
    a_calendar_window_begins_anew(harness).await;
    money_belongs_to_the_window_that_admitted_it(harness).await;
    a_hold_lives_on_after_its_window(harness).await;

    a_limit_is_set_and_cleared(harness).await;
    a_lowered_limit_admits_nothing_until_usage_is_below(harness).await;
    grants_add_up_and_end(harness).await;
    a_reset_forgets_what_is_spent_and_not_what_is_held(harness).await;
    a_reset_is_not_given_back_by_a_late_settlement(harness).await;
    a_charge_from_outside_counts(harness).await;
    adjustments_that_cannot_be_are_invalid(harness).await;

    concurrent_reservations_fill_a_budget_exactly(harness).await;
    concurrent_settlements_of_a_hold_count_once(harness).await;
    what_was_charged_adds_up(harness).await;
}

/// A tenth of a unit of money, in nano-units.
const DIME: u64 = 100_000_000;

/// For holds that do not end within a case.
const LONG: Duration = Duration::from_secs(3600);

/// A case with its store.
struct Case<'a> {
    store: Arc<dyn CounterStore>,
    harness: &'a dyn Harness,
}

/// Limits, and whose.
type Claims<'a> = &'a [(&'a Arc<Limit>, &'a str)];

impl<'a> Case<'a> {
    async fn new(harness: &'a dyn Harness) -> Self {
        Self {
            store: harness.fresh().await,
            harness,
        }
    }

    async fn ask(
        &self,
        claims: Claims<'_>,
        change: impl FnOnce(&mut Reserve<'_>) + Send,
    ) -> Result<Verdict, CounterError> {
        let claims = to_claims(claims);
        let answer = {
            let mut ask = Reserve {
                root: "acme",
                claims: &claims,
                cost: 0,
                weight: 1,
                permits: 1,
                expires_in: LONG,
                purpose: Purpose::Request,
                now: self.harness.now(),
            };
            change(&mut ask);
            self.store.reserve(&ask)
        };
        answer.wait().await
    }

    async fn held_for(&self, claims: Claims<'_>, cost: u64, life: Duration) -> Held {
        let verdict = self.ask(claims, |ask| {
            (ask.cost, ask.expires_in) = (cost, life);
        });
        match verdict.await.unwrap() {
            Verdict::Held(held) => held,
            Verdict::Refused(refused) => panic_with("it was refused", &refused),
        }
    }

    async fn held(&self, claims: Claims<'_>, cost: u64) -> Held {
        self.held_for(claims, cost, LONG).await
    }

    async fn refused(&self, claims: Claims<'_>, cost: u64) -> Refused {
        match self.ask(claims, |ask| ask.cost = cost).await.unwrap() {
            Verdict::Refused(refused) => refused,
            Verdict::Held(held) => panic_with("it was held", &held),
        }
    }

    async fn settle(&self, hold: HoldId, how: Settle) -> Settled {
        let answer = self.store.settle(hold, how, self.harness.now());
        answer.wait().await.unwrap()
    }

    async fn extend(&self, hold: HoldId, more: u64, life: Duration) -> Extended {
        let answer = self.store.extend(hold, more, life, self.harness.now());
        answer.wait().await.unwrap()
    }

    async fn read(&self, limit: &Arc<Limit>, subject: &str) -> CellState {
        let answer = self
            .store
            .read("acme", &[Claim { limit, subject }], self.harness.now());
        answer.wait().await.unwrap().remove(0)
    }

    /// What is spent, what requests hold and what leases hold.
    async fn usage(&self, limit: &Arc<Limit>, subject: &str) -> (u64, u64, u64) {
        let state = self.read(limit, subject).await;
        (state.spent, state.held, state.leased)
    }

    async fn adjust(
        &self,
        limit: &Arc<Limit>,
        subject: &str,
        how: Adjust,
    ) -> Result<CellState, CounterError> {
        let claim = Claim { limit, subject };
        let answer = self.store.adjust("acme", claim, &how, self.harness.now());
        answer.wait().await
    }

    /// All holds that have ended, told of in twos.
    async fn expired(&self) -> Vec<Expired> {
        let mut all = Vec::new();
        loop {
            let some = self
                .store
                .expire(2, self.harness.now())
                .wait()
                .await
                .unwrap();
            assert!(some.len() <= 2, "it told of more than it was asked for");
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    async fn pass(&self, units: u32) {
        self.harness.pass(self.harness.unit() * units).await;
    }

    fn units(&self, units: u32) -> Duration {
        self.harness.unit() * units
    }

    /// Whether the harness waits that long.
    fn waits(&self, span: Duration) -> bool {
        span <= self.harness.patience()
    }
}

#[expect(clippy::panic, reason = "a failed test panics")]
fn panic_with(what: &str, value: &dyn fmt::Debug) -> ! {
    panic!("{what}: {value:?}");
}

fn to_claims<'a>(claims: Claims<'a>) -> Vec<Claim<'a>> {
    let claim = |(limit, subject): &(&'a Arc<Limit>, &'a str)| Claim { limit, subject };
    claims.iter().map(claim).collect()
}

fn places(marks: Marks) -> Vec<usize> {
    marks.places().collect()
}

fn budget(name: &str, dimes: u64, window: Window) -> Arc<Limit> {
    Arc::new(plain_budget(name, dimes, window))
}

fn plain_budget(name: &str, dimes: u64, window: Window) -> Limit {
    let amount = crate::cost::Cost::from_nanos(dimes * DIME, crate::cost::Currency::USD);
    Limit::budget(name, amount, window).unwrap()
}

/// A budget that no case outlives.
fn total(name: &str, dimes: u64) -> Arc<Limit> {
    budget(name, dimes, Window::total())
}

fn rate(name: &str, burst: u64, interval: Duration) -> Arc<Limit> {
    let limit = Limit::rate(name, 1, interval).and_then(|limit| limit.burst(burst));
    Arc::new(limit.unwrap())
}

fn seats(name: &str, permits: u32) -> Arc<Limit> {
    Arc::new(Limit::concurrency(name, permits).unwrap())
}
