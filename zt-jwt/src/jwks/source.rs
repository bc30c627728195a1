use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::http::HttpError;

/// Where an issuer's keys come from. The usual ones are [`Issuer::jwks`](crate::Issuer::jwks) and
/// [`Issuer::oidc`](crate::Issuer::oidc); an application may bring its own.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Asks for the JSON Web Key Set; `known` is what came with the last one.
    fn fetch(&self, known: Option<Validator>) -> BoxFuture<'_, Result<Fetched, FetchError>>;
}

/// What tells whether a set has changed: an entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator(pub Arc<[u8]>);

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
    #[error("the metadata names the issuer `{found}`")]
    OtherIssuer {
        /// Whom it names.
        found: Box<str>,
    },
    /// An application's own source failed.
    #[error("{0}")]
    Other(Box<str>),
}
