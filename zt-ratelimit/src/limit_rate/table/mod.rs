//! Who has used how much, in memory that never grows.
//!
//! The arithmetic is governor's generic cell rate algorithm. A key's whole state is one moment:
//! when its burst will be back whole (`due`; the algorithm's theoretical arrival time). A key
//! whose moment has passed is as good as one that was never seen, so it can be forgotten.
//!
//! The table is an array of small sets, and a key belongs to the set that its secret hash points
//! at. A set has eight entries and one `rest`, which stands for every key of the set that has no
//! entry:
//!
//! - a key with an entry is counted there;
//! - a key without one takes the place of an entry whose moment has passed, and begins at `rest`;
//!   the forgotten moment is kept in `rest` if it is later;
//! - where no entry can be forgotten, the key is counted in `rest` itself, together with all
//!   others that found no place.
//!
//! So at every moment each key's true `due` is at most the one that it is judged by, whatever
//! other keys do and however the moments of concurrent requests are interleaved: a key can be
//! throttled too early by a flood that fills its set, and is never let go too early. All work is
//! within one set: no scan, no growth, no task in the background.

use std::{
    cell::Cell,
    fmt,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    RateLimiter, clock::Clock, middleware::NoOpMiddleware, nanos::Nanos, state::StateStore,
};

use super::{Key, Quota};

/// The counters of one limit.
pub(super) struct Table {
    rate: governor::Quota,
    /// Nanoseconds after which one request comes back.
    interval: u64,
    /// Nanoseconds after which the whole burst does.
    whole: u64,
    sets: Box<[Mutex<Set>]>,
}

/// What a charge came to, and where the key stands after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) outcome: Outcome,
    /// How much may be spent right now.
    pub(super) remaining: u32,
    /// Until `remaining` grows by one.
    pub(super) more_in: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was spent.
    Admitted,
    /// Nothing was spent; the same charge fits after this time, if nothing else is spent.
    Wait(Duration),
    /// Nothing was spent, and the charge never fits: it is above the burst.
    Never,
}

impl Table {
    pub(super) fn new(quota: &Quota) -> Self {
        // Twice the room that was asked for, so that sets seldom fill before the table does: with
        // that many keys in use, 8 in 1,000 of them find no entry (Poisson, mean 4, in sets of 8).
        let sets = quota.key_room().saturating_mul(2).div_ceil(WAYS);
        Self {
            rate: quota.rate(),
            interval: nanos(quota.interval()),
            whole: nanos(quota.window()),
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    /// Spends `weight` of `key`'s quota at `now`, or nothing.
    pub(super) fn charge(&self, key: Key, weight: NonZeroU32, now: Duration) -> Charge {
        let ahead = Cell::new(0);
        let view = View {
            table: self,
            now: nanos(now),
            ahead: &ahead,
        };
        // governor multiplies before it compares, and the product of a heavy weight wraps.
        let outcome = if weight > self.rate.burst_size() {
            let _: Result<(), ()> = view.measure_and_replace(&key, |_| Err(()));
            Outcome::Never
        } else {
            let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(self.rate, view, Now);
            match limiter.check_key_n(&key, weight) {
                Ok(Ok(())) => Outcome::Admitted,
                Ok(Err(until)) => Outcome::Wait(until.wait_time_from(Now.now())),
                Err(_) => Outcome::Never,
            }
        };
        self.charged(outcome, ahead.get())
    }

    /// `ahead`: nanoseconds until the key's burst is back whole.
    fn charged(&self, outcome: Outcome, ahead: u64) -> Charge {
        let free = self.whole.saturating_sub(ahead);
        // How far `ahead` is beyond a whole burst: where the request's moment is behind another's.
        let beyond = ahead.saturating_sub(self.whole);
        let more_in = beyond + self.interval - free % self.interval;
        Charge {
            outcome,
            remaining: u32::try_from(free / self.interval).unwrap_or(u32::MAX),
            more_in: Duration::from_nanos(more_in),
        }
    }

    /// The bytes that the counters take, now and always.
    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.sets)
    }

    fn set(&self, key: &Key) -> Option<&Mutex<Set>> {
        let sets = self.sets.len() as u128;
        // The hash, as a fraction of 2^64, of the number of sets.
        let index = (u128::from(key.0) * sets) >> 64;
        self.sets.get(usize::try_from(index).ok()?)
    }

    /// How many entries cannot be forgotten at `now`.
    #[cfg(test)]
    fn in_use(&self, now: Duration) -> usize {
        let now = nanos(now);
        self.sets
            .iter()
            .flat_map(|set| set.lock().unwrap().entries)
            .filter(|entry| entry.due > now)
            .count()
    }
}

/// The sizes; keys stay unseen.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("rate", &self.rate)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Entries in a set: with their `rest` and lock they span four cache lines.
const WAYS: usize = 8;

#[derive(Default)]
struct Set {
    /// No key without an entry is due later than this.
    rest: u64,
    entries: [Entry; WAYS],
}

/// `due` in nanoseconds of the monotonic clock; zero in an entry that was never used.
#[derive(Clone, Copy, Default)]
struct Entry {
    key: Key,
    due: u64,
}

impl Set {
    fn due(&self, place: Option<usize>) -> u64 {
        match place.and_then(|place| self.entries.get(place)) {
            Some(entry) => entry.due,
            None => self.rest,
        }
    }

    fn owned(&self, key: &Key) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.key == *key && entry.due != 0)
    }

    /// `key`, which has no entry, is now `due`.
    fn admit(&mut self, key: &Key, due: u64, now: u64) {
        match self.entries.iter_mut().find(|entry| entry.due <= now) {
            Some(entry) => {
                // A request that came earlier and is judged later has an earlier `now`.
                self.rest = self.rest.max(entry.due);
                *entry = Entry { key: *key, due };
            }
            None => self.rest = due,
        }
    }
}

/// The table as one request sees it. Moments count from that request's own, so that the sums of
/// the algorithm stay within twice the window.
struct View<'a> {
    table: &'a Table,
    now: u64,
    /// Where the key stands, for the answer's header fields.
    ahead: &'a Cell<u64>,
}

impl StateStore for View<'_> {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(set) = self.table.set(key) else {
            // There is a set for each hash; without one nothing would be admitted.
            return decide(Some(Nanos::new(FAR))).map(|(answer, _)| answer);
        };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let own = set.owned(key);
        let ahead = set.due(own).saturating_sub(self.now).min(FAR);
        self.ahead.set(ahead);
        let (answer, ahead) = decide(Some(Nanos::new(ahead)))?;
        let ahead = ahead.as_u64();
        self.ahead.set(ahead);
        let due = self.now.saturating_add(ahead);
        match own.and_then(|own| set.entries.get_mut(own)) {
            Some(entry) => entry.due = due,
            None => set.admit(key, due, self.now),
        }
        Ok(answer)
    }
}

/// Further ahead than any window; the algorithm's sums from here stay below 2^64.
const FAR: u64 = u64::MAX / 2;

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The moment of the request, from which everything else is counted; [`View`] knows which it is.
struct Now;

impl Clock for Now {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}

#[cfg(test)]
mod tests;
