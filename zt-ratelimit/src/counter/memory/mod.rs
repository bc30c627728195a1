//! Counters in this process.

mod admin;
mod bounds;
mod cell;
mod engine;
mod holds;
mod reserve;
mod settle;
mod shard;
mod slab;
mod spending;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use self::bounds::MemoryBounds;
use self::{
    engine::{Engine, SHARDS},
    shard::Shard,
};
use super::{
    Adjust, Answer, CellState, Claim, CounterStore, Expired, Extended, HoldId, HoldState, Moment,
    Reserve, Settle, Settled, Verdict,
};

/// Counters in this process's memory: the default, gone when the process is, unless they are
/// written down. Clones share their contents.
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
