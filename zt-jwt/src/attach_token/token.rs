use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use zeroize::Zeroizing;
use zt_core::clock::{Clock, Timestamp};

use super::SourceError;

/// Where tokens come from. [`Tokens`](super::Tokens) asks it, one question at a time and never
/// while a request waits for the answer, unless there is no token at all.
///
/// Sources here: [`ProjectedFile`](super::ProjectedFile),
/// [`ClientCredentials`](super::ClientCredentials), [`FixedToken`](super::FixedToken) and, from a
/// closure, [`from_fn`](super::from_fn).
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Gives a token that is good at the time of `clock`.
    ///
    /// It need not bound its time nor remember tokens: [`Tokens`](super::Tokens) does both.
    ///
    /// # Errors
    ///
    /// Where there is none now. The error must not hold a secret: it is logged.
    fn fetch<'a>(
        &'a self,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>>;
}

/// A token, ready to stand in a header, and when it ends.
///
/// Its text is wiped when the last request that carries it is gone; what clients copy into their
/// write buffers is out of reach. `Debug` does not show it, and its header values are marked
/// sensitive, which keeps them out of HPACK's tables (RFC 7541 section 7.1.3).
#[derive(Clone)]
pub struct AttachableToken {
    bearer: HeaderValue,
    plain: HeaderValue,
    expires_at: Option<Timestamp>,
    ask_again: Option<Duration>,
}

impl AttachableToken {
    /// The longest token: 16 KiB.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Takes the text of a token, without its scheme.
    ///
    /// # Errors
    ///
    /// Where it is empty, longer than [`MAX_LEN`](Self::MAX_LEN), or has other characters than a
    /// bearer token has (`b64token`, RFC 6750 section 2.1).
    pub fn new(token: impl AsRef<[u8]>) -> Result<Self, SourceError> {
        const UNFIT: SourceError = SourceError::Unusable("the token has no form of one");
        let token = token.as_ref();
        if token.len() > Self::MAX_LEN {
            return Err(SourceError::Unusable("the token has more than 16 KiB"));
        }
        if !is_b64token(token) {
            return Err(UNFIT);
        }
        // Made at its full size: a vector that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(SCHEME.len() + token.len()));
        text.extend_from_slice(SCHEME);
        text.extend_from_slice(token);
        let bearer = Bytes::from_owner(text);
        let plain = bearer.slice(SCHEME.len()..);
        let sensitive = |text: Bytes| {
            let mut value = HeaderValue::from_maybe_shared(text).map_err(|_| UNFIT)?;
            value.set_sensitive(true);
            Ok::<_, SourceError>(value)
        };
        Ok(Self {
            bearer: sensitive(bearer)?,
            plain: sensitive(plain)?,
            expires_at: None,
            ask_again: None,
        })
    }

    /// It is good until then. Without this it is good for ever.
    #[must_use]
    pub const fn expiring(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The source wants to be asked again within `span`, however long the token is good.
    #[must_use]
    pub const fn asking_again_within(mut self, span: Duration) -> Self {
        self.ask_again = Some(span);
        self
    }

    /// When it ends.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// As `Authorization` carries it: `Bearer ..` (RFC 6750 section 2.1). Sensitive.
    #[must_use]
    pub fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    /// As a header of its own carries it: the token alone. Sensitive.
    #[must_use]
    pub fn plain(&self) -> HeaderValue {
        self.plain.clone()
    }

    pub(super) const fn ask_again(&self) -> Option<Duration> {
        self.ask_again
    }
}

impl fmt::Debug for AttachableToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachableToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

const SCHEME: &[u8] = b"Bearer ";

/// RFC 6750 section 2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (body, _) = token
        .split_at_checked(token.len() - padding)
        .unwrap_or_default();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !body.is_empty() && body.iter().all(fits)
}
