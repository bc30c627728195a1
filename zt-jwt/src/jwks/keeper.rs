//! Asking for the keys of one issuer, and what becomes of the answer.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::{Either, select};
use tokio::{runtime::Handle, sync::watch};
use zt_core::clock::Clock;

use super::{
    FetchError, FetchRequest, Fetched, KeySource, KeysStatus, Missing, RefreshSettings, Validator,
    flight::{Flight, Flights, Last, Takeoff},
    schedule,
};
use crate::{
    algorithm::Algorithms,
    key::{KeyError, KeySet},
};

/// What the handles of one issuer's keys share.
pub(super) struct Keeper {
    pub(super) source: Arc<dyn KeySource>,
    /// What logs call the source.
    name: Box<str>,
    algorithms: Algorithms,
    pub(super) settings: RefreshSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) snapshot: ArcSwapOption<Snapshot>,
    pub(super) epoch: AtomicU64,
    pub(super) flights: Arc<Flights>,
    book: Mutex<Book>,
    /// Ends the background task's sleep when the last handle goes.
    pub(super) alive: watch::Sender<()>,
}

pub(super) struct Snapshot {
    pub(super) keys: KeySet,
    /// When the issuer last gave or confirmed them, in microseconds of the monotonic clock.
    confirmed_at: AtomicU64,
}

/// What only fetches and administrators look at.
struct Book {
    validator: Option<Validator>,
    left_out: Arc<[String]>,
    last_error: Option<Arc<str>>,
    failures: u32,
    /// When the background asks next.
    due: Duration,
}

impl Keeper {
    pub(super) fn new(
        source: Arc<dyn KeySource>,
        algorithms: Algorithms,
        settings: RefreshSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let settings = settings.reconciled();
        Self {
            name: format!("{source:?}").into(),
            source,
            algorithms,
            flights: Arc::new(Flights::new(settings.max_waiting)),
            settings,
            snapshot: ArcSwapOption::empty(),
            epoch: AtomicU64::new(0),
            book: Mutex::new(Book {
                validator: None,
                left_out: [].into(),
                last_error: None,
                failures: 0,
                due: clock.monotonic(),
            }),
            clock,
            alive: watch::Sender::new(()),
        }
    }

    /// What can be said of a key that is not there without asking the issuer.
    pub(super) fn verdict(&self, now: Duration) -> Option<Missing> {
        let Last::Landed { at, failed } = self.flights.last() else {
            return None;
        };
        let retry_after = self
            .settings
            .cooldown
            .saturating_sub(now.saturating_sub(at));
        match (retry_after.is_zero(), failed) {
            (true, _) => None,
            (false, true) => Some(Missing::Unavailable { retry_after }),
            (false, false) => Some(Missing::Unknown),
        }
    }

    /// The fetch that is on its way, or a new one where `clear` gives a runtime for it.
    ///
    /// It runs in a task of its own, so that no request that goes away takes it along.
    pub(super) fn board<E>(
        self: &Arc<Self>,
        clear: impl FnOnce() -> Result<Handle, E>,
    ) -> Result<Flight, E> {
        let (flight, start) = self.flights.board(clear)?;
        if let Some((takeoff, runtime)) = start {
            // Not under the lock: a runtime that shuts down drops the task at once.
            runtime.spawn(fly(Landing {
                keys: Arc::clone(self),
                outcome: None,
                _takeoff: takeoff,
            }));
        }
        Ok(flight)
    }

    pub(super) fn status(&self) -> KeysStatus {
        let now = self.clock.monotonic();
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref();
        let age = snapshot.map(|snapshot| snapshot.age(now));
        let book = self.lock();
        KeysStatus {
            keys: snapshot.map_or(0, |snapshot| snapshot.keys.len()),
            age,
            usable: age.is_some_and(|age| age <= self.settings.stale),
            epoch: self.epoch.load(Ordering::Acquire),
            left_out: Arc::clone(&book.left_out),
            last_error: book.last_error.clone(),
            failures: book.failures,
            waiting: self.flights.waiting(),
        }
    }

    pub(super) fn until_due(&self) -> Duration {
        self.lock().due.saturating_sub(self.clock.monotonic())
    }

    /// Asks once, and takes what comes. Gives for how long it is fresh.
    async fn ask(&self) -> Result<Option<Duration>, Failure> {
        let deadline = self.settings.deadline;
        let request = {
            let book = self.lock();
            FetchRequest {
                known: book.validator.clone(),
                retrying: book.failures > 0,
                max_bytes: self.settings.max_bytes,
                deadline,
                clock: Arc::clone(&self.clock),
            }
        };
        let too_late = self.clock.sleep(deadline);
        // The deadline first: where the runtime stood still, an answer is as old as that.
        match select(too_late, self.source.fetch(request)).await {
            Either::Left(_) => Err(Failure::TooSlow(deadline)),
            Either::Right((fetched, _)) => self.take(fetched?),
        }
    }

    fn take(&self, fetched: Fetched) -> Result<Option<Duration>, Failure> {
        let now = self.clock.monotonic();
        match fetched {
            Fetched::Unchanged { fresh_for } => {
                let snapshot = self.snapshot.load();
                snapshot.as_ref().ok_or(Failure::NothingKnown)?.confirm(now);
                Ok(fresh_for)
            }
            Fetched::New {
                body,
                validator,
                fresh_for,
            } => {
                if body.len() > self.settings.max_bytes {
                    return Err(Failure::TooLarge(self.settings.max_bytes));
                }
                let limit = self.settings.max_keys;
                let (set, left_out) = match KeySet::parse_remote(&body, limit) {
                    Ok((set, left_out)) => (set.restrict(self.algorithms), left_out),
                    Err(KeyError::NoKeys) => Default::default(),
                    Err(error) => return Err(error.into()),
                };
                // It may be a mistake, and it is the issuer's word: the keys that it had are not
                // its keys any more.
                if set.is_empty() {
                    self.remove_all();
                    return Err(Failure::NoneOfUse);
                }
                self.replace(set, now);
                self.note_set(validator, left_out);
                Ok(fresh_for)
            }
        }
    }

    /// Only ever called by the one fetch that is on its way.
    fn replace(&self, set: KeySet, now: Duration) {
        let old = self.snapshot.load_full();
        let keeps_all = old.as_ref().is_none_or(|old| set.keeps_all_of(&old.keys));
        if let Some(old) = old.filter(|old| keeps_all && old.keys.keeps_all_of(&set)) {
            old.confirm(now);
            return;
        }
        let keys = set.len();
        self.snapshot.store(Some(Arc::new(Snapshot {
            keys: set,
            confirmed_at: AtomicU64::new(micros(now)),
        })));
        // After the keys: see `RemoteKeys::epoch`.
        if !keeps_all {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        let source = &*self.name;
        tracing::info!(source, keys, keeps_all, "the keys have changed");
    }

    fn remove_all(&self) {
        if self.snapshot.swap(None).is_some() {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        let mut book = self.lock();
        book.validator = None;
        book.left_out = [].into();
    }

    fn note_set(&self, validator: Option<Validator>, left_out: Vec<String>) {
        let mut book = self.lock();
        book.validator = validator;
        // Once for each change: the same bad key would be there with every fetch.
        let changed = *book.left_out != *left_out;
        if changed {
            book.left_out = left_out.clone().into();
        }
        drop(book);
        if changed && !left_out.is_empty() {
            let source = &*self.name;
            tracing::warn!(source, ?left_out, "some keys cannot be used");
        }
    }

    /// What comes after a fetch, whoever asked for it.
    fn note_end(&self, outcome: Result<Option<Duration>, Failure>, now: Duration) {
        let chance = schedule::chance();
        let mut book = self.lock();
        let error = match outcome {
            Ok(fresh_for) => {
                let wait = schedule::after_success(fresh_for, &self.settings, chance);
                book.due = now.saturating_add(wait);
                book.failures = 0;
                book.last_error = None;
                return;
            }
            Err(error) => error,
        };
        let failures = book.failures.saturating_add(1);
        book.failures = failures;
        // A request may have asked long before it was time: then it still is not time.
        let wait = schedule::after_failure(failures, chance);
        book.due = book.due.max(now.saturating_add(wait));
        book.last_error = Some(error.to_string().into());
        drop(book);
        let source = &*self.name;
        tracing::warn!(source, failures, %error, "keys could not be fetched");
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    pub(super) fn age(&self, now: Duration) -> Duration {
        let at = Duration::from_micros(self.confirmed_at.load(Ordering::Acquire));
        now.saturating_sub(at)
    }

    fn confirm(&self, now: Duration) {
        self.confirmed_at.store(micros(now), Ordering::Release);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

async fn fly(mut landing: Landing) {
    landing.outcome = Some(landing.keys.ask().await);
}

/// Ends a fetch in every way in which its task can end: done, panicked, or dropped with its
/// runtime.
struct Landing {
    keys: Arc<Keeper>,
    outcome: Option<Result<Option<Duration>, Failure>>,
    /// Goes last, when everything is as whoever waits shall find it.
    _takeoff: Takeoff,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or(Err(Failure::CutShort));
        let failed = outcome.is_err();
        let now = self.keys.clock.monotonic();
        let _lands_even_if_logging_panics = Touchdown {
            flights: &self.keys.flights,
            now,
            failed,
        };
        self.keys.note_end(outcome, now);
    }
}

struct Touchdown<'a> {
    flights: &'a Flights,
    now: Duration,
    failed: bool,
}

impl Drop for Touchdown<'_> {
    fn drop(&mut self) {
        self.flights.land(self.now, self.failed);
    }
}

/// Why a fetch came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what was fetched is no usable key set: {0}")]
    Keys(#[from] KeyError),
    #[error("the set has no key that can be used for an accepted algorithm")]
    NoneOfUse,
    #[error("the source says that nothing has changed, and there is nothing yet")]
    NothingKnown,
    #[error("the key set has more than {0} bytes")]
    TooLarge(usize),
    #[error("no key set within {} ms", .0.as_millis())]
    TooSlow(Duration),
    #[error("the source panicked, or its runtime is gone")]
    CutShort,
}
