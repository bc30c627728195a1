use std::fmt;

use zt_core::clock::Timestamp;

/// Whom personal fields are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSubject<'a> {
    /// A principal, by issuer and subject.
    Principal {
        /// Who vouches for the name.
        issuer: Option<&'a str>,
        /// The name.
        subject: &'a str,
    },
    /// A name that stands alone: the author of an administrative act, the holder of a budget.
    Named(&'a str),
    /// Whoever came without a name on this day (UTC).
    Anonymous(Timestamp),
}

/// A keyed pseudonym of a [`DataSubject`]: 16 bytes of HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym([u8; 16]);

impl Pseudonym {
    /// These bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Of 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_hex(_digits: &[u8]) -> Option<Self> {
        todo!()
    }
}

/// In lower-case hexadecimal digits.
impl fmt::Display for Pseudonym {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
