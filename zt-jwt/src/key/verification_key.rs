use std::fmt;

use zt_core::secret::Secret;

use super::KeyError;
use crate::algorithm::{Algorithm, Algorithms};

/// A key that signatures are checked with, parsed, and pinned to the algorithms it is for.
pub struct VerificationKey {
    kid: Option<Box<str>>,
    algorithms: Algorithms,
}

impl VerificationKey {
    /// From one JSON Web Key (RFC 7517 section 4), public or private; of a private one only the
    /// public part is kept. Symmetric keys are refused: see [`shared_secret`](Self::shared_secret).
    pub fn from_jwk(_json: &[u8]) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// From `-----BEGIN PUBLIC KEY-----` (RFC 7468 section 13), for `algorithms`.
    pub fn from_pem(_pem: &[u8], _algorithms: impl Into<Algorithms>) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// A secret that issuer and verifier share, for one of `HS256`, `HS384`, `HS512`; at least as
    /// long as the hash (RFC 7518 section 3.2).
    pub fn shared_secret(_algorithm: Algorithm, _secret: &Secret) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// The same key under the id `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: &str) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it may be used with.
    #[must_use]
    pub const fn algorithms(&self) -> Algorithms {
        self.algorithms
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
