//! The sanctions in force, as this process sees them.

pub(super) mod changes;

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{Sanction, SanctionAction, SanctionError};
use crate::{
    clock::Timestamp,
    identity::{PeerIdentity, Principal},
};

#[derive(Debug)]
pub(super) struct View {
    limit: usize,
    /// How many sanctions there are, for those who need not take the lock when there are none.
    count: AtomicUsize,
    generation: AtomicU64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    by_key: HashMap<Arc<str>, Held>,
    by_name: HashMap<Arc<str>, Vec<Arc<Sanction>>>,
    /// Places taken by sanctions that are being recorded.
    reserved: usize,
    /// Keys whose change others have not been told of, and whether there was news of them
    /// meanwhile.
    untold: HashMap<Arc<str>, bool>,
    /// At how many sanctions it is worth looking for expired ones.
    purge_at: usize,
}

#[derive(Debug)]
struct Held {
    sanction: Arc<Sanction>,
    /// The generation that it came with.
    since: u64,
}

/// A place that is kept free for one sanction.
#[derive(Debug)]
pub(super) struct Reservation<'a>(Option<&'a View>);

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(view) = self.0 {
            view.write().reserved -= 1;
        }
    }
}

impl View {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            count: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            state: RwLock::default(),
        }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The sanction that strikes at `now`; a revocation before a quarantine.
    pub(super) fn striking(
        &self,
        principal: Option<&Principal>,
        peer: Option<&PeerIdentity>,
        now: Timestamp,
    ) -> Option<Arc<Sanction>> {
        let state = self.read();
        let proofs = principal
            .into_iter()
            .flat_map(|who| std::iter::once(who).chain(who.further_proofs()));
        let named = proofs
            .map(|who| (Some(who), None))
            .chain(along(peer).map(|peer| (None, Some(peer))))
            .flat_map(|(who, peer)| names(who, peer).map(move |name| (name, who, peer)));
        let mut found = None;
        for (name, who, peer) in named {
            for sanction in state.by_name.get(name).into_iter().flatten() {
                if sanction.is_live(now) && sanction.target.strikes(who, peer) {
                    if sanction.action == SanctionAction::Revoke {
                        return Some(Arc::clone(sanction));
                    }
                    found.get_or_insert(sanction);
                }
            }
        }
        found.map(Arc::clone)
    }

    pub(super) fn list(&self, now: Timestamp) -> Vec<Arc<Sanction>> {
        let state = self.read();
        let all = state.by_key.values().map(|held| &held.sanction);
        all.filter(|sanction| sanction.is_live(now))
            .cloned()
            .collect()
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Sanction>> {
        let state = self.read();
        state.by_key.get(key).map(|held| Arc::clone(&held.sanction))
    }

    /// A place for what will stand at `key`.
    pub(super) fn reserve(
        &self,
        key: &str,
        now: Timestamp,
    ) -> Result<Reservation<'_>, SanctionError> {
        let mut state = self.write();
        if state.by_key.contains_key(key) {
            return Ok(Reservation(None));
        }
        self.make_place(&mut state, now)?;
        state.reserved += 1;
        Ok(Reservation(Some(self)))
    }

    fn insert(&self, state: &mut State, key: Arc<str>, sanction: Arc<Sanction>) {
        self.forget(state, &key);
        let name = Arc::clone(sanction.target.name());
        let held = Held {
            sanction: Arc::clone(&sanction),
            since: self.generation().saturating_add(1),
        };
        state.by_key.insert(key, held);
        state.by_name.entry(name).or_default().push(sanction);
        self.changed(state);
    }

    fn remove(&self, state: &mut State, key: &str) {
        if self.forget(state, key) {
            self.changed(state);
        }
    }

    fn forget(&self, state: &mut State, key: &str) -> bool {
        let Some(held) = state.by_key.remove(key) else {
            return false;
        };
        let name = held.sanction.target.name();
        if let Some(same) = state.by_name.get_mut(name) {
            same.retain(|other| !Arc::ptr_eq(other, &held.sanction));
            if same.is_empty() {
                state.by_name.remove(name);
            }
        }
        true
    }

    /// Sees that there is a place for one more; only what has expired is forgotten for it.
    fn make_place(&self, state: &mut State, now: Timestamp) -> Result<(), SanctionError> {
        let is_full = |state: &State| state.by_key.len() + state.reserved >= self.limit;
        if state.by_key.len() >= state.purge_at || is_full(state) {
            let over: Vec<_> = state
                .by_key
                .iter()
                .filter(|(_, held)| !held.sanction.is_live(now))
                .map(|(key, _)| Arc::clone(key))
                .collect();
            for key in over {
                state.untold.remove(&key);
                self.remove(state, &key);
            }
            // Not again before as many have come, so that this costs each of them little.
            state.purge_at = (state.by_key.len() * 2).max(1024);
        }
        if is_full(state) {
            return Err(SanctionError::Full);
        }
        Ok(())
    }

    /// Told to everybody who looks without the lock; called while it is held.
    fn changed(&self, state: &State) {
        self.count.store(state.by_key.len(), Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A workload, and the proxy that speaks for it.
pub(super) fn along(peer: Option<&PeerIdentity>) -> impl Iterator<Item = &PeerIdentity> {
    let proxy = peer.and_then(PeerIdentity::via).map(AsRef::as_ref);
    peer.into_iter().chain(proxy)
}

/// What `principal` and `peer` are looked up by.
fn names<'a>(
    principal: Option<&'a Principal>,
    peer: Option<&'a PeerIdentity>,
) -> impl Iterator<Item = &'a str> {
    principal
        .into_iter()
        .flat_map(|who| [who.token(), who.session(), Some(who.subject()), who.key()])
        .chain([peer.and_then(PeerIdentity::spiffe_id)])
        .flatten()
}
