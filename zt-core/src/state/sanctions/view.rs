//! The sanctions in force, as this process sees them.

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

/// A change that others have to be told of.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: Arc<str>,
    /// What stands there now.
    pub(super) sanction: Option<Arc<Sanction>>,
    since: Option<u64>,
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
            .chain([(None, peer)])
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

    /// Puts `sanction` in force at the place that `reservation` kept; it ends no earlier than what
    /// stood there before.
    pub(super) fn impose(
        &self,
        sanction: Sanction,
        now: Timestamp,
        reservation: Reservation<'_>,
    ) -> Change {
        let key = sanction.key();
        let mut state = self.write();
        let before = state.by_key.get(&key).map(|held| &held.sanction);
        let sanction = Arc::new(match before.filter(|before| before.is_live(now)) {
            Some(before) => sanction.no_shorter_than(before),
            None => sanction,
        });
        state.untold.insert(Arc::clone(&key), false);
        let since = self.insert(&mut state, Arc::clone(&key), Arc::clone(&sanction));
        drop(state);
        drop(reservation);
        Change {
            key,
            sanction: Some(sanction),
            since: Some(since),
        }
    }

    /// Takes away what stands at `key`.
    pub(super) fn lift(&self, key: &Arc<str>) -> Change {
        let mut state = self.write();
        state.untold.insert(Arc::clone(key), false);
        self.remove(&mut state, key);
        Change {
            key: Arc::clone(key),
            sanction: None,
            since: None,
        }
    }

    /// A change that others have not been told of.
    pub(super) fn untold(&self) -> Option<Change> {
        let state = self.read();
        let key = state.untold.keys().next()?;
        let held = state.by_key.get(key);
        Some(Change {
            key: Arc::clone(key),
            sanction: held.map(|held| Arc::clone(&held.sanction)),
            since: held.map(|held| held.since),
        })
    }

    /// Others know of `change` now, and `stored` is what they know. Whether there was news of the
    /// place meanwhile, so that the store has to be asked again.
    pub(super) fn told(&self, change: &Change, stored: Option<Arc<Sanction>>) -> bool {
        let mut state = self.write();
        if state.by_key.get(&change.key).map(|held| held.since) != change.since {
            // It has changed once more; whoever changed it tells.
            return false;
        }
        let again = state.untold.remove(&change.key).unwrap_or(false);
        if let Some(stored) = stored {
            self.insert(&mut state, Arc::clone(&change.key), stored);
        }
        again
    }

    /// Since when what stands at `key` stands there.
    pub(super) fn since(&self, key: &str) -> Option<u64> {
        self.read().by_key.get(key).map(|held| held.since)
    }

    /// Takes over what the store has at `key`, unless the place was changed here after `since` was
    /// asked (`false`: the store has to be asked again).
    pub(super) fn adopt(
        &self,
        key: &Arc<str>,
        since: Option<u64>,
        found: Option<Sanction>,
        now: Timestamp,
    ) -> Result<bool, SanctionError> {
        let mut state = self.write();
        if let Some(news) = state.untold.get_mut(key) {
            *news = true;
            return Ok(true);
        }
        if state.by_key.get(key).map(|held| held.since) != since {
            return Ok(false);
        }
        let Some(found) = found else {
            self.remove(&mut state, key);
            return Ok(true);
        };
        if since.is_none() {
            self.make_place(&mut state, now)?;
        }
        self.insert(&mut state, Arc::clone(key), Arc::new(found));
        Ok(true)
    }

    /// Takes over the whole store as it was read after `generation`. What was changed here since
    /// then, and what others were not told of, stays.
    pub(super) fn adopt_all(
        &self,
        found: Vec<(Arc<str>, Sanction)>,
        generation: u64,
        now: Timestamp,
    ) -> Result<(), SanctionError> {
        let mut state = self.write();
        let mut kept: HashMap<Arc<str>, Arc<Sanction>> = found
            .into_iter()
            .filter(|(key, sanction)| sanction.is_live(now) && !state.untold.contains_key(key))
            .map(|(key, sanction)| (key, Arc::new(sanction)))
            .collect();
        for (key, held) in &state.by_key {
            if held.since > generation || state.untold.contains_key(key) {
                kept.insert(Arc::clone(key), Arc::clone(&held.sanction));
            }
        }
        if kept.len() > self.limit {
            return Err(SanctionError::Full);
        }
        state.untold.values_mut().for_each(|news| *news = true);
        let own = std::mem::take(&mut state.by_key);
        state.by_name.clear();
        for (key, sanction) in kept {
            let since = own.get(&key).map(|held| held.since);
            self.insert(&mut state, Arc::clone(&key), sanction);
            // A change that somebody is telling others of stays the same change.
            if let Some(since) = since.filter(|_| state.untold.contains_key(&key)) {
                if let Some(held) = state.by_key.get_mut(&key) {
                    held.since = since;
                }
            }
        }
        self.changed(&state);
        Ok(())
    }

    fn insert(&self, state: &mut State, key: Arc<str>, sanction: Arc<Sanction>) -> u64 {
        self.forget(state, &key);
        let name = Arc::clone(sanction.target.name());
        let since = self.generation().saturating_add(1);
        let held = Held {
            sanction: Arc::clone(&sanction),
            since,
        };
        state.by_key.insert(key, held);
        state.by_name.entry(name).or_default().push(sanction);
        self.changed(state);
        since
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
