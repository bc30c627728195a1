use crate::algorithm::Algorithm;

/// What of a header is used. Everything that points at keys (`jwk`, `jku`, `x5u`, `x5c`) is
/// ignored as a source of keys.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Kid>,
    /// `typ`, lower case, without `application/` (RFC 7515 section 4.1.9).
    pub(crate) typ: Option<Box<str>>,
}

/// A key's id, as it stands in a header; at most 256 bytes.
pub(crate) type Kid = Box<str>;
