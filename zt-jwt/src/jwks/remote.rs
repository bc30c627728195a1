use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use zt_core::{clock::Clock, state::Readiness};

use super::{KeySource, RefreshSettings};
use crate::{algorithm::Algorithms, key::KeySet};

/// The keys of one issuer as they were last seen. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct RemoteKeys {
    _source: Arc<dyn KeySource>,
}

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

impl RemoteKeys {
    pub(crate) fn new(
        source: Arc<dyn KeySource>,
        _algorithms: Algorithms,
        _settings: RefreshSettings,
        _clock: Arc<dyn Clock>,
    ) -> Self {
        Self { _source: source }
    }

    /// The keys, where they are not too old at `monotonic`. Lock-free.
    pub(crate) fn current(&self, _monotonic: Duration) -> Current {
        unimplemented!()
    }

    /// Grows whenever a key is taken away or changed: what was verified before may not stand.
    pub(crate) fn epoch(&self) -> u64 {
        unimplemented!()
    }

    /// A token names a key that is not there, or there are no keys.
    pub(crate) fn missing(&self, _monotonic: Duration) -> Missing {
        unimplemented!()
    }

    /// Keeps the keys fresh; ends when the last handle is gone.
    pub(crate) fn keep_fresh(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        async { unimplemented!() }
    }

    pub(crate) async fn fetch_now(&self) -> bool {
        unimplemented!()
    }

    pub(crate) fn register(&self, _readiness: &Readiness, _name: &'static str) {}
}
