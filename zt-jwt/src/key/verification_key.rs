use std::{fmt, sync::Arc};

use aws_lc_rs::{hmac, signature::ParsedPublicKey};
use sha2::{Digest, Sha256};
use zt_core::secret::Secret;

use super::{KeyError, der, jwk::Jwk, public::Public, secret};
use crate::{
    algorithm::{Algorithm, Algorithms},
    jose::base64url,
    refusal::Refusal,
};

/// A key that signatures are checked with, parsed, and pinned to the algorithms it is for.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Option<Arc<str>>,
    algorithms: Algorithms,
    material: Material,
    thumbprint: [u8; 32],
}

#[derive(Clone)]
enum Material {
    /// The same key for each of its algorithms.
    Public {
        keys: Vec<(Algorithm, ParsedPublicKey)>,
        signature_length: usize,
    },
    Shared(Box<hmac::Key>),
}

impl VerificationKey {
    /// From one JSON Web Key (RFC 7517 section 4), public or private; of a private one only the
    /// public part is kept. Symmetric keys are refused: see [`shared_secret`](Self::shared_secret).
    ///
    /// It is for what `alg` says, and without `alg` for every algorithm of its kind.
    ///
    /// # Errors
    ///
    /// Where it is no key, not for signatures, weak, or not known here.
    pub fn from_jwk(json: &[u8]) -> Result<Self, KeyError> {
        Self::from_members(&Jwk::parse(json)?)
    }

    pub(super) fn from_members(jwk: &Jwk<'_>) -> Result<Self, KeyError> {
        if jwk.is_symmetric()? {
            return Err(KeyError::Symmetric);
        }
        jwk.check_use()?;
        let (public, algorithms) = jwk.public()?;
        let key = Self::from_public(&public, algorithms)?;
        Ok(match jwk.kid()? {
            Some(kid) => key.with_kid(kid),
            None => key,
        })
    }

    /// From `-----BEGIN PUBLIC KEY-----` (RFC 7468 section 13), for `algorithms`: RSA keys, keys on
    /// P-256, P-384 and P-521, Ed25519 and ML-DSA keys.
    ///
    /// # Errors
    ///
    /// Where it is no such key, weak, or one of `algorithms` is for another kind of key: a public
    /// key is never a shared secret.
    pub fn from_pem(pem: &[u8], algorithms: impl Into<Algorithms>) -> Result<Self, KeyError> {
        Self::from_der(&der::from_pem(pem)?, algorithms)
    }

    /// From a SubjectPublicKeyInfo (RFC 5280 section 4.1) in DER, for `algorithms`.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_der(der: &[u8], algorithms: impl Into<Algorithms>) -> Result<Self, KeyError> {
        Self::from_public(&der::parse(der)?, algorithms.into())
    }

    fn from_public(public: &Public, algorithms: Algorithms) -> Result<Self, KeyError> {
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        let fitting = public.algorithms();
        if let Some(other) = algorithms.iter().find(|one| !fitting.contains(*one)) {
            return Err(KeyError::AlgorithmMismatch(other));
        }
        public.check()?;
        let keys = algorithms
            .iter()
            .map(|algorithm| Ok((algorithm, public.parse(algorithm)?)))
            .collect::<Result<_, KeyError>>()?;
        Ok(Self {
            kid: None,
            algorithms,
            material: Material::Public {
                keys,
                signature_length: public.signature_length(),
            },
            thumbprint: public.thumbprint(),
        })
    }

    /// A secret that issuer and verifier share, for one of `HS256`, `HS384`, `HS512`; at least as
    /// long as the hash (RFC 7518 section 3.2).
    ///
    /// # Errors
    ///
    /// Where the secret is too short, is a public key, a certificate or a JWK, or `algorithm` is
    /// not symmetric.
    pub fn shared_secret(algorithm: Algorithm, secret: &Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose();
        let key = secret::key(algorithm, bytes)?;
        if secret::is_public(bytes) {
            return Err(KeyError::PublicAsSecret);
        }
        // Not RFC 7638, which would tell whoever sees it whether a guess was right as fast as
        // SHA-256 can; this says as much, but nothing that other programs would print.
        let tag = hmac::sign(&key, b"zt-jwt: which shared secret is this");
        Ok(Self {
            kid: None,
            algorithms: algorithm.into(),
            material: Material::Shared(Box::new(key)),
            thumbprint: Sha256::digest(tag).into(),
        })
    }

    /// From one JSON Web Key of any kind, shared secrets too.
    #[cfg(test)]
    pub(crate) fn from_any_jwk(json: &[u8]) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(json)?;
        if !jwk.is_symmetric()? {
            return Self::from_members(&jwk);
        }
        jwk.check_use()?;
        let algorithm = jwk.algorithm()?.ok_or(KeyError::Missing("alg"))?;
        let key = Self::shared_secret(algorithm, &Secret::new(jwk.secret()?))?;
        Ok(match jwk.kid()? {
            Some(kid) => key.with_kid(kid),
            None => key,
        })
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

    /// The SHA-256 thumbprint of a public key (RFC 7638). Of a shared secret it is a digest that
    /// tells it from others, and nothing that RFC 7638 defines; do not show it around.
    #[must_use]
    pub const fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// What a key that vouched for a token is called: its id, or the thumbprint of a public key
    /// that has none, as RFC 7638 section 3 would have it. What a token calls it says nothing: who
    /// has stolen the key writes there what they like.
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        match &self.kid {
            Some(kid) => Some(Arc::clone(kid)),
            None if self.is_shared() => None,
            None => Some(base64url::encode(&self.thumbprint).into()),
        }
    }

    /// Whether it is a secret that issuer and verifier share.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.material, Material::Shared(_))
    }

    /// Whether `other` is the same key under the same id, whatever it may be used with.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint && self.kid == other.kid
    }

    /// Whether `other` is another key that a token could mean just as well.
    pub(super) fn contests(&self, other: &Self) -> bool {
        self.kid == other.kid
            && self.thumbprint != other.thumbprint
            && !self.algorithms.and(other.algorithms).is_empty()
    }

    /// The same key for no more than `algorithms`; `None` where it is left without any.
    pub(super) fn restrict(mut self, algorithms: Algorithms) -> Option<Self> {
        self.algorithms = self.algorithms.and(algorithms);
        if let Material::Public { keys, .. } = &mut self.material {
            keys.retain(|(algorithm, _)| algorithms.contains(*algorithm));
        }
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// Takes up what `other`, which is the same key, may be used with besides.
    pub(super) fn absorb(&mut self, other: Self) {
        let known = self.algorithms;
        if let (Material::Public { keys, .. }, Material::Public { keys: more, .. }) =
            (&mut self.material, other.material)
        {
            self.algorithms = known.or(other.algorithms);
            keys.extend(
                more.into_iter()
                    .filter(|(algorithm, _)| !known.contains(*algorithm)),
            );
        }
    }

    /// Whether `signature` over `message` holds under `algorithm`.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refusal> {
        if !self.algorithms.contains(algorithm) {
            return Err(Refusal::UnknownKey);
        }
        let holds = match &self.material {
            Material::Public {
                keys,
                signature_length,
            } => {
                let key = keys.iter().find(|(known, _)| *known == algorithm);
                let (_, key) = key.ok_or(Refusal::UnknownKey)?;
                signature.len() == *signature_length && key.verify_sig(message, signature).is_ok()
            }
            // In constant time.
            Material::Shared(key) => hmac::verify(key, message, signature).is_ok(),
        };
        if holds {
            Ok(())
        } else {
            Err(Refusal::Signature)
        }
    }
}

impl TryFrom<&jsonwebtoken::jwk::Jwk> for VerificationKey {
    type Error = KeyError;

    /// By way of its JSON text, so that the same rules hold.
    fn try_from(jwk: &jsonwebtoken::jwk::Jwk) -> Result<Self, KeyError> {
        let json = serde_json::to_vec(jwk).map_err(|_| KeyError::NotAKey)?;
        Self::from_jwk(&json)
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
