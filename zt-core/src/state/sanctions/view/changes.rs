//! How the view changes: by what is done here, and by what others did.

use std::{collections::HashMap, sync::Arc};

use super::{Reservation, View};
use crate::{
    clock::Timestamp,
    state::sanctions::{Sanction, SanctionError},
};

/// A change that others have to be told of.
#[derive(Debug)]
pub(in super::super) struct Change {
    pub(in super::super) key: Arc<str>,
    /// What stands there now.
    pub(in super::super) sanction: Option<Arc<Sanction>>,
    since: Option<u64>,
}

impl View {
    /// Puts `sanction` in force at the place that `reservation` kept; it ends no earlier than what
    /// stood there before. Others do not know of it yet.
    pub(in super::super) fn impose(
        &self,
        sanction: Sanction,
        now: Timestamp,
        reservation: Reservation<'_>,
    ) {
        let key = sanction.key();
        let mut state = self.write();
        let before = state.by_key.get(&key).map(|held| &held.sanction);
        let sanction = match before.filter(|before| before.is_live(now)) {
            Some(before) => sanction.no_shorter_than(before),
            None => sanction,
        };
        state.untold.insert(Arc::clone(&key), false);
        self.insert(&mut state, key, Arc::new(sanction));
        drop(state);
        drop(reservation);
    }

    /// Takes away what stands at `key`. Others do not know of it yet.
    pub(in super::super) fn lift(&self, key: &Arc<str>) {
        let mut state = self.write();
        state.untold.insert(Arc::clone(key), false);
        self.remove(&mut state, key);
    }

    /// The keys of all changes that others have not been told of.
    pub(in super::super) fn untold(&self) -> Vec<Arc<str>> {
        self.read().untold.keys().cloned().collect()
    }

    /// The change at `key`, where others have not been told of it.
    pub(in super::super) fn change(&self, key: &Arc<str>) -> Option<Change> {
        let state = self.read();
        let (key, _) = state.untold.get_key_value(key)?;
        let held = state.by_key.get(key);
        Some(Change {
            key: Arc::clone(key),
            sanction: held.map(|held| Arc::clone(&held.sanction)),
            since: held.map(|held| held.since),
        })
    }

    /// Others know of `change` now, and `stored` is what they know. Whether there was news of the
    /// place meanwhile, so that the store has to be asked again.
    pub(in super::super) fn told(&self, change: &Change, stored: Option<Arc<Sanction>>) -> bool {
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
    pub(in super::super) fn since(&self, key: &str) -> Option<u64> {
        self.read().by_key.get(key).map(|held| held.since)
    }

    /// Takes over what the store has at `key`, unless the place was changed here after `since` was
    /// asked (`false`: the store has to be asked again).
    pub(in super::super) fn adopt(
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
    pub(in super::super) fn adopt_all(
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
            let same = since.filter(|_| state.untold.contains_key(&key));
            if let (Some(since), Some(held)) = (same, state.by_key.get_mut(&key)) {
                held.since = since;
            }
        }
        self.changed(&state);
        Ok(())
    }
}
