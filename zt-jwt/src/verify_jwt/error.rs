/// Why a [`VerifyJwtLayer`](super::VerifyJwtLayer) cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a header that may carry a token.
    #[error("`{0}` is not a header that may carry a token")]
    Header(String),
    /// Not the name of a cookie (RFC 6265 section 4.1.1).
    #[error("`{0}` is not the name of a cookie")]
    Cookie(String),
    /// A place is named twice; every request would be ambiguous.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// Not an origin as browsers write it (RFC 6454 section 6.2), so that it would never match.
    #[error("`{0}` is not an origin such as `https://app.example.com`")]
    Origin(String),
    /// Origins are named, but no cookie is: they would not be looked at.
    #[error("origins are asked for cookies alone, and no cookie is named")]
    NoCookie,
    /// Not an https address (plain http is for this machine only).
    #[error("`{0}` is not an https address without credentials")]
    ResourceMetadata(String),
    /// Not a scope (RFC 6749 section 3.3).
    #[error("`{0}` is not a scope")]
    Scope(String),
    /// Not a realm: empty, or with a character that is not visible ASCII.
    #[error("`{0}` cannot be a realm")]
    Realm(String),
}
