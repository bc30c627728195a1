use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    ServiceTokenConfig, ServiceTokenOptions, TokenError, TokenRecord,
    check::{self, Presented, Question, Refusal, Refused},
    digest::Hasher,
    format::TokenId,
    record::Stored,
    usage::LastUsed,
    view::{Entry, Surroundings, View},
};
use crate::{
    clock::{Clock, Timestamp},
    identity::Principal,
    random::Entropy,
    state::{Cursor, Feed, MAX_VIEW_AGE, Recorder},
    store::{Store, Versioned},
};

/// The service tokens of an application: made, rotated and revoked here, kept in a
/// [`Store`](crate::store::Store), looked up in this process's memory. Clones share everything.
///
/// What this process changes is in force when the call returns. What others change is seen after
/// [`refresh`](Self::refresh), or within a second where the instances share a feed and
/// [`follow`](Self::follow) runs.
#[derive(Clone)]
pub struct ServiceTokens(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Box<dyn Clock>,
    pub(super) config: ServiceTokenConfig,
    pub(super) issuer: Arc<str>,
    pub(super) hasher: Hasher,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) feed: Option<Arc<dyn Feed>>,
    /// Where the feed stood before the store was first read.
    pub(super) start: Cursor,
    /// Keys whose news could not be published yet.
    pub(super) unannounced: Mutex<BTreeSet<Arc<str>>>,
    /// Held from reading the store to changing the view, so that what is older never replaces
    /// what is newer: a revocation must not be undone by news that was late.
    pub(super) changes: tokio::sync::Mutex<()>,
    view: RwLock<View>,
    /// When the view was last known to be complete; microseconds of the monotonic clock.
    heard: AtomicU64,
}

/// Where tokens rest: structured ones by id, imported values by digest.
pub(super) const BY_ID: &str = "service-token/id/";
pub(super) const BY_DIGEST: &str = "service-token/opaque/";
/// How many entries are read at a time.
pub(super) const PAGE: usize = 256;

impl ServiceTokens {
    /// Loads the tokens that `store` holds. `clock` is the one that the gates use.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot be used, the store or the feed cannot answer, or there are
    /// more tokens than are to be held.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: impl Clock,
        options: impl Into<ServiceTokenOptions>,
    ) -> Result<Self, TokenError> {
        let ServiceTokenOptions {
            mut config,
            recorder,
            feed,
            entropy,
        } = options.into();
        config.check()?;
        let start = match &feed {
            Some(feed) => feed.newest(super::follow::TOPIC).await?,
            None => Cursor::default(),
        };
        let tokens = Self(Arc::new(Inner {
            store,
            clock: Box::new(clock),
            issuer: config.issuer.as_str().into(),
            hasher: Hasher::new(config.peppers.take()),
            config,
            entropy,
            recorder,
            feed,
            start,
            unannounced: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            view: RwLock::default(),
            heard: AtomicU64::new(0),
        }));
        tokens.refresh().await?;
        Ok(tokens)
    }

    /// Reads all tokens from the store again. Where no feed is shared, run it periodically: what
    /// other instances revoked is good here until then.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer or holds more tokens than are to be held. The view stays as
    /// it was.
    pub async fn refresh(&self) -> Result<(), TokenError> {
        let _changes = self.0.changes.lock().await;
        let heard = self.0.clock.monotonic();
        let uses = self.uses().await?;
        let mut fresh = View::default();
        for prefix in [BY_ID, BY_DIGEST] {
            let mut after: Option<String> = None;
            loop {
                let page = self.0.store.scan(prefix, after.as_deref(), PAGE).await?;
                for (key, found) in &page {
                    if let Some(entry) = self.entry(key, found, &uses) {
                        fresh.put(entry);
                    }
                }
                if fresh.len() > self.0.config.max_tokens {
                    return Err(TokenError::Full);
                }
                match page.into_iter().next_back() {
                    Some((key, _)) => after = Some(key),
                    None => break,
                }
            }
        }
        // The old view is dropped when nobody waits for the lock any more.
        let old = std::mem::replace(&mut *self.write(), fresh);
        drop(old);
        self.heard_at(heard);
        Ok(())
    }

    /// The tokens, the oldest first, without their secrets.
    #[must_use]
    pub fn list(&self) -> Vec<TokenRecord> {
        let mut records: Vec<TokenRecord> =
            self.read().entries().map(|entry| entry.shown()).collect();
        records.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        records
    }

    /// The token with this id, without its secrets.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<TokenRecord> {
        let id = TokenId::from_text(id)?;
        self.read().get(id).map(|entry| entry.shown())
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who presents a good token.
    ///
    /// # Errors
    ///
    /// The first condition that does not hold.
    pub(super) fn verify(&self, question: &Question<'_>) -> Result<Arc<Principal>, Refused> {
        if self.is_stale() {
            return Err(Refused {
                refusal: Refusal::Stale,
                id: None,
            });
        }
        let presented = Presented::read(question.presented)?;
        let digests = presented.digests(&self.0.hasher);
        check::decide(&self.read(), presented, &digests, question)
    }

    /// Only a view that is shared with others can be behind them.
    fn is_stale(&self) -> bool {
        if self.0.feed.is_none() {
            return false;
        }
        let heard = Duration::from_micros(self.0.heard.load(Ordering::Acquire));
        self.0.clock.monotonic().saturating_sub(heard) > MAX_VIEW_AGE
    }

    /// The view was complete at `monotonic`.
    pub(super) fn heard_at(&self, monotonic: Duration) {
        let micros = u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX);
        self.0.heard.fetch_max(micros, Ordering::AcqRel);
    }

    /// Reads the token at `key` again; whoever calls holds `changes`.
    pub(super) async fn reload(&self, key: &str) -> Result<(), TokenError> {
        let found = self.0.store.get(key).await?;
        let entry = found.and_then(|found| self.entry(key, &found, &HashMap::new()));
        let mut view = self.write();
        match entry {
            Some(entry)
                if view.get(entry.id).is_none() && view.len() >= self.0.config.max_tokens =>
            {
                tracing::error!(id = %entry.id, "no place for a service token; it is refused here");
            }
            Some(entry) => drop(view.put(entry)),
            None => view.remove_key(key),
        }
        Ok(())
    }

    /// A token as it is looked up; `None`, and therefore refused, where its record is not ours.
    pub(super) fn entry(
        &self,
        key: &str,
        found: &Versioned,
        uses: &HashMap<TokenId, u64>,
    ) -> Option<Entry> {
        let entry = Stored::decode(&found.value).and_then(|stored| {
            let id = TokenId::from_text(&stored.record.id)?;
            // A record stands for the token that its key names, and for no other.
            let own = key
                .strip_prefix(BY_ID)
                .is_none_or(|named| named == id.as_str());
            if !own {
                return None;
            }
            let used = self.used(id);
            used.flushed(uses.get(&id).copied().unwrap_or(0));
            self.make_entry(key, stored, found.expires, used)
        });
        if entry.is_none() {
            // The end of an imported value's key is its digest, which is not for logs.
            let key: String = key.chars().take(BY_ID.len() + 12).collect();
            tracing::error!(
                key,
                "a service token's record cannot be read; it is refused"
            );
        }
        entry
    }

    pub(super) fn make_entry(
        &self,
        key: &str,
        stored: Stored,
        kept_until: Option<Timestamp>,
        used: Arc<LastUsed>,
    ) -> Option<Entry> {
        let surroundings = Surroundings {
            hasher: &self.0.hasher,
            environment: &self.0.config.environment,
            issuer: &self.0.issuer,
        };
        Entry::build(key.into(), stored, kept_until, used, surroundings)
    }

    /// The last use of a token, which its next edition shares.
    pub(super) fn used(&self, id: TokenId) -> Arc<LastUsed> {
        self.read()
            .get(id)
            .map(|entry| Arc::clone(&entry.used))
            .unwrap_or_default()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many there are, and for which environment.
impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("environment", &self.0.config.environment)
            .field("tokens", &self.len())
            .finish_non_exhaustive()
    }
}
