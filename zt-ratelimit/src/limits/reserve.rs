use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use tokio::{
    runtime::Handle,
    sync::{Mutex, oneshot},
};
use zt_core::{clock::Clock, context::RequestId, state::Recorder};

use super::{
    Guarantee, Policy, Reservation, Subjects, Tier,
    expiry::look_after,
    journal::{Entry, Facts, Journal},
    policy::Slot,
};
use crate::{
    cost::{Cost, Currency},
    counter::{
        Answer, Claim, CounterError, CounterStore, MAX_CLAIMS, Moment, Purpose, Refused, Reserve,
        Standing, Verdict,
    },
    limit::Limit,
};

/// Limits with a store that counts them; see the [module](super). Clones are the same limits.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

pub(super) struct Inner {
    pub(super) policy: ArcSwap<Policy>,
    /// Of all policies that ever held: what a store has counted does not change its currency.
    pub(super) currency: OnceLock<Currency>,
    /// Held by who replaces the policy: how many there were.
    pub(super) replaced: Mutex<u64>,
    pub(super) store: Arc<dyn CounterStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Option<Journal>,
    pub(super) hold_time: Duration,
    pub(super) runtime: Option<Handle>,
}

impl Inner {
    pub(super) fn new(
        policy: Policy,
        store: Arc<dyn CounterStore>,
        clock: Arc<dyn Clock>,
        recorder: Option<Arc<dyn Recorder>>,
        hold_time: Duration,
        runtime: Option<Handle>,
    ) -> Self {
        Self {
            currency: policy.currency().map_or_else(OnceLock::new, OnceLock::from),
            policy: ArcSwap::from_pointee(policy),
            replaced: Mutex::new(1),
            store,
            clock,
            journal: recorder.map(Journal::new),
            hold_time,
            runtime,
        }
    }

    /// The runtime that these limits were made in, else the one that asks.
    pub(super) fn runtime(&self) -> Option<Handle> {
        let own = self.runtime.clone();
        own.or_else(|| Handle::try_current().ok())
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    cost: Option<Cost>,
    weight: u64,
    request: Option<RequestId>,
}

impl Ask {
    /// At most this much money (for [`Bounded`](super::Bounded): about this much), and one unit of
    /// each rate.
    #[must_use]
    pub const fn at_most(cost: Cost) -> Self {
        Self {
            cost: Some(cost),
            weight: 1,
            request: None,
        }
    }

    /// No money: for limits without budgets. With budgets it is refused, since its cost is unknown.
    #[must_use]
    pub const fn free() -> Self {
        Self {
            cost: None,
            weight: 1,
            request: None,
        }
    }

    /// How many units of each rate; one unless said.
    #[must_use]
    pub const fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// The request that it is for, as it stands in records.
    #[must_use]
    pub const fn request(mut self, request: RequestId) -> Self {
        self.request = Some(request);
        self
    }

    /// The money.
    #[must_use]
    pub const fn cost(&self) -> Option<Cost> {
        self.cost
    }
}

/// The answer to [`Limits::reserve`].
#[derive(Debug)]
#[must_use]
pub enum Outcome<G: Guarantee> {
    /// All of it is reserved.
    Held(Reservation<G>),
    /// Nothing is.
    Refused(Overspent),
}

/// Which limits had no room.
#[derive(Debug, Clone)]
pub struct Overspent {
    tier: Arc<Tier>,
    refused: Refused,
}

impl Overspent {
    pub(super) const fn new(tier: Arc<Tier>, refused: Refused) -> Self {
        Self { tier, refused }
    }

    /// As [`standings`](Self::standings), each with the place of its level.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&Slot, Standing)> + Clone {
        let standings = self.refused.standings.iter().copied();
        self.tier.slots().iter().zip(standings)
    }

    /// The violated limits of the narrowest level that has any.
    pub fn violated(&self) -> impl Iterator<Item = (&Arc<Limit>, Standing)> {
        let narrowest = self.all().map(|(slot, _)| slot.level).max();
        self.all()
            .filter(move |(slot, _)| Some(slot.level) == narrowest)
            .map(|(slot, standing)| (&slot.limit, standing))
    }

    /// Every limit with its standing, in the order of the policy.
    pub fn standings(&self) -> impl Iterator<Item = (&Arc<Limit>, Standing)> {
        let standings = self.refused.standings.iter().copied();
        let limits = self.tier.slots().iter().map(|slot| &slot.limit);
        limits.zip(standings)
    }

    fn all(&self) -> impl Iterator<Item = (&Slot, Standing)> {
        let slots = self.tier.slots().iter();
        let standings = self.refused.standings.iter().copied();
        let marked = |(place, _): &(usize, _)| self.refused.violated.has(*place);
        slots
            .zip(standings)
            .enumerate()
            .filter(marked)
            .map(|(_, found)| found)
    }
}

impl Limits {
    pub(super) fn from_inner(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        if let Some(runtime) = &inner.runtime {
            let clock = Arc::clone(&inner.clock);
            runtime.spawn(look_after(Arc::downgrade(&inner), clock));
        }
        Self(inner)
    }

    pub(super) const fn from_arc(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// The policy that holds now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    /// Reserves what `ask` says for `who`, or says which limits have no room.
    ///
    /// Dropping the answer while it is waited for gives back what it would have reserved.
    ///
    /// # Errors
    ///
    /// [`CounterError::Invalid`] where `who` does not fit the tree, or the cost is unknown or of
    /// another currency; otherwise the store's.
    pub fn reserve<G: Guarantee>(
        &self,
        who: &Subjects<'_>,
        ask: Ask,
        now: Moment,
    ) -> Answer<Outcome<G>> {
        self.reserve_by(&self.current(), who, ask, now)
    }

    /// As [`reserve`](Self::reserve), by a policy that was [loaded](Self::current) before.
    pub(crate) fn reserve_by<G: Guarantee>(
        &self,
        policy: &Policy,
        who: &Subjects<'_>,
        ask: Ask,
        now: Moment,
    ) -> Answer<Outcome<G>> {
        match Self::ask(policy, who, ask) {
            Ok((tier, cost)) => self.reserve_as(tier, who, cost, ask, now),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    /// The policy that holds now, for one step.
    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<Policy>> {
        self.0.policy.load()
    }

    /// Whose limits hold, and how much of their budgets is asked for.
    fn ask<'a>(
        policy: &'a Policy,
        who: &Subjects<'_>,
        ask: Ask,
    ) -> Result<(&'a Arc<Tier>, u64), CounterError> {
        let tier = policy
            .find(who.named_tier())
            .ok_or(CounterError::Invalid("there is no such tier"))?;
        if who.names().len() != policy.levels().len() {
            return Err(CounterError::Invalid("a subject for each level is needed"));
        }
        let cost = match (tier.currency(), ask.cost) {
            (None, _) => 0,
            (Some(currency), Some(cost)) if cost.currency() == currency => cost.nanos(),
            (Some(_), Some(_)) => {
                return Err(CounterError::Invalid("the cost is of another currency"));
            }
            (Some(_), None) => return Err(CounterError::Invalid("the cost is not known")),
        };
        Ok((tier, cost))
    }

    fn reserve_as<G: Guarantee>(
        &self,
        tier: &Arc<Tier>,
        who: &Subjects<'_>,
        cost: u64,
        ask: Ask,
        now: Moment,
    ) -> Answer<Outcome<G>> {
        let claims: SmallVec<[Claim<'_>; MAX_CLAIMS]> = tier
            .slots()
            .iter()
            .filter_map(|slot| {
                Some(Claim {
                    limit: &slot.limit,
                    subject: who.name(slot.level)?,
                })
            })
            .collect();
        let answer = self.0.store.reserve(&Reserve {
            root: who.name(0).unwrap_or_default(),
            claims: &claims,
            cost,
            weight: ask.weight,
            permits: 1,
            expires_in: self.0.hold_time,
            purpose: Purpose::Request,
            now,
        });
        // What is held, or may be, is recorded.
        let held = !matches!(&answer, Answer::Now(Ok(Verdict::Refused(_)) | Err(_)));
        let pending = Pending {
            limits: self.clone(),
            tier: Arc::clone(tier),
            facts: (held && self.0.journal.is_some()).then(|| Facts::new(who, ask.request)),
            cost,
            now,
            guarantee: PhantomData,
        };
        match answer {
            Answer::Now(result) => Answer::Now(result.map(|verdict| pending.conclude(verdict))),
            Answer::Later(verdict) => {
                let later = async move { verdict.await.map(|verdict| pending.conclude(verdict)) };
                match self.0.runtime() {
                    // Whoever drops the answer while it is under way drops the receiver; the
                    // reservation comes back then and releases what it holds.
                    Some(runtime) => {
                        let (sender, receiver) = oneshot::channel();
                        runtime.spawn(async move { drop(sender.send(later.await)) });
                        Answer::Later(Box::pin(async move {
                            receiver.await.unwrap_or_else(|_| {
                                Err(CounterError::Unavailable("the runtime has ended".into()))
                            })
                        }))
                    }
                    None => Answer::Later(Box::pin(later)),
                }
            }
        }
    }

    /// Sees `task` through, where there is a runtime.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) {
        if let Some(runtime) = self.0.runtime() {
            runtime.spawn(async move { drop(task.await) });
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn hold_time(&self) -> Duration {
        self.0.hold_time
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

struct Pending<G> {
    limits: Limits,
    tier: Arc<Tier>,
    facts: Option<Box<Facts>>,
    cost: u64,
    now: Moment,
    guarantee: PhantomData<G>,
}

impl<G: Guarantee> Pending<G> {
    fn conclude(self, verdict: Verdict) -> Outcome<G> {
        let held = match verdict {
            Verdict::Held(held) => held,
            Verdict::Refused(refused) => {
                let tier = self.tier;
                return Outcome::Refused(Overspent { tier, refused });
            }
        };
        if let (Some(journal), Some(facts)) = (&self.limits.0.journal, &self.facts) {
            let entry = Entry {
                hold: held.hold,
                tier: &self.tier,
                facts,
            };
            journal.held(entry, "held", self.cost, self.now);
            if !held.would_refuse.is_empty() {
                journal.would_refuse(entry, held.would_refuse, self.cost, self.now);
            }
        }
        let (tier, facts) = (self.tier, self.facts);
        Outcome::Held(Reservation::new(self.limits, tier, facts, held, self.cost))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("policy", &self.0.policy.load())
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}
