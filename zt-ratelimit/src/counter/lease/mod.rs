//! placeholder
use std::{fmt, sync::Arc};

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
    sync::OnceLock,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
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
