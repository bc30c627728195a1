//! Giving back: settlements of leases, what is due, and surplus that others need.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    id::{Place, SHARDS},
    opens::Open,
    path::{Path, State},
    shared::Shared,
    stock::{Finish, Finishes},
};
use crate::counter::{Claim, CounterStore, Expired, HoldId, Marks, Moment, Settle};

/// A hold that is settled in the background.
#[derive(Debug)]
pub(super) struct Return {
    id: HoldId,
    how: Settle,
    open: Open,
}

/// A settlement under way.
pub(super) type Returning = JoinHandle<()>;

impl Return {
    /// A hold that was never used.
    pub(super) const fn nothing(id: HoldId, open: Open) -> Self {
        Self {
            id,
            how: Settle::Release,
            open,
        }
    }
}

impl From<Finish> for Return {
    fn from(finish: Finish) -> Self {
        Self {
            id: finish.id,
            how: Settle::Charge(finish.charged),
            open: finish.open,
        }
    }
}

impl<C: CounterStore> Shared<C> {
    pub(super) fn finish_all(
        self: &Arc<Self>,
        path: &Arc<Path>,
        finishes: Finishes,
    ) -> Vec<Returning> {
        let finishes = finishes.into_iter();
        finishes
            .map(|finish| self.finish(path, finish.into()))
            .collect()
    }

    /// Settles a hold of this instance, and tries again where the store does not answer.
    pub(super) fn finish(self: &Arc<Self>, path: &Arc<Path>, hold: Return) -> Returning {
        let (shared, path) = (Arc::clone(self), Arc::clone(path));
        let mut under_way = self
            .table
            .shard(path.shard)
            .map(|shard| shard.returns.begin());
        self.runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            let begun = shared.clock.monotonic();
            loop {
                let now = shared.settlement_moment();
                match shared.backing.settle(hold.id, hold.how, now).wait().await {
                    Ok(settled) => {
                        if settled.counted
                            && let Some(tell) = shared.told.get()
                        {
                            tell.tell(&path.root, &path.claims(), &settled);
                        }
                        break;
                    }
                    Err(_) => {
                        // Whoever waits for it need not wait for the next attempt.
                        drop(under_way.take());
                        if now.monotonic.saturating_sub(begun) > PATIENCE {
                            break;
                        }
                        shared.clock.sleep(pause).await;
                        pause = pause.saturating_mul(2).min(LAST_PAUSE);
                    }
                }
            }
            shared.gave_back(path.shard);
            drop((under_way, hold.open));
        })
    }

    /// Gives back what this instance has of the `violated` claims in leases that nobody uses, and
    /// waits until it is there. Whether there was any.
    pub(super) async fn give_back(self: &Arc<Self>, path: &Arc<Path>, violated: Marks) -> bool {
        let Some(shard) = self.table.shard(path.shard) else {
            return false;
        };
        let under_way = shard.returns.under_way();
        let mut returning = Vec::new();
        // Unless nothing has come to rest since somebody looked.
        if shard.surplus.swap(false, Ordering::AcqRel) {
            for other in self.table.paths(path.shard) {
                if *other.root == *path.root && shares(path, &other, violated) {
                    let finishes = other.lock().stock.surplus();
                    returning.extend(self.finish_all(&other, finishes));
                } else if other.lock().stock.leases().iter().any(|it| it.live == 0) {
                    self.surplus(&other);
                }
            }
        }
        let some = !returning.is_empty();
        for returning in returning {
            // One that was cut off with its runtime gave nothing back; asking again does no harm.
            let _: Result<(), _> = returning.await;
        }
        match under_way {
            // Somebody else's attempt.
            Some(ended) if !some => {
                ended.await;
                true
            }
            _ => some,
        }
    }

    /// A lease of `path` may have something to give back.
    pub(super) fn surplus(&self, path: &Path) {
        if let Some(shard) = self.table.shard(path.shard)
            && !shard.surplus.load(Ordering::Relaxed)
        {
            shard.surplus.store(true, Ordering::Release);
        }
    }

    pub(super) fn gave_back(&self, shard: u32) {
        if let Some(shard) = self.table.shard(shard) {
            shard.give_back();
        }
    }

    /// Does what is due on every path.
    pub(super) fn sweep(self: &Arc<Self>) {
        let now = self.settlement_moment();
        self.directs.sweep(now.monotonic);
        for shard in 0..SHARDS {
            for path in self.table.paths(shard) {
                self.sweep_path(&path, now);
            }
        }
    }

    fn sweep_path(self: &Arc<Self>, path: &Arc<Path>, now: Moment) {
        let leasing = &self.leasing;
        let mut state = path.lock();
        self.expire_path(path, &mut state, now.monotonic);
        let unused = now.monotonic.saturating_sub(state.used) >= leasing.idle;
        let idle = unused || self.is_closed();
        let finishes = state
            .stock
            .sweep(now, idle, leasing.life + leasing.life / 2);
        let renewals = state.stock.start_renewals(now.monotonic, leasing.life / 4);
        let forget = unused && state.stock.leases().is_empty() && state.flying().is_none();
        drop(state);
        self.finish_all(path, finishes);
        for lease in renewals {
            let (shared, path) = (Arc::clone(self), Arc::clone(path));
            self.runtime.spawn(async move {
                let now = shared.settlement_moment();
                // What it came to is in the lease; a failure is tried again with the next sweep.
                let _: Result<_, _> = shared.top_up(&path, lease, 0, now, |_| {}).await;
            });
        }
        if forget && let Some(finishes) = self.table.remove(path) {
            self.finish_all(path, finishes);
        }
    }

    pub(super) fn expire_path(&self, path: &Path, state: &mut State, now: Duration) {
        state
            .stock
            .expire(now, self.leasing.grace, |slot, serial, nanos, spans| {
                let hold = self.ids.name(Place {
                    shard: path.shard,
                    path: path.place,
                    slot,
                    serial,
                });
                let claims = path.claims();
                let budgets = claims
                    .iter()
                    .filter(|claim| claim.limit.as_budget().is_some());
                self.ended.put(Expired {
                    hold,
                    root: path.root.as_ref().into(),
                    nanos,
                    budgets: budgets
                        .zip(spans)
                        .map(|(claim, span)| {
                            (Arc::clone(claim.limit.name()), claim.subject.into(), *span)
                        })
                        .collect(),
                });
            });
    }
}

/// Whether `other` has one of the `violated` claims of `path`.
fn shares(path: &Path, other: &Path, violated: Marks) -> bool {
    let claims = path.claims();
    let mut violated = violated.places().filter_map(|place| claims.get(place));
    violated.any(|claim: &Claim<'_>| other.has(*claim))
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// By then the store has charged the lease as a whole, and it stays so.
const PATIENCE: Duration = Duration::from_secs(86_400);
