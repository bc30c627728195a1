//! One fetch at a time, and who waits for it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// The fetches of one issuer's keys, of which no more than one is on its way.
#[derive(Debug)]
pub(super) struct Flights {
    /// [`Last`] in one word, so that it is read without a lock.
    last: AtomicU64,
    /// Where whoever joins the fetch that is on its way finds it.
    current: Mutex<Option<Flight>>,
    waiting: AtomicUsize,
    seats: usize,
}

/// How the last fetch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// There was none.
    Never,
    /// It is on its way.
    Flying,
    /// It ended at that moment of the monotonic clock.
    Landed { at: Duration, failed: bool },
}

/// A fetch that is on its way, for those who wait for it.
#[derive(Debug, Clone)]
pub(super) struct Flight(watch::Receiver<()>);

impl Flight {
    /// Ready when it has ended, in whatever way.
    pub(super) async fn landed(mut self) {
        // Nothing is ever sent: the end is that whoever could send is gone.
        let _ = self.0.changed().await;
    }
}

/// Held by whoever fetches; when it is dropped, all who wait go on.
#[derive(Debug)]
pub(super) struct Takeoff {
    _ends_with_this: watch::Sender<()>,
}

impl Flights {
    /// With room for `seats` who wait.
    pub(super) fn new(seats: usize) -> Self {
        Self {
            last: AtomicU64::new(0),
            current: Mutex::default(),
            waiting: AtomicUsize::new(0),
            seats,
        }
    }

    /// How the last one stands. Lock-free.
    pub(super) fn last(&self) -> Last {
        let word = self.last.load(Ordering::Acquire);
        if word & FLYING != 0 {
            return Last::Flying;
        }
        if word & LANDED == 0 {
            return Last::Never;
        }
        Last::Landed {
            at: Duration::from_micros(word >> SHIFT),
            failed: word & FAILED != 0,
        }
    }

    /// The fetch that is on its way, or a new one where `clear` has no objection. Of all who come
    /// at once one gets the [`Takeoff`], and has to fetch.
    pub(super) fn board<R, E>(
        &self,
        clear: impl FnOnce() -> Result<R, E>,
    ) -> Result<(Flight, Option<(Takeoff, R)>), E> {
        let mut current = self.lock();
        if let Some(flight) = &*current {
            return Ok((flight.clone(), None));
        }
        // Asked under the lock, so that one which has just landed counts.
        let cleared = clear()?;
        let (end, flight) = watch::channel(());
        let flight = Flight(flight);
        *current = Some(flight.clone());
        self.last.fetch_or(FLYING, Ordering::AcqRel);
        let takeoff = Takeoff {
            _ends_with_this: end,
        };
        Ok((flight, Some((takeoff, cleared))))
    }

    /// The fetch that was on its way has ended.
    pub(super) fn land(&self, at: Duration, failed: bool) {
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let outcome = if failed { LANDED | FAILED } else { LANDED };
        let mut current = self.lock();
        self.last
            .store((micros << SHIFT) | outcome, Ordering::Release);
        *current = None;
    }

    /// A place to wait, where one is left.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let seat = Seat(Arc::clone(self));
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        (before < self.seats).then_some(seat)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Flight>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Flights>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

// Below the time in microseconds, which has room for 70,000 years.
const FLYING: u64 = 1;
const FAILED: u64 = 2;
const LANDED: u64 = 4;
const SHIFT: u32 = 3;
