use std::{fmt, marker::PhantomData, sync::Arc};

use zt_core::clock::Timestamp;

use super::{
    Bounded, Guarantee, Hard, Limits, Overspent, SettleError, Tier,
    journal::{Entry, Facts},
    policy::Slot,
};
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
///
/// The limits are those of the tier that held when it was made, whatever the policy says since. Of a
/// store that answers later nothing is waited for: it settles at once, and the record is written
/// when the answer comes, where there is a runtime to wait in.
#[must_use]
pub struct Reservation<G: Guarantee> {
    limits: Limits,
    tier: Arc<Tier>,
    facts: Option<Box<Facts>>,
    hold: HoldId,
    held: u64,
    standings: Standings,
    /// What becomes of it when it is dropped; `None` once it is settled, and where there is nothing
    /// to settle.
    drop: Option<Settle>,
    guarantee: PhantomData<G>,
}

impl<G: Guarantee> Reservation<G> {
    pub(super) fn new(
        limits: Limits,
        tier: Arc<Tier>,
        facts: Option<Box<Facts>>,
        held: Held,
        cost: u64,
    ) -> Self {
        Self {
            limits,
            tier,
            facts,
            hold: held.hold,
            held: cost,
            standings: held.standings,
            drop: (held.hold != HoldId::NONE).then_some(Settle::Release),
            guarantee: PhantomData,
        }
    }

    /// Its name in the store; [`HoldId::NONE`] where that keeps nothing of it.
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

    /// Tells in an event that nobody said what was spent.
    pub(crate) fn unmetered(&self) {
        if let (Some(journal), Some(facts)) = (&self.limits.inner().journal, &self.facts) {
            let entry = Entry {
                hold: self.hold,
                tier: &self.tier,
                facts,
            };
            journal.held(entry, "unmetered", self.held, self.limits.now());
        }
    }

    /// From now on it is served: dropped, all of it is charged.
    pub const fn dispatch(&mut self) {
        if self.drop.is_some() {
            self.drop = Some(Settle::ChargeHold);
        }
    }

    /// Holds `more` besides, and lives on; with nothing more it only lives on. Give the answer to
    /// [`extended`](Self::extended).
    ///
    /// # Errors
    ///
    /// [`CounterError::Invalid`] where `more` is of another currency; otherwise the store's.
    pub fn extend(&mut self, more: Cost, now: Moment) -> Answer<Extended> {
        if self.tier.currency() != Some(more.currency()) {
            return Answer::Now(Err(CounterError::Invalid(
                "the cost is of another currency",
            )));
        }
        let inner = self.limits.inner();
        inner
            .store
            .extend(self.hold, more.nanos(), inner.hold_time, now)
    }

    /// Lives on for its full time.
    pub fn renew(&mut self, now: Moment) -> Answer<Extended> {
        let inner = self.limits.inner();
        inner.store.extend(self.hold, 0, inner.hold_time, now)
    }

    /// What [`extend`](Self::extend) answered, for [`held`](Self::held).
    pub fn extended(&mut self, answer: &Extended) {
        let Extended::Done { held } = answer else {
            return;
        };
        // Answers may overtake one another, and holds only grow.
        let held = self.held.max(*held);
        let before = std::mem::replace(&mut self.held, held);
        let (Some(journal), Some(facts)) = (&self.limits.inner().journal, &self.facts) else {
            return;
        };
        if before != held {
            let entry = Entry {
                hold: self.hold,
                tier: &self.tier,
                facts,
            };
            journal.held(entry, "extended", held, self.limits.now());
        }
    }

    /// Nothing was spent.
    pub fn release(self) {
        self.release_at(None);
    }

    pub(crate) fn release_at(mut self, now: Option<Moment>) {
        self.end(Settle::Release, None, now);
    }

    /// All of it was spent.
    pub fn charge(self) {
        self.charge_at(None);
    }

    pub(crate) fn charge_at(mut self, now: Option<Moment>) {
        self.end(Settle::ChargeHold, None, now);
    }

    #[cfg(test)]
    pub(super) const fn is_recorded(&self) -> bool {
        self.facts.is_some()
    }

    fn currency(&self) -> Option<Currency> {
        self.tier.currency()
    }

    /// Whether it takes something that its settlement gives back.
    pub(crate) const fn holds(&self) -> bool {
        self.drop.is_some()
    }

    /// Ends it, once; the store takes it down at once, whatever its answer waits for. `above` is
    /// what was spent and is not charged; `now` the time, as far as it is known.
    fn end(&mut self, how: Settle, above: Option<u64>, now: Option<Moment>) {
        if self.drop.take().is_none() {
            return;
        }
        // What is recorded has the time of the clock.
        let now = now.filter(|_| self.facts.is_none());
        let now = now.unwrap_or_else(|| self.limits.now());
        let (hold, inner) = (self.hold, self.limits.inner());
        match inner.store.settle(hold, how, now) {
            Answer::Now(settled) => {
                if let (Ok(settled), Some(journal), Some(facts)) =
                    (settled, &inner.journal, &self.facts)
                {
                    let tier = &*self.tier;
                    journal.settled(Entry { hold, tier, facts }, &settled, above, now);
                }
            }
            Answer::Later(settled) => {
                // It is waited for only where it is recorded.
                let (Some(facts), Some(runtime)) = (self.facts.take(), inner.runtime()) else {
                    return;
                };
                let (limits, tier) = (self.limits.clone(), Arc::clone(&self.tier));
                runtime.spawn(async move {
                    if let (Ok(settled), Some(journal)) = (settled.await, &limits.inner().journal) {
                        let (tier, facts) = (&*tier, &*facts);
                        journal.settled(Entry { hold, tier, facts }, &settled, above, now);
                    }
                });
            }
        }
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
    pub fn settle(self, actual: Cost) -> Result<(), SettleError> {
        self.settle_at(actual, None)
    }

    pub(crate) fn settle_at(
        mut self,
        actual: Cost,
        now: Option<Moment>,
    ) -> Result<(), SettleError> {
        let held = Cost::from_nanos(self.held, actual.currency());
        let error = self.mismatch(actual).or_else(|| {
            (actual.nanos() > self.held).then_some(SettleError::AboveHold { actual, held })
        });
        match error {
            None => self.end(Settle::Charge(actual.nanos()), None, now),
            Some(SettleError::AboveHold { .. }) => {
                self.end(Settle::ChargeHold, Some(actual.nanos() - self.held), now);
            }
            Some(_) => self.end(Settle::ChargeHold, None, now),
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
    pub fn settle(self, actual: Cost) -> Result<(), SettleError> {
        self.settle_at(actual, None)
    }

    pub(crate) fn settle_at(
        mut self,
        actual: Cost,
        now: Option<Moment>,
    ) -> Result<(), SettleError> {
        let error = self.mismatch(actual);
        match error {
            None => self.end(Settle::Charge(actual.nanos()), None, now),
            Some(_) => self.end(Settle::ChargeHold, None, now),
        }
        error.map_or(Ok(()), Err)
    }
}

impl<G: Guarantee> Drop for Reservation<G> {
    fn drop(&mut self) {
        if let Some(how) = self.drop {
            self.end(how, None, None);
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
    /// The time to settle at. A clock that cannot answer changes nothing about what was spent: money
    /// belongs to the window that admitted it.
    fn now(&self) -> Moment {
        let clock = &*self.inner().clock;
        Moment::of(clock).unwrap_or_else(|_| Moment {
            wall: Timestamp::EPOCH,
            monotonic: clock.monotonic(),
        })
    }
}
