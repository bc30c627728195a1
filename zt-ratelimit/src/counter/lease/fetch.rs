//! Getting more from the store, in the background: a lease, more money for one, units of rates.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    give::Return,
    path::{Fetch, Flight, Landing, Path, State},
    shared::Shared,
    stock::{Finishes, Lease},
};
use crate::counter::{
    Claim, CounterError, CounterStore, Extended, Held, HoldId, Marks, Moment, Purpose, Refused,
    Reserve, Verdict,
};

impl<C: CounterStore> Shared<C> {
    /// Starts a fetch. There is none under way: the caller holds the path's lock and has looked.
    pub(super) fn take_off(
        self: &Arc<Self>,
        path: &Arc<Path>,
        state: &mut State,
        fetch: Fetch,
    ) -> Flight {
        let tell = state.take_off();
        let flight = tell.subscribe();
        let retired = state.retired;
        let (shared, path) = (Arc::clone(self), Arc::clone(path));
        self.runtime.spawn(async move {
            shared.fly(&path, fetch, retired, &tell).await;
        });
        flight
    }

    async fn fly(
        self: &Arc<Self>,
        path: &Arc<Path>,
        fetch: Fetch,
        retired: u64,
        tell: &watch::Sender<Option<Landing>>,
    ) {
        let landing = self.fetch(path, fetch, retired).await;
        let mut state = path.lock();
        state.land();
        if !matches!(landing, Landing::Done) {
            state.not_before = self.clock.monotonic().saturating_add(PAUSE);
        }
        drop(state);
        tell.send_replace(Some(landing));
    }

    async fn fetch(self: &Arc<Self>, path: &Arc<Path>, fetch: Fetch, retired: u64) -> Landing {
        let now = match self.now() {
            Ok(now) => now,
            Err(error) => return Landing::Failed(error),
        };
        match fetch {
            Fetch::Lease { .. } => self.fetch_lease(path, fetch, retired, now).await,
            Fetch::Money { number, id, more } => {
                match self.top_up(path, (number, id), more, now, |_| {}).await {
                    Ok(Extended::Done { .. }) => Landing::Done,
                    Ok(_) => Landing::Refused,
                    Err(error) => Landing::Failed(error),
                }
            }
            Fetch::Units { weight } => self.fetch_units(path, weight, retired, now).await,
        }
    }

    async fn fetch_lease(
        self: &Arc<Self>,
        path: &Arc<Path>,
        fetch: Fetch,
        retired: u64,
        now: Moment,
    ) -> Landing {
        let Fetch::Lease {
            cost,
            weight,
            permits,
            window,
            spans,
        } = fetch
        else {
            return Landing::Refused;
        };
        let open = self.opens.open();
        let ask = (cost, weight, permits, self.leasing.life);
        let held = match self.ask(path, ask, now).await {
            Ok(held) => held,
            Err(landing) => return landing,
        };
        let mut lease = Lease {
            id: held.hold,
            number: 0,
            granted: if path.kinds.budgets { cost } else { 0 },
            charged: 0,
            out: 0,
            permits,
            permits_out: 0,
            live: 0,
            born: now.monotonic,
            // From before it was sent, so that no delay makes it later than the store's.
            deadline: now.monotonic.saturating_add(self.leasing.serves_for()),
            window,
            spans,
            would_refuse: Marks::default(),
            retired: false,
            renewing: false,
            open,
        };
        lease.would_refuse = held.would_refuse;
        let mut state = path.lock();
        let late = state.gone || state.retired != retired || self.is_closed();
        state.learn(&held.standings, now.monotonic);
        let finishes = if late {
            let mut finishes = Finishes::new();
            finishes.push(lease.into());
            finishes
        } else {
            let (_, finishes) = state.stock.add(lease);
            if weight > 0 {
                let until = now.monotonic.saturating_add(path.units_live());
                state.stock.add_units(weight, until);
            }
            finishes
        };
        drop(state);
        self.surplus(path);
        self.finish_all(path, finishes);
        Landing::Done
    }

    /// Units do not come back, so the hold that brought them is not needed.
    async fn fetch_units(
        self: &Arc<Self>,
        path: &Arc<Path>,
        weight: u64,
        retired: u64,
        now: Moment,
    ) -> Landing {
        let open = self.opens.open();
        let held = match self.ask(path, (0, weight, 0, self.leasing.life), now).await {
            Ok(held) => held,
            Err(landing) => return landing,
        };
        let mut state = path.lock();
        state.learn(&held.standings, now.monotonic);
        if state.retired == retired {
            let until = now.monotonic.saturating_add(path.units_live());
            state.stock.add_units(weight, until);
        }
        drop(state);
        self.finish(path, Return::nothing(held.hold, open));
        Landing::Done
    }

    async fn ask(
        self: &Arc<Self>,
        path: &Arc<Path>,
        (cost, weight, permits, expires_in): (u64, u64, u32, Duration),
        now: Moment,
    ) -> Result<Held, Landing> {
        let answer = {
            let claims = path.claims();
            self.backing.reserve(&Reserve {
                root: &path.root,
                claims: &claims,
                cost,
                weight,
                permits,
                expires_in,
                purpose: Purpose::Lease,
                now,
            })
        };
        match answer.wait().await {
            Ok(Verdict::Held(held)) if self.ids.has(held.hold) => {
                // One of a million millions; its end charges it.
                Err(Landing::Refused)
            }
            Ok(Verdict::Held(held)) => Ok(held),
            Ok(Verdict::Refused(Refused { standings, .. })) => {
                path.lock().learn(&standings, now.monotonic);
                Err(Landing::Refused)
            }
            Err(error) => Err(Landing::Failed(error)),
        }
    }

    /// Makes a lease larger and lets it live on. Where it was done, `then` runs in the same step.
    pub(super) async fn top_up(
        self: &Arc<Self>,
        path: &Arc<Path>,
        (number, id): (u32, HoldId),
        more: u64,
        now: Moment,
        then: impl FnOnce(&mut State) + Send,
    ) -> Result<Extended, CounterError> {
        let answer = self
            .backing
            .extend(id, more, self.leasing.life, now)
            .wait()
            .await;
        let mut state = path.lock();
        let finishes = match &answer {
            Ok(Extended::Done { held }) => {
                let deadline = now.monotonic.saturating_add(self.leasing.serves_for());
                let granted = path.kinds.budgets.then_some(*held);
                state.stock.renewed(number, granted, deadline);
                state.learn_less(path, more, 0);
                then(&mut state);
                Finishes::new()
            }
            Ok(Extended::Refused(refused)) => {
                // Of another order, where the store names the claims that are budgets only.
                if refused.standings.len() == path.claims().len() {
                    state.learn_but_rates(path, &refused.standings, now.monotonic);
                }
                state.stock.not_renewed(number, false)
            }
            Ok(Extended::Gone) => state.stock.not_renewed(number, true),
            Err(_) => state.stock.not_renewed(number, false),
        };
        drop(state);
        self.finish_all(path, finishes);
        answer
    }

    /// What is told of a claim's leases before something about it changes.
    pub(super) fn retire(
        self: &Arc<Self>,
        root: &str,
        claim: Claim<'_>,
    ) -> Vec<super::give::Returning> {
        let paths = self.table.paths(self.table.shard_of(root));
        let mut returning = Vec::new();
        for path in paths
            .iter()
            .filter(|path| *path.root == *root && path.has(claim))
        {
            let mut state = path.lock();
            state.retired = state.retired.wrapping_add(1);
            state.denied = None;
            let finishes = state.stock.retire();
            drop(state);
            returning.extend(self.finish_all(path, finishes));
        }
        returning
    }
}

/// After a fetch that brought nothing, the next one waits so long.
const PAUSE: Duration = Duration::from_millis(250);
