use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    ConfigError, Grant, GrantConfig, GrantError, GrantOptions, GrantScope, record::Stored,
    view::View,
};
use crate::{
    clock::{Clock, Timestamp},
    random::Entropy,
    state::{Recorder, Replica},
    store::{Store, Versioned},
};

/// The grants of an application: asked for, approved and revoked here, kept in a
/// [`Store`](crate::store::Store), read in this process's memory. Clones share everything.
///
/// What this process changes is in force when the call returns. What others change is seen after
/// [`refresh`](Self::refresh), or within a second where the instances share a feed and
/// [`follow`](Self::follow) runs.
#[derive(Clone)]
pub struct Grants(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: GrantConfig,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) replica: Replica,
    /// Held through a step, so that whoever comes second in this process sees what was decided and
    /// not that somebody is deciding.
    pub(super) acting: tokio::sync::Mutex<()>,
    view: RwLock<View>,
}

/// Where grants rest, by id.
pub(super) const BY_ID: &str = "grant/id/";
/// How many entries are read at a time.
pub(super) const PAGE: usize = 256;

impl Grants {
    /// Loads the grants that `store` holds. `clock` is the one that the gates use.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot be used, the store or the feed cannot answer, or there are far
    /// more grants than are to be held.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: impl Clock,
        options: impl Into<GrantOptions>,
    ) -> Result<Self, GrantError> {
        let GrantOptions {
            config,
            recorder,
            feed,
            entropy,
        } = options.into();
        config.check(recorder.is_some())?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let replica = Replica::open(Arc::clone(&clock), feed, super::follow::TOPIC).await?;
        let grants = Self(Arc::new(Inner {
            store,
            clock,
            config,
            entropy,
            recorder,
            replica,
            acting: tokio::sync::Mutex::default(),
            view: RwLock::default(),
        }));
        grants.refresh().await?;
        Ok(grants)
    }

    /// Reads all grants from the store again. Where no feed is shared, run it periodically: what
    /// other instances revoked holds here until then.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer or holds far more grants than are to be held. The view stays as
    /// it was.
    pub async fn refresh(&self) -> Result<(), GrantError> {
        let _changing = self.0.replica.changing().await;
        let heard = self.0.clock.monotonic();
        let mut fresh = View::default();
        let mut after: Option<String> = None;
        loop {
            let page = self.0.store.scan(BY_ID, after.as_deref(), PAGE).await?;
            for (key, found) in &page {
                if let Some(grant) = readable(key, found) {
                    fresh.put(grant, found.expires);
                }
            }
            if fresh.len() > self.most() {
                return Err(GrantError::Full);
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        // The old view is dropped when nobody waits for the lock any more.
        let old = std::mem::replace(&mut *self.write(), fresh);
        drop(old);
        self.0.replica.heard_at(heard);
        Ok(())
    }

    /// How many grants there are, those that are over included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The settings of a scope that may be asked for.
    pub(super) fn scope(&self, scope: &str) -> Option<&GrantScope> {
        self.0.config.scopes.get(scope)
    }

    /// # Errors
    ///
    /// Where nobody could ever hold a grant of it.
    pub(super) fn known_scope(&self, scope: &str) -> Result<(), ConfigError> {
        match self.scope(scope) {
            Some(_) => Ok(()),
            None => Err(ConfigError::NotGranted(scope.to_owned())),
        }
    }

    /// How many are taken from the store: instances that make one each at the same time may go past
    /// what each of them would.
    fn most(&self) -> usize {
        self.0.config.max_grants.saturating_mul(2)
    }

    /// Reads the grant at `key` again; whoever calls is changing the view.
    pub(super) async fn reload(&self, key: &str) -> Result<(), GrantError> {
        let found = self.0.store.get(key).await?;
        let grant = found.as_ref().and_then(|found| readable(key, found));
        let expires = found.and_then(|found| found.expires);
        let mut view = self.write();
        match grant {
            Some(grant) if view.get(&grant.id).is_none() && view.len() >= self.most() => {
                tracing::error!(id = %grant.id, "no place for a grant; it does not hold here");
            }
            Some(grant) => view.put(grant, expires),
            None => view.remove(key.strip_prefix(BY_ID).unwrap_or(key)),
        }
        Ok(())
    }

    /// Takes over what this process has written; whoever calls is changing the view.
    pub(super) fn take_in(&self, stored: &Stored, kept_until: Option<Timestamp>) -> Arc<Grant> {
        let grant = Arc::new(stored.grant.clone());
        self.write().put(Arc::clone(&grant), kept_until);
        grant
    }

    pub(super) fn is_fresh(&self) -> Result<(), GrantError> {
        if self.0.replica.is_stale() {
            return Err(GrantError::Stale);
        }
        Ok(())
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The grant that rests at `key`; `None`, and therefore not in force, where it is not one of ours.
fn readable(key: &str, found: &Versioned) -> Option<Arc<Grant>> {
    let grant = Stored::decode(&found.value).map(|stored| stored.grant);
    // A record stands for the grant that its key names, and for no other.
    let own = grant.filter(|grant| key.strip_prefix(BY_ID) == Some(&*grant.id));
    if own.is_none() {
        tracing::error!(key, "a grant's record cannot be read; it does not hold");
    }
    own.map(Arc::new)
}

/// How many there are.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("grants", &self.len())
            .finish_non_exhaustive()
    }
}
