use std::{fmt, marker::PhantomData, sync::Arc};

use super::{Bounded, Guarantee, Hard, Limits, Overspent, SettleError, Tier, policy::Slot};
use crate::{
    cost::{Cost, Currency},
    counter::{
        Answer, CounterError, Extended, Held, HoldId, Moment, Refused, Settle, Standing, Standings,
    },
    limit::Limit,
};

/// What a request has reserved; it settles itself.
///
/// - [`settle`](Reservation::<Hard>::settle) charges what was really spent;
/// - dropped before [`dispatch`](Self::dispatch), it is released: nobody has served anything;
/// - dropped afterwards, all that it holds is charged, because nobody knows what was spent;
/// - forgotten, it ends by itself and is charged.
#[must_use]
pub struct Reservation<G: Guarantee> {
    limits: Limits,
    tier: Arc<Tier>,
    hold: HoldId,
    held: u64,
    standings: Standings,
    drop: Option<Settle>,
    guarantee: PhantomData<G>,
}

impl<G: Guarantee> Reservation<G> {
    pub(super) fn new(limits: Limits, tier: Arc<Tier>, held: Held, cost: u64) -> Self {
        Self {
            limits,
            tier,
            hold: held.hold,
            held: cost,
            standings: held.standings,
            drop: Some(Settle::Release),
            guarantee: PhantomData,
        }
    }

    /// Its name in the store.
    #[must_use]
    pub const fn hold(&self) -> HoldId {
        self.hold
    }

    /// What is held; `None` where there are no budgets.
    #[must_use]
    pub fn held(&self) -> Option<Cost> {
        Some(Cost::from_nanos(self.held, self.currency()?))
    }

    /// Every limit with its standing when this was reserved.
    pub fn standings(&self) -> impl Iterator<Item = (&Arc<Limit>, Standing)> {
        let limits = self.tier.slots().iter().map(|slot| &slot.limit);
        limits.zip(self.standings.iter().copied())
    }

    /// As [`standings`](Self::standings), each with the place of its level.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&Slot, Standing)> + Clone {
        self.tier.slots().iter().zip(self.standings.iter().copied())
    }

    /// What the refusal to extend it says.
    pub(crate) fn overspent(&self, refused: Refused) -> Overspent {
        Overspent::new(Arc::clone(&self.tier), refused)
    }

    /// From now on it is served: dropped, all of it is charged.
    pub const fn dispatch(&mut self) {
        self.drop = Some(Settle::ChargeHold);
    }

    /// Holds `more` besides, and lives on; with nothing more it only lives on.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn extend(&mut self, more: Cost, now: Moment) -> Answer<Extended> {
        match self.currency() {
            Some(currency) if currency == more.currency() => {}
            _ => {
                return Answer::Now(Err(CounterError::Invalid(
                    "the cost is of another currency",
                )));
            }
        }
        let inner = self.limits.inner();
        inner
            .store
            .extend(self.hold, more.nanos(), inner.hold_time, now)
    }

    /// What [`extend`](Self::extend) answered, for [`held`](Self::held).
    pub const fn extended(&mut self, answer: &Extended) {
        if let Extended::Done { held } = answer {
            self.held = *held;
        }
    }

    /// Nothing was spent.
    pub fn release(mut self) {
        self.end(Settle::Release);
    }

    /// All of it was spent.
    pub fn charge(mut self) {
        self.end(Settle::ChargeHold);
    }

    fn currency(&self) -> Option<Currency> {
        self.limits.policy().currency()
    }

    fn end(&mut self, how: Settle) {
        if self.drop.take().is_none() {
            return;
        }
        self.limits.settle(self.hold, how);
    }

    fn mismatch(&self, actual: Cost) -> Option<SettleError> {
        let currency = self.currency().unwrap_or(actual.currency());
        (currency != actual.currency()).then(|| SettleError::Mismatch(actual.currency(), currency))
    }
}

impl Reservation<Hard> {
    /// Charges `actual`, which is at most what is held.
    ///
    /// # Errors
    ///
    /// Where it is more, or of another currency; all that is held is charged then.
    pub fn settle(mut self, actual: Cost) -> Result<(), SettleError> {
        let held = Cost::from_nanos(self.held, actual.currency());
        let error = self.mismatch(actual).or_else(|| {
            (actual.nanos() > self.held).then_some(SettleError::AboveHold { actual, held })
        });
        match error {
            None => self.end(Settle::Charge(actual.nanos())),
            Some(_) => self.end(Settle::ChargeHold),
        }
        error.map_or(Ok(()), Err)
    }
}

impl Reservation<Bounded> {
    /// Charges `actual`, be it more than is held.
    ///
    /// # Errors
    ///
    /// Where it is of another currency; all that is held is charged then.
    pub fn settle(mut self, actual: Cost) -> Result<(), SettleError> {
        let error = self.mismatch(actual);
        match error {
            None => self.end(Settle::Charge(actual.nanos())),
            Some(_) => self.end(Settle::ChargeHold),
        }
        error.map_or(Ok(()), Err)
    }
}

impl<G: Guarantee> Drop for Reservation<G> {
    fn drop(&mut self) {
        if let Some(how) = self.drop {
            self.end(how);
        }
    }
}

impl<G: Guarantee> fmt::Debug for Reservation<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("guarantee", &G::NAME)
            .field("hold", &self.hold)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl Limits {
    /// Ends a hold; the store takes it down at once, whatever its answer waits for.
    fn settle(&self, hold: HoldId, how: Settle) {
        let inner = self.inner();
        // A clock that cannot answer changes nothing about what was spent: money belongs to the
        // window that admitted it.
        let now = Moment::of(&*inner.clock).unwrap_or(Moment {
            wall: zt_core::clock::Timestamp::EPOCH,
            monotonic: inner.clock.monotonic(),
        });
        match inner.store.settle(hold, how, now) {
            Answer::Now(_settled) => {}
            Answer::Later(settled) => {
                if let Some(runtime) = &inner.runtime {
                    runtime.spawn(async move { drop(settled.await) });
                }
            }
        }
    }
}
