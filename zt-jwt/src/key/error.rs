use zt_core::weak_key::WeakKey;

use crate::algorithm::Algorithm;

/// Why a key, or a set of them, cannot be used. Says nothing of what the key is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not JSON, or not a JWK (RFC 7517 section 4) or set of them (section 5).
    #[error("not a JSON Web Key, or a member stands there twice")]
    NotAKey,
    /// Not a JWK set (RFC 7517 section 5).
    #[error("not a JSON Web Key Set, or a member stands there twice")]
    NotASet,
    /// Longer than any key.
    #[error("too long to be a key")]
    TooLong,
    /// A member that this kind of key must have is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member has the wrong JSON type, is not canonical base64url (RFC 7515 section 2), or has
    /// the wrong length.
    #[error("`{0}` is not what it should be")]
    Malformed(&'static str),
    /// `kty` is none that signatures are checked with.
    #[error("`kty` is not `RSA`, `EC`, `OKP` or `AKP`")]
    KeyType,
    /// `crv` is no curve that is known here, or not one for this `kty`.
    #[error("the curve is not P-256, P-384, P-521 or Ed25519, as `kty` demands")]
    Curve,
    /// `alg` names no signature algorithm that is known here.
    #[error("`alg` names no signature algorithm that is known here")]
    UnknownAlgorithm,
    /// The algorithm is for another kind of key.
    #[error("`{0}` is for another kind of key")]
    AlgorithmMismatch(Algorithm),
    /// No algorithm was named.
    #[error("no algorithm was named")]
    NoAlgorithm,
    /// `use` is not `sig`, or `key_ops` has no `verify` (RFC 7517 sections 4.2 and 4.3).
    #[error("the key is not for checking signatures")]
    Use,
    /// The numbers do not make a point on the curve.
    #[error("not a point on its curve")]
    NotOnCurve,
    /// The key can be broken, or anybody can sign for it.
    #[error("the key is weak: {0}")]
    Weak(&'static str),
    /// A secret that is shared; it can be had by
    /// [`VerificationKey::shared_secret`](crate::VerificationKey::shared_secret) alone.
    #[error("a shared secret stands where a public key is expected")]
    Symmetric,
    /// The algorithm is none for shared secrets.
    #[error("`{0}` is not for shared secrets")]
    NotSymmetric(Algorithm),
    /// A secret shorter than the hash (RFC 7518 section 3.2).
    #[error("the secret is shorter than {least} bytes")]
    ShortSecret {
        /// How many it must have.
        least: usize,
    },
    /// What was given as a secret is a public key, a certificate, or a JWK: everybody knows it.
    #[error("a key, a certificate or a JWK was given as a shared secret")]
    PublicAsSecret,
    /// A key endpoint publishes a private key: whoever has read it can sign.
    #[error("the private part is published")]
    PrivatePublished,
    /// Not one `-----BEGIN PUBLIC KEY-----` block (RFC 7468 section 13).
    #[error("not a PEM block of the type `PUBLIC KEY`")]
    Pem,
    /// Not a SubjectPublicKeyInfo (RFC 5280 section 4.1) in DER of a kind that is known here.
    #[error("not a public key in DER that is known here")]
    Der,
    /// A key's id is longer than 256 bytes.
    #[error("`kid` is longer than 256 bytes")]
    KidTooLong,
    /// Two keys have the same id, or none, for the same algorithm.
    #[error("two keys for `{algorithm}` have the same id, or none")]
    KidTwice {
        /// One of the algorithms.
        algorithm: Algorithm,
    },
    /// Shared secrets and public keys in one set: one could pass for the other.
    #[error("shared secrets and public keys stand in one set")]
    Mixed,
    /// A set without a key that can be used.
    #[error("there is no key that can be used")]
    NoKeys,
    /// A set with more keys than are accepted.
    #[error("there are more than {limit} keys")]
    TooManyKeys {
        /// How many are accepted.
        limit: usize,
    },
}

impl From<WeakKey> for KeyError {
    fn from(why: WeakKey) -> Self {
        match why {
            WeakKey::Number(name) => Self::Malformed(name),
            WeakKey::Weak(why) => Self::Weak(why),
            // An Ed25519 key is one number (RFC 8037 section 2).
            _ => Self::Malformed("x"),
        }
    }
}
