//! What answers while shared counters cannot: [`Fallback`].
//!
//! A store that cannot count refuses. For money there is nothing else; for rates and concurrency an
//! application may rather serve its callers than be exact about how fast they ask. `Fallback`
//! answers such requests itself while the store behind it cannot:
//!
//! 1. A reservation that claims any budget is refused with the store's error, whatever was chosen.
//! 2. Others are refused in the same way, unless [`OnUnavailable::LocalShare`] was chosen: then this
//!    instance counts its own part of each limit, `1 / instances`, in its own memory. A limit that
//!    has less than one unit or permit for each instance gives none.
//! 3. With [`insecure_open_when_unavailable`](Fallback::insecure_open_when_unavailable) rates refuse
//!    nobody then. Concurrency is not opened.
//! 4. Holds are settled where they were made. A reservation that breaks a rule of the contract
//!    ([`CounterError::Invalid`]) is refused as ever.
//!
//! What was counted before an outage is not known here, and what is counted here is not told to the
//! store afterwards: around the beginning and the end of one, a rate may give its burst once more,
//! and as many permits may be out besides. Requests still wait for the store to answer in time;
//! they are counted here only after that.
//!
//! ```
//! use std::num::NonZeroU32;
//! use zt_ratelimit::counter::{MemoryCounters, fallback::{Fallback, OnUnavailable}};
//!
//! let shared = MemoryCounters::new(); // in production, RedisCounters
//! let instances = NonZeroU32::new(4).unwrap();
//! let counters = Fallback::new(shared, OnUnavailable::LocalShare { instances });
//! assert_eq!(counters.answered_here(), 0);
//! ```

#[cfg(test)]
mod tests;

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;

use super::{
    Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, Held, HoldId,
    HoldState, Marks, MemoryCounters, Moment, Purpose, Reserve, Settle, Settled, Standing, Verdict,
};
use crate::limit::{Kind, Limit};

/// What becomes of reservations without a budget while the store cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// They are refused.
    #[default]
    Closed,
    /// This instance counts its part of each limit.
    LocalShare {
        /// How many instances share the store.
        instances: NonZeroU32,
    },
}

/// A store, and what answers while it cannot; see the [module](self).
pub struct Fallback<C> {
    store: C,
    here: Arc<Here>,
}

struct Here {
    on: OnUnavailable,
    open: bool,
    counters: MemoryCounters,
    answered: AtomicU64,
}

impl<C: CounterStore> Fallback<C> {
    /// Answers for `store` as `on` says.
    #[must_use]
    pub fn new(store: C, on: OnUnavailable) -> Self {
        let here = Here {
            on,
            open: false,
            counters: MemoryCounters::new(),
            answered: AtomicU64::new(0),
        };
        Self {
            store,
            here: Arc::new(here),
        }
    }

    /// Admits whatever claims nothing but rates while the store cannot count: an outage of the store
    /// takes these limits away.
    #[must_use]
    pub fn insecure_open_when_unavailable(self) -> Self {
        let here = Here {
            on: self.here.on,
            open: true,
            counters: self.here.counters.clone(),
            answered: AtomicU64::new(0),
        };
        Self {
            store: self.store,
            here: Arc::new(here),
        }
    }

    /// How many reservations were answered here: not zero means that limits are weaker than they
    /// say.
    #[must_use]
    pub fn answered_here(&self) -> u64 {
        self.here.answered.load(Ordering::Relaxed)
    }
}

impl<C: CounterStore> CounterStore for Fallback<C> {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        let answer = self.store.reserve(ask);
        let Some(question) = self.here.question(ask) else {
            return answer;
        };
        let here = Arc::clone(&self.here);
        match answer {
            Answer::Now(result) => Answer::Now(here.answer(&question, result)),
            Answer::Later(future) => {
                Answer::Later(Box::pin(
                    async move { here.answer(&question, future.await) },
                ))
            }
        }
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        if hold == OPEN {
            return Answer::Now(Ok(Extended::Done { held: 0 }));
        }
        if hold == HoldId::NONE {
            return Answer::Now(Ok(Extended::Gone));
        }
        match self.here.counters.extend(hold, more, expires_in, now) {
            Answer::Now(Ok(Extended::Gone)) => self.store.extend(hold, more, expires_in, now),
            answer => answer,
        }
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        if hold == OPEN || hold == HoldId::NONE {
            return Answer::Now(Ok(Settled {
                counted: hold == OPEN,
                held: 0,
                charged: 0,
                budgets: SmallVec::new(),
            }));
        }
        match self.here.counters.settle(hold, how, now) {
            Answer::Now(Ok(settled)) if settled.counted => Answer::Now(Ok(settled)),
            _ => self.store.settle(hold, how, now),
        }
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.store.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        self.store.adjust(root, claim, how, now)
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.store.holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        // Without money in them there is nothing to tell of.
        drop(self.here.counters.expire(at_most, now));
        self.store.expire(at_most, now)
    }
}

impl<C: fmt::Debug> fmt::Debug for Fallback<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("store", &self.store)
            .field("on", &self.here.on)
            .field("open", &self.here.open)
            .field("answered", &self.here.answered)
            .finish()
    }
}

/// A reservation without a budget, kept until the store has answered.
struct Question {
    root: Box<str>,
    claims: SmallVec<[(Arc<Limit>, Box<str>); 4]>,
    weight: u64,
    permits: u32,
    expires_in: Duration,
    purpose: Purpose,
    now: Moment,
}

impl Here {
    /// What can be answered here, if anything.
    fn question(&self, ask: &Reserve<'_>) -> Option<Question> {
        let budget = |claim: &Claim<'_>| claim.limit.as_budget().is_some();
        let closed = self.on == OnUnavailable::Closed && !self.open;
        if closed || ask.claims.iter().any(budget) {
            return None;
        }
        let owned = |claim: &Claim<'_>| (Arc::clone(claim.limit), claim.subject.into());
        Some(Question {
            root: ask.root.into(),
            claims: ask.claims.iter().map(owned).collect(),
            weight: ask.weight,
            permits: ask.permits,
            expires_in: ask.expires_in,
            purpose: ask.purpose,
            now: ask.now,
        })
    }

    fn answer(
        &self,
        question: &Question,
        result: Result<Verdict, CounterError>,
    ) -> Result<Verdict, CounterError> {
        let error = match result {
            Err(CounterError::Invalid(_)) | Ok(_) => return result,
            Err(error) => error,
        };
        let rate = |(limit, _): &(Arc<Limit>, _)| matches!(limit.kind(), Kind::Rate(_));
        let verdict = if self.open && question.claims.iter().all(rate) {
            admitted(question)
        } else if let OnUnavailable::LocalShare { instances } = self.on {
            self.share(question, instances).ok_or(error)??
        } else {
            return Err(error);
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(verdict)
    }

    /// What this instance's part of the limits says; none where a part is empty.
    fn share(
        &self,
        question: &Question,
        instances: NonZeroU32,
    ) -> Option<Result<Verdict, CounterError>> {
        let mut parts = SmallVec::<[_; 4]>::new();
        for (limit, _) in &question.claims {
            parts.push(Arc::new(limit.part(instances)?));
        }
        let claims: SmallVec<[_; 4]> = parts
            .iter()
            .zip(&question.claims)
            .map(|(limit, (_, subject))| Claim { limit, subject })
            .collect();
        let answer = self.counters.reserve(&Reserve {
            root: &question.root,
            claims: &claims,
            cost: 0,
            weight: question.weight,
            permits: question.permits,
            expires_in: question.expires_in,
            purpose: question.purpose,
            now: question.now,
        });
        match answer {
            Answer::Now(result) => Some(result),
            // Counters in memory answer at once.
            Answer::Later(_) => None,
        }
    }
}

/// Nobody counts: the whole limit remains.
fn admitted(question: &Question) -> Verdict {
    let standing = |(limit, _): &(Arc<Limit>, Box<str>)| {
        let burst = match limit.kind() {
            Kind::Rate(rate) => rate.burst_size(),
            _ => 0,
        };
        Standing {
            limit: burst,
            remaining: burst,
            more_in: None,
        }
    };
    Verdict::Held(Held {
        hold: OPEN,
        standings: question.claims.iter().map(standing).collect(),
        would_refuse: Marks::default(),
    })
}

/// The hold of what was admitted without being counted.
const OPEN: HoldId = HoldId(u128::MAX);
