//! Public and private keys, by aws-lc-rs.

pub(super) mod pem;
mod private;
pub(super) mod spki;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm},
};

pub(super) use self::private::PrivateKey;
use self::spki::{Curve, Numbers};
use super::{BadSignature, KeyError};
use crate::{signature::Algorithm, weak_key};

/// A public key, parsed and checked.
pub(super) struct PublicKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
    /// How many bytes a signature has.
    length: usize,
}

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, numbers: &Numbers) -> Result<Self, KeyError> {
        let (parsed, length) = match (algorithm, numbers) {
            (Algorithm::HmacSha256, _) => return Err(KeyError::Symmetric(algorithm)),
            (Algorithm::Ed25519, Numbers::Ed25519(key)) => {
                weak_key::check_ed25519(key)?;
                // RFC 9421 section 3.3.6: 64 octets.
                (point(&signature::ED25519, key)?, 64)
            }
            // RFC 9421 sections 3.3.4 and 3.3.5: r and s side by side, in full length.
            (Algorithm::EcdsaP256Sha256, Numbers::Ec(Curve::P256, key)) => {
                (point(&signature::ECDSA_P256_SHA256_FIXED, key)?, 64)
            }
            (Algorithm::EcdsaP384Sha384, Numbers::Ec(Curve::P384, key)) => {
                (point(&signature::ECDSA_P384_SHA384_FIXED, key)?, 96)
            }
            (Algorithm::RsaPssSha512, Numbers::Rsa { n, e, .. }) => {
                // RFC 9421 section 3.3.1: a salt of 64 bytes, as long as the hash, which is what
                // the library asks for by default, and MGF1 with the same hash.
                (rsa(&signature::RSA_PSS_2048_8192_SHA512, n, e)?, n.len())
            }
            // RFC 4055 section 1.2: a key that is for PSS is used for nothing else.
            (Algorithm::RsaV15Sha256, Numbers::Rsa { n, e, pss: false }) => {
                (rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e)?, n.len())
            }
            _ => return Err(KeyError::AlgorithmMismatch(algorithm)),
        };
        Ok(Self {
            algorithm,
            parsed,
            length,
        })
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn verify(&self, base: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if signature.len() != self.length {
            return Err(BadSignature);
        }
        let verified = self.parsed.verify_sig(base, signature);
        verified.map_err(|_| BadSignature)
    }

    pub(super) fn to_spki_der(&self) -> Option<Vec<u8>> {
        let der: PublicKeyX509Der<'_> = self.parsed.as_der().ok()?;
        Some(der.as_ref().to_vec())
    }
}

/// Whether the point is on the curve is checked by the library: here for ECDSA, with each signature
/// for Ed25519.
fn point(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
) -> Result<ParsedPublicKey, KeyError> {
    ParsedPublicKey::new(algorithm, key).map_err(|_| KeyError::NotOnCurve)
}

fn rsa(
    parameters: &'static signature::RsaParameters,
    n: &[u8],
    e: &[u8],
) -> Result<ParsedPublicKey, KeyError> {
    weak_key::check_rsa(n, e)?;
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(parameters)
        .map_err(|_| KeyError::Der)
}
