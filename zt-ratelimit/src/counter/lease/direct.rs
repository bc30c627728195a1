//! The holds that the store gave to requests of this instance: under which root each is, so that
//! its end can be heard of.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::counter::HoldId;

#[derive(Debug, Default)]
pub(super) struct Directs(Mutex<HashMap<HoldId, Direct>>);

#[derive(Debug, Clone, Copy)]
struct Direct {
    shard: u32,
    until: Duration,
}

impl Directs {
    /// Notes a hold, where there is room for it.
    pub(super) fn put(&self, id: HoldId, shard: u32, until: Duration) {
        let mut directs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if directs.len() < MAX_DIRECTS {
            directs.insert(id, Direct { shard, until });
        }
    }

    /// Forgets it: its shard, if it was noted.
    pub(super) fn take(&self, id: HoldId) -> Option<u32> {
        let mut directs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        directs.remove(&id).map(|direct| direct.shard)
    }

    pub(super) fn renew(&self, id: HoldId, until: Duration) {
        let mut directs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(direct) = directs.get_mut(&id) {
            direct.until = direct.until.max(until);
        }
    }

    /// Forgets those that nobody settled in their time.
    pub(super) fn sweep(&self, now: Duration) {
        let mut directs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        directs.retain(|_, direct| direct.until > now);
    }
}

const MAX_DIRECTS: usize = 1 << 16;
