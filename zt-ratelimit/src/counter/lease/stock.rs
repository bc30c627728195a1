//! The local division: what the store gave to this instance, divided among requests.
//!
//! Nothing in here waits, asks a store or reads a clock. The owner holds a lock around it.

use std::time::Duration;

use smallvec::SmallVec;
use zt_core::clock::Timestamp;

use super::{holds::Holds, opens::Open};
use crate::{
    counter::{HoldId, Marks, Moment, Settle},
    limit::Span,
};

/// What a request wants. What no limit of its path counts is zero, but for the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) cost: u64,
    pub(super) weight: u64,
    pub(super) permits: u32,
}

/// Which kinds of limits a path has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kinds {
    pub(super) budgets: bool,
    pub(super) rates: bool,
    pub(super) concurrency: bool,
}

/// What is missing to serve a request from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Short {
    /// No lease may be served from.
    pub(super) lease: bool,
    pub(super) money: bool,
    pub(super) units: bool,
    pub(super) permits: bool,
}

/// One hold of the store, with what is left of it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: HoldId,
    /// Names it among those of its path.
    pub(super) number: u32,
    /// What the store is known to hold.
    pub(super) granted: u64,
    /// What requests were charged.
    pub(super) charged: u64,
    /// What they hold.
    pub(super) out: u64,
    pub(super) permits: u32,
    pub(super) permits_out: u32,
    /// How many local holds may still be settled.
    pub(super) live: u32,
    /// When it was asked for.
    pub(super) born: Duration,
    /// Nothing is served from then on; before the store's own end of it.
    pub(super) deadline: Duration,
    /// When requests are served, by the wall clock: the windows that admitted it, less a margin.
    pub(super) window: Span,
    /// The window of each budget, in their order.
    pub(super) spans: SmallVec<[Span; 4]>,
    pub(super) would_refuse: Marks,
    /// Nothing is served any more; it goes back when its holds have ended.
    pub(super) retired: bool,
    pub(super) renewing: bool,
    pub(super) open: Open,
}

impl Lease {
    fn serves(&self, now: Moment) -> bool {
        !self.retired && now.monotonic < self.deadline && self.window.contains(now.wall)
    }

    /// The money that nobody holds.
    pub(super) const fn free(&self) -> u64 {
        let used = self.charged.saturating_add(self.out);
        self.granted.saturating_sub(used)
    }
}

/// A lease that goes back to the store.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) id: HoldId,
    pub(super) charged: u64,
    pub(super) open: Open,
}

impl From<Lease> for Finish {
    fn from(lease: Lease) -> Self {
        Self {
            id: lease.id,
            charged: lease.charged,
            open: lease.open,
        }
    }
}

pub(super) type Finishes = SmallVec<[Finish; 1]>;

/// Units of rates that were taken ahead; what is left at the end of their life is lost.
#[derive(Debug, Clone, Copy, Default)]
struct Batch {
    left: u64,
    until: Duration,
}

impl Batch {
    const fn at(self, now: Duration) -> u64 {
        if now.as_nanos() < self.until.as_nanos() {
            self.left
        } else {
            0
        }
    }
}

/// What was taken for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) slot: u32,
    pub(super) serial: u64,
    pub(super) would_refuse: Marks,
}

/// What ended with a local hold.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) held: u64,
    pub(super) charged: u64,
    pub(super) spans: SmallVec<[Span; 4]>,
    /// The lease, where this was its last.
    pub(super) finish: Option<Finish>,
    /// Whether something is there for others now.
    pub(super) freed: bool,
}

/// Why a local hold cannot grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// There is no such hold.
    Gone,
    /// Its lease has not enough, or has to be renewed first.
    Short { lease: HoldId, number: u32 },
}

#[derive(Debug)]
pub(super) struct Stock {
    kinds: Kinds,
    leases: SmallVec<[Lease; 2]>,
    holds: Holds,
    /// The older first.
    units: [Batch; 2],
    numbers: u32,
}

/// More are not kept for one path.
pub(super) const MAX_LEASES: usize = 4;

impl Stock {
    pub(super) fn new(kinds: Kinds, serial: u64) -> Self {
        Self {
            kinds,
            leases: SmallVec::new(),
            holds: Holds::new(serial),
            units: [Batch {
                left: 0,
                until: Duration::ZERO,
            }; 2],
            numbers: 0,
        }
    }

    /// Holds what is needed until `until`, or nothing.
    pub(super) fn take(
        &mut self,
        need: Need,
        until: Duration,
        now: Moment,
    ) -> Result<Taken, Short> {
        let mut short = Short {
            lease: true,
            money: self.kinds.budgets,
            units: self.kinds.rates && self.units_left(now.monotonic) < need.weight,
            permits: self.kinds.concurrency,
        };
        let mut found = None;
        // The newest first, so that the older ones come to rest and go back.
        for lease in self.leases.iter_mut().rev().filter(|it| it.serves(now)) {
            let money = self.kinds.budgets && lease.free() < need.cost;
            let permits = lease.permits.saturating_sub(lease.permits_out) < need.permits;
            short.lease = false;
            short.money &= money;
            short.permits &= permits;
            if !money && !permits {
                found = Some(lease);
                break;
            }
        }
        if short.units {
            return Err(short);
        }
        let lease = match found {
            Some(lease) if !self.holds.is_full() => lease,
            _ => return Err(short),
        };
        let (slot, serial) = self.holds.put(lease.number, need.cost, need.permits, until);
        lease.out = lease.out.saturating_add(need.cost);
        lease.permits_out = lease.permits_out.saturating_add(need.permits);
        lease.live = lease.live.saturating_add(1);
        let would_refuse = lease.would_refuse;
        if self.kinds.rates {
            self.take_units(need.weight, now.monotonic);
        }
        Ok(Taken {
            slot,
            serial,
            would_refuse,
        })
    }

    /// Ends a local hold. `None` where there is no such one (any more).
    pub(super) fn settle(&mut self, slot: u32, serial: u64, how: Settle) -> Option<Ended> {
        let hold = self.holds.remove(slot, serial)?;
        let charged = match how {
            Settle::Release => 0,
            Settle::ChargeHold => hold.nanos,
            Settle::Charge(nanos) => nanos,
        };
        let newest = self.leases.last().map(|lease| lease.number);
        let place = self.place(hold.lease)?;
        let lease = self.leases.get_mut(place)?;
        if hold.charged {
            lease.charged = lease.charged.saturating_sub(hold.nanos);
        } else {
            lease.out = lease.out.saturating_sub(hold.nanos);
            lease.permits_out = lease.permits_out.saturating_sub(hold.permits);
        }
        lease.charged = lease.charged.saturating_add(charged);
        lease.live = lease.live.saturating_sub(1);
        // More was spent than the store gave: it shall hear soon.
        lease.retired |= self.kinds.budgets && lease.charged > lease.granted;
        let over = lease.live == 0 && (lease.retired || newest != Some(lease.number));
        let spans = lease.spans.clone();
        Some(Ended {
            held: hold.nanos,
            charged,
            spans,
            finish: over.then(|| self.leases.remove(place).into()),
            freed: charged < hold.nanos || hold.permits > 0,
        })
    }

    /// Makes a local hold larger, and lets it live until `until`: all that it holds.
    pub(super) fn grow(
        &mut self,
        slot: u32,
        serial: u64,
        more: u64,
        until: Duration,
        now: Duration,
    ) -> Result<u64, Stuck> {
        let hold = self.holds.at(slot, serial).ok_or(Stuck::Gone)?;
        // Its money belongs to the window that admitted it, so the end of that one does not matter.
        let lease = self
            .leases
            .iter_mut()
            .find(|lease| lease.number == hold.lease)
            .ok_or(Stuck::Gone)?;
        let short = Stuck::Short {
            lease: lease.id,
            number: lease.number,
        };
        let permits_back = hold.charged && hold.permits > 0;
        if permits_back {
            // They may be another's by now.
            return Err(Stuck::Gone);
        }
        if now >= lease.deadline || (self.kinds.budgets && lease.free() < more) {
            return Err(short);
        }
        if hold.charged {
            lease.charged = lease.charged.saturating_sub(hold.nanos);
            lease.out = lease.out.saturating_add(hold.nanos);
            hold.charged = false;
        }
        lease.out = lease.out.saturating_add(more);
        hold.nanos = hold.nanos.saturating_add(more);
        hold.until = until;
        let nanos = hold.nanos;
        self.holds.look_at(until);
        Ok(nanos)
    }

    /// Takes in a new lease; older ones that nobody uses go back.
    pub(super) fn add(&mut self, mut lease: Lease) -> (u32, Finishes) {
        self.numbers = self.numbers.wrapping_add(1);
        lease.number = self.numbers;
        let finished = self.remove_if(|old| old.live == 0);
        self.leases.push(lease);
        (self.numbers, finished)
    }

    /// Takes in units that were admitted, to be used before `until`.
    pub(super) fn add_units(&mut self, left: u64, until: Duration) {
        let [_, newer] = self.units;
        self.units = [newer, Batch { left, until }];
    }

    /// What the store says it holds for a lease now, and the new end.
    pub(super) fn renewed(&mut self, number: u32, granted: Option<u64>, deadline: Duration) {
        if let Some(lease) = self.lease(number) {
            lease.granted = lease.granted.max(granted.unwrap_or(0));
            lease.deadline = lease.deadline.max(deadline);
            lease.renewing = false;
        }
    }

    /// The renewal of a lease failed; `for_good` where the store does not know it any more.
    pub(super) fn not_renewed(&mut self, number: u32, for_good: bool) -> Finishes {
        if let Some(lease) = self.lease(number) {
            lease.renewing = false;
            lease.retired |= for_good;
        }
        self.remove_if(|lease| lease.retired && lease.live == 0)
    }

    /// Serves nothing more from any lease, and gives back those that nobody uses.
    pub(super) fn retire(&mut self) -> Finishes {
        self.units = [Batch::default(); 2];
        for lease in &mut self.leases {
            lease.retired = true;
        }
        self.surplus()
    }

    /// Gives back the leases that nobody uses.
    pub(super) fn surplus(&mut self) -> Finishes {
        self.remove_if(|lease| lease.live == 0)
    }

    /// Ends what has ended: leases that serve nothing go back.
    pub(super) fn sweep(&mut self, now: Moment, idle: bool, oldest: Duration) -> Finishes {
        for lease in &mut self.leases {
            // A hold that lives on keeps it in the store, and does not let others have more of it.
            lease.retired |= now.monotonic.saturating_sub(lease.born) >= oldest;
            // The deadline alone is not for good: a renewal moves it.
            let window_over = !lease.window.contains(now.wall);
            lease.retired |= idle || window_over;
        }
        self.remove_if(|lease| lease.live == 0 && !lease.serves(now))
    }

    /// Leases with live holds that end within `soon`; they are marked as being renewed.
    pub(super) fn start_renewals(
        &mut self,
        now: Duration,
        soon: Duration,
    ) -> SmallVec<[(u32, HoldId); 1]> {
        self.leases
            .iter_mut()
            .filter(|lease| {
                lease.live > 0 && !lease.renewing && now.saturating_add(soon) >= lease.deadline
            })
            .map(|lease| {
                lease.renewing = true;
                (lease.number, lease.id)
            })
            .collect()
    }

    /// Charges local holds whose time is over, and forgets those that have been charged for
    /// `grace`. `tell` hears what was charged.
    pub(super) fn expire(
        &mut self,
        now: Duration,
        grace: Duration,
        mut tell: impl FnMut(u32, u64, u64, &[Span]),
    ) {
        let leases = &mut self.leases;
        self.holds.expire(now, grace, |slot, hold, forgotten| {
            let Some(lease) = leases.iter_mut().find(|lease| lease.number == hold.lease) else {
                return;
            };
            if forgotten {
                lease.live = lease.live.saturating_sub(1);
            } else {
                lease.out = lease.out.saturating_sub(hold.nanos);
                lease.charged = lease.charged.saturating_add(hold.nanos);
                lease.permits_out = lease.permits_out.saturating_sub(hold.permits);
                tell(slot, hold.serial, hold.nanos, &lease.spans);
            }
        });
    }

    /// The money, units and permits that nobody holds.
    pub(super) fn free(&self, now: Moment) -> Need {
        let mut free = Need {
            cost: 0,
            weight: self.units_left(now.monotonic),
            permits: 0,
        };
        for lease in self.leases.iter().filter(|lease| lease.serves(now)) {
            free.cost = free.cost.saturating_add(lease.free());
            let permits = lease.permits.saturating_sub(lease.permits_out);
            free.permits = free.permits.saturating_add(permits);
        }
        free
    }

    /// The newest lease, if it serves.
    pub(super) fn newest(&self, now: Moment) -> Option<&Lease> {
        self.leases.last().filter(|lease| lease.serves(now))
    }

    pub(super) fn permits_out(&self) -> u32 {
        let out = self.leases.iter().map(|lease| lease.permits_out);
        out.fold(0, u32::saturating_add)
    }

    /// Units, and whether the newest of them are in the last quarter of their `life`.
    pub(super) fn units_are_old(&self, now: Duration, life: Duration) -> bool {
        let [_, newer] = self.units;
        now.saturating_add(life / 4) >= newer.until
    }

    pub(super) fn units_left(&self, now: Duration) -> u64 {
        let [older, newer] = self.units;
        older.at(now).saturating_add(newer.at(now))
    }

    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    pub(super) const fn serial(&self) -> u64 {
        self.holds.serial()
    }

    fn take_units(&mut self, weight: u64, now: Duration) {
        let [older, newer] = &mut self.units;
        let first = older.at(now).min(weight);
        older.left = older.left.saturating_sub(first);
        newer.left = newer.left.saturating_sub(weight.saturating_sub(first));
    }

    fn lease(&mut self, number: u32) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| lease.number == number)
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.leases.iter().position(|lease| lease.number == number)
    }

    fn remove_if(&mut self, mut over: impl FnMut(&Lease) -> bool) -> Finishes {
        let mut finished = Finishes::new();
        let mut place = 0;
        while let Some(lease) = self.leases.get(place) {
            if over(lease) {
                finished.push(self.leases.remove(place).into());
            } else {
                place += 1;
            }
        }
        finished
    }
}

/// The stretch in which requests are served: every budget's window, less `margin` on both sides
/// for clocks that differ. `None` where nothing is left of it, or it is not now.
pub(super) fn serving(spans: &[Span], margin: Duration, now: Timestamp) -> Option<Span> {
    let mut window = Span {
        start: Timestamp::EPOCH,
        end: Timestamp::MAX,
    };
    for span in spans {
        if span.end < Timestamp::MAX {
            window.start = window.start.max(span.start + margin);
            window.end = window.end.min(span.end.saturating_sub(margin));
        }
    }
    window.contains(now).then_some(window)
}
