//! Digests of what a message carries (RFC 9530): `Content-Digest`, made, read and compared.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `Content-Digest` (RFC 9530 section 2).
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A hash that digests are made with; the deprecated ones of RFC 9530 section 5 are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

/// Why a `Content-Digest` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// It is no dictionary of byte sequences, or says one thing twice.
    #[error("the digest field cannot be read")]
    Malformed,
    /// It has no algorithm that is known and not deprecated.
    #[error("the digest field has no algorithm that is supported")]
    Unsupported,
}

/// What a `Content-Digest` says, as far as it is supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl ContentDigest {
    /// The digest of `content`.
    #[must_use]
    pub fn of(algorithm: DigestAlgorithm, content: &[u8]) -> Self {
        unimplemented!()
    }

    /// What `headers` say; `None` where they say nothing.
    ///
    /// # Errors
    ///
    /// Where the field cannot be read, or has nothing to compare with.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, DigestError> {
        unimplemented!()
    }

    /// As the field's value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        unimplemented!()
    }

    /// Whether every supported member is the digest of `content`.
    #[must_use]
    pub fn matches(&self, content: &[u8]) -> bool {
        unimplemented!()
    }

    /// Hashes content piece by piece, to compare with this.
    #[must_use]
    pub fn hasher(&self) -> ContentHasher {
        unimplemented!()
    }
}

/// Content on its way to be compared with a [`ContentDigest`].
pub struct ContentHasher {
    expected: ContentDigest,
}

impl ContentHasher {
    /// More content.
    pub fn update(&mut self, piece: &[u8]) {
        unimplemented!()
    }

    /// Whether all of it together has the digest.
    #[must_use]
    pub fn finish(self) -> bool {
        unimplemented!()
    }
}

/// A body that is hashed as it flows and whose last piece is withheld until the digest is seen to
/// match; where it does not, the body fails and the trail is told.
#[derive(Debug)]
pub struct DigestedBody<B>(B);
