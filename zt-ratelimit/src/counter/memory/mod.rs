//! Counters in this process: [`MemoryCounters`] says what they keep.
//!
//! An `engine` is shards behind locks; a `shard` is a `table` of cells and the `holds` over them; a
//! `cell` is one limit of one subject, and `spending` the windows of a budget. The steps of a shard
//! are `reserve`, `settle` and `admin`.

mod admin;
mod bounds;
mod cell;
mod engine;
mod holds;
mod reserve;
mod settle;
mod shard;
mod slab;
mod snapshot;
mod spending;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use self::{
    bounds::MemoryBounds,
    snapshot::{Snapshot, SnapshotError},
};
use self::{
    engine::{Engine, SHARDS},
    shard::Shard,
};
use super::{
    Adjust, Answer, CellState, Claim, CounterStore, Expired, Extended, HoldId, HoldState, Moment,
    Reserve, Settle, Settled, Verdict,
};

/// Counters in this process: exact, bounded, and of no use to a second process.
///
/// Every root lives in one of 64 shards, found by a hash under a secret of the process, and every
/// step takes the lock of that shard once. All checks come before all writes, so a step that
/// refuses, or finds no room, has changed nothing.
///
/// # What holds besides the contract
///
/// 1. Memory stays within [`MemoryBounds`]. Where it is full, a subject that was never seen takes
///    the place of one that is *as good as fresh*: with no holds, a window that is over or in which
///    nothing was spent, a rate that is whole, no permit in use, and nothing that an administrator
///    set. Whoever is throttled, or has spent, is never forgotten; where nobody can be,
///    [`CounterError::Full`](super::CounterError::Full).
/// 2. A request that is refused leaves nothing behind: names that strangers make up take no room
///    where a limit of theirs refuses them.
/// 3. No task in the background is needed: each reservation charges a few holds that have ended,
///    and all of them before it refuses.
/// 4. The wall clock is followed forwards. What was counted in a window is not counted anew because
///    the clock goes back, also where the subject was forgotten in between.
/// 5. A limit of the same name with another window goes on with what the current window has spent
///    and holds: a new policy is no new budget.
/// 6. At the bound of holds, those that ended give way before their grace is over, and are then not
///    told of: their money stays spent.
/// 7. The name of a hold has a part that the process drew, so that one of an earlier process is
///    foreign. It is no secret, and is not for strangers.
///
/// # Over a restart
///
/// [`snapshot`](Self::snapshot) and [`restored`](Self::restored) carry what was counted over a
/// restart that was planned, and what was held then is charged. After a crash everything since the
/// last [`Snapshot`] is lost, unless somebody charges it from a ledger; where that must not be, use
/// a store in a server.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use zt_core::clock::SystemClock;
/// use zt_ratelimit::{
///     Limit,
///     counter::{Answer, Claim, CounterStore, MemoryCounters, Moment, Purpose, Reserve, Settle, Verdict},
///     limit::Window,
/// };
///
/// let day = Arc::new(Limit::budget("key-day", "5 USD".parse().unwrap(), Window::day()).unwrap());
/// let counters = MemoryCounters::new();
/// let reserve = |cost| counters.reserve(&Reserve {
///     root: "acme",
///     claims: &[Claim { limit: &day, subject: "key-7" }],
///     cost,
///     weight: 1,
///     permits: 1,
///     expires_in: Duration::from_secs(60),
///     purpose: Purpose::Request,
///     now: Moment::of(&SystemClock).unwrap(),
/// });
///
/// let Answer::Now(Ok(Verdict::Held(held))) = reserve(4_000_000_000) else { panic!() };
/// // Four dollars are held, so two more do not fit.
/// assert!(matches!(reserve(2_000_000_000), Answer::Now(Ok(Verdict::Refused(_)))));
/// let now = Moment::of(&SystemClock).unwrap();
/// let Answer::Now(Ok(settled)) = counters.settle(held.hold, Settle::Charge(1_000_000_000), now)
/// else { panic!() };
/// assert_eq!(settled.budgets[0].spent, 1_000_000_000);
/// assert!(matches!(reserve(2_000_000_000), Answer::Now(Ok(Verdict::Held(_)))));
/// ```
///
/// What it does not do: it knows nothing of other processes, and it does not write itself down.
///
/// Clones share their contents.
#[derive(Clone)]
pub struct MemoryCounters(Arc<Engine<Mutex<Shard>>>);

impl MemoryCounters {
    /// Nothing counted yet, within the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bounds(MemoryBounds::default())
    }

    /// Nothing counted yet, within `bounds`.
    #[must_use]
    pub fn with_bounds(bounds: MemoryBounds) -> Self {
        Self(Arc::new(Engine::new(bounds, SHARDS)))
    }

    /// Everything that is counted now, to be [written down](Snapshot::write).
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        self.0.snapshot(now)
    }

    /// Counters that go on from `snapshot`; what was held then is charged.
    ///
    /// # Errors
    ///
    /// When the snapshot contradicts itself, is of another version, or does not fit into `bounds`.
    pub fn restored(
        bounds: MemoryBounds,
        snapshot: &Snapshot,
        now: Moment,
    ) -> Result<Self, SnapshotError> {
        let counters = Self::with_bounds(bounds);
        counters.0.restore(snapshot, now)?;
        Ok(counters)
    }

    /// The bytes that are in use for what is counted, without holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.room().bytes()
    }

    /// The holds that have not been settled, and those that ended and can still be corrected.
    #[must_use]
    pub fn live_holds(&self) -> usize {
        self.0.room().holds()
    }
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryCounters").field(&self.0).finish()
    }
}

impl CounterStore for MemoryCounters {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        Answer::Now(self.0.reserve(ask))
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        Answer::Now(self.0.extend(hold, more, expires_in, now))
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        Answer::Now(Ok(self.0.settle(hold, how, now)))
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        Answer::Now(self.0.read(root, claims, now))
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        Answer::Now(self.0.adjust(root, claim, how, now))
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        Answer::Now(self.0.holds(root, claim, at_most, now))
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        Answer::Now(Ok(self.0.expire(at_most, now)))
    }
}
