use std::{fmt, future::Future, sync::Arc};

use super::{KeyEntry, ring::MAX_ID};
use crate::{clock::Timestamp, store::BoxFuture};

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

impl<'a> KeyQuestion<'a> {
    /// A question for a message without `keyid` and `tag`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            keyid: None,
            tag: None,
            now,
        }
    }

    /// The message's `keyid`.
    #[must_use]
    pub const fn keyid(mut self, keyid: &'a str) -> Self {
        self.keyid = Some(keyid);
        self
    }

    /// The message's `tag`.
    #[must_use]
    pub const fn tag(mut self, tag: &'a str) -> Self {
        self.tag = Some(tag);
        self
    }
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

impl fmt::Debug for Resolving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Finds the key of a message.
///
/// Whoever asks is not known yet, and asks as often as they like: an implementation bounds what
/// an answer costs and what it remembers ([`CachedKeys`](super::CachedKeys) does both). The entry
/// that it gives has the very id that was asked for, to the letter.
///
/// *Unknown* and *unavailable* are different answers: a database that does not answer is
/// `Err(KeysUnavailable)`, never `Ok(None)`.
pub trait KeyResolver: fmt::Debug + Send + Sync + 'static {
    /// Looks a key up.
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving;
}

impl<R: KeyResolver + ?Sized> KeyResolver for Arc<R> {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        (**self).resolve(question)
    }
}

/// A resolver that asks `find` for the key with an id: a database, a vault.
///
/// `find` is asked for whatever strangers write, at most 256 bytes of it: give it a time limit of
/// its own, and wrap the resolver in [`CachedKeys`](super::CachedKeys). Where the store is down
/// `find` answers `Err(KeysUnavailable)`, and `Ok(None)` only where it knows that there is no such
/// key. An entry whose id is not the one that was asked for (a collation that takes `A` for `a`)
/// counts as none. A message without `keyid` has no key, and `find` is not asked.
///
/// ```
/// use zt_core::signature::key::{self, KeysUnavailable};
///
/// let resolver = key::from_fn(|keyid: String| async move {
///     match keyid.as_str() {
///         "down" => Err(KeysUnavailable("no connection".into())),
///         _ => Ok(None),
///     }
/// });
/// # let _ = resolver;
/// ```
pub fn from_fn<F, Fut>(find: F) -> FromFn<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Resolved> + Send + 'static,
{
    FromFn(find)
}

/// See [`from_fn`].
#[derive(Clone)]
pub struct FromFn<F>(F);

impl<F, Fut> KeyResolver for FromFn<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Resolved> + Send + 'static,
{
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        let Some(id) = question.keyid.filter(|id| id.len() <= MAX_ID) else {
            return Resolving::Now(Ok(None));
        };
        let asked: Box<str> = id.into();
        let found = (self.0)(id.to_owned());
        Resolving::Later(Box::pin(async move {
            Ok(found.await?.filter(|entry| entry.id() == &*asked))
        }))
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn(..)")
    }
}
