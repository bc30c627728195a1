use std::{
    fmt,
    future::{Future, pending},
    ops::Deref,
    pin::pin,
    sync::{Arc, LazyLock, atomic::Ordering},
    time::Duration,
};

use arc_swap::Guard;
use futures_util::future::{BoxFuture, Either, select};
use tokio::runtime::Handle;
use zt_core::{
    clock::{Clock, Sleep},
    state::Probe,
};

use super::{
    KeySource, KeysStatus, RefreshSettings,
    keeper::{Keeper, Snapshot},
};
use crate::{algorithm::Algorithms, key::KeySet};

/// The keys of one issuer as they were last seen. Clones share them.
#[derive(Clone)]
pub(crate) struct RemoteKeys(Arc<Keeper>);

/// What may be decided by now.
pub(crate) enum Current {
    /// These.
    Keys(CurrentKeys),
    /// None were ever had, or they are too old to trust.
    None,
}

/// The keys in use, for one look at them; not to be kept. Nothing is counted, so processors that
/// look at once are not in each other's way.
pub(crate) struct CurrentKeys(Guard<Option<Arc<Snapshot>>>);

impl Deref for CurrentKeys {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        static NONE: LazyLock<KeySet> = LazyLock::new(KeySet::default);
        self.0.as_ref().map_or_else(|| &*NONE, |held| &held.keys)
    }
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

impl RemoteKeys {
    pub(crate) fn new(
        source: Arc<dyn KeySource>,
        algorithms: Algorithms,
        settings: RefreshSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Keeper::new(source, algorithms, settings, clock)))
    }

    /// The keys, where they are not too old at `monotonic`. Lock-free.
    pub(crate) fn current(&self, monotonic: Duration) -> Current {
        let snapshot = self.0.snapshot.load();
        let age = snapshot.as_ref().map(|snapshot| snapshot.age(monotonic));
        match age {
            Some(age) if age <= self.0.settings.stale => Current::Keys(CurrentKeys(snapshot)),
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
            Ok(flight) => {
                let patience = self.patience();
                Missing::Fetching(Box::pin(async move {
                    let _seat = seat;
                    select(pin!(flight.landed()), patience).await;
                }))
            }
            Err(verdict) => verdict,
        }
    }

    /// How long anybody waits for a fetch. It ends by itself, unless its source blocks a thread or
    /// the runtime that it began on stands still.
    fn patience(&self) -> Sleep {
        let clock = Arc::clone(&self.0.clock);
        let span = self.0.settings.deadline.saturating_add(GRACE);
        Box::pin(async move {
            // Those who only wait for the fetch of others need no runtime, and no timer is to be
            // had without one.
            match Handle::try_current() {
                Ok(_) => clock.sleep(span).await,
                Err(_) => pending().await,
            }
        })
    }

    /// Fetches the keys, as at start-up; joins the fetch that is on its way.
    ///
    /// As long as there are no keys, whoever starts decides how often to try, so the
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
            Ok(flight) => {
                let landed = pin!(flight.landed());
                if let Either::Right(_) = select(landed, self.patience()).await {
                    return Err(wait(self.0.settings.cooldown));
                }
            }
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
                    let gone = pin!(gone.changed());
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
    ///
    /// Where they cannot be used it has them fetched, as a request would: a process that gets no
    /// requests until it is ready would never be.
    pub(crate) fn probe(&self) -> Probe {
        let now = self.0.clock.monotonic();
        if let Current::Keys(_) = self.current(now) {
            return Probe::Ready;
        }
        drop(self.missing(now));
        match self.0.snapshot.load().is_some() {
            true => Probe::NotReady("the keys are too old"),
            false => Probe::NotReady("there are no keys"),
        }
    }

    /// How they stand.
    pub(crate) fn status(&self) -> KeysStatus {
        self.0.status()
    }
}

/// For a fetch that ends at its deadline to say so first.
const GRACE: Duration = Duration::from_secs(1);

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("source", &self.0.source)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
