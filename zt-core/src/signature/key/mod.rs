//! Keys: what they are, whose they are, what for, and where they are found.

use std::sync::Arc;

use crate::{
    clock::Timestamp, identity::Principal, secret::Secret, signature::Algorithm, store::BoxFuture,
};

/// Why a key cannot be used. Says nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A shared secret of fewer than 32 bytes.
    #[error("a shared secret has at least 32 bytes")]
    ShortSecret,
}

/// The signature does not hold. There is nothing more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// A signature could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub struct SigningFailed;

/// What signatures are checked with: an algorithm and a key for it, parsed once. Cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<()>);

impl VerifyingKey {
    /// A shared secret, of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`].
    pub fn hmac_sha256(secret: &Secret) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        unimplemented!()
    }

    /// Whether `signature` is this key's over `base`, in constant time where the key is shared.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn verify(&self, base: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        unimplemented!()
    }
}

/// What signatures are made with. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(Arc<()>);

impl SigningKey {
    /// A shared secret, of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`].
    pub fn hmac_sha256(secret: &Secret) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        unimplemented!()
    }

    /// The signature over `base`, as it goes into the field.
    ///
    /// # Errors
    ///
    /// Where the engine fails.
    pub fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        unimplemented!()
    }

    /// The key that checks what this one makes.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        unimplemented!()
    }
}

/// What a key may vouch for. A key for requests does not vouch for responses: whoever holds a
/// shared secret could otherwise be answered with what they said themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Requests.
    Requests,
    /// Responses.
    Responses,
}

/// A key under its id: what it is for, whose it is, and the one before it.
#[derive(Debug, Clone)]
pub struct KeyEntry(Arc<()>);

impl KeyEntry {
    /// Requests signed with `key` under the id `id` come from the service `subject`.
    #[must_use]
    pub fn new(id: &str, key: VerifyingKey, subject: &str) -> Self {
        unimplemented!()
    }

    /// The key's id, `keyid`.
    #[must_use]
    pub fn id(&self) -> &str {
        unimplemented!()
    }

    /// Who vouches with it. Made once; its method is `Signature`, its key this id.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        unimplemented!()
    }

    /// The keys that are good for `purpose` at `now`: the current one, and the previous one until
    /// its end.
    pub fn keys(&self, purpose: Purpose, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        std::iter::empty()
    }
}

/// What a key is looked up by: what the message says, which nothing has proved yet.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KeyQuestion<'a> {
    /// `keyid`, where the message has one.
    pub keyid: Option<&'a str>,
    /// `tag`, where the message has one.
    pub tag: Option<&'a str>,
    /// The request's time.
    pub now: Timestamp,
}

/// Keys cannot be had now: the request is refused with `keys-unavailable`. Text for the audit log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("keys are unavailable: {0}")]
pub struct KeysUnavailable(pub Arc<str>);

/// A resolver's answer: `None` where it has no such key.
pub type Resolved = Result<Option<KeyEntry>, KeysUnavailable>;

/// An answer now, or later.
pub enum Resolving {
    /// The answer.
    Now(Resolved),
    /// The answer has to be waited for.
    Later(BoxFuture<'static, Resolved>),
}

/// Finds the key of a message.
pub trait KeyResolver: std::fmt::Debug + Send + Sync + 'static {
    /// Looks a key up.
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving;
}

/// Keys at hand, by id; swapped whole, or one by one, while requests run. Clones share it.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<()>);

impl KeyRing {
    /// The keys `entries`.
    ///
    /// # Errors
    ///
    /// Where two have one id.
    pub fn new(entries: impl IntoIterator<Item = KeyEntry>) -> Result<Self, KeyError> {
        unimplemented!()
    }
}

impl KeyResolver for KeyRing {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        unimplemented!()
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyingKey(..)")
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}
