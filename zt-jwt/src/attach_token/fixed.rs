use std::{any::type_name, fmt, future::Future};

use futures_util::future::BoxFuture;
use zt_core::{clock::Clock, secret::Secret};

use super::{AttachableToken, SourceError, TokenSource};

/// A token that stays the same: one of zt's service tokens from a configuration, or one for a test.
#[derive(Debug, Clone)]
pub struct FixedToken(AttachableToken);

impl FixedToken {
    /// This one, good for ever.
    ///
    /// # Errors
    ///
    /// Where it has not the form of a token.
    pub fn new(token: &Secret) -> Result<Self, SourceError> {
        AttachableToken::new(token.expose()).map(Self)
    }
}

impl From<AttachableToken> for FixedToken {
    fn from(token: AttachableToken) -> Self {
        Self(token)
    }
}

impl TokenSource for FixedToken {
    fn fetch<'a>(
        &'a self,
        _: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// A source that asks `fetch`: for other providers, and for tests.
///
/// ```
/// use std::time::Duration;
/// use zt_core::clock::{Clock, SystemClock};
/// use zt_jwt::attach_token::{AttachableToken, SourceError, from_fn};
///
/// let metadata = from_fn(|| async {
///     let text = "from-somewhere"; // with an error type: `.map_err(SourceError::other)?`
///     let end = SystemClock.now()? + Duration::from_secs(3_600);
///     Ok::<_, SourceError>(AttachableToken::new(text)?.expiring(end))
/// });
/// # drop(metadata);
/// ```
pub fn from_fn<F, A>(fetch: F) -> FromFn<F>
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<AttachableToken, SourceError>> + Send + 'static,
{
    FromFn(fetch)
}

/// What [`from_fn`] makes.
pub struct FromFn<F>(F);

impl<F, A> TokenSource for FromFn<F>
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<AttachableToken, SourceError>> + Send + 'static,
{
    fn fetch<'a>(
        &'a self,
        _: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>> {
        Box::pin((self.0)())
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").field(&type_name::<F>()).finish()
    }
}
