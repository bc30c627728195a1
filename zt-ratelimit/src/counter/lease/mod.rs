//! Parts of a shared store's counts, kept here, so that requests need no round trip.
//!
//! A [`Leased`] wraps a store that is far away and is a [`CounterStore`] itself. For claims that
//! come together (a *path*: key, team and organisation) it takes a hold of the store with
//! [`Purpose::Lease`](super::Purpose::Lease): a chunk of money, units of rates, permits, of all
//! levels in one step. Requests are served from it, and when it goes back the store hears what was
//! really spent. In a steady load more than 99 of 100 requests make no trip.
//!
//! # What holds
//!
//! 1. No more is handed out here than the store has given: `spent + held + leased <= limit` at the
//!    store bounds everything. At rest the sum of what was charged there is the sum of what was
//!    charged here, to the nano-unit; an actual above its hold is passed on with its lease.
//! 2. A lease serves nothing after nine tenths of its life, counted from before it was asked for.
//!    Holds that live on keep it alive in the store until they are settled.
//! 3. A lease serves nothing outside of the windows that admitted it. For a second before and after
//!    a budget's window begins anew ([`Leasing::clocks_differ_by`]) requests go to the store.
//! 4. A chunk is what is spent in 20 seconds, and at most what is left over twice the number of
//!    instances. Where a request is more than a quarter of it, or no lease is to be had, the
//!    request goes to the store by itself, in the same call. Before it is refused there, surplus
//!    of the same limits on this instance is given back and the store asked once more.
//! 5. More is fetched in the background, one fetch at a time for a path. Who finds too little waits
//!    for the one that is under way: a burst on a quiet path costs a few trips, not one for each
//!    request, and no request waits longer than for three fetches and its own trip.
//! 6. A refusal of the store is repeated without a trip for at most 250 ms and at most as long as
//!    it said, for requests that are at least as expensive, until this instance gives something
//!    back under the same root. Nothing is admitted by it.
//! 7. Where the store is down, leases are served until their end here. Then requests are refused
//!    ([`CounterError::Unavailable`](super::CounterError::Unavailable)).
//! 8. Paths are bounded ([`Leasing::paths`]); of a few, the one used least recently goes back, and
//!    each after ten seconds without a request. A request that comes once takes no lease.
//!
//! # Refusals
//!
//! A refusal is the store's, at this instant or up to 250 ms ago. An answer from a lease shows
//! standings as far as this instance knows: what the store said last, and what is left here. Which
//! thresholds were crossed is heard when a lease goes back, by whoever asked with
//! [`on_settled`](Leased::on_settled): up to a lease's life late.
//!
//! # What it costs
//!
//! - *Crashes.* An instance that dies strands at most its chunks until their leases end in the
//!   store ([`Leasing::lives`]). They are charged then and stay charged: nobody knows what was
//!   spent of them. A graceful stop calls [`shutdown`](Leased::shutdown). The same becomes of a
//!   lease whose grant was lost on its way.
//! - *Rates.* Units are counted when they are leased and may be used later, for a quarter of the
//!   time in which the burst comes back ([`Leasing::ahead`]). So in any stretch of time at most a
//!   quarter of the burst passes above what the limit says, over all instances and paths together;
//!   in the long run never more. What is not used by then is lost. A rate whose burst comes back
//!   within seconds leaves little to lease; with few requests, such paths go to the store.
//! - *Permits* of a lease are not another instance's. A small limit of concurrency leaves nothing
//!   to lease.
//! - *Few requests.* A path has to see some 25 requests a second on an instance for one trip in
//!   100; with fewer there are relatively more.
//! - *Surplus* beside a hold that lives cannot be given back: a store settles a hold once and whole.
//!
//! # Administration
//!
//! [`read`](CounterStore::read) and [`holds`](CounterStore::holds) show the store: what is here is
//! `leased` there. [`adjust`](CounterStore::adjust) first brings home what nobody uses of the
//! limit's leases on this instance, and lets nothing more be served from any that was taken before,
//! so that a lowered limit holds here at once. Other instances serve what they have leased until
//! the end of their leases, some one and a half lives after they were taken at most.
//! [`expire`](CounterStore::expire) tells local holds too.
//!
//! # What it does not do
//!
//! It divides nothing between processes, and knows nothing of what others leased. It runs no
//! runtime: where the one that it was given has ended, nothing is fetched or given back.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use zt_core::clock::SystemClock;
//! use zt_ratelimit::{
//!     Limit,
//!     counter::{
//!         Claim, CounterStore, MemoryCounters, Moment, Purpose, Reserve, Settle, Verdict,
//!         lease::{Leased, Leasing},
//!     },
//!     limit::Window,
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let clock = Arc::new(SystemClock);
//! let shared = MemoryCounters::new(); // in earnest, one that is far away
//! let runtime = tokio::runtime::Handle::current();
//! let counters = Leased::new(shared, Leasing::among(4), clock.clone(), runtime)?;
//!
//! let day = Arc::new(Limit::budget("key-day", "20 USD".parse()?, Window::day())?);
//! let claims = [Claim { limit: &day, subject: "key-1" }];
//! let mut ask = Reserve {
//!     root: "acme",
//!     claims: &claims,
//!     cost: 50_000_000, // 0.05 USD
//!     weight: 1,
//!     permits: 1,
//!     expires_in: Duration::from_secs(60),
//!     purpose: Purpose::Request,
//!     now: Moment::of(&*clock)?,
//! };
//! let Verdict::Held(held) = counters.reserve(&ask).wait().await? else {
//!     return Err("there is enough".into());
//! };
//! let settled = counters.settle(held.hold, Settle::Charge(30_000_000), ask.now);
//! assert!(settled.wait().await?.counted);
//!
//! ask.cost = 30_000_000_000; // 30 USD
//! let refused = counters.reserve(&ask).wait().await?;
//! assert!(matches!(refused, Verdict::Refused(_)));
//!
//! counters.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunk;
mod deny;
mod direct;
mod fetch;
mod give;
mod holds;
mod id;
mod opens;
mod path;
mod settings;
mod shared;
mod stock;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;
use zt_core::{clock::Clock, random::OsEntropy};

pub use self::settings::{LeaseError, Leasing};
use self::{
    direct::Directs,
    id::Ids,
    opens::Opens,
    shared::{EndedHolds, Shared, Told},
    table::Table,
};
use super::{
    Adjust, Answer, CellState, Claim, CounterStore, Expired, Extended, HoldId, HoldState, Moment,
    Reserve, Settle, Settled, Verdict,
};

/// A store whose counts are leased; see the [module](self). Clones share their leases.
pub struct Leased<C>(Arc<Shared<C>>);

impl<C: CounterStore> Leased<C> {
    /// Leases from `backing`. What happens in the background runs on `runtime`, which has to live
    /// as long as requests do.
    ///
    /// # Errors
    ///
    /// When the settings make no sense, or no randomness is to be had.
    pub fn new(
        backing: C,
        leasing: Leasing,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Self, LeaseError> {
        leasing.check()?;
        let shared = Arc::new(Shared {
            backing,
            clock: Arc::clone(&clock),
            runtime: runtime.clone(),
            leasing,
            table: Table::new(),
            ids: Ids::new(&OsEntropy)?,
            directs: Directs::default(),
            opens: Opens::default(),
            ended: EndedHolds::default(),
            told: OnceLock::new(),
            closed: AtomicBool::new(false),
            wall: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&shared);
        runtime.spawn(async move {
            loop {
                clock.sleep(leasing.tick()).await;
                match weak.upgrade() {
                    Some(shared) => shared.sweep(),
                    None => break,
                }
            }
        });
        Ok(Self(shared))
    }

    /// Hears what the settlement of each lease did, and with it which thresholds of budgets were
    /// crossed: the answers to local settlements do not say. It is called once for each, on the
    /// runtime; a second one is not heard.
    #[must_use]
    pub fn on_settled(
        self,
        tell: impl Fn(&str, &[Claim<'_>], &Settled) + Send + Sync + 'static,
    ) -> Self {
        // The first one stays.
        let _: Result<(), Told> = self.0.told.set(Told(Box::new(tell)));
        self
    }

    /// Gives all leases back and waits until they are: for a graceful stop, after the last
    /// request. Leases that serve requests still are waited for; put a time-out around it. From
    /// now on requests go to the store.
    pub async fn shutdown(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.sweep();
        self.0.opens.none().await;
    }

    /// How many leases are out, or on their way in or back.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.0.opens.count()
    }

    /// How many paths are known.
    #[must_use]
    pub fn paths(&self) -> usize {
        usize::try_from(self.0.table.len()).unwrap_or(usize::MAX)
    }
}

impl<C: CounterStore> CounterStore for Leased<C> {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        self.0.reserve(ask)
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        self.0.extend(hold, more, expires_in, now)
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        self.0.settle(hold, how, now)
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.0.backing.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        let shared = Arc::clone(&self.0);
        let returning = shared.retire(root, claim);
        let root: Box<str> = root.into();
        let (limit, subject) = (Arc::clone(claim.limit), Box::<str>::from(claim.subject));
        let how = how.clone();
        // Driven to its end, whether or not somebody waits for it.
        let changed = self.0.runtime.spawn(async move {
            for returning in returning {
                let _: Result<(), _> = returning.await;
            }
            let claim = Claim {
                limit: &limit,
                subject: &subject,
            };
            let answer = shared.backing.adjust(&root, claim, &how, now);
            let changed = answer.wait().await;
            // What came in between was admitted under the old limit.
            shared.retire(&root, claim);
            shared.gave_back(shared.table.shard_of(&root));
            changed
        });
        Answer::Later(Box::pin(async move {
            changed.await.unwrap_or_else(|_| Err(shared::no_runtime()))
        }))
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.0.backing.holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        self.0.expire(at_most, now)
    }
}

impl<C> Clone for Leased<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: fmt::Debug> fmt::Debug for Leased<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leased").field(&self.0.backing).finish()
    }
}
