use std::{fmt, sync::Arc};

use super::VerifyingKey;
use crate::{
    clock::Timestamp,
    identity::{AuthMethod, Principal, PrincipalKind},
    signature::Algorithm,
};

/// What a key may vouch for. A key for requests does not vouch for responses: whoever holds a
/// shared secret could otherwise be answered with what they said themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// Requests.
    Requests,
    /// Responses.
    Responses,
}

/// Which of an entry's keys a signature is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAge {
    /// The current one.
    Current,
    /// The one before it.
    Previous,
}

impl KeyAge {
    /// As it stands in records: `current`, `previous`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// Why none of an entry's keys vouches for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// The keys are not for this.
    #[error("the key is not for this purpose")]
    Purpose,
    /// The entry's time has not begun.
    #[error("the key is not good yet")]
    NotYet,
    /// The entry's time is over.
    #[error("the key is not good any more")]
    Ended,
    /// `alg` names another algorithm than the keys have, or none that is known here.
    #[error("`alg` is not the key's algorithm")]
    Algorithm,
    /// The signature is by none of the keys that are good now.
    #[error("the signature does not hold")]
    BadSignature,
}

/// A key under its id: what it is for, whose it is, and the one before it. Cheap to clone.
///
/// ```
/// use zt_core::{
///     clock::Timestamp,
///     secret::Secret,
///     signature::key::{KeyEntry, VerifyingKey},
/// };
///
/// # fn main() -> Result<(), zt_core::signature::key::KeyError> {
/// let old = VerifyingKey::hmac_sha256(&Secret::new(vec![0x11; 32]))?;
/// let new = VerifyingKey::hmac_sha256(&Secret::new(vec![0x22; 32]))?;
/// let orders = KeyEntry::new("orders-1", new, "orders")
///     .previous(old, Timestamp::from_secs(1_700_000_000))
///     .scopes(["payments:create"]);
/// assert_eq!(orders.principal().subject(), "orders");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyEntry(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    id: Arc<str>,
    owner: Owner,
    purposes: Purposes,
    current: VerifyingKey,
    previous: Option<(VerifyingKey, Timestamp)>,
    not_before: Timestamp,
    expires_at: Option<Timestamp>,
    /// Of the owner, by the current key.
    principal: Arc<Principal>,
    /// By the previous one: it ends with that key.
    previous_principal: Option<Arc<Principal>>,
}

#[derive(Clone)]
struct Owner {
    kind: PrincipalKind,
    subject: Arc<str>,
    issuer: Option<Arc<str>>,
    scopes: Vec<Arc<str>>,
    roles: Vec<Arc<str>>,
    tenant: Option<Arc<str>>,
}

#[derive(Clone, Copy, Default)]
struct Purposes {
    requests: bool,
    responses: bool,
}

/// Making one.
impl KeyEntry {
    /// Requests signed with `key` under the id `id` come from the service `subject`.
    #[must_use]
    pub fn new(id: &str, key: VerifyingKey, subject: &str) -> Self {
        let id: Arc<str> = id.into();
        let owner = Owner {
            kind: PrincipalKind::Service,
            subject: subject.into(),
            issuer: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            tenant: None,
        };
        Self(Arc::new(Inner {
            principal: owner.principal(&id, None),
            previous_principal: None,
            id,
            owner,
            purposes: [Purpose::Requests].into_iter().collect(),
            current: key,
            previous: None,
            not_before: Timestamp::EPOCH,
            expires_at: None,
        }))
    }

    /// The key before this one, good until `until`. There is one at most: another takes its place.
    #[must_use]
    pub fn previous(self, key: VerifyingKey, until: Timestamp) -> Self {
        self.with(|inner| inner.previous = Some((key, until)))
    }

    /// What the keys may vouch for, instead of requests alone.
    #[must_use]
    pub fn purposes(self, purposes: impl IntoIterator<Item = Purpose>) -> Self {
        self.with(|inner| inner.purposes = purposes.into_iter().collect())
    }

    /// What kind of caller the owner is; a service by default.
    #[must_use]
    pub fn kind(self, kind: PrincipalKind) -> Self {
        self.with(|inner| inner.owner.kind = kind)
    }

    /// Who vouches for the owner's name.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<Arc<str>>) -> Self {
        self.with(|inner| inner.owner.issuer = Some(issuer.into()))
    }

    /// Adds scopes.
    #[must_use]
    pub fn scopes<S: Into<Arc<str>>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(Into::into);
        self.with(|inner| inner.owner.scopes.extend(scopes))
    }

    /// Adds roles.
    #[must_use]
    pub fn roles<S: Into<Arc<str>>>(self, roles: impl IntoIterator<Item = S>) -> Self {
        let roles = roles.into_iter().map(Into::into);
        self.with(|inner| inner.owner.roles.extend(roles))
    }

    /// The owner's organisation.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<Arc<str>>) -> Self {
        self.with(|inner| inner.owner.tenant = Some(tenant.into()))
    }

    /// When the entry begins; no key is good before.
    #[must_use]
    pub fn not_before(self, at: Timestamp) -> Self {
        self.with(|inner| inner.not_before = at)
    }

    /// When the entry ends; no key is good at that moment or later, and answers to the owner that
    /// still flow are cut.
    #[must_use]
    pub fn expires_at(self, at: Timestamp) -> Self {
        self.with(|inner| inner.expires_at = Some(at))
    }

    /// The same entry with `key` as the current key; the one that was current is good until
    /// `until`, and the one before it not at all.
    #[must_use]
    pub fn rotated(self, key: VerifyingKey, until: Timestamp) -> Self {
        self.with(|inner| {
            let old = std::mem::replace(&mut inner.current, key);
            inner.previous = Some((old, until));
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        change(inner);
        let end = inner.expires_at;
        inner.principal = inner.owner.principal(&inner.id, end);
        inner.previous_principal = inner.previous.as_ref().map(|(_, until)| {
            let end = end.map_or(*until, |end| end.min(*until));
            inner.owner.principal(&inner.id, Some(end))
        });
        self
    }
}

/// Asking it.
impl KeyEntry {
    /// The key's id, `keyid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Who vouches with it. Made once; its method is `Signature`, its key this id, its end the
    /// entry's.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.0.principal
    }

    /// Who vouches with the key of this age: by the previous key, the principal ends with it.
    #[must_use]
    pub fn principal_by(&self, age: KeyAge) -> &Arc<Principal> {
        match (age, &self.0.previous_principal) {
            (KeyAge::Previous, Some(principal)) => principal,
            _ => &self.0.principal,
        }
    }

    /// The current key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.current.algorithm()
    }

    /// Whether a message that says `alg` may be by one of the keys (RFC 9421 section 3.2, step
    /// 6.4): the algorithm belongs to the key, and a message that names another is refused, as is
    /// one that names none that is known here.
    #[must_use]
    pub fn permits_alg(&self, alg: &str) -> bool {
        let previous = self.0.previous.iter().map(|(key, _)| key);
        std::iter::once(&self.0.current)
            .chain(previous)
            .any(|key| key.algorithm().as_str() == alg)
    }

    /// Whether the keys may vouch for `purpose`.
    #[must_use]
    pub fn is_for(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Requests => self.0.purposes.requests,
            Purpose::Responses => self.0.purposes.responses,
        }
    }

    /// The keys that are good for `purpose` at `now`: the current one, and the previous one until
    /// its end.
    pub fn keys(&self, purpose: Purpose, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        let good = self.check(purpose, now).is_ok();
        self.good_keys(now)
            .filter(move |_| good)
            .map(|(_, key)| key)
    }

    /// Which of the keys `signature` is by, over `base`.
    ///
    /// # Errors
    ///
    /// [`KeyRefusal`]: where it is by none that is good for `purpose` at `now`.
    pub fn verify(
        &self,
        purpose: Purpose,
        now: Timestamp,
        base: &[u8],
        signature: &[u8],
    ) -> Result<KeyAge, KeyRefusal> {
        self.verify_as(None, purpose, now, base, signature)
    }

    /// As [`verify`](Self::verify), for a message that says `alg`, if it does: only keys for that
    /// algorithm are tried.
    ///
    /// # Errors
    ///
    /// [`KeyRefusal`], with [`KeyRefusal::Algorithm`] where no key that is good now is for `alg`.
    pub fn verify_as(
        &self,
        alg: Option<&str>,
        purpose: Purpose,
        now: Timestamp,
        base: &[u8],
        signature: &[u8],
    ) -> Result<KeyAge, KeyRefusal> {
        self.check(purpose, now)?;
        let mut refusal = KeyRefusal::Algorithm;
        for (age, key) in self.good_keys(now) {
            if alg.is_some_and(|alg| alg != key.algorithm().as_str()) {
                continue;
            }
            if key.verify(base, signature).is_ok() {
                return Ok(age);
            }
            refusal = KeyRefusal::BadSignature;
        }
        Err(refusal)
    }

    fn check(&self, purpose: Purpose, now: Timestamp) -> Result<(), KeyRefusal> {
        if !self.is_for(purpose) {
            return Err(KeyRefusal::Purpose);
        }
        if now < self.0.not_before {
            return Err(KeyRefusal::NotYet);
        }
        if self.0.expires_at.is_some_and(|end| end <= now) {
            return Err(KeyRefusal::Ended);
        }
        Ok(())
    }

    fn good_keys(&self, now: Timestamp) -> impl Iterator<Item = (KeyAge, &VerifyingKey)> {
        let previous = self.0.previous.iter();
        std::iter::once((KeyAge::Current, &self.0.current)).chain(
            previous
                .filter(move |(_, until)| now < *until)
                .map(|(key, _)| (KeyAge::Previous, key)),
        )
    }

    pub(super) fn has_purpose(&self) -> bool {
        self.0.purposes.requests || self.0.purposes.responses
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry")
            .field("id", &self.0.id)
            .field("subject", &self.0.owner.subject)
            .field("current", &self.0.current)
            .field("previous", &self.0.previous)
            .finish_non_exhaustive()
    }
}

impl Owner {
    fn principal(&self, id: &Arc<str>, end: Option<Timestamp>) -> Arc<Principal> {
        let mut assertion =
            Principal::assertion(self.kind, Arc::clone(&self.subject), AuthMethod::Signature)
                .key(Arc::clone(id))
                .scopes(self.scopes.iter().cloned())
                .roles(self.roles.iter().cloned());
        if let Some(issuer) = &self.issuer {
            assertion = assertion.issuer(Arc::clone(issuer));
        }
        if let Some(tenant) = &self.tenant {
            assertion = assertion.tenant(Arc::clone(tenant));
        }
        if let Some(end) = end {
            assertion = assertion.expires_at(end);
        }
        Arc::new(assertion.finish())
    }
}

impl FromIterator<Purpose> for Purposes {
    fn from_iter<I: IntoIterator<Item = Purpose>>(purposes: I) -> Self {
        let mut all = Self::default();
        for purpose in purposes {
            match purpose {
                Purpose::Requests => all.requests = true,
                Purpose::Responses => all.responses = true,
            }
        }
        all
    }
}
