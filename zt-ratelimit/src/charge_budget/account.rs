use std::time::Duration;

use zt_core::clock::ClockError;

use super::keeping::Keeping;
use crate::{
    cost::{Bill, Cost, CostError, Currency, Price},
    counter::{Answer, CounterError, Extended, Moment},
    limits::{Limits, Reservation},
};

/// What one request has reserved, and how much of it is spent.
///
/// A *claim* is what is about to be spent. Where the hold has room for it, it is granted at once;
/// else the hold is extended first. Claims that are under way at the same time are counted
/// together, so that no two of them rely on the same room.
pub(super) struct Account<G: Keeping> {
    /// `None` once it is settled.
    reservation: Option<Reservation<G>>,
    currency: Currency,
    /// Whether there is a budget in the caller's tier.
    limited: bool,
    /// Spent, in nano-units.
    granted: u64,
    /// Spent or about to be.
    claimed: u64,
    /// Held or asked for.
    asked: u64,
    bill: Bill,
    /// Whether somebody who knows has said what was spent.
    said: bool,
    /// Whether claims tell what was spent.
    pub(super) metered: bool,
    /// When the hold last got its full time.
    renewed: Duration,
}

/// What is about to be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    amount: u64,
    /// What the hold has to be extended by.
    pub(super) more: u64,
}

impl<G: Keeping> Account<G> {
    /// For a request that costs `cost`, where the caller's tier has a budget.
    pub(super) fn open(reservation: Reservation<G>, cost: Cost, now: Duration) -> Self {
        let limited = reservation.held();
        let held = limited.unwrap_or(cost);
        Self {
            reservation: Some(reservation),
            currency: held.currency(),
            limited: limited.is_some(),
            granted: 0,
            claimed: 0,
            asked: held.nanos(),
            bill: Bill::new(held.currency()),
            said: false,
            metered: false,
            renewed: now,
        }
    }

    pub(super) fn held(&self) -> Cost {
        let held = self.reservation.as_ref().and_then(Reservation::held);
        held.unwrap_or(Cost::zero(self.currency))
    }

    /// Notes that so much was spent until now, all in all, as somebody says who knows; what is
    /// claimed from here on comes on top. `false` where the hold has no room for it.
    pub(super) fn say(&mut self, spent: u64) -> bool {
        let under_way = self.claimed.saturating_sub(self.granted);
        self.said = true;
        self.granted = spent;
        self.claimed = spent.saturating_add(under_way);
        let room = self.asked.max(self.held().nanos());
        !G::ENFORCES || !self.limited || self.claimed <= room
    }

    pub(super) const fn is_said(&self) -> bool {
        self.said
    }

    pub(super) const fn currency(&self) -> Currency {
        self.currency
    }

    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }

    pub(super) const fn reservation(&self) -> Option<&Reservation<G>> {
        self.reservation.as_ref()
    }

    pub(super) const fn reservation_mut(&mut self) -> Option<&mut Reservation<G>> {
        self.reservation.as_mut()
    }

    pub(super) fn close(&mut self) -> Option<Reservation<G>> {
        self.reservation.take()
    }

    /// What `units` more cost, all units of the request together being rounded up once.
    pub(super) fn bill(&mut self, price: Price, units: u64) -> Result<u64, CostError> {
        let before = self.bill.total()?;
        self.bill.add(price, units)?;
        Ok(self.bill.total()?.nanos().saturating_sub(before.nanos()))
    }

    /// Claims `amount` nano-units.
    ///
    /// `None` where that is more than can be counted.
    pub(super) fn claim(&mut self, amount: u64) -> Option<Claim> {
        let claimed = self.claimed.checked_add(amount)?;
        let more = match G::ENFORCES && self.limited {
            true => claimed.saturating_sub(self.asked),
            false => 0,
        };
        self.asked = self.asked.checked_add(more)?;
        self.claimed = claimed;
        Some(Claim { amount, more })
    }

    /// It may be spent.
    pub(super) const fn grant(&mut self, claim: Claim) {
        self.granted = self.granted.saturating_add(claim.amount);
    }

    /// It is not.
    pub(super) const fn withdraw(&mut self, claim: Claim) {
        self.claimed = self.claimed.saturating_sub(claim.amount);
        self.asked = self.asked.saturating_sub(claim.more);
    }

    /// Whether a good part of the hold's time has passed.
    pub(super) fn is_stale(&self, limits: &Limits) -> bool {
        let passed = limits.clock().monotonic().saturating_sub(self.renewed);
        passed >= limits.hold_time() / 2
    }

    /// Asks the store for `more` nano-units, and for the hold's full time.
    pub(super) fn extend(
        &mut self,
        more: u64,
        limits: &Limits,
    ) -> Result<Answer<Extended>, ClockError> {
        let now = Moment::of(limits.clock())?;
        self.renewed = now.monotonic;
        let Some(reservation) = &mut self.reservation else {
            return Ok(Answer::Now(Ok(Extended::Gone)));
        };
        Ok(match more {
            0 => reservation.renew(now),
            _ => reservation.extend(Cost::from_nanos(more, self.currency), now),
        })
    }

    /// What became of a claim for which the hold was to be extended.
    pub(super) fn conclude(
        &mut self,
        claim: Claim,
        answer: &Result<Extended, CounterError>,
    ) -> bool {
        match (answer, &mut self.reservation) {
            (Ok(done @ Extended::Done { held }), Some(reservation)) => {
                reservation.extended(done);
                // It may hold more than was asked for: an answer that nobody waited for.
                self.asked = self.asked.max(*held);
                self.grant(claim);
                true
            }
            _ => {
                self.withdraw(claim);
                false
            }
        }
    }
}
