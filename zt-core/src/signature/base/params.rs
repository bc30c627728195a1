//! What a signature says of itself.

/// What a signature says of itself (RFC 9421 section 2.3). Unknown parameters are in the base.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<'s> {
    /// When it was made, in seconds since the epoch.
    pub created: Option<i64>,
    /// When it ends.
    pub expires: Option<i64>,
    /// A value that is used once.
    pub nonce: Option<&'s str>,
    /// The algorithm, which a key knows better.
    pub alg: Option<&'s str>,
    /// Which key.
    pub keyid: Option<&'s str>,
    /// What the signature is for.
    pub tag: Option<&'s str>,
}
