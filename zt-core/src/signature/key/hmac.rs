//! `hmac-sha256` (RFC 9421 section 3.3.3).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{BadSignature, KeyError, disguise};
use crate::secret::Secret;

/// The two hash states that the secret leaves behind, copied for every message: the secret is
/// hashed once. They are wiped on drop, and so is each copy.
pub(super) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(super) fn new(secret: &Secret) -> Result<Self, KeyError> {
        if disguise::is_public(secret.expose()) {
            return Err(KeyError::PublicAsSecret);
        }
        if secret.len() < LEAST {
            return Err(KeyError::ShortSecret);
        }
        Hmac::new_from_slice(secret.expose())
            .map(Self)
            .map_err(|_| KeyError::ShortSecret)
    }

    pub(super) fn sign(&self, base: &[u8]) -> Vec<u8> {
        self.over(base).finalize().into_bytes().to_vec()
    }

    /// In constant time. The tag is all there: a shortened one is refused.
    pub(super) fn verify(&self, base: &[u8], tag: &[u8]) -> Result<(), BadSignature> {
        if tag.len() != TAG {
            return Err(BadSignature);
        }
        self.over(base).verify_slice(tag).map_err(|_| BadSignature)
    }

    fn over(&self, base: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(base);
        mac
    }
}

/// As long as the hash (RFC 2104 section 3).
const LEAST: usize = 32;
const TAG: usize = 32;
