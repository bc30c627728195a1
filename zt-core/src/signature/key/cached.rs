use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{KeyEntry, KeyQuestion, KeyResolver, Resolved, Resolving, ring::MAX_ID};
use crate::clock::Timestamp;

/// Remembers what another resolver answers: keys for five minutes, that there is no key for ten
/// seconds, at most 1024 of each. That keys are unavailable is not remembered.
///
/// A key that was taken away is good until it is forgotten here. Ids that do not exist take no
/// room from those that do; where either room is full it is emptied, so the capacity is best
/// above the number of keys in use. Answers are remembered by `keyid`: not for a resolver that
/// looks at `tag`. Two requests that ask for the same key at once are two questions to the other
/// resolver.
///
/// ```
/// use std::time::Duration;
/// use zt_core::signature::key::{self, CachedKeys};
///
/// let vault = key::from_fn(|_keyid: String| async { Ok(None) });
/// let keys = CachedKeys::new(vault).known_for(Duration::from_secs(60));
/// # let _ = keys;
/// ```
#[derive(Clone)]
pub struct CachedKeys<R> {
    inner: R,
    known_for: Duration,
    unknown_for: Duration,
    capacity: usize,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    known: HashMap<Box<str>, (KeyEntry, Timestamp)>,
    unknown: HashMap<Box<str>, Timestamp>,
}

impl<R: KeyResolver> CachedKeys<R> {
    /// In front of `inner`.
    #[must_use]
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            known_for: Duration::from_secs(300),
            unknown_for: Duration::from_secs(10),
            capacity: 1024,
            memory: Arc::default(),
        }
    }

    /// How long a key is remembered.
    #[must_use]
    pub const fn known_for(mut self, span: Duration) -> Self {
        self.known_for = span;
        self
    }

    /// How long it is remembered that there is no key: as long waits whoever has just got one.
    #[must_use]
    pub const fn unknown_for(mut self, span: Duration) -> Self {
        self.unknown_for = span;
        self
    }

    /// How many keys are remembered, and how many ids without one.
    #[must_use]
    pub const fn capacity(mut self, ids: usize) -> Self {
        self.capacity = ids;
        self
    }

    /// Forgets the key, or that there is none: it was changed.
    pub fn forget(&self, id: &str) {
        let mut memory = lock(&self.memory);
        memory.known.remove(id);
        memory.unknown.remove(id);
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        *lock(&self.memory) = Memory::default();
    }

    #[cfg(test)]
    pub(in crate::signature) fn remembered_ids(&self) -> usize {
        let memory = lock(&self.memory);
        memory.known.len() + memory.unknown.len()
    }

    fn remembered(&self, id: &str, now: Timestamp) -> Option<Resolved> {
        let memory = lock(&self.memory);
        if let Some((entry, until)) = memory.known.get(id)
            && now < *until
        {
            return Some(Ok(Some(entry.clone())));
        }
        let until = memory.unknown.get(id)?;
        (now < *until).then_some(Ok(None))
    }

    fn recall(&self, id: &str, now: Timestamp) -> impl FnOnce(&Resolved) + Send + 'static {
        let id: Box<str> = id.into();
        let (known, unknown) = (now + self.known_for, now + self.unknown_for);
        let capacity = self.capacity;
        let memory = Arc::clone(&self.memory);
        move |answer| {
            let mut memory = lock(&memory);
            match answer {
                Ok(Some(entry)) => {
                    memory.unknown.remove(&id);
                    keep(&mut memory.known, capacity, id, (entry.clone(), known));
                }
                Ok(None) => {
                    memory.known.remove(&id);
                    keep(&mut memory.unknown, capacity, id, unknown);
                }
                Err(_) => {}
            }
        }
    }
}

impl<R: KeyResolver> KeyResolver for CachedKeys<R> {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        let Some(id) = question.keyid.filter(|id| id.len() <= MAX_ID) else {
            return Resolving::Now(Ok(None));
        };
        if let Some(answer) = self.remembered(id, question.now) {
            return Resolving::Now(answer);
        }
        let recall = self.recall(id, question.now);
        match self.inner.resolve(question) {
            Resolving::Now(answer) => {
                recall(&answer);
                Resolving::Now(answer)
            }
            Resolving::Later(answer) => Resolving::Later(Box::pin(async move {
                let answer = answer.await;
                recall(&answer);
                answer
            })),
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for CachedKeys<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKeys")
            .field("inner", &self.inner)
            .field("known_for", &self.known_for)
            .field("unknown_for", &self.unknown_for)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

fn keep<T>(room: &mut HashMap<Box<str>, T>, capacity: usize, id: Box<str>, value: T) {
    if room.len() >= capacity && !room.contains_key(&id) {
        room.clear();
    }
    if capacity > 0 {
        room.insert(id, value);
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
