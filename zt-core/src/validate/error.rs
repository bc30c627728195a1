use thiserror::Error;

/// A configuration of [`ValidateRequestLayer`](super::ValidateRequestLayer) that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValidateRequestError {
    /// A bound of zero would refuse every request.
    #[error("`{0}` is zero: every request would be refused")]
    ZeroLimit(&'static str),
    /// A list of nothing would refuse every request.
    #[error("`{0}` is empty: every request would be refused")]
    EmptyList(&'static str),
    /// Not a method (RFC 9110 section 9.1).
    #[error("`{0}` is not a method")]
    Method(String),
    /// Not a host, with or without a port (RFC 9110 section 7.2).
    #[error("`{0}` is not a host")]
    Host(String),
}
