use crate::{http::EndpointError, key::KeyError};

/// Why a verifier cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key cannot be used.
    #[error("a key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// Not an address that may be asked.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no issuer.
    #[error("a verifier needs an issuer")]
    NoIssuer,
    /// Two issuers have the same name and could not be told apart.
    #[error("the issuer `{0}` is there twice")]
    IssuerTwice(Box<str>),
    /// An issuer without a name, or with one that is too long.
    #[error("`{0}` cannot be an issuer")]
    IssuerName(Box<str>),
    /// No key could ever verify a token of this issuer.
    #[error("no algorithm is left for the keys of `{0}`")]
    NoAlgorithm(Box<str>),
    /// Callers who have shown a token are not nobody.
    #[error("callers with a token of `{0}` cannot be anonymous")]
    Anonymous(Box<str>),
    /// Its keys are to be fetched, and nothing fetches.
    #[error("the keys of `{0}` are to be fetched, and there is no HTTP service")]
    NoHttp(Box<str>),
    /// A file of keys cannot be read.
    #[error("the file `{0}` cannot be read")]
    File(Box<str>),
    /// Not a JSON Pointer.
    #[error("`{0}` is not a JSON Pointer to a member")]
    Pointer(Box<str>),
    /// There is no randomness to tell this verifier from others.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
}
