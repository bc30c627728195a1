//! The one place where zt asks what time it is.
//!
//! A request reads its time once, when its context opens, and every check agrees on it.
//! A clock that cannot answer, or that has gone back, is an error and therefore a refusal
//! (`clock-unavailable`): an expired credential must not come back to life because a clock moved.
//!
//! [`SystemClock`] is the production default, [`ManualClock`] is for tests, yours included.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Add,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A moment on the wall clock: whole microseconds since 1970-01-01T00:00:00Z.
///
/// Serialized as that integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last moment that can be named.
    pub const MAX: Self = Self(u64::MAX);

    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From seconds since the epoch; saturates.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to `self`, or zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self` moved on by `by`; `None` where that cannot be named.
    #[must_use]
    pub fn checked_add(self, by: Duration) -> Option<Self> {
        let micros = u64::try_from(by.as_micros()).ok()?;
        self.0.checked_add(micros).map(Self)
    }

    /// `self` moved back by `by`, no further than the epoch.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MAX`].
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Timestamp({}.{:06})",
            self.0 / 1_000_000,
            self.0 % 1_000_000
        )
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The clock cannot say what time it is; every request is refused with `clock-unavailable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// There is no time to read.
    #[error("the clock has no time")]
    Unset,
    /// The wall clock stands further behind than the time that has passed allows.
    #[error("the clock went back by {} s", .0.as_secs())]
    WentBack(Duration),
}

/// A future that is ready when a span of the clock has passed.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time, and waits.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock.
    ///
    /// # Errors
    ///
    /// When the time cannot be trusted; callers refuse.
    fn now(&self) -> Result<Timestamp, ClockError>;

    /// Time since some fixed moment; never goes back. Rates and time-outs count on it.
    fn monotonic(&self) -> Duration;

    /// Both at once, for a clock that can read them in one go.
    fn read(&self) -> (Result<Timestamp, ClockError>, Duration) {
        (self.now(), self.monotonic())
    }

    /// Ready when `span` has passed on the monotonic side.
    fn sleep(&self, span: Duration) -> Sleep;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Result<Timestamp, ClockError> {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn read(&self) -> (Result<Timestamp, ClockError>, Duration) {
        (**self).read()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        (**self).sleep(span)
    }
}

/// The machine's clock.
///
/// It answers [`ClockError::Unset`] before 2024 (a machine that booted without its time) and
/// [`ClockError::WentBack`] when the wall clock stands more than five minutes behind where the
/// monotonic clock says it should be, until it has caught up or the process starts again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

struct Anchor {
    wall: Option<Timestamp>,
    instant: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock"
)]
static ANCHOR: LazyLock<Anchor> = LazyLock::new(|| Anchor {
    wall: read_wall(),
    instant: Instant::now(),
});

/// 2024-01-01T00:00:00Z: no machine that runs this code lives before it.
const FLOOR: Timestamp = Timestamp::from_secs(1_704_067_200);
/// How far the wall clock may fall behind the monotonic one; clock discipline steps less.
const TOLERANCE: Duration = Duration::from_secs(300);

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock"
)]
fn read_wall() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros()).ok().map(Timestamp)
}

fn judge(
    wall: Option<Timestamp>,
    anchor: Option<Timestamp>,
    passed: Duration,
) -> Result<Timestamp, ClockError> {
    let wall = wall
        .filter(|wall| *wall >= FLOOR)
        .ok_or(ClockError::Unset)?;
    let expected = anchor
        .filter(|anchor| *anchor >= FLOOR)
        .map_or(wall, |anchor| anchor + passed);
    let behind = expected.since(wall);
    if behind > TOLERANCE {
        Err(ClockError::WentBack(behind))
    } else {
        Ok(wall)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.read().0
    }

    fn monotonic(&self) -> Duration {
        ANCHOR.instant.elapsed()
    }

    fn read(&self) -> (Result<Timestamp, ClockError>, Duration) {
        let passed = ANCHOR.instant.elapsed();
        (judge(read_wall(), ANCHOR.wall, passed), passed)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
    fn sleep(&self, span: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that moves when it is told to; clones share their time.
///
/// ```
/// use std::time::Duration;
/// use zt_core::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::default();
/// let before = clock.now().unwrap();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().unwrap().since(before), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Manual>>);

#[derive(Debug)]
struct Manual {
    wall: Option<Timestamp>,
    monotonic: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

impl Default for ManualClock {
    /// Starts at 2030-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_secs(1_893_456_000))
    }
}

impl ManualClock {
    /// A clock that stands at `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Manual {
            wall: Some(wall),
            // Not zero, so that "an hour ago" can be named from the start.
            monotonic: Duration::from_secs(86_400),
            sleepers: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Moves both sides on and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.wall = state.wall.map(|wall| wall + by);
        state.monotonic += by;
        let now = state.monotonic;
        let later = state.sleepers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Steps the wall clock alone, as an administrator or a time server would.
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().wall = Some(wall);
    }

    /// From now on the clock cannot answer, until [`set_wall`](Self::set_wall).
    pub fn fail(&self) {
        self.lock().wall = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.lock().wall.ok_or(ClockError::Unset)
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep(&self, span: Duration) -> Sleep {
        let until = self.monotonic() + span;
        Box::pin(ManualSleep {
            clock: self.clone(),
            until,
            key: None,
        })
    }
}

struct ManualSleep {
    clock: ManualClock,
    until: Duration,
    key: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.lock();
        if state.monotonic >= self.until {
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert(state.next);
        state.next = state.next.max(key + 1);
        state
            .sleepers
            .insert((self.until, key), task.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.lock().sleepers.remove(&(self.until, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_answers() {
        assert!(SystemClock.now().unwrap() > FLOOR);
    }

    #[test]
    fn a_clock_that_went_back_by_a_day_is_an_error() {
        let start = Timestamp::from_secs(1_800_000_000);
        let hour = Duration::from_secs(3600);
        assert_eq!(
            judge(Some(start + hour), Some(start), hour),
            Ok(start + hour)
        );
        let back = start.saturating_sub(Duration::from_secs(86_400));
        assert!(matches!(
            judge(Some(back), Some(start), hour),
            Err(ClockError::WentBack(_))
        ));
        let slewed = (start + hour).saturating_sub(Duration::from_secs(60));
        assert_eq!(judge(Some(slewed), Some(start), hour), Ok(slewed));
    }

    #[test]
    fn a_clock_that_was_never_set_is_an_error() {
        let unset = Timestamp::from_secs(12);
        assert_eq!(
            judge(Some(unset), Some(unset), Duration::ZERO),
            Err(ClockError::Unset)
        );
        assert_eq!(judge(None, None, Duration::ZERO), Err(ClockError::Unset));
    }

    #[tokio::test]
    async fn a_manual_sleep_ends_when_the_clock_is_moved() {
        let clock = ManualClock::default();
        let sleep = tokio::spawn(clock.sleep(Duration::from_secs(5)));
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!sleep.is_finished());
        clock.advance(Duration::from_secs(1));
        sleep.await.unwrap();
    }
}
