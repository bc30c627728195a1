use std::fmt;

use super::{KeyError, SigningFailed, VerifyingKey};
use crate::{secret::Secret, signature::Algorithm};

#[cfg(feature = "asymmetric")]
use std::sync::Arc;

#[cfg(feature = "asymmetric")]
use super::asymmetric::{PrivateKey, pem};

/// What signatures are made with. Cheap to clone.
///
/// `Debug` shows the algorithm.
#[derive(Clone)]
pub struct SigningKey {
    verifying: VerifyingKey,
    #[cfg(feature = "asymmetric")]
    private: Option<Arc<PrivateKey>>,
}

impl SigningKey {
    /// A shared secret, of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`], and [`KeyError::PublicAsSecret`] for what looks like a public
    /// key, a certificate or a JWK.
    pub fn hmac_sha256(secret: &Secret) -> Result<Self, KeyError> {
        Ok(Self {
            verifying: VerifyingKey::hmac_sha256(secret)?,
            #[cfg(feature = "asymmetric")]
            private: None,
        })
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// The signature over `base`, as it goes into the field.
    ///
    /// # Errors
    ///
    /// Where the engine fails.
    pub fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        #[cfg(feature = "asymmetric")]
        if let Some(private) = &self.private {
            return private.sign(base);
        }
        self.verifying.sign(base).ok_or(SigningFailed)
    }

    /// The key that checks what this one makes.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }
}

/// With the feature `asymmetric`.
#[cfg(feature = "asymmetric")]
impl SigningKey {
    /// A private key in PEM, with nothing around it: `PRIVATE KEY` (PKCS #8, RFC 7468 section
    /// 10), or the older `EC PRIVATE KEY` (RFC 5915) and `RSA PRIVATE KEY` (RFC 8017 appendix
    /// A.1.2). Not encrypted.
    ///
    /// # Errors
    ///
    /// Where it is not such a key, not one for `algorithm`, or weak;
    /// [`KeyError::VerifiedOnly`] for `rsa-v1_5-sha256`.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::decode(pem, &[pem::PRIVATE, pem::EC_PRIVATE, pem::RSA_PRIVATE])?;
        let private = match label {
            pem::EC_PRIVATE => PrivateKey::from_sec1(algorithm, &der)?,
            pem::RSA_PRIVATE => PrivateKey::from_pkcs1(algorithm, &der)?,
            _ => PrivateKey::from_pkcs8(algorithm, &der)?,
        };
        Self::private(private)
    }

    /// A private key as PKCS #8 (RFC 5958) in DER.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::private(PrivateKey::from_pkcs8(algorithm, der)?)
    }

    /// A new key for `ed25519`.
    ///
    /// # Errors
    ///
    /// Where the engine has no randomness.
    pub fn generate_ed25519() -> Result<Self, KeyError> {
        Self::private(PrivateKey::generate_ed25519()?)
    }

    /// A new key for `ecdsa-p256-sha256`.
    ///
    /// # Errors
    ///
    /// Where the engine has no randomness.
    pub fn generate_p256() -> Result<Self, KeyError> {
        Self::private(PrivateKey::generate_p256()?)
    }

    fn private(key: PrivateKey) -> Result<Self, KeyError> {
        Ok(Self {
            verifying: VerifyingKey::public(key.public()?),
            private: Some(Arc::new(key)),
        })
    }

    /// The private key in PEM, `PRIVATE KEY` (PKCS #8), not encrypted: for a file that nobody
    /// else can read.
    ///
    /// # Errors
    ///
    /// [`KeyError::Symmetric`] where it is a shared secret, which has no such form.
    pub fn to_pkcs8_pem(&self) -> Result<Secret, KeyError> {
        let private = self.private.as_ref();
        let private = private.ok_or(KeyError::Symmetric(self.algorithm()))?;
        let text = pem::encode(pem::PRIVATE, &private.to_pkcs8()?);
        Ok(Secret::from(text.as_str()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}
