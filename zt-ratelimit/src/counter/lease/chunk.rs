//! How much is taken at a time.

use std::time::Duration;

use super::{settings::Leasing, stock::Need};

/// What was asked for of late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    since: Duration,
    requests: u64,
    cost: u64,
    weight: u64,
    /// The chunks before, so that one quiet moment does not make them small.
    before: Need,
}

impl Demand {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            since: now,
            requests: 0,
            cost: 0,
            weight: 0,
            before: Need {
                cost: 0,
                weight: 0,
                permits: 0,
            },
        }
    }

    pub(super) const fn add(&mut self, need: Need) {
        self.requests = self.requests.saturating_add(1);
        self.cost = self.cost.saturating_add(need.cost);
        self.weight = self.weight.saturating_add(need.weight);
    }

    pub(super) const fn requests(&self) -> u64 {
        self.requests
    }

    /// The chunks before.
    pub(super) const fn before(&self) -> Need {
        self.before
    }

    /// What would last: money for the interval, units for their life. Counting begins anew.
    pub(super) fn forecast(
        &mut self,
        need: Need,
        out: u32,
        units_live: Duration,
        now: Duration,
        leasing: &Leasing,
    ) -> Need {
        let passed = now.saturating_sub(self.since);
        // A burst of a few requests says little about the next ten seconds.
        let per = |sum: u64, span: Duration, least: u32| {
            let passed = passed.max(span / least).as_nanos().max(1);
            let scaled = u128::from(sum).saturating_mul(span.as_nanos()) / passed;
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let average = (self.cost / self.requests.max(1)).max(need.cost);
        let least = average.saturating_mul(u64::from(leasing.requests));
        let cost = per(self.cost, leasing.interval, 64);
        // A quarter above what was seen, since they cannot be kept for long.
        let weight = per(self.weight, units_live, 16);
        let want = Need {
            cost: cost.max(least).max(self.before.cost / 2),
            weight: weight
                .saturating_add(weight / 4)
                .max(self.before.weight / 2),
            permits: out
                .saturating_add(need.permits)
                .saturating_mul(2)
                .max(MIN_PERMITS),
        };
        if passed >= leasing.interval / 64 {
            *self = Self {
                before: want,
                ..Self::new(now)
            };
        }
        want
    }
}

/// What is left for everybody, of what limits count: bounds a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) cost: u64,
    pub(super) weight: u64,
    pub(super) permits: u64,
}

impl Left {
    /// The chunk, where `need` is not a large part of it.
    pub(super) fn cut(self, want: Need, need: Need, leasing: &Leasing) -> Cut {
        let parts = u64::from(leasing.instances).saturating_mul(2);
        let cost = want.cost.min(self.cost / parts);
        let weight = want.weight.min(self.weight / parts);
        let permits = (self.permits / parts).min(want.permits.into());
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        Cut {
            // Where all cost the same, nothing is left over.
            cost: (cost >= need.cost.saturating_mul(FLOOR))
                .then(|| cost - cost.checked_rem(need.cost).unwrap_or(0)),
            weight: (weight >= need.weight.saturating_mul(FLOOR)).then_some(weight),
            permits: (permits >= need.permits).then_some(permits),
        }
    }
}

/// A chunk; `None` for what is not worth it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) cost: Option<u64>,
    pub(super) weight: Option<u64>,
    pub(super) permits: Option<u32>,
}

/// A chunk serves at least so many requests like the one that asks for it.
const FLOOR: u64 = 4;
const MIN_PERMITS: u32 = 4;
