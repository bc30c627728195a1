//! Public keys as numbers: what they may be used with, whether they are any good, and how they are
//! given to the library that checks signatures.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents},
};
use sha2::{Digest, Sha256};
use zt_core::weak_key;

use super::KeyError;
use crate::{
    algorithm::{Algorithm, Algorithms},
    jose::base64url,
};

/// A public key; numbers are big-endian.
pub(super) enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: Vec<u8>,
    },
    MlDsa {
        algorithm: Algorithm,
        key: Vec<u8>,
    },
}

/// A curve of RFC 7518 section 6.2.1.1.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// How many bytes a coordinate has.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl Public {
    /// Everything that such a key can be used with.
    pub(super) fn algorithms(&self) -> Algorithms {
        use Algorithm::{
            EdDsa, Es256, Es384, Es512, MlDsa44, MlDsa65, MlDsa87, Ps256, Ps384, Ps512, Rs256,
            Rs384, Rs512,
        };
        match self {
            Self::Rsa { .. } => [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512].into(),
            Self::Ec { curve, .. } => match curve {
                Curve::P256 => Es256.into(),
                Curve::P384 => Es384.into(),
                Curve::P521 => Es512.into(),
            },
            Self::Ed25519 { .. } => EdDsa.into(),
            Self::MlDsa { algorithm, .. } => {
                Algorithms::from([MlDsa44, MlDsa65, MlDsa87]).and((*algorithm).into())
            }
        }
    }

    /// Whether it is a key at all, and not a weak one.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        match self {
            Self::Rsa { n, e } => Ok(weak_key::check_rsa(n, e)?),
            // RFC 7518 section 6.2.1.2: of the full length, zeros in front included.
            Self::Ec { curve, x, .. } if x.len() != curve.length() => Err(KeyError::Malformed("x")),
            Self::Ec { curve, y, .. } if y.len() != curve.length() => Err(KeyError::Malformed("y")),
            Self::Ed25519 { x } => {
                let x = x.as_slice().try_into();
                let x = x.map_err(|_| KeyError::Malformed("x"))?;
                Ok(weak_key::check_ed25519(x)?)
            }
            Self::MlDsa { algorithm, key } => {
                // FIPS 204 section 4, table 2.
                let length = match algorithm {
                    Algorithm::MlDsa44 => 1312,
                    Algorithm::MlDsa65 => 1952,
                    Algorithm::MlDsa87 => 2592,
                    other => return Err(KeyError::AlgorithmMismatch(*other)),
                };
                if key.len() == length {
                    Ok(())
                } else {
                    Err(KeyError::Malformed("pub"))
                }
            }
            Self::Ec { .. } => Ok(()),
        }
    }

    /// The key for `algorithm`.
    pub(super) fn parse(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, KeyError> {
        let mismatch = KeyError::AlgorithmMismatch(algorithm);
        match self {
            Self::Rsa { n, e } => {
                let parameters = rsa(algorithm).ok_or(mismatch)?;
                RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(parameters)
                    .map_err(|_| KeyError::Malformed("n"))
            }
            Self::Ec { x, y, .. } => {
                let curve: &'static dyn signature::VerificationAlgorithm = match algorithm {
                    Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
                    _ => return Err(mismatch),
                };
                // SEC 1 section 2.3.4: not compressed. Whether it is on the curve is checked.
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                parse(curve, &point).ok_or(KeyError::NotOnCurve)
            }
            Self::Ed25519 { x } => parse(&signature::ED25519, x).ok_or(KeyError::NotOnCurve),
            Self::MlDsa { key, .. } => {
                let parameters = match algorithm {
                    Algorithm::MlDsa44 => &signature::ML_DSA_44,
                    Algorithm::MlDsa65 => &signature::ML_DSA_65,
                    Algorithm::MlDsa87 => &signature::ML_DSA_87,
                    _ => return Err(mismatch),
                };
                parse(parameters, key).ok_or(KeyError::Malformed("pub"))
            }
        }
    }

    /// How long a signature is.
    pub(super) fn signature_length(&self) -> usize {
        match self {
            Self::Rsa { n, .. } => n.len(),
            // RFC 7518 section 3.4.
            Self::Ec { curve, .. } => 2 * curve.length(),
            Self::Ed25519 { .. } => 64,
            Self::MlDsa { algorithm, .. } => match algorithm {
                Algorithm::MlDsa44 => 2420,
                Algorithm::MlDsa65 => 3309,
                _ => 4627,
            },
        }
    }

    /// SHA-256 of the members that a key must have, in the order of their names, without spaces
    /// (RFC 7638 section 3; RFC 8037 section 2; RFC 9964 for `AKP`).
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        let text = base64url::encode;
        let json = match self {
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
            }
            Self::Ec { curve, x, y } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve.as_str(),
                text(x),
                text(y)
            ),
            Self::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))
            }
            Self::MlDsa { algorithm, key } => {
                format!(
                    r#"{{"alg":"{algorithm}","kty":"AKP","pub":"{}"}}"#,
                    text(key)
                )
            }
        };
        Sha256::digest(json).into()
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        // RFC 7518 section 3.5: the salt is as long as the hash, which is the default there.
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// The library takes DER as well as raw keys; what it made of `raw` has to end in the same bytes.
fn parse(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    raw: &[u8],
) -> Option<ParsedPublicKey> {
    let key = ParsedPublicKey::new(algorithm, raw).ok()?;
    let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
    der.as_ref().ends_with(raw).then_some(key)
}
