//! Digests of what a message carries (RFC 9530): `Content-Digest`, made, read and compared.
//!
//! It protects nothing by itself: whoever changes a body can change the digest beside it. A
//! signature that covers the field makes the digest a proof of the body; see
//! [`ProveBody`](crate::authenticate::ProveBody) for how a stack compares the two.
//!
//! A field is read where
//!
//! 1. it is a dictionary whose members are all byte sequences (RFC 9530 section 2), over one line
//!    or several, of at most 4096 bytes and 16 members;
//! 2. no key is there twice. RFC 9651 section 3.2 lets the last one win; two parties that
//!    disagree on which one counts are how a body gets past one of them, so there is none;
//! 3. `sha-256` has 32 bytes and `sha-512` 64, in base64 with right padding or none;
//! 4. at least one of the two is there. Algorithms that are deprecated (RFC 9530 section 5: `md5`,
//!    `sha`, `unixsum`, ..) or unknown are passed over, whatever they say, and count as nothing.
//!
//! Every supported member has to match, not the strongest or the first: a field of which half is
//! wrong comes from somebody who is wrong. Parameters mean nothing (RFC 9530 defines none) and are
//! passed over. Digests are no secrets, so they are compared as they come, not in constant time.
//!
//! The digest is over the content as it is on the wire: coded (RFC 9110 section 8.4), without the
//! framing of the transfer. A layer that compresses or decompresses stands inside. Of `Repr-Digest`
//! the form is the same and the content another; it is not read here. `Want-Content-Digest` is not
//! read either: who asks for a digest is told which by `Accept-Signature`.

mod body;
mod parse;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256, Sha512};

pub(crate) use self::body::Unproved;
pub use self::body::{DigestMismatch, DigestedBody};

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

impl DigestAlgorithm {
    /// Its key in the field (RFC 9530 section 7.2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }
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
///
/// ```
/// use http::HeaderMap;
/// use zt_core::digest::{CONTENT_DIGEST, ContentDigest, DigestAlgorithm};
///
/// let mut headers = HeaderMap::new();
/// let sent = ContentDigest::of(DigestAlgorithm::Sha256, b"hello");
/// headers.insert(CONTENT_DIGEST, sent.header_value());
///
/// let said = ContentDigest::from_headers(&headers).unwrap().unwrap();
/// assert!(said.matches(b"hello"));
/// assert!(!said.matches(b"hullo"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    sha256: Option<[u8; 32]>,
    /// Boxed, because few have one and every digest is moved about.
    sha512: Option<Box<[u8; 64]>>,
}

impl ContentDigest {
    /// The digest of `content`.
    #[must_use]
    pub fn of(algorithm: DigestAlgorithm, content: &[u8]) -> Self {
        match algorithm {
            DigestAlgorithm::Sha256 => Self {
                sha256: Some(Sha256::digest(content).into()),
                sha512: None,
            },
            DigestAlgorithm::Sha512 => Self {
                sha256: None,
                sha512: Some(Box::new(Sha512::digest(content).into())),
            },
        }
    }

    /// What `headers` say; `None` where they say nothing.
    ///
    /// # Errors
    ///
    /// Where the field cannot be read, or has nothing to compare with.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, DigestError> {
        parse::field(headers)
    }

    /// As the field's value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let mut text = String::with_capacity(160);
        let members = [
            (
                DigestAlgorithm::Sha256,
                self.sha256.as_ref().map(|d| &d[..]),
            ),
            (
                DigestAlgorithm::Sha512,
                self.sha512.as_ref().map(|d| &d[..]),
            ),
        ];
        for (algorithm, digest) in members {
            let Some(digest) = digest else { continue };
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(algorithm.as_str());
            text.push_str("=:");
            STANDARD.encode_string(digest, &mut text);
            text.push(':');
        }
        // Base64 is visible ASCII, which is always a value.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Whether every supported member is the digest of `content`.
    #[must_use]
    pub fn matches(&self, content: &[u8]) -> bool {
        let sha256 = self.sha256.as_ref();
        let sha512 = self.sha512.as_deref();
        sha256.is_none_or(|digest| Sha256::digest(content)[..] == digest[..])
            && sha512.is_none_or(|digest| Sha512::digest(content)[..] == digest[..])
    }

    /// Whether it takes some five times as long as the common one: processors that have
    /// instructions for SHA-256 have none for SHA-512.
    pub(crate) const fn is_slow(&self) -> bool {
        self.sha512.is_some()
    }

    /// Hashes content piece by piece, to compare with this.
    #[must_use]
    pub fn hasher(&self) -> ContentHasher {
        ContentHasher {
            expected: self.clone(),
            sha256: self.sha256.map(|_| Sha256::new()),
            sha512: self.sha512.as_ref().map(|_| Sha512::new()),
        }
    }
}

/// Content on its way to be compared with a [`ContentDigest`].
#[derive(Debug, Clone)]
pub struct ContentHasher {
    expected: ContentDigest,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl ContentHasher {
    /// More content.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some(hash) = &mut self.sha256 {
            hash.update(piece);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(piece);
        }
    }

    /// Whether all of it together has the digest.
    #[must_use]
    pub fn finish(self) -> bool {
        let found = ContentDigest {
            sha256: self.sha256.map(|hash| hash.finalize().into()),
            sha512: self.sha512.map(|hash| Box::new(hash.finalize().into())),
        };
        found == self.expected
    }
}

#[cfg(test)]
mod tests;
