//! SPIFFE IDs and trust domains (SPIFFE-ID, sections 2 to 2.4).
//!
//! A text is a SPIFFE ID when
//!
//! 1. it is not empty, and not longer than 2048 bytes (2.3);
//! 2. it begins with `spiffe://`, in lower case (2);
//! 3. a trust domain follows: 1 to 255 of `a-z 0-9 . - _`; no port, no user (2.1);
//! 4. then nothing, or a path of one or more segments, each `/` and at least one of
//!    `a-z A-Z 0-9 . - _`, and none of them `.` or `..` (2.2); no `/` at the end, no query, no
//!    fragment, no percent-encoding.
//!
//! Nothing is normalized: what is not in this form is none.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, sync::Arc};

/// The most bytes of an ID (SPIFFE-ID section 2.3).
pub const MAX_ID: usize = 2048;
/// The most bytes of a trust domain (SPIFFE-ID section 2.1).
pub const MAX_TRUST_DOMAIN: usize = 255;

const SCHEME: &str = "spiffe://";

/// The name of a workload, or of a trust domain itself: `spiffe://shop.example/orders`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the path begins in it.
    path: usize,
}

/// The name of a trust domain: `shop.example`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// Why a text is no SPIFFE ID, or no trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is longer than [`MAX_ID`], or its trust domain than [`MAX_TRUST_DOMAIN`].
    #[error("it is too long")]
    TooLong,
    /// It does not begin with `spiffe://`.
    #[error("its scheme is not `spiffe`")]
    Scheme,
    /// There is no trust domain.
    #[error("it has no trust domain")]
    NoTrustDomain,
    /// The trust domain has other characters than `a-z 0-9 . - _`.
    #[error(
        "its trust domain has other characters than lowercase letters, digits, `.`, `-` and `_`"
    )]
    TrustDomainCharacter,
    /// The path has an empty segment.
    #[error("its path has an empty segment")]
    EmptySegment,
    /// The path has a segment `.` or `..`.
    #[error("its path has a segment of dots")]
    DotSegment,
    /// The path ends with `/`.
    #[error("its path ends with a slash")]
    TrailingSlash,
    /// It has no path, and must have one.
    #[error("it has no path")]
    NoPath,
    /// The path has other characters than `a-z A-Z 0-9 . - _`.
    #[error("its path has other characters than letters, digits, `.`, `-` and `_`")]
    PathCharacter,
}

impl SpiffeId {
    /// Reads an ID.
    ///
    /// # Errors
    ///
    /// When it is not in the form that the [module](self) lists.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let path = check(text)?;
        Ok(Self {
            text: text.into(),
            path,
        })
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The trust domain's name.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(
            self.text
                .get(SCHEME.len()..self.path)
                .unwrap_or_default()
                .into(),
        )
    }

    /// The path with its first slash; empty for a trust domain itself.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path..).unwrap_or_default()
    }

    /// Whether it has a path, as the ID of a workload has.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        self.path < self.text.len()
    }

    /// Whether it is a workload of `domain`.
    #[must_use]
    pub fn is_member_of(&self, domain: &TrustDomain) -> bool {
        self.text.get(SCHEME.len()..self.path) == Some(&*domain.0)
    }
}

impl TrustDomain {
    /// Reads the name of a trust domain, without `spiffe://`.
    ///
    /// # Errors
    ///
    /// When it is empty, longer than [`MAX_TRUST_DOMAIN`], or has other characters.
    pub fn parse(name: &str) -> Result<Self, IdError> {
        check_domain(name)?;
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `spiffe://` and the name.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }
}

/// Where the path begins.
fn check(text: &str) -> Result<usize, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID {
        return Err(IdError::TooLong);
    }
    let rest = text.strip_prefix(SCHEME).ok_or(IdError::Scheme)?;
    let (domain, path) = match rest.split_once('/') {
        Some((domain, path)) => (domain, Some(path)),
        None => (rest, None),
    };
    check_domain(domain)?;
    if let Some(path) = path {
        check_path(path)?;
    }
    Ok(SCHEME.len() + domain.len())
}

fn check_domain(name: &str) -> Result<(), IdError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    match name {
        "" => Err(IdError::NoTrustDomain),
        _ if name.len() > MAX_TRUST_DOMAIN => Err(IdError::TooLong),
        _ if !name.bytes().all(allowed) => Err(IdError::TrustDomainCharacter),
        _ => Ok(()),
    }
}

/// What stands behind the first slash.
fn check_path(path: &str) -> Result<(), IdError> {
    let allowed =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "" if segments.peek().is_none() => return Err(IdError::TrailingSlash),
            "" => return Err(IdError::EmptySegment),
            "." | ".." => return Err(IdError::DotSegment),
            _ if !segment.bytes().all(allowed) => return Err(IdError::PathCharacter),
            _ => {}
        }
    }
    Ok(())
}

impl FromStr for SpiffeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl FromStr for TrustDomain {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        Self::parse(name)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({})", self.0)
    }
}
