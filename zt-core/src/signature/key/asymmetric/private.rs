use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PSS_SHA512, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{
    PublicKey,
    spki::{self, Curve, Kind, Numbers},
};
use crate::signature::{
    Algorithm,
    key::{KeyError, SigningFailed},
};

/// A private key. The library wipes it on drop.
pub(in crate::signature::key) enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    pub(in crate::signature::key) fn from_pkcs8(
        algorithm: Algorithm,
        der: &[u8],
    ) -> Result<Self, KeyError> {
        let wanted = Wanted::by(algorithm)?;
        let (kind, key) = spki::pkcs8(der)?;
        match (wanted, kind) {
            (Wanted::Ed25519, Kind::Ed25519) => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Der)?;
                Ok(Self::Ed25519(pair))
            }
            (Wanted::Ec(curve), Kind::Ec(its)) if its == curve => {
                let pair = EcdsaKeyPair::from_pkcs8(signing(curve), der);
                Ok(Self::Ecdsa(curve, pair.map_err(|_| KeyError::Der)?))
            }
            // The library takes no key that is marked as for PSS; what is in it is the same.
            (Wanted::Rsa, Kind::Rsa | Kind::RsaPss) => Self::from_pkcs1(algorithm, key),
            _ => Err(KeyError::AlgorithmMismatch(algorithm)),
        }
    }

    /// An ECPrivateKey (RFC 5915 section 3).
    pub(in crate::signature::key) fn from_sec1(
        algorithm: Algorithm,
        der: &[u8],
    ) -> Result<Self, KeyError> {
        let Wanted::Ec(curve) = Wanted::by(algorithm)? else {
            return Err(KeyError::AlgorithmMismatch(algorithm));
        };
        let pair = EcdsaKeyPair::from_private_key_der(signing(curve), der);
        // The library does not say whether it is another curve's.
        Ok(Self::Ecdsa(curve, pair.map_err(|_| KeyError::Der)?))
    }

    /// An RSAPrivateKey (RFC 8017 appendix A.1.2).
    pub(in crate::signature::key) fn from_pkcs1(
        algorithm: Algorithm,
        der: &[u8],
    ) -> Result<Self, KeyError> {
        let Wanted::Rsa = Wanted::by(algorithm)? else {
            return Err(KeyError::AlgorithmMismatch(algorithm));
        };
        let pair = RsaKeyPair::from_der(der).map_err(|_| KeyError::Der)?;
        Ok(Self::Rsa(pair))
    }

    pub(in crate::signature::key) fn generate_ed25519() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
        Ok(Self::Ed25519(pair))
    }

    pub(in crate::signature::key) fn generate_p256() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(signing(Curve::P256)).map_err(|_| KeyError::NotMade)?;
        Ok(Self::Ecdsa(Curve::P256, pair))
    }

    /// The public key, as well checked as any other.
    pub(in crate::signature::key) fn public(&self) -> Result<PublicKey, KeyError> {
        let (algorithm, numbers) = match self {
            Self::Ed25519(pair) => {
                let key = pair.public_key().as_ref();
                let key = key.try_into().map_err(|_| KeyError::Der)?;
                (Algorithm::Ed25519, Numbers::Ed25519(key))
            }
            Self::Ecdsa(curve, pair) => {
                let algorithm = match curve {
                    Curve::P256 => Algorithm::EcdsaP256Sha256,
                    Curve::P384 => Algorithm::EcdsaP384Sha384,
                };
                let point = pair.public_key().as_ref().to_vec();
                (algorithm, Numbers::Ec(*curve, point))
            }
            Self::Rsa(pair) => {
                let numbers = spki::parse_rsa(pair.public_key().as_ref())?;
                (Algorithm::RsaPssSha512, numbers)
            }
        };
        PublicKey::new(algorithm, &numbers)
    }

    pub(in crate::signature::key) fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let failed = |_| SigningFailed;
        match self {
            Self::Ed25519(pair) => Ok(pair.try_sign(base).map_err(failed)?.as_ref().to_vec()),
            Self::Ecdsa(_, pair) => {
                let signature = pair.sign(&SystemRandom::new(), base);
                Ok(signature.map_err(failed)?.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // RFC 9421 section 3.3.1: a salt of 64 bytes, which is the library's default.
                pair.sign(&RSA_PSS_SHA512, &SystemRandom::new(), base, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }

    pub(in crate::signature::key) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match self {
            Self::Ed25519(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Self::Ecdsa(_, pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Self::Rsa(pair) => pair
                .as_der()
                .map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()),
        };
        der.map(Zeroizing::new).map_err(|_| KeyError::NotMade)
    }
}

/// The key that an algorithm signs with.
#[derive(Clone, Copy)]
enum Wanted {
    Ed25519,
    Ec(Curve),
    Rsa,
}

impl Wanted {
    const fn by(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::HmacSha256 => Err(KeyError::Symmetric(algorithm)),
            Algorithm::Ed25519 => Ok(Self::Ed25519),
            Algorithm::EcdsaP256Sha256 => Ok(Self::Ec(Curve::P256)),
            Algorithm::EcdsaP384Sha384 => Ok(Self::Ec(Curve::P384)),
            Algorithm::RsaPssSha512 => Ok(Self::Rsa),
            Algorithm::RsaV15Sha256 => Err(KeyError::VerifiedOnly(algorithm)),
        }
    }
}

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
    }
}
