//! The grants as a request sees them: in this process's memory.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use super::Grant;
use crate::{clock::Timestamp, identity::Principal};

#[derive(Default)]
pub(super) struct View {
    by_id: HashMap<Arc<str>, Entry>,
    by_subject: HashMap<Arc<str>, Vec<Arc<Grant>>>,
}

struct Entry {
    grant: Arc<Grant>,
    kept_until: Option<Timestamp>,
}

impl View {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Grant>> {
        self.by_id.get(id).map(|entry| &entry.grant)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.by_id.values().map(|entry| &entry.grant)
    }

    /// Everything that `who` asked for, for the tenant that they act for now.
    pub(super) fn of<'a>(&'a self, who: &'a Principal) -> impl Iterator<Item = &'a Arc<Grant>> {
        self.of_any_tenant(who).filter(|grant| grant.holder.is(who))
    }

    /// Everything that `who` asked for.
    pub(super) fn of_any_tenant<'a>(
        &'a self,
        who: &'a Principal,
    ) -> impl Iterator<Item = &'a Arc<Grant>> {
        self.by_subject
            .get(who.subject())
            .into_iter()
            .flatten()
            .filter(|grant| grant.holder.is_of_any_tenant(who))
    }

    pub(super) fn put(&mut self, grant: Arc<Grant>, kept_until: Option<Timestamp>) {
        self.remove(&grant.id);
        let subject = Arc::clone(&grant.holder.subject);
        self.by_subject
            .entry(subject)
            .or_default()
            .push(Arc::clone(&grant));
        let id = Arc::clone(&grant.id);
        self.by_id.insert(id, Entry { grant, kept_until });
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(entry) = self.by_id.remove(id) else {
            return;
        };
        let subject = Arc::clone(&entry.grant.holder.subject);
        if let hash_map::Entry::Occupied(mut place) = self.by_subject.entry(subject) {
            place.get_mut().retain(|grant| *grant.id != *id);
            if place.get().is_empty() {
                place.remove();
            }
        }
    }

    /// Drops what the store no longer holds either.
    pub(super) fn drop_gone(&mut self, now: Timestamp) {
        let gone: Vec<Arc<str>> = self
            .by_id
            .values()
            .filter(|entry| entry.kept_until.is_some_and(|end| end <= now))
            .map(|entry| Arc::clone(&entry.grant.id))
            .collect();
        for id in gone {
            self.remove(&id);
        }
    }
}
