//! One limit of one subject.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use zt_core::clock::Timestamp;

use super::{spending::Spending, table::Link};
use crate::{
    counter::{
        Adjust, CellState, CounterError, MAX_GRANTS, Purpose, Standing, check_subject, gcra,
    },
    limit::{Kind, Limit, MAX_NANOS, Rate},
};

/// The time of a step, as cells count it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) wall: Timestamp,
    /// Nanoseconds of the monotonic clock.
    pub(super) nanos: u64,
}

/// What a request needs of each kind of limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) cost: u64,
    pub(super) weight: u64,
    pub(super) permits: u32,
}

pub(super) struct Cell {
    /// As last seen.
    pub(super) limit: Arc<Limit>,
    /// `None` where it is the root.
    pub(super) subject: Option<Box<str>>,
    pub(super) root: u32,
    pub(super) link: Link,
    /// How many holds refer to it.
    pub(super) holds: u32,
    pub(super) meter: Meter,
}

/// What is counted, and what an administrator has changed.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    pub(super) count: Count,
    pub(super) adjusted: Option<Box<Adjusted>>,
}

#[derive(Debug, Clone)]
pub(super) enum Count {
    /// The theoretical arrival time, in nanoseconds of the monotonic clock.
    Rate(u64),
    Budget(Spending),
    Permits(u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Adjusted {
    pub(super) set: Option<(u64, Option<Timestamp>)>,
    pub(super) grants: SmallVec<[Grant; 1]>,
}

#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) name: Arc<str>,
    pub(super) amount: u64,
    pub(super) until: Timestamp,
}

impl Cell {
    /// Brings the cell to `limit` and to `at`.
    #[inline]
    pub(super) fn turn(&mut self, limit: &Arc<Limit>, at: At) -> Result<(), CounterError> {
        if !Arc::ptr_eq(&self.limit, limit) {
            self.meter.suit(&self.limit, limit, at)?;
            self.limit = Arc::clone(limit);
        }
        self.meter.turn(limit, at, self.holds > 0)
    }

    /// Whether it says nothing that a cell made anew would not say.
    pub(super) fn is_fresh(&self, at: At) -> bool {
        self.holds == 0 && self.meter.is_fresh(at)
    }
}

impl Cell {
    /// A hold that referred to it has gone.
    #[inline]
    pub(super) fn let_go(&mut self) {
        self.holds = self.holds.saturating_sub(1);
        if self.holds == 0
            && let Count::Budget(spending) = &mut self.meter.count
        {
            spending.unpin();
        }
    }

    /// Takes what `need` asks for, which fits, or the limit refuses nobody, for a hold; the window
    /// that has admitted it.
    #[inline]
    pub(super) fn take(&mut self, need: Need, purpose: Purpose, at: At) -> u32 {
        self.holds += 1;
        match &mut self.meter.count {
            Count::Rate(_) => self.spend(need, at),
            Count::Budget(spending) => {
                spending.hold(need.cost, purpose);
                return spending.number();
            }
            Count::Permits(used) => *used = used.saturating_add(need.permits.into()),
        }
        0
    }

    /// Takes units of a rate.
    #[inline]
    pub(super) fn spend(&mut self, need: Need, at: At) {
        let limit = self.meter.limit(&self.limit, at.wall);
        if let (Count::Rate(tat), Kind::Rate(rate)) = (&mut self.meter.count, self.limit.kind())
            && let Some(rate) = bounded(*rate, limit)
            && let Ok(next) = gcra::admit(rate, *tat, at.nanos, need.weight)
        {
            *tat = next;
        }
    }

    /// Brings the cell to `at`, under the limit that it has. Where the calendar has come to its end
    /// the window stays the one that it is.
    #[inline]
    pub(super) fn turn_as_is(&mut self, at: At) {
        let _ = self.meter.turn(&self.limit, at, self.holds > 0);
    }
}

impl Meter {
    pub(super) const fn is_rolling(&self) -> bool {
        match &self.count {
            Count::Budget(spending) => spending.is_rolling(),
            _ => false,
        }
    }

    pub(super) fn new(limit: &Limit, at: At) -> Result<Self, CounterError> {
        let count = match limit.kind() {
            Kind::Rate(_) => Count::Rate(0),
            Kind::Budget(budget) => Count::Budget(Spending::new(budget.window(), at.wall)?),
            Kind::Concurrency(_) => Count::Permits(0),
        };
        Ok(Self {
            count,
            adjusted: None,
        })
    }

    /// Whether what `old` counted can go on under `new`.
    fn suit(&mut self, old: &Limit, new: &Limit, at: At) -> Result<(), CounterError> {
        match (&mut self.count, new.kind()) {
            (Count::Rate(_), Kind::Rate(_)) | (Count::Permits(_), Kind::Concurrency(_)) => Ok(()),
            (Count::Budget(spending), Kind::Budget(budget)) => {
                let was = old.as_budget();
                if was.is_none_or(|was| was.currency() != budget.currency()) {
                    return Err(CounterError::Invalid("the limit is in another currency"));
                }
                if was.is_none_or(|was| was.window() != budget.window()) {
                    spending.reshape(budget.window(), at.wall)?;
                }
                Ok(())
            }
            _ => Err(CounterError::Invalid("the limit is of another kind")),
        }
    }

    #[inline]
    fn turn(&mut self, limit: &Limit, at: At, pinned: bool) -> Result<(), CounterError> {
        match (&mut self.count, limit.kind()) {
            (Count::Budget(spending), Kind::Budget(budget)) => {
                spending.turn(budget.window(), at.wall, pinned)
            }
            _ => Ok(()),
        }
    }

    fn is_fresh(&self, at: At) -> bool {
        let adjusted = self
            .adjusted
            .as_ref()
            .is_some_and(|adjusted| adjusted.holds_at(at.wall));
        !adjusted
            && match &self.count {
                Count::Rate(tat) => *tat <= at.nanos,
                Count::Budget(spending) => spending.is_fresh(at.wall),
                Count::Permits(used) => *used == 0,
            }
    }

    /// The limit that holds: nano-units, the burst, or permits.
    #[inline]
    pub(super) fn limit(&self, policy: &Limit, wall: Timestamp) -> u64 {
        let own = policy_of(policy);
        let Some(adjusted) = &self.adjusted else {
            return own;
        };
        adjusted.limit(own, wall).min(largest(policy).max(own))
    }

    /// Whether `need` fits.
    #[inline]
    pub(super) fn fits(&self, policy: &Limit, need: Need, at: At) -> bool {
        let limit = self.limit(policy, at.wall);
        match (&self.count, policy.kind()) {
            (Count::Rate(tat), Kind::Rate(rate)) => bounded(*rate, limit)
                .is_some_and(|rate| gcra::admit(rate, *tat, at.nanos, need.weight).is_ok()),
            (Count::Budget(spending), Kind::Budget(_)) => fits(spending.used(), need.cost, limit),
            (Count::Permits(used), Kind::Concurrency(_)) => fits(*used, need.permits.into(), limit),
            _ => false,
        }
    }

    /// Where it stands; `violated` where `need` does not fit.
    // One that is returned in memory would be read back before it has settled there.
    #[inline(always)]
    pub(super) fn standing(&self, policy: &Limit, need: Need, violated: bool, at: At) -> Standing {
        let limit = self.limit(policy, at.wall);
        let (remaining, more_in) = match (&self.count, policy.kind()) {
            (Count::Rate(tat), Kind::Rate(rate)) => {
                rate_standing(*rate, limit, *tat, need.weight, violated, at)
            }
            (Count::Budget(spending), Kind::Budget(budget)) => {
                let more_in = match violated {
                    _ if budget.window().is_total() => None,
                    true if need.cost > limit => None,
                    _ => Some(spending.more_in(at.wall, limit, violated.then_some(need.cost))),
                };
                (limit.saturating_sub(spending.used()), more_in)
            }
            (Count::Permits(used), _) => {
                let more_in = match violated {
                    true if u64::from(need.permits) > limit => None,
                    false if *used == 0 => Some(Duration::ZERO),
                    _ => Some(PERMIT_WAIT),
                };
                (limit.saturating_sub(*used), more_in)
            }
            _ => (0, None),
        };
        Standing {
            limit,
            remaining,
            more_in,
        }
    }

    pub(super) fn state(&self, policy: &Limit, at: At) -> CellState {
        let limit = self.limit(policy, at.wall);
        let mut state = CellState {
            limit,
            policy: policy_of(policy),
            spent: 0,
            held: 0,
            leased: 0,
            span: None,
            set: None,
            grants: Vec::new(),
        };
        match (&self.count, policy.kind()) {
            (Count::Rate(tat), Kind::Rate(rate)) => {
                let used = tat.saturating_sub(at.nanos);
                state.spent = used.div_ceil(rate.interval_nanos().max(1));
            }
            (Count::Budget(spending), _) => {
                state.spent = spending.spent;
                state.held = spending.held;
                state.leased = spending.leased;
                state.span = Some(spending.span);
            }
            (Count::Permits(used), _) => state.held = *used,
            _ => {}
        }
        if let Some(adjusted) = &self.adjusted {
            state.set = adjusted.set.filter(|(_, until)| lasts(*until, at.wall));
            state.grants = adjusted
                .grants
                .iter()
                .filter(|grant| at.wall < grant.until)
                .map(|grant| (Arc::clone(&grant.name), grant.amount, grant.until))
                .collect();
        }
        state
    }

    pub(super) fn adjust(
        &mut self,
        policy: &Limit,
        how: &Adjust,
        wall: Timestamp,
    ) -> Result<(), CounterError> {
        let largest = largest(policy);
        let counts = |amount: u64| {
            if amount > largest {
                return Err(CounterError::Invalid("it is more than can be counted"));
            }
            Ok(())
        };
        match how {
            Adjust::Override { limit, until } => {
                counts(*limit)?;
                self.adjusted.get_or_insert_default().set = Some((*limit, *until));
            }
            Adjust::ClearOverride => {
                if let Some(adjusted) = &mut self.adjusted {
                    adjusted.set = None;
                }
            }
            Adjust::Grant {
                name,
                amount,
                until,
            } => {
                counts(*amount)?;
                check_subject(name)?;
                let grant = Grant {
                    name: Arc::clone(name),
                    amount: *amount,
                    until: *until,
                };
                self.adjusted.get_or_insert_default().grant(grant, wall)?;
            }
            Adjust::Revoke { name } => {
                if let Some(adjusted) = &mut self.adjusted {
                    adjusted.grants.retain(|grant| grant.name != *name);
                }
            }
            Adjust::Reset => match &mut self.count {
                Count::Rate(tat) => *tat = 0,
                Count::Budget(spending) => spending.reset(),
                Count::Permits(_) => {}
            },
            Adjust::Charge { nanos } => match &mut self.count {
                Count::Budget(spending) => {
                    counts(*nanos)?;
                    spending.spend(*nanos);
                }
                _ => return Err(CounterError::Invalid("only budgets are charged")),
            },
        }
        if self
            .adjusted
            .as_ref()
            .is_some_and(|adjusted| !adjusted.holds_at(wall))
        {
            self.adjusted = None;
        }
        Ok(())
    }
}

impl Adjusted {
    fn limit(&self, own: u64, wall: Timestamp) -> u64 {
        let set = self.set.filter(|(_, until)| lasts(*until, wall));
        self.grants
            .iter()
            .filter(|grant| wall < grant.until)
            .fold(set.map_or(own, |(limit, _)| limit), |sum, grant| {
                sum.saturating_add(grant.amount)
            })
    }

    fn holds_at(&self, wall: Timestamp) -> bool {
        self.set.is_some_and(|(_, until)| lasts(until, wall))
            || self.grants.iter().any(|grant| wall < grant.until)
    }

    fn grant(&mut self, grant: Grant, wall: Timestamp) -> Result<(), CounterError> {
        self.grants
            .retain(|other| wall < other.until && other.name != grant.name);
        if self.grants.len() >= MAX_GRANTS {
            return Err(CounterError::Invalid("it has too many grants"));
        }
        self.grants.push(grant);
        Ok(())
    }
}

/// Whether `need` more than `used` is within `limit`.
pub(super) fn fits(used: u64, need: u64, limit: u64) -> bool {
    used.checked_add(need).is_some_and(|sum| sum <= limit)
}

#[inline]
fn rate_standing(
    rate: Rate,
    burst: u64,
    tat: u64,
    weight: u64,
    violated: bool,
    at: At,
) -> (u64, Option<Duration>) {
    let Some(rate) = bounded(rate, burst) else {
        return (0, None);
    };
    let (remaining, more_in) = gcra::left(rate, tat, at.nanos);
    if !violated {
        return (remaining, Some(more_in));
    }
    match gcra::admit(rate, tat, at.nanos, weight) {
        Err(gcra::Wait::For(nanos)) => (remaining, Some(Duration::from_nanos(nanos))),
        _ => (remaining, None),
    }
}

/// `rate` with another burst, where it is another one.
fn bounded(rate: Rate, burst: u64) -> Option<Rate> {
    if burst == rate.burst_size() {
        return Some(rate);
    }
    rate.with_burst(burst).ok()
}

fn policy_of(limit: &Limit) -> u64 {
    match limit.kind() {
        Kind::Rate(rate) => rate.burst_size(),
        Kind::Budget(budget) => budget.amount().nanos(),
        Kind::Concurrency(concurrency) => concurrency.permits().into(),
    }
}

/// What the limit may be set to.
fn largest(limit: &Limit) -> u64 {
    match limit.kind() {
        Kind::Budget(_) => MAX_NANOS,
        Kind::Rate(rate) => MAX_RATE_NANOS / rate.interval_nanos().max(1),
        Kind::Concurrency(_) => u32::MAX.into(),
    }
}

fn lasts(until: Option<Timestamp>, wall: Timestamp) -> bool {
    until.is_none_or(|until| wall < until)
}

/// When it may be worth asking for a permit again: nobody knows when one comes back.
const PERMIT_WAIT: Duration = Duration::from_secs(1);

/// A burst comes back within 366 days.
const MAX_RATE_NANOS: u64 = 366 * 86_400 * 1_000_000_000;
