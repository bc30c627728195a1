/// A requirement that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequireError {
    /// Nothing is required: everybody would pass.
    #[error("neither `acr_values` nor `max_age_secs` is there")]
    Nothing,
    /// Not a value of `acr` that a challenge could name: empty, or with a blank, a quotation mark,
    /// a backslash, or a character that is not visible ASCII.
    #[error("`{0}` cannot be asked for as `acr`")]
    Acr(String),
    /// Shorter than clocks may be apart; who has just signed in could be refused, and sent to sign
    /// in again, for ever.
    #[error("a `max_age` of {0} s is shorter than the 30 s that clocks may be apart")]
    MaxAge(u64),
    /// Not a realm: empty, or with a character that is not visible ASCII.
    #[error("`{0}` cannot be a realm")]
    Realm(String),
    /// Not an https address (plain http is for this machine only).
    #[error("`{0}` is not an https address without credentials")]
    ResourceMetadata(String),
}
