use thiserror::Error;

/// A requirement that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// Nothing is required: everybody would pass, or nobody.
    #[error("no {0} are named")]
    Empty(&'static str),
    /// Not a scope (RFC 6749 section 3.3).
    #[error("`{0}` is not a scope")]
    Scope(String),
    /// Not a role: empty, or with a control character.
    #[error("`{0}` is not a role")]
    Role(String),
}
