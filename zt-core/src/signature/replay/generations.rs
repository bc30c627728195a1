//! Two sets of keys, of which the older one is emptied when the newer one is a window old.

use std::{collections::HashSet, mem, time::Duration};

use super::{ReplayKey, Sighting, Verdict, memory::ReplayLimits, rooms::Rooms, seed::Seed};
use crate::clock::Timestamp;

/// One shard: all that is remembered of the keys that fall to it.
///
/// The rule by which nothing is forgotten too early: an entry comes in while `now < start +
/// window`, with `until <= now + window < start + 2 * window`. It is dropped at the second turn
/// from then, and each turn is at least one window after the one before: at `start + 2 * window`
/// or later. `start` never goes back, whatever the clock does.
#[derive(Debug)]
pub(super) struct Shard {
    /// When the current generation began.
    start: Timestamp,
    current: Generation,
    previous: Generation,
    /// No message that could be accepted after this moment was ever dropped.
    forgotten: Timestamp,
}

#[derive(Debug)]
struct Generation {
    keys: HashSet<u128, Seed>,
    /// The last moment at which one of its messages could be accepted.
    latest: Timestamp,
}

impl Shard {
    pub(super) fn new(start: Timestamp, seed: Seed) -> Self {
        Self {
            start,
            current: Generation::new(seed),
            previous: Generation::new(seed),
            forgotten: Timestamp::EPOCH,
        }
    }

    /// Whether the current generation is a window old.
    pub(super) fn is_over(&self, now: Timestamp, window: Duration) -> bool {
        self.age_is(now, window)
    }

    /// Whether all that is remembered has had its time.
    pub(super) fn is_stale(&self, now: Timestamp, window: Duration) -> bool {
        self.age_is(now, window.saturating_mul(2))
    }

    fn age_is(&self, now: Timestamp, span: Duration) -> bool {
        // At the end of time nothing is over.
        self.start.checked_add(span).is_some_and(|end| now >= end)
    }

    /// Whether the clock stands before the generation by more than `window`.
    fn is_ahead(&self, now: Timestamp, window: Duration) -> bool {
        self.start.since(now) > window
    }

    /// A new generation begins at `start`.
    pub(super) fn turn(&mut self, start: Timestamp, both: bool) {
        self.start = start;
        // The sets keep their memory; emptying one touches a byte an entry and frees nothing.
        self.forgotten = self.forgotten.max(self.previous.clear());
        mem::swap(&mut self.current, &mut self.previous);
        if both {
            self.forgotten = self.forgotten.max(self.previous.clear());
        }
    }

    pub(super) fn record(
        &mut self,
        sighting: &Sighting<'_>,
        window: Duration,
        limits: &ReplayLimits,
        rooms: &Rooms,
    ) -> Verdict {
        let key = sighting.key.as_number();
        if self.previous.keys.contains(&key) || self.current.keys.contains(&key) {
            return Verdict::Replayed;
        }
        // Only a clock that went back gets here: it may have been seen and dropped.
        if sighting.until <= self.forgotten {
            return Verdict::Unavailable(FORGOTTEN);
        }
        if self.current.keys.len() >= limits.entries_per_shard() {
            return Verdict::Unavailable(SHARD_FULL);
        }
        if let Err(reason) = rooms.take(sighting.keyid) {
            return Verdict::Unavailable(if self.is_ahead(sighting.now, window) {
                AHEAD
            } else {
                reason
            });
        }
        self.current.keys.insert(key);
        // `until` of this one is not later. A second verifier, with another maximum age, may say
        // another `until` of the same message, but none beyond the window.
        self.current.latest = self.current.latest.max(sighting.now + window);
        Verdict::Fresh
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        [&self.current, &self.previous]
            .into_iter()
            .map(|generation| set_bytes(generation.keys.capacity()))
            .sum()
    }
}

impl Generation {
    fn new(seed: Seed) -> Self {
        Self {
            keys: HashSet::with_hasher(seed),
            latest: Timestamp::EPOCH,
        }
    }

    /// Empties it and says until when its messages could have been accepted.
    fn clear(&mut self) -> Timestamp {
        self.keys.clear();
        mem::replace(&mut self.latest, Timestamp::EPOCH)
    }
}

/// What a set with room for `capacity` keys takes, in bytes: the standard library's table has a
/// power of two of buckets of which seven in eight may be used, and a byte beside each, and some
/// more.
pub(super) const fn set_bytes(capacity: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    let buckets = capacity.saturating_mul(8).div_ceil(7).next_power_of_two();
    buckets
        .saturating_mul(size_of::<ReplayKey>() + 1)
        .saturating_add(16)
}

pub(super) const FORGOTTEN: &str =
    "the clock went back: the message may have been seen and forgotten";
pub(super) const AHEAD: &str =
    "the replay memory is full, and cannot forget before the clock is where it was";
pub(super) const SHARD_FULL: &str = "a part of the replay memory is full";
