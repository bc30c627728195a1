//! The tokens as a request sees them: in this process's memory, ready to be compared with.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use super::{
    TokenRecord,
    digest::{Digest, Digests, Expected, Hasher, StoredSecret},
    format::TokenId,
    reach::Reach,
    record::{Previous, Stored},
    request,
    usage::LastUsed,
};
use crate::{
    clock::Timestamp,
    identity::{Assertion, AuthMethod, Principal, PrincipalKind},
};

/// The tokens of one process.
#[derive(Default)]
pub(super) struct View {
    by_id: HashMap<TokenId, Arc<Entry>>,
    /// Plain values that were imported; they have no id in them.
    by_digest: HashMap<Digest, TokenId>,
}

impl View {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn entries(&self) -> hash_map::Values<'_, TokenId, Arc<Entry>> {
        self.by_id.values()
    }

    pub(super) fn get(&self, id: TokenId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// The token that an imported value stands for.
    pub(super) fn find(&self, digests: &Digests) -> Option<&Arc<Entry>> {
        let id = digests
            .iter()
            .find_map(|digest| self.by_digest.get(digest))?;
        self.by_id.get(id)
    }

    /// Takes `entry` in, in the place of an earlier edition of the same token.
    pub(super) fn put(&mut self, entry: Entry) -> Arc<Entry> {
        self.remove(entry.id);
        let entry = Arc::new(entry);
        for digest in entry.opaque_digests() {
            self.by_digest.insert(digest, entry.id);
        }
        self.by_id.insert(entry.id, Arc::clone(&entry));
        entry
    }

    pub(super) fn remove(&mut self, id: TokenId) {
        if let Some(entry) = self.by_id.remove(&id) {
            for digest in entry.opaque_digests() {
                self.by_digest.remove(&digest);
            }
        }
    }

    pub(super) fn remove_key(&mut self, key: &str) {
        let id = self
            .entries()
            .find(|entry| &*entry.key == key)
            .map(|entry| entry.id);
        if let Some(id) = id {
            self.remove(id);
        }
    }

    /// Drops what the store no longer holds either.
    pub(super) fn drop_gone(&mut self, now: Timestamp) {
        let gone: Vec<TokenId> = self
            .entries()
            .filter(|entry| entry.kept_until.is_some_and(|end| end <= now))
            .map(|entry| entry.id)
            .collect();
        for id in gone {
            self.remove(id);
        }
    }
}

/// One token.
pub(super) struct Entry {
    /// Where it rests in the store.
    pub(super) key: Arc<str>,
    pub(super) id: TokenId,
    pub(super) record: TokenRecord,
    pub(super) reach: Reach,
    /// Whether it was made for this registry's environment.
    pub(super) is_for_here: bool,
    pub(super) current: Slot,
    pub(super) previous: Option<Slot>,
    pub(super) used: Arc<LastUsed>,
    kept_until: Option<Timestamp>,
}

/// One secret of a token, and who it proves.
pub(super) struct Slot {
    /// `None` where it rests under a pepper that is not known any more.
    pub(super) expected: Option<Expected>,
    /// When this secret ends; not later than the token.
    pub(super) until: Option<Timestamp>,
    pub(super) principal: Arc<Principal>,
    opaque: bool,
}

/// What an entry is made for.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) hasher: &'a Hasher,
    pub(super) environment: &'a str,
    pub(super) issuer: &'a Arc<str>,
}

impl Entry {
    /// `None` where the record is not one that this code wrote.
    pub(super) fn build(
        key: Arc<str>,
        stored: Stored,
        kept_until: Option<Timestamp>,
        used: Arc<LastUsed>,
        surroundings: Surroundings<'_>,
    ) -> Option<Self> {
        let Stored {
            record,
            current,
            previous,
            ..
        } = stored;
        let id = TokenId::from_text(&record.id)?;
        let reach = request::reach(
            record.methods.as_ref(),
            record.paths.as_ref(),
            record.networks.as_ref(),
        )
        .ok()?;
        let slot = |secret: &StoredSecret, opaque, made: Timestamp, until: Option<Timestamp>| {
            let until = [until, record.expires].into_iter().flatten().min();
            let assertion = assertion(&record, surroundings.issuer).issued_at(made);
            let assertion = match until {
                Some(end) => assertion.expires_at(end),
                None => assertion,
            };
            Slot {
                expected: surroundings.hasher.expect(secret),
                until,
                principal: Arc::new(assertion.finish()),
                opaque,
            }
        };
        let made = record.rotated_at.unwrap_or(record.created_at);
        let current = slot(&current, record.opaque, made, None);
        let previous = previous.map(
            |Previous {
                 secret,
                 opaque,
                 until,
             }| { slot(&secret, opaque, record.created_at, Some(until)) },
        );
        Some(Self {
            is_for_here: record.environment == surroundings.environment,
            key,
            id,
            reach,
            current,
            previous,
            used,
            kept_until,
            record,
        })
    }

    /// What an administrator may see.
    pub(super) fn shown(&self) -> TokenRecord {
        let mut record = self.record.clone();
        record.last_used = self.used.last();
        record
    }

    fn opaque_digests(&self) -> impl Iterator<Item = Digest> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .filter(|slot| slot.opaque)
            .filter_map(|slot| Some(slot.expected?.digest))
    }
}

fn assertion(record: &TokenRecord, issuer: &Arc<str>) -> Assertion {
    let assertion = Principal::assertion(
        PrincipalKind::Service,
        record.subject.as_str(),
        AuthMethod::ServiceToken,
    )
    .issuer(Arc::clone(issuer))
    .scopes(record.scopes.iter().map(String::as_str))
    .roles(record.roles.iter().map(String::as_str))
    .token(record.id.as_str());
    match &record.tenant {
        Some(tenant) => assertion.tenant(tenant.as_str()),
        None => assertion,
    }
}
