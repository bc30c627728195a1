use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
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
    state::{Recorder, Replica},
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
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: ServiceTokenConfig,
    pub(super) issuer: Arc<str>,
    pub(super) hasher: Hasher,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) replica: Replica,
    view: RwLock<View>,
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
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let replica = Replica::open(Arc::clone(&clock), feed, super::follow::TOPIC).await?;
        let tokens = Self(Arc::new(Inner {
            store,
            clock,
            issuer: config.issuer.as_str().into(),
            hasher: Hasher::new(config.peppers.take()),
            config,
            entropy,
            recorder,
            replica,
            view: RwLock::default(),
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
        let _changing = self.0.replica.changing().await;
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
        self.0.replica.heard_at(heard);
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
        if self.0.replica.is_stale() {
            return Err(Refused {
                refusal: Refusal::Stale,
                id: None,
            });
        }
        let presented = Presented::read(question.presented)?;
        let digests = presented.digests(&self.0.hasher);
        check::decide(&self.read(), presented, &digests, question)
    }

    /// Reads the token at `key` again; whoever calls is changing the view.
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
