use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

use zt_core::clock::Timestamp;

/// Whom personal fields are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSubject<'a> {
    /// A principal, by issuer and subject. Without an issuer it is the same as
    /// [`Named`](Self::Named).
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

/// How the holder of a budget is called where it is a principal: `issuer subject`, a space and a
/// percent sign within either of them as `%20` and `%25` (`zt_ratelimit::Who::by_principal`).
pub(super) fn holder(issuer: Option<&str>, subject: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace(' ', "%20");
    match issuer {
        Some(issuer) => format!("{} {}", escaped(issuer), escaped(subject)),
        None => escaped(subject),
    }
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
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

/// In lower-case hexadecimal digits.
impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes a pseudonym's own bytes: they are a keyed hash, which nobody outside can choose.
#[derive(Default)]
pub(super) struct OwnBytes(u64);

/// Builds the hasher of maps by pseudonym.
pub(super) type ByOwnBytes = BuildHasherDefault<OwnBytes>;

impl Hasher for OwnBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
