//! Replay memories that are measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use zt_core::{
    clock::{Clock, SystemClock, Timestamp},
    signature::replay::{MemoryReplays, Recording, ReplayKey, ReplayMemory, Sighting},
};

use super::sign::Answered;

pub(super) const AGE: Duration = Duration::from_secs(60);
/// The window of the strict policy: maximum age and future skew.
pub(super) const WINDOW: Duration = Duration::from_secs(65);

/// A real memory under a thousand requests a second, of which none comes twice, although one
/// request is measured over and over: each sighting has the next of many keys that were made
/// before, and is a millisecond later than the one before. Its generations are swapped every 65,000
/// calls, and a key comes again when it is long forgotten. What the layer does to make its own key
/// of the nonce is not spared.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    memory: MemoryReplays,
    keys: Arc<[ReplayKey]>,
    next: Arc<AtomicUsize>,
    started: Timestamp,
}

/// More than two generations hold.
const KEYS: usize = 200_000;

impl Busy {
    pub(super) fn new() -> Answered<Self> {
        let keys = (0..KEYS).map(|number| ReplayKey::of_nonce("a", &number.to_string()));
        Self::with(keys.collect())
    }

    /// Another one, empty.
    pub(super) fn another(&self) -> Answered<Self> {
        Self::with(Arc::clone(&self.keys))
    }

    fn with(keys: Arc<[ReplayKey]>) -> Answered<Self> {
        Ok(Self {
            memory: MemoryReplays::for_new_keys(WINDOW),
            keys,
            next: Arc::default(),
            started: SystemClock.now()?,
        })
    }

    /// One sighting.
    pub(super) fn see(&self, keyid: &str) -> Recording {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(key) = self.keys.get(at % self.keys.len()) else {
            return Recording::Now(zt_core::signature::replay::Verdict::Unavailable("no keys"));
        };
        let now = self.started + Duration::from_millis(at as u64);
        self.memory.record(&Sighting {
            key: *key,
            keyid,
            created: now,
            until: now + AGE,
            now,
        })
    }
}

impl ReplayMemory for Busy {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        self.see(sighting.keyid)
    }
}
