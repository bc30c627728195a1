use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::{BoxFuture, Either, select};
use serde::Serialize;
use tokio::{runtime::Handle, sync::watch};
use zt_core::{
    clock::Clock,
    state::{Probe, Readiness},
};

use super::{
    FetchError, FetchRequest, Fetched, KeySource, RefreshSettings, Validator,
    flight::{Flight, Flights, Last, Takeoff},
    schedule,
};
use crate::{
    algorithm::Algorithms,
    key::{KeyError, KeySet},
};

/// The keys of one issuer as they were last seen. Clones share them.
#[derive(Clone)]
pub(crate) struct RemoteKeys(Arc<Inner>);

/// What may be decided by now.
#[derive(Debug, Clone)]
pub(crate) enum Current {
    /// These.
    Keys(Arc<KeySet>),
    /// None were ever had, or they are too old to trust.
    None,
}

/// What to do about a key that is not there.
pub(crate) enum Missing {
    /// It was asked for just now, and it is not there.
    Unknown,
    /// Keys are being fetched: ask again once this is done, whatever has come of it.
    Fetching(BoxFuture<'static, ()>),
    /// They could not be fetched a moment ago, so nobody can tell; not before `retry_after`.
    Unavailable { retry_after: Duration },
    /// Too many wait already.
    Crowded,
}

/// Keys could not be fetched; not before `retry_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotFetched {
    pub(crate) retry_after: Duration,
}

/// How the keys of one issuer stand, for administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How many there are.
    pub keys: usize,
    /// How long ago the issuer gave or confirmed them; `None` where it never has.
    pub age: Option<Duration>,
    /// Whether they can be used: there are some, and they are not too old.
    pub usable: bool,
    /// Grows whenever a key is taken away or changed.
    pub epoch: u64,
    /// Keys of the last set that could not be used, and why.
    pub left_out: Arc<[String]>,
    /// Why the last fetch came to nothing; `None` where it did not.
    pub last_error: Option<Arc<str>>,
    /// How many fetches in a row have come to nothing.
    pub failures: u32,
    /// How many requests wait for keys.
    pub waiting: usize,
}

struct Inner {
    source: Arc<dyn KeySource>,
    /// What logs call the source.
    name: Box<str>,
    algorithms: Algorithms,
    settings: RefreshSettings,
    clock: Arc<dyn Clock>,
    snapshot: ArcSwapOption<Snapshot>,
    epoch: AtomicU64,
    flights: Arc<Flights>,
    book: Mutex<Book>,
    /// Ends the background task's sleep when the last handle goes.
    alive: watch::Sender<()>,
}

struct Snapshot {
    keys: Arc<KeySet>,
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

impl RemoteKeys {
    pub(crate) fn new(
        source: Arc<dyn KeySource>,
        algorithms: Algorithms,
        settings: RefreshSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let settings = settings.reconciled();
        Self(Arc::new(Inner {
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
        }))
    }

    /// The keys, where they are not too old at `monotonic`. Lock-free.
    pub(crate) fn current(&self, monotonic: Duration) -> Current {
        match &*self.0.snapshot.load() {
            Some(snapshot) if snapshot.age(monotonic) <= self.0.settings.stale => {
                Current::Keys(Arc::clone(&snapshot.keys))
            }
            _ => Current::None,
        }
    }

    /// Grows whenever a key is taken away or changed: what was verified before may not stand.
    ///
    /// To be read *before* [`current`](Self::current) by whoever remembers what was verified: keys
    /// change first and this follows, so what was verified with the old ones never passes for
    /// new. It says nothing of age: keys that are too old stay in their epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// A token names a key that is not there, or there are no keys.
    ///
    /// A fetch begins or is joined, unless the last one is too recent. Nothing is locked or
    /// allocated for a key that is unknown.
    pub(crate) fn missing(&self, monotonic: Duration) -> Missing {
        if let Some(verdict) = self.0.verdict(monotonic) {
            return verdict;
        }
        let Some(seat) = self.0.flights.seat() else {
            return Missing::Crowded;
        };
        let flight = self.0.board(|| match self.0.verdict(monotonic) {
            Some(verdict) => Err(verdict),
            None => Handle::try_current().map_err(|_| Missing::Unavailable {
                retry_after: self.0.settings.cooldown,
            }),
        });
        match flight {
            Ok(flight) => Missing::Fetching(Box::pin(async move {
                let _seat = seat;
                flight.landed().await;
            })),
            Err(verdict) => verdict,
        }
    }

    /// Fetches the keys, as at start-up; joins the fetch that is on its way.
    ///
    /// As long as there were never any keys, whoever starts decides how often to try, so the
    /// cooldown does not count. Later it does, and a success within it is one.
    ///
    /// # Errors
    ///
    /// Where the fetch failed, even if there are older keys that can be used.
    pub(crate) async fn fetch_now(&self) -> Result<(), NotFetched> {
        let wait = |retry_after| NotFetched { retry_after };
        let recent = || match self.0.verdict(self.0.clock.monotonic()) {
            Some(Missing::Unavailable { retry_after }) => Some(Err(wait(retry_after))),
            Some(_) => Some(Ok(())),
            None => None,
        };
        let flight = self.0.board(|| {
            let settled = recent().filter(|_| self.0.snapshot.load().is_some());
            match settled {
                Some(settled) => Err(settled),
                None => Handle::try_current().map_err(|_| Err(wait(self.0.settings.cooldown))),
            }
        });
        match flight {
            Ok(flight) => flight.landed().await,
            Err(settled) => return settled,
        }
        recent().unwrap_or_else(|| match self.current(self.0.clock.monotonic()) {
            Current::Keys(_) => Ok(()),
            Current::None => Err(wait(self.0.settings.cooldown)),
        })
    }

    /// Keeps the keys fresh; ends when the last handle is gone. However long it was kept from
    /// running, it asks once and goes on from there.
    pub(crate) fn keep_fresh(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let inner = Arc::downgrade(&self.0);
        let clock = Arc::clone(&self.0.clock);
        let mut gone = self.0.alive.subscribe();
        async move {
            while let Some(keys) = inner.upgrade() {
                let wait = keys.until_due();
                if !wait.is_zero() {
                    drop(keys);
                    let gone = std::pin::pin!(gone.changed());
                    if let Either::Right(_) = select(clock.sleep(wait), gone).await {
                        return;
                    }
                    continue;
                }
                let flight = keys.board(|| {
                    // Somebody else's fetch may have landed meanwhile.
                    if keys.until_due().is_zero() {
                        Handle::try_current().map_err(Some)
                    } else {
                        Err(None)
                    }
                });
                drop(keys);
                match flight {
                    Ok(flight) => flight.landed().await,
                    Err(None) => {}
                    Err(Some(error)) => {
                        tracing::error!(%error, "keys cannot be kept fresh");
                        return;
                    }
                }
            }
        }
    }

    /// What a readiness probe says of these keys.
    pub(crate) fn probe(&self) -> Probe {
        match self.current(self.0.clock.monotonic()) {
            Current::Keys(_) => Probe::Ready,
            Current::None if self.0.snapshot.load().is_some() => {
                Probe::NotReady("the keys are too old")
            }
            Current::None => Probe::NotReady("there are no keys yet"),
        }
    }

    /// How they stand.
    pub(crate) fn status(&self) -> KeysStatus {
        let now = self.0.clock.monotonic();
        let snapshot = self.0.snapshot.load();
        let snapshot = snapshot.as_deref();
        let age = snapshot.map(|snapshot| snapshot.age(now));
        let book = self.0.lock();
        KeysStatus {
            keys: snapshot.map_or(0, |snapshot| snapshot.keys.len()),
            age,
            usable: age.is_some_and(|age| age <= self.0.settings.stale),
            epoch: self.epoch(),
            left_out: Arc::clone(&book.left_out),
            last_error: book.last_error.clone(),
            failures: book.failures,
            waiting: self.0.flights.waiting(),
        }
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("source", &self.0.source)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// What can be said of a key that is not there without asking the issuer.
    fn verdict(&self, now: Duration) -> Option<Missing> {
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
    fn board<E>(self: &Arc<Self>, clear: impl FnOnce() -> Result<Handle, E>) -> Result<Flight, E> {
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

    fn until_due(&self) -> Duration {
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
        match select(self.source.fetch(request), too_late).await {
            Either::Left((fetched, _)) => self.take(fetched?),
            Either::Right(_) => Err(Failure::TooSlow(deadline)),
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
                let (set, left_out) = KeySet::parse_remote(&body, self.settings.max_keys)?;
                let set = set.restrict(self.algorithms);
                if set.is_empty() {
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
            keys: Arc::new(set),
            confirmed_at: AtomicU64::new(micros(now)),
        })));
        // After the keys: see `RemoteKeys::epoch`.
        if !keeps_all {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        let source = &*self.name;
        tracing::info!(source, keys, keeps_all, "the keys have changed");
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
    fn age(&self, now: Duration) -> Duration {
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
    keys: Arc<Inner>,
    outcome: Option<Result<Option<Duration>, Failure>>,
    /// Goes last, when everything is as whoever waits shall find it.
    _takeoff: Takeoff,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or(Err(Failure::CutShort));
        let failed = outcome.is_err();
        let now = self.keys.clock.monotonic();
        self.keys.note_end(outcome, now);
        self.keys.flights.land(now, failed);
    }
}

/// Why a fetch came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what was fetched is no usable key set: {0}")]
    Keys(#[from] KeyError),
    #[error("no key is for an algorithm that is accepted")]
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
