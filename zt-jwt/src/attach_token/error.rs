use std::{error::Error, io, path::PathBuf, sync::Arc, time::Duration};

use http::StatusCode;
use zt_core::clock::ClockError;

use crate::http::{BoxError, HttpError};

/// Why a call was not made, or what the called service's client said.
///
/// Only with [`Inner`](Self::Inner) may anything have been sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError<E> {
    /// There is no token to attach; nothing was sent.
    #[error("no token to attach: {0}")]
    Unavailable(#[source] Unavailable),
    /// The token is not for where the request goes; nothing was sent.
    #[error(transparent)]
    Destination(DestinationError),
    /// The request has such a header already; nothing was sent.
    #[error("the request carries a credential already")]
    AlreadyThere,
    /// The request's answer would show the token to whoever reads it (RFC 9110 section 9.3.8);
    /// nothing was sent.
    #[error("the answer to a TRACE would show the token")]
    Trace,
    /// The request has more headers than can be counted; nothing was sent.
    #[error("the request has no room for another header")]
    NoRoom,
    /// The inner service failed.
    #[error(transparent)]
    Inner(E),
}

impl<E> AttachError<E> {
    /// What the inner service said, where it was that.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: Into<BoxError>> AttachError<E> {
    /// As tower's own layers give errors on; what the inner service said comes out as it is.
    ///
    /// With `tower::ServiceExt::map_err(AttachError::into_boxed)` the layer fits between those
    /// that speak of boxed errors.
    pub fn into_boxed(self) -> BoxError {
        let ours: AttachError<Never> = match self {
            Self::Inner(error) => return error.into(),
            Self::Unavailable(why) => AttachError::Unavailable(why),
            Self::Destination(why) => AttachError::Destination(why),
            Self::AlreadyThere => AttachError::AlreadyThere,
            Self::Trace => AttachError::Trace,
            Self::NoRoom => AttachError::NoRoom,
        };
        ours.into()
    }
}

type Never = std::convert::Infallible;

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The source failed, and is not asked again before `retry_after` has passed.
    #[error("{cause}; asked again in {} ms", .retry_after.as_millis())]
    Source {
        /// What it said last.
        cause: Arc<SourceError>,
        /// When it makes sense to try again.
        retry_after: Duration,
    },
    /// The source did not answer while the request waited, which was this long.
    #[error("none arrived within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// So many requests wait for the first token that one more is refused.
    #[error("too many requests wait for one")]
    Crowded,
    /// Nobody can tell whether the token has ended.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The call was made outside of a tokio runtime, so nothing could be asked.
    #[error("there is no runtime to ask for one")]
    NoRuntime,
}

/// Why a source gave no token. None of these holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The request to the issuer failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The issuer refused (RFC 6749 section 5.2).
    #[error("the issuer refused with {status} `{code}`")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// Its `error`, where that is a known one, else `unknown`. Its other text is not kept.
        code: &'static str,
        /// When it wants to be asked again (RFC 9110 section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// Something arrived that is no token, or no answer that can be trusted.
    #[error("{0}")]
    Unusable(&'static str),
    /// The token has ended, or is about to.
    #[error("the token ends within {} s", .0.as_secs())]
    EndsSoon(Duration),
    /// A file cannot be read.
    #[error("`{}` cannot be read: {kind}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The source did not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// Asking ended without an answer: the source panicked, or its runtime was shut down.
    #[error("asking was interrupted")]
    Interrupted,
    /// The clock cannot say until when the token is good.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// There is no randomness for an assertion.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
    /// An application's own source failed; the text is logged.
    #[error("{0}")]
    Other(Box<str>),
}

impl SourceError {
    /// An application's own; `error` is logged and must not hold a secret.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into().to_string().into())
    }

    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Why a token does not go where the request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The URI has no scheme and host, or cannot be read in one way only.
    #[error("the request does not say clearly where it goes")]
    Unclear,
    /// It goes to a place that the token is not for.
    #[error("the token is not for where the request goes")]
    Elsewhere,
    /// It goes to a good place over plain http.
    #[error("the request goes over plain http")]
    PlainHttp,
}

/// Why a configuration does not make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no place that the token may go to.
    #[error("no destination is given")]
    NoDestination,
    /// Not `https://host`, `https://host:port` or `host:port`.
    #[error("`{0}` is no origin")]
    Origin(Box<str>),
    /// Plain http to another machine has a method of its own.
    #[error("`{0}` is plain http to another machine")]
    PlainHttp(Box<str>),
    /// Requests without a host would go to a place that is not among the destinations.
    #[error("`{0}` is not among the destinations")]
    NotADestination(Box<str>),
    /// The token endpoint is neither https nor on this machine, or has a password in it.
    #[error("the token endpoint is not an https address without credentials")]
    TokenEndpoint,
    /// The id is empty or has other than visible ASCII characters.
    #[error("the client id is not visible ASCII")]
    ClientId,
    /// Neither empty nor short secrets keep anybody out, but an empty one is a mistake.
    #[error("the client secret is empty")]
    EmptySecret,
    /// Not a scope (RFC 6749 section 3.3).
    #[error("`{0}` is no scope")]
    Scope(Box<str>),
    /// Not an absolute URI without fragment (RFC 8707 section 2).
    #[error("`{0}` is no resource")]
    Resource(Box<str>),
    /// The key is not PKCS #8 of the algorithm's kind.
    #[error("the private key is not a PKCS #8 key for the algorithm")]
    PrivateKey,
    /// Assertions are signed with `ES256` or `EdDSA`.
    #[error("assertions are not signed with `{0}`")]
    Algorithm(crate::Algorithm),
    /// A time or number is outside of what makes sense.
    #[error("`{setting}` must be {bounds}")]
    OutOfBounds {
        /// Which.
        setting: &'static str,
        /// What would be fine.
        bounds: &'static str,
    },
}
