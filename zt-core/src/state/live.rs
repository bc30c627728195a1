//! Snapshots that are swapped whole.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::Serialize;

use super::{Probe, Readiness};
use crate::clock::Clock;

/// A validated value that is replaced while requests use it: keys, certificates, a policy, a
/// table of prices. Clones share it.
///
/// A reader gets a [`Snapshot`] and keeps it for as long as it decides; a writer swaps the whole
/// value. A value that could not be had leaves the last good one in place, until it is older than
/// [`max_age`](Self::with_max_age).
///
/// ```
/// use zt_core::{clock::ManualClock, state::Live};
///
/// let limits = Live::new(vec![1, 2, 3], ManualClock::default());
/// let parse = |text: &str| text.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>();
///
/// assert!(limits.update(|_| parse("4 five 6")).is_err());
/// assert_eq!(**limits.load(), [1, 2, 3]);
///
/// limits.update(|_| parse("4 5 6"))?;
/// assert_eq!(**limits.load(), [4, 5, 6]);
/// assert_eq!(limits.status().generation, 2);
/// # Ok::<_, std::num::ParseIntError>(())
/// ```
pub struct Live<T>(Arc<Inner<T>>);

struct Inner<T> {
    clock: Arc<dyn Clock>,
    max_age: Option<Duration>,
    current: ArcSwap<Snapshot<T>>,
    /// Held by writers, so that none builds on a value that another is replacing.
    writing: Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    /// When the value was last confirmed without having changed.
    confirmed_at: Option<Duration>,
    last_error: Option<Arc<str>>,
}

/// One edition of a [`Live`] value.
#[derive(Debug)]
pub struct Snapshot<T> {
    value: T,
    generation: u64,
    loaded_at: Duration,
}

impl<T> Snapshot<T> {
    /// Which edition it is; the first is 1.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// When it came, on the monotonic clock.
    #[must_use]
    pub const fn loaded_at(&self) -> Duration {
        self.loaded_at
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The value is too old to decide by; whoever asked refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is {} s old", .age.as_secs())]
pub struct TooOld {
    /// How old it is.
    pub age: Duration,
}

/// How a [`Live`] value stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LiveStatus {
    /// Which edition is in place.
    pub generation: u64,
    /// How long ago it was loaded, or last confirmed.
    pub age: Duration,
    /// Why the last attempt to replace it failed; `None` where that succeeded. May name files and
    /// addresses, so it is for administrators.
    pub last_error: Option<Arc<str>>,
    /// Whether it is too old to decide by.
    pub stale: bool,
}

impl<T> Live<T> {
    /// The first edition; `clock` tells its age. It never becomes too old.
    #[must_use]
    pub fn new(value: T, clock: impl Clock) -> Self {
        Self::build(value, Arc::new(clock), None)
    }

    /// The first edition of a value that is too old to decide by `max_age` after it was loaded or
    /// last [confirmed](Self::confirm).
    #[must_use]
    pub fn with_max_age(value: T, clock: impl Clock, max_age: Duration) -> Self {
        Self::build(value, Arc::new(clock), Some(max_age))
    }

    fn build(value: T, clock: Arc<dyn Clock>, max_age: Option<Duration>) -> Self {
        let first = Snapshot {
            value,
            generation: 1,
            loaded_at: clock.monotonic(),
        };
        Self(Arc::new(Inner {
            clock,
            max_age,
            current: ArcSwap::from_pointee(first),
            writing: Mutex::default(),
        }))
    }

    /// The current edition, however old.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot<T>> {
        self.0.current.load_full()
    }

    /// The current edition.
    ///
    /// # Errors
    ///
    /// When it is older than its maximum age.
    pub fn get(&self) -> Result<Arc<Snapshot<T>>, TooOld> {
        let current = self.load();
        let Some(max_age) = self.0.max_age else {
            return Ok(current);
        };
        let now = self.0.clock.monotonic();
        if now.saturating_sub(current.loaded_at) <= max_age {
            return Ok(current);
        }
        // It may have been confirmed since; that is looked at only by those who would refuse.
        let age = self.0.age(&current, &self.0.lock());
        if age <= max_age {
            return Ok(current);
        }
        Err(TooOld { age })
    }

    /// Replaces the value; the last error is forgotten. Gives the new edition.
    pub fn swap(&self, value: T) -> Arc<Snapshot<T>> {
        self.0.replace(&mut self.0.lock(), value)
    }

    /// Replaces the value by what `make` makes of it. Writers take turns, readers go on with the
    /// old value meanwhile; `make` must not touch this `Live`'s writing half.
    ///
    /// # Errors
    ///
    /// What `make` said; the old value stays, and the error is shown in the status.
    pub fn update<E: fmt::Display>(
        &self,
        make: impl FnOnce(&T) -> Result<T, E>,
    ) -> Result<Arc<Snapshot<T>>, E> {
        let mut attempts = self.0.lock();
        match make(&self.load()) {
            Ok(value) => Ok(self.0.replace(&mut attempts, value)),
            Err(error) => {
                attempts.last_error = Some(error.to_string().into());
                Err(error)
            }
        }
    }

    /// The value was asked for again and has not changed: its age counts from now, its generation
    /// stays, and the last error is forgotten.
    pub fn confirm(&self) {
        *self.0.lock() = Attempts {
            confirmed_at: Some(self.0.clock.monotonic()),
            last_error: None,
        };
    }

    /// A new value could not be had; the old one stays. `error` must not hold a secret.
    pub fn failed(&self, error: impl fmt::Display) {
        self.0.lock().last_error = Some(error.to_string().into());
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        let attempts = self.0.lock();
        let current = self.load();
        let age = self.0.age(&current, &attempts);
        LiveStatus {
            generation: current.generation,
            age,
            last_error: attempts.last_error.clone(),
            stale: self.0.max_age.is_some_and(|max_age| age > max_age),
        }
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// Shows in `readiness`, as `name`, whether the value is fresh enough to decide by.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        let inner = Arc::downgrade(&self.0);
        readiness.register(name, move || match inner.upgrade().map(Live) {
            Some(live) if live.status().stale => Probe::NotReady("the value is too old"),
            Some(_) => Probe::Ready,
            None => Probe::NotReady("the value is gone"),
        });
    }
}

impl<T> Inner<T> {
    fn replace(&self, attempts: &mut Attempts, value: T) -> Arc<Snapshot<T>> {
        let next = Arc::new(Snapshot {
            value,
            generation: self.current.load().generation.saturating_add(1),
            loaded_at: self.clock.monotonic(),
        });
        *attempts = Attempts::default();
        self.current.store(Arc::clone(&next));
        next
    }

    fn age(&self, current: &Snapshot<T>, attempts: &Attempts) -> Duration {
        let fresh = attempts
            .confirmed_at
            .map_or(current.loaded_at, |at| at.max(current.loaded_at));
        self.clock.monotonic().saturating_sub(fresh)
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The generation; the value may hold secrets.
impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("generation", &self.load().generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_value_that_could_not_be_had_leaves_the_last_good_one() {
        let clock = ManualClock::default();
        let live = Live::new(1, clock.clone());
        clock.advance(MINUTE);
        assert_eq!(live.update(|_| Err::<i32, _>("no")).unwrap_err(), "no");
        assert_eq!(live.status().last_error.as_deref(), Some("no"));
        live.failed("not now");
        let status = live.status();
        assert_eq!((**live.load(), status.generation), (1, 1));
        assert_eq!(status.last_error.as_deref(), Some("not now"));
        assert_eq!((status.age, status.stale), (MINUTE, false));

        assert_eq!(live.swap(2).generation(), 2);
        let status = live.status();
        assert_eq!((status.generation, status.last_error), (2, None));
        assert_eq!(status.age, Duration::ZERO);
    }

    #[test]
    fn a_value_past_its_age_is_not_given_out() {
        let clock = ManualClock::default();
        let live = Live::with_max_age("a", clock.clone(), MINUTE);
        clock.advance(MINUTE);
        assert_eq!(**live.get().unwrap(), "a");
        clock.advance(Duration::from_secs(1));
        let age = MINUTE + Duration::from_secs(1);
        assert_eq!(live.get().unwrap_err(), TooOld { age });
        assert!(live.status().stale);
        assert_eq!(**live.load(), "a");

        live.failed("still not");
        assert!(live.get().is_err());
        live.confirm();
        assert_eq!(live.get().unwrap().generation(), 1);
        assert_eq!(live.status().last_error, None);
        clock.advance(MINUTE + Duration::from_secs(1));
        assert!(live.get().is_err());
        live.swap("b");
        assert_eq!(**live.get().unwrap(), "b");
    }

    #[test]
    fn no_update_is_lost_among_threads() {
        let live = Live::new(0_u64, ManualClock::default());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        live.update(|old| Ok::<_, String>(old + 1)).unwrap();
                    }
                });
            }
        });
        assert_eq!((**live.load(), live.load().generation()), (1000, 1001));
    }

    #[test]
    fn a_reader_keeps_the_edition_that_it_began_with() {
        let live = Live::new(1, ManualClock::default());
        let before = live.load();
        live.swap(2);
        assert_eq!((**before, **live.load()), (1, 2));
    }

    #[test]
    fn debug_does_not_show_the_value() {
        let live = Live::new("hunter2", ManualClock::default());
        assert!(!format!("{live:?}").contains("hunter2"));
    }
}
