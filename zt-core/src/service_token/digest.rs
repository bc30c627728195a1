//! How secrets rest: as SHA-256 of the token's text, or HMAC-SHA-256 of it under a pepper.
//!
//! A token carries 256 random bits, so a fast hash is enough: there is nothing to guess. A pepper
//! keeps a stolen store from being searched for short values that were imported.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::Peppers;

/// The most ways to hash that are accepted at once: the work of every request.
pub(super) const MAX_SCHEMES: usize = 4;

/// One way to hash.
#[derive(Clone)]
pub(super) enum Scheme {
    Plain,
    Peppered {
        version: u32,
        /// Keyed already: a hash under it costs two blocks, not four.
        mac: Hmac<Sha256>,
    },
}

impl Scheme {
    pub(super) const fn version(&self) -> Option<u32> {
        match self {
            Self::Plain => None,
            Self::Peppered { version, .. } => Some(*version),
        }
    }

    fn digest(&self, text: &[u8]) -> Digest {
        #[cfg(test)]
        work::count(&work::HASHES);
        match self {
            Self::Plain => Digest(Sha256::digest(text).into()),
            Self::Peppered { mac, .. } => Digest(
                mac.clone()
                    .chain_update(text)
                    .finalize()
                    .into_bytes()
                    .into(),
            ),
        }
    }
}

/// Hashes what was presented under every scheme that is accepted.
pub(super) struct Hasher(Vec<Scheme>);

impl Hasher {
    pub(super) fn new(peppers: Option<Peppers>) -> Self {
        Self(peppers.map_or_else(|| vec![Scheme::Plain], Peppers::into_schemes))
    }

    /// The same work for every text of the same length.
    pub(super) fn digests(&self, text: &[u8]) -> Digests {
        let mut digests = Digests {
            of: [Digest([0; 32]); MAX_SCHEMES],
            count: 0,
        };
        for (place, scheme) in digests.of.iter_mut().zip(&self.0) {
            *place = scheme.digest(text);
            digests.count += 1;
        }
        digests
    }

    /// What is stored of a new secret.
    pub(super) fn store(&self, text: &[u8]) -> StoredSecret {
        let scheme = self.0.first().unwrap_or(&Scheme::Plain);
        StoredSecret {
            pepper: scheme.version(),
            digest: scheme.digest(text),
        }
    }

    /// How to compare with a stored secret; `None` where its pepper is not known any more.
    pub(super) fn expect(&self, stored: &StoredSecret) -> Option<Expected> {
        let scheme = self
            .0
            .iter()
            .position(|scheme| scheme.version() == stored.pepper)?;
        Some(Expected {
            scheme,
            digest: stored.digest,
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

/// One text, hashed under every scheme.
pub(super) struct Digests {
    of: [Digest; MAX_SCHEMES],
    count: usize,
}

impl Digests {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.of.iter().take(self.count)
    }
}

/// What a presented text must hash to.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    scheme: usize,
    pub(super) digest: Digest,
}

impl Expected {
    /// Compared with where there is nothing to compare with, for the same work. What it says is
    /// not to be believed.
    pub(super) const DUMMY: Self = Self {
        scheme: 0,
        digest: Digest([0x5a; 32]),
    };

    /// In constant time.
    pub(super) fn is_among(&self, digests: &Digests) -> Choice {
        #[cfg(test)]
        work::count(&work::COMPARES);
        digests
            .of
            .get(self.scheme)
            .map_or(Choice::from(0), |digest| digest.0.ct_eq(&self.digest.0))
    }
}

/// What rests in the store of one secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSecret {
    pub(super) pepper: Option<u32>,
    pub(super) digest: Digest,
}

/// A hash of a token's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn hex(&self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            })
    }

    fn from_hex(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut out = [0; 32];
        if pairs.len() != out.len() || !rest.is_empty() {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        for (place, [high, low]) in out.iter_mut().zip(pairs) {
            *place = value(*high)? << 4 | value(*low)?;
        }
        Some(Self(out))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("not a digest"))
    }
}

/// How often this thread has hashed and compared, so that tests can say that two refusals are the
/// same work.
#[cfg(test)]
pub(super) mod work {
    use std::{cell::Cell, thread::LocalKey};

    thread_local! {
        pub(super) static HASHES: Cell<usize> = const { Cell::new(0) };
        pub(super) static COMPARES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count(counter: &'static LocalKey<Cell<usize>>) {
        counter.set(counter.get() + 1);
    }

    /// Hashes and comparisons since the last call.
    pub(in super::super) fn take() -> (usize, usize) {
        (HASHES.take(), COMPARES.take())
    }
}
