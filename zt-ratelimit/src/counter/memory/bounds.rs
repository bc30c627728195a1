use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{
    holds::{Hold, Holds},
    slab::Slab,
};

/// How much a [`MemoryCounters`](super::MemoryCounters) keeps, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBounds {
    /// The most bytes: what is counted for whom, their names, and room for all holds, with a
    /// quarter of a MiB for what is begun and not full. A key takes about 130 and its name, or 170
    /// where it is a root of its own; a rolling window takes 220 more.
    pub bytes: usize,
    /// The most holds: requests and leases that have not been settled, and those that ended by
    /// themselves and can still be corrected.
    pub holds: usize,
    /// How long a hold that ended by itself can be corrected by a settlement.
    pub grace: Duration,
}

impl Default for MemoryBounds {
    /// 256 MiB, of which 32 are for 262,144 holds; ten minutes.
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            holds: 1 << 18,
            grace: Duration::from_secs(600),
        }
    }
}

/// What is left of the bounds, over all shards.
pub(super) struct Room {
    /// Bytes for cells.
    bytes: Stock,
    holds: Stock,
}

struct Stock {
    most: usize,
    used: AtomicUsize,
}

impl Room {
    pub(super) const fn new(bounds: &MemoryBounds, shards: usize) -> Self {
        // Each shard may have begun a chunk.
        let begun = shards * Slab::<Hold>::CHUNK;
        let holds = bounds
            .holds
            .saturating_add(begun)
            .saturating_mul(Holds::BYTES);
        Self {
            bytes: Stock::new(bounds.bytes.saturating_sub(holds)),
            holds: Stock::new(bounds.holds),
        }
    }

    pub(super) fn take_bytes(&self, bytes: usize) -> bool {
        self.bytes.take(bytes)
    }

    /// Counts bytes that are in use already.
    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_bytes(&self, bytes: usize) {
        self.bytes.give(bytes);
    }

    pub(super) fn take_hold(&self) -> bool {
        self.holds.take(1)
    }

    pub(super) fn give_hold(&self) {
        self.holds.give(1);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.used.load(Ordering::Relaxed)
    }

    pub(super) fn holds(&self) -> usize {
        self.holds.used.load(Ordering::Relaxed)
    }
}

impl Stock {
    const fn new(most: usize) -> Self {
        Self {
            most,
            used: AtomicUsize::new(0),
        }
    }

    fn take(&self, many: usize) -> bool {
        self.used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(many).filter(|sum| *sum <= self.most)
            })
            .is_ok()
    }

    fn give(&self, many: usize) {
        let _ = self
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                Some(used.saturating_sub(many))
            });
    }
}
