use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, select};
use tokio::runtime::Handle;
use zt_core::{clock::Clock, state::Probe};

use super::{KeySource, KeysStatus, RefreshSettings, keeper::Keeper};
use crate::{algorithm::Algorithms, key::KeySet};

/// The keys of one issuer as they were last seen. Clones share them.
#[derive(Clone)]
pub(crate) struct RemoteKeys(Arc<Keeper>);

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
    pub(crate) fn probe(&self) -> Probe {
        match self.current(self.0.clock.monotonic()) {
            Current::Keys(_) => Probe::Ready,
            Current::None if self.0.snapshot.load().is_some() => {
                Probe::NotReady("the keys are too old")
            }
            Current::None => Probe::NotReady("there are no keys"),
        }
    }

    /// How they stand.
    pub(crate) fn status(&self) -> KeysStatus {
        self.0.status()
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
