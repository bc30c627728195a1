use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use zt_core::clock::Clock;

use crate::http::HttpError;

/// Where an issuer's keys come from. The usual ones are [`Issuer::jwks`](crate::Issuer::jwks) and
/// [`Issuer::oidc`](crate::Issuer::oidc); an application may bring its own.
///
/// It is asked by one fetch at a time. A fetch is given up past its deadline, and one that panics
/// is one that failed. `Debug` is what logs call it, so it must not show secrets.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Asks for the JSON Web Key Set (RFC 7517 section 5).
    ///
    /// # Errors
    ///
    /// Where it cannot be had; the keys that were there stay.
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>>;
}

/// What a source has to know for one fetch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchRequest {
    /// What came with the set that is in use. A source that sees that it still is the same set
    /// answers [`Fetched::Unchanged`].
    pub known: Option<Validator>,
    /// Whether the last fetch came to nothing, so that what a source remembers of where keys are
    /// may be wrong.
    pub retrying: bool,
    /// The largest answer in bytes.
    pub max_bytes: usize,
    /// How long it may take.
    pub deadline: Duration,
    /// The clock that the deadline is measured by.
    pub clock: Arc<dyn Clock>,
}

impl FetchRequest {
    /// A first fetch, within the default bounds: 1 MiB, five seconds.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        let settings = super::RefreshSettings::default();
        Self {
            known: None,
            retrying: false,
            max_bytes: settings.max_bytes,
            deadline: settings.deadline,
            clock: Arc::new(clock),
        }
    }
}

/// What tells whether a set has changed: an entity tag (RFC 9110 section 8.8.3), and the place
/// whose tag it is. At another place the same tag says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    place: Arc<str>,
    tag: Arc<[u8]>,
}

impl Validator {
    /// The tag that came from `place`.
    #[must_use]
    pub fn new(place: &str, tag: &[u8]) -> Self {
        Self {
            place: place.into(),
            tag: tag.into(),
        }
    }

    /// The tag, where it came from `place`.
    #[must_use]
    pub fn tag_of(&self, place: &str) -> Option<&[u8]> {
        (*self.place == *place).then_some(&*self.tag)
    }
}

/// What a source answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// It has not changed.
    Unchanged {
        /// For how long it is fresh, where the answer says so.
        fresh_for: Option<Duration>,
    },
    /// A set.
    New {
        /// The JSON text.
        body: Bytes,
        /// What to ask with next time.
        validator: Option<Validator>,
        /// For how long it is fresh, where the answer says so.
        fresh_for: Option<Duration>,
    },
}

/// Why a source has not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The issuer's metadata is that of another (RFC 8414 section 3.3).
    #[error("the metadata names the issuer {found:?}")]
    OtherIssuer {
        /// Whom it names; the first 256 characters.
        found: Box<str>,
    },
    /// An application's own source failed.
    #[error("{0}")]
    Other(Box<str>),
}
