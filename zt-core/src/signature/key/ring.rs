use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{KeyEntry, KeyError, KeyQuestion, KeyResolver, Resolving, VerifyingKey};
use crate::clock::Timestamp;

/// Keys at hand, by id; swapped whole, or one by one, while requests run. Clones share it.
///
/// A message without a `keyid` finds no key. Each change copies the ring, so change many keys by
/// [`replace_all`](Self::replace_all).
///
/// ```
/// use zt_core::{
///     clock::Timestamp,
///     secret::Secret,
///     signature::key::{KeyEntry, KeyRing, VerifyingKey},
/// };
///
/// # fn main() -> Result<(), zt_core::signature::key::KeyError> {
/// let key = VerifyingKey::hmac_sha256(&Secret::new(vec![0x11; 32]))?;
/// let ring = KeyRing::new([KeyEntry::new("orders-1", key, "orders")])?;
///
/// let next = VerifyingKey::hmac_sha256(&Secret::new(vec![0x22; 32]))?;
/// let keep_old_until = Timestamp::from_secs(1_700_000_000);
/// ring.rotate("orders-1", next, keep_old_until)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

struct Shared {
    keys: ArcSwap<Keys>,
    /// Held by whoever changes them, never by who looks them up.
    changing: Mutex<()>,
}

type Keys = HashMap<Box<str>, KeyEntry>;

impl KeyRing {
    /// The keys `entries`.
    ///
    /// # Errors
    ///
    /// Where two have one id, or one has an id that no message can carry, no subject or no
    /// purpose.
    pub fn new(entries: impl IntoIterator<Item = KeyEntry>) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(Shared {
            keys: ArcSwap::from_pointee(collect(entries)?),
            changing: Mutex::new(()),
        })))
    }

    /// Adds a key.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn insert(&self, entry: KeyEntry) -> Result<(), KeyError> {
        check(&entry)?;
        self.change(|keys| {
            if keys.contains_key(entry.id()) {
                return Err(KeyError::IdTwice(entry.id().into()));
            }
            keys.insert(entry.id().into(), entry);
            Ok(())
        })
    }

    /// Adds a key, or puts it in the place of the one that has its id; gives that one back.
    ///
    /// # Errors
    ///
    /// Where the entry has an id that no message can carry, no subject or no purpose.
    pub fn replace(&self, entry: KeyEntry) -> Result<Option<KeyEntry>, KeyError> {
        check(&entry)?;
        self.change(|keys| Ok(keys.insert(entry.id().into(), entry)))
    }

    /// Puts `entries` in the place of all that are there.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); nothing has changed then.
    pub fn replace_all(&self, entries: impl IntoIterator<Item = KeyEntry>) -> Result<(), KeyError> {
        let entries = collect(entries)?;
        self.change(|keys| {
            *keys = entries;
            Ok(())
        })
    }

    /// Takes a key out; its signatures are refused from now on.
    #[must_use = "where it is `None`, no key has that id"]
    pub fn remove(&self, id: &str) -> Option<KeyEntry> {
        self.change(|keys| Ok::<_, KeyError>(keys.remove(id)))
            .ok()
            .flatten()
    }

    /// Makes `key` the current key under `id`; the one that was is good until `keep_old_until`.
    ///
    /// # Errors
    ///
    /// Where no key has the id.
    pub fn rotate(
        &self,
        id: &str,
        key: VerifyingKey,
        keep_old_until: Timestamp,
    ) -> Result<(), KeyError> {
        self.change(|keys| {
            let entry = keys
                .get_mut(id)
                .ok_or_else(|| KeyError::UnknownId(id.into()))?;
            *entry = entry.clone().rotated(key, keep_old_until);
            Ok(())
        })
    }

    /// The key with the id `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<KeyEntry> {
        if id.len() > MAX_ID {
            return None;
        }
        self.0.keys.load().get(id).cloned()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.keys.load().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn change<T, E>(&self, change: impl FnOnce(&mut Keys) -> Result<T, E>) -> Result<T, E> {
        let changing = self.0.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let mut keys = Keys::clone(&self.0.keys.load());
        let answer = change(&mut keys)?;
        self.0.keys.store(Arc::new(keys));
        Ok(answer)
    }
}

impl KeyResolver for KeyRing {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        Resolving::Now(Ok(question.keyid.and_then(|id| self.get(id))))
    }
}

/// The number of keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

fn collect(entries: impl IntoIterator<Item = KeyEntry>) -> Result<Keys, KeyError> {
    let mut keys = Keys::new();
    for entry in entries {
        check(&entry)?;
        if let Some(twice) = keys.insert(entry.id().into(), entry) {
            return Err(KeyError::IdTwice(twice.id().into()));
        }
    }
    Ok(keys)
}

fn check(entry: &KeyEntry) -> Result<(), KeyError> {
    let id = entry.id();
    // RFC 9651 section 3.3.3: %x20-7E.
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(KeyError::Id);
    }
    if entry.principal().subject().is_empty() {
        return Err(KeyError::NoSubject(id.into()));
    }
    if !entry.has_purpose() {
        return Err(KeyError::NoPurpose(id.into()));
    }
    Ok(())
}

/// The longest id, in bytes. Longer ones are not looked up.
pub(super) const MAX_ID: usize = 256;
