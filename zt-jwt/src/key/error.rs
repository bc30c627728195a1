/// Why a key, or a set of them, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not JSON, or not a JWK (RFC 7517 section 4) or set of them (section 5).
    #[error("not a JSON Web Key")]
    NotAKey,
}
