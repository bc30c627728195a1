//! The memory of one process.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;

use super::{
    Recording, ReplayMemory, Sighting, Verdict,
    generations::{Shard, set_bytes},
    rooms::{self, Rooms},
    seed::Seed,
};
use crate::{
    clock::{Clock, Timestamp},
    state::{Probe, Readiness},
};

/// Remembers what this process has seen: the default. Clones share it.
///
/// Every message is remembered for at least its window and at most two, in two generations of
/// sets that are swapped when the newer one is a window old, so forgetting costs nothing an entry.
/// Nothing is ever put out to make room: where there is none, the answer is
/// [`Verdict::Unavailable`].
///
/// **Restarts.** What an earlier process has seen is not known here. So a message that it could
/// have accepted is refused: one whose `created` is not after the start of this memory by more
/// than the skew that a verifier allows, for that one may have been accepted while it was still
/// dated ahead. For a few seconds that is every message; [`register`](Self::register) a probe so
/// that nothing is routed here before. Two processes that overlap, as in a rolling restart, are two
/// replicas and do not know of each other: that is what [`SharedReplays`](super::SharedReplays) is
/// for. A clock that is set back between two processes has to be within the skew that is given.
///
/// **Clocks.** The time is that of the sightings. A clock that steps back makes nothing be
/// forgotten; what was forgotten before it did is refused, until it is where it was. A clock that
/// leaps ahead makes the memory forget what has expired by it. When such a clock comes back, the
/// memory does not forget again before it has caught up: it goes on until it is full, and then
/// refuses and says so; a restart helps.
///
/// **Memory.** 16 bytes a message and one beside it, in tables that double: 20 to 39 bytes an
/// entry in each generation, never more than [`ReplayLimits::max_bytes`]. Tables grow as they are
/// needed and keep what they have, so once they are as large as the traffic needs, recording
/// allocates nothing. While one of the 64 tables of a generation grows, it is there twice.
///
/// Layers that verify with the same keys share a memory; those whose key ids name different keys
/// have one each, or a nonce of one counts as seen by the other.
///
/// ```
/// use std::time::Duration;
/// use zt_core::clock::{Clock, ManualClock};
/// use zt_core::signature::replay::{MemoryReplays, Recording, ReplayKey, ReplayMemory, Sighting, Verdict};
///
/// let clock = ManualClock::default();
/// let (age, skew) = (Duration::from_secs(60), Duration::from_secs(5));
/// let memory = MemoryReplays::new(age + 2 * skew, skew, clock.now()?);
///
/// let see = |nonce| {
///     let now = clock.now().unwrap();
///     memory.record(&Sighting {
///         key: ReplayKey::of_nonce("k1", nonce),
///         keyid: "k1",
///         created: now,
///         until: now + age + skew,
///         now,
///     })
/// };
/// // An earlier process may have seen this one.
/// assert!(matches!(see("n1"), Recording::Now(Verdict::Unavailable(_))));
///
/// clock.advance(Duration::from_secs(6));
/// assert!(matches!(see("n2"), Recording::Now(Verdict::Fresh)));
/// assert!(matches!(see("n2"), Recording::Now(Verdict::Replayed)));
/// # Ok::<_, zt_core::clock::ClockError>(())
/// ```
#[derive(Clone)]
pub struct MemoryReplays(Arc<Inner>);

struct Inner {
    window: Duration,
    /// Nothing that was created at or before it is accepted.
    horizon: Option<Timestamp>,
    /// How much later than the start that is.
    skew: Option<Duration>,
    limits: ReplayLimits,
    seed: Seed,
    shards: Box<[Mutex<Shard>]>,
    rooms: Rooms,
    /// How often a generation began.
    turns: Mutex<u64>,
}

/// How much a [`MemoryReplays`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayLimits {
    /// The most entries, in both generations: the rate that it bears for good is this over two
    /// windows.
    pub entries: u32,
    /// The most entries of one key id, in both generations, so that one that is noisy does not
    /// use up the room of the others.
    pub entries_per_key: u32,
    /// How many key ids are counted each for itself; further ones share the room of one.
    pub key_ids: usize,
}

impl Default for ReplayLimits {
    /// 1,048,576 entries, 262,144 for a key id, 1,024 key ids: with a window of 70 s some 7,400
    /// messages a second, 1,800 of one key, and at most 72 MB (17 MB at 1,800 a second).
    fn default() -> Self {
        Self {
            entries: 1 << 20,
            entries_per_key: 1 << 18,
            key_ids: 1 << 10,
        }
    }
}

impl ReplayLimits {
    /// The most memory that it ever takes, in bytes: two generations of 64 tables, each of 17
    /// bytes times the next power of two from 8/7 of (9/8 of its share of the entries, and 64),
    /// and 32 bytes a key id.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        set_bytes(self.entries_per_shard())
            .saturating_mul(2 * SHARDS)
            .saturating_add(rooms::bytes(self))
    }

    /// The most entries that a shard takes in one generation: its share, and far more on top than
    /// chance gives it (at least 16 standard deviations), so that only the limits above are met.
    pub(super) const fn entries_per_shard(&self) -> usize {
        let share = (self.entries as usize).div_ceil(SHARDS);
        share.saturating_add(share / 8).saturating_add(64)
    }
}

/// What a [`MemoryReplays`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayStats {
    /// How many messages are remembered; expired ones count until their generation is dropped.
    pub entries: usize,
    /// The memory that its tables take, used or not, in bytes.
    pub capacity_bytes: usize,
    /// How many generations have begun.
    pub generations: u64,
    /// How many key ids have an account of their own.
    pub key_ids: usize,
}

impl MemoryReplays {
    /// An empty memory that began at `started`, for keys that were used before.
    ///
    /// `window` is the longest time for which a message can be accepted, its maximum age and the
    /// skew before and after it; it is at least a second. `future_skew` is how far ahead of its
    /// own clock any process with these keys has accepted a `created`; until `started +
    /// future_skew` has passed, everything is refused.
    #[must_use]
    pub fn new(window: Duration, future_skew: Duration, started: Timestamp) -> Self {
        let horizon = Some(started + future_skew);
        Self::build(window, horizon, Some(future_skew), ReplayLimits::default())
    }

    /// An empty memory for keys that were made in this very process and that nobody else
    /// verifies: there is no earlier process that could have seen a message of theirs, so nothing
    /// is refused at the start.
    ///
    /// Right for tests, examples and keys of one run. Wrong for every key that comes from a file,
    /// the environment or a secret store, however new it is: the next start of the process reads
    /// the same key.
    #[must_use]
    pub fn for_new_keys(window: Duration) -> Self {
        Self::build(window, None, None, ReplayLimits::default())
    }

    /// An empty memory like this one, with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ReplayLimits) -> Self {
        Self::build(self.0.window, self.0.horizon, self.0.skew, limits)
    }

    fn build(
        window: Duration,
        horizon: Option<Timestamp>,
        skew: Option<Duration>,
        limits: ReplayLimits,
    ) -> Self {
        let seed = Seed::new();
        Self(Arc::new(Inner {
            window: window.max(MIN_WINDOW),
            horizon,
            skew,
            limits,
            seed,
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(Timestamp::EPOCH, seed)))
                .collect(),
            rooms: Rooms::new(limits),
            turns: Mutex::new(1),
        }))
    }

    /// Adds a probe that is not ready while everything is refused because this memory has only
    /// just begun; `clock` is the one that requests are timed by.
    pub fn register(&self, readiness: &Readiness, name: &'static str, clock: impl Clock) {
        let horizon = self.0.horizon;
        readiness.register(name, move || match (horizon, clock.now()) {
            (_, Err(_)) => Probe::NotReady("there is no time"),
            (Some(horizon), Ok(now)) if is_before(now, horizon) => Probe::NotReady(TOO_EARLY),
            _ => Probe::Ready,
        });
    }

    /// What it holds now.
    #[must_use]
    pub fn stats(&self) -> ReplayStats {
        let tables: usize = self.0.shards.iter().map(|s| lock(s).capacity_bytes()).sum();
        ReplayStats {
            entries: self.0.rooms.entries(),
            capacity_bytes: tables + rooms::bytes(&self.0.limits),
            generations: *lock(&self.0.turns),
            key_ids: self.0.rooms.key_ids(),
        }
    }
}

impl ReplayMemory for MemoryReplays {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        Recording::Now(self.0.record(sighting))
    }

    fn window(&self) -> Option<Duration> {
        Some(self.0.window)
    }

    fn future_skew(&self) -> Option<Duration> {
        self.0.skew
    }
}

impl Inner {
    fn record(&self, sighting: &Sighting<'_>) -> Verdict {
        if self.horizon.is_some_and(|h| is_before(sighting.created, h)) {
            return Verdict::Unavailable(TOO_EARLY);
        }
        if sighting.until.since(sighting.now) > self.window {
            return Verdict::Unavailable(TOO_LONG);
        }
        let Some(shard) = self.shard(sighting) else {
            return Verdict::Unavailable(NO_SHARD);
        };
        loop {
            let mut shard = lock(shard);
            if !shard.is_over(sighting.now, self.window) {
                return shard.record(sighting, self.window, &self.limits, &self.rooms);
            }
            drop(shard);
            self.turn(sighting.now);
        }
    }

    /// Which shard a key falls to. Seeded, so that nobody can fill one of them alone.
    fn shard(&self, sighting: &Sighting<'_>) -> Option<&Mutex<Shard>> {
        // The tables of a shard go by the lowest and the highest bits.
        let place = self.seed.place(sighting.key.as_number()) >> 48;
        let at = usize::try_from(place % SHARDS as u64).ok()?;
        self.shards.get(at)
    }

    /// Begins a generation at `now`, unless another thread has. Shards are locked in their order,
    /// and nobody who holds one waits for another.
    fn turn(&self, now: Timestamp) {
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        let Some(first) = shards.first().filter(|s| s.is_over(now, self.window)) else {
            return;
        };
        let both = first.is_stale(now, self.window);
        for shard in &mut shards {
            shard.turn(now, both);
        }
        self.rooms.turn(both);
        *lock(&self.turns) += 1;
    }
}

/// Whether `moment` is not in a later whole second than `horizon`: `created` has no fractions, so
/// one of that second may have been made before it or after.
fn is_before(moment: Timestamp, horizon: Timestamp) -> bool {
    moment.as_secs() <= horizon.as_secs()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What it holds, not what it has seen.
impl fmt::Debug for MemoryReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplays")
            .field("window", &self.0.window)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

pub(super) const SHARDS: usize = 64;
/// A shorter one could end within the microsecond in which it begins.
const MIN_WINDOW: Duration = Duration::from_secs(1);

pub(super) const TOO_EARLY: &str =
    "an earlier process may have seen the message: it is not newer than the replay memory";
pub(super) const TOO_LONG: &str =
    "the message can be accepted for longer than the replay memory remembers";
const NO_SHARD: &str = "the replay memory has no such part";
