use std::{fmt, sync::Arc};

use super::{BadSignature, KeyError, hmac::HmacKey};
use crate::{secret::Secret, signature::Algorithm};

#[cfg(feature = "asymmetric")]
use super::asymmetric::{PublicKey, pem, spki};

/// What signatures are checked with: an algorithm and a key for it, parsed once. Cheap to clone.
///
/// `Debug` shows the algorithm.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Material>);

enum Material {
    Hmac(HmacKey),
    #[cfg(feature = "asymmetric")]
    Public(PublicKey),
}

impl VerifyingKey {
    /// A shared secret, of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`], and [`KeyError::PublicAsSecret`] for what looks like a public
    /// key, a certificate or a JWK.
    pub fn hmac_sha256(secret: &Secret) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(Material::Hmac(HmacKey::new(secret)?))))
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &*self.0 {
            Material::Hmac(_) => Algorithm::HmacSha256,
            #[cfg(feature = "asymmetric")]
            Material::Public(key) => key.algorithm(),
        }
    }

    /// Whether `signature` is this key's over `base`, in constant time where the key is shared.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn verify(&self, base: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &*self.0 {
            Material::Hmac(key) => key.verify(base, signature),
            #[cfg(feature = "asymmetric")]
            Material::Public(key) => key.verify(base, signature),
        }
    }

    /// What signs with the same secret, where it is one.
    pub(super) fn sign(&self, base: &[u8]) -> Option<Vec<u8>> {
        match &*self.0 {
            Material::Hmac(key) => Some(key.sign(base)),
            #[cfg(feature = "asymmetric")]
            Material::Public(_) => None,
        }
    }
}

/// With the feature `asymmetric`.
#[cfg(feature = "asymmetric")]
impl VerifyingKey {
    /// A public key in PEM, `PUBLIC KEY` (RFC 7468 section 13) or `RSA PUBLIC KEY` (RFC 8017
    /// appendix A.1.1), with nothing around it.
    ///
    /// # Errors
    ///
    /// Where it is not such a key, not one for `algorithm`, or weak.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::decode(pem, &[pem::PUBLIC, pem::RSA_PUBLIC])?;
        let numbers = if label == pem::PUBLIC {
            spki::parse(&der)?
        } else {
            spki::parse_rsa(&der)?
        };
        PublicKey::new(algorithm, &numbers).map(Self::public)
    }

    /// A public key as SubjectPublicKeyInfo (RFC 5280 section 4.1) in DER.
    ///
    /// # Errors
    ///
    /// Where it is not such a key, not one for `algorithm`, or weak.
    pub fn from_der(algorithm: Algorithm, spki: &[u8]) -> Result<Self, KeyError> {
        PublicKey::new(algorithm, &spki::parse(spki)?).map(Self::public)
    }

    /// The 32 bytes of an Ed25519 key (RFC 8032 section 5.1.5).
    ///
    /// The library does not look for the point before the first signature: under a number that
    /// has none on the curve, no signature holds.
    ///
    /// # Errors
    ///
    /// Where they are a point of small order, or not the one writing of a number.
    pub fn ed25519(key: &[u8; 32]) -> Result<Self, KeyError> {
        let numbers = spki::Numbers::Ed25519(*key);
        PublicKey::new(Algorithm::Ed25519, &numbers).map(Self::public)
    }

    pub(super) fn public(key: PublicKey) -> Self {
        Self(Arc::new(Material::Public(key)))
    }

    /// The public key as SubjectPublicKeyInfo in DER; `None` where it is a shared secret.
    #[must_use]
    pub fn to_spki_der(&self) -> Option<Vec<u8>> {
        match &*self.0 {
            Material::Hmac(_) => None,
            Material::Public(key) => key.to_spki_der(),
        }
    }

    /// The public key in PEM, `PUBLIC KEY`; `None` where it is a shared secret.
    #[must_use]
    pub fn to_spki_pem(&self) -> Option<String> {
        let der = self.to_spki_der()?;
        Some(pem::encode(pem::PUBLIC, &der).to_string())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.algorithm())
    }
}
