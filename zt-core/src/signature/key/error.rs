use crate::{secret::SecretError, signature::Algorithm};

/// Why a key, or what stands around it, cannot be used. Says nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A shared secret of fewer than 32 bytes.
    #[error("a shared secret has at least 32 bytes")]
    ShortSecret,
    /// What was given as a secret is a public key, a certificate, or a JWK: others know it.
    #[error("a key, a certificate or a JWK was given as a shared secret")]
    PublicAsSecret,
    /// Not the base64 that it should be (RFC 4648 section 4).
    #[error("the secret is not base64")]
    Base64,
    /// The algorithm works with shared secrets, and a public or private key was given.
    #[error("`{0}` works with shared secrets")]
    Symmetric(Algorithm),
    /// The algorithm works with public and private keys, and a shared secret was given.
    #[error("`{0}` does not work with shared secrets")]
    NotSymmetric(Algorithm),
    /// The key is of another type, or on another curve, than the algorithm's.
    #[error("the key is not one for `{0}`")]
    AlgorithmMismatch(Algorithm),
    /// Signatures of this algorithm are verified, and not made.
    #[error("signatures by `{0}` are verified, and not made")]
    VerifiedOnly(Algorithm),
    /// The feature that this algorithm needs is off.
    #[error("`{0}` needs the feature `asymmetric`")]
    NotBuilt(Algorithm),
    /// Longer than any key.
    #[error("too long to be a key")]
    TooLong,
    /// Not one PEM block of a type that is known here (RFC 7468).
    #[error("not one PEM block with a key of the kind that is asked for")]
    Pem,
    /// Not a key in DER of a kind that is known here.
    #[error("not a key in DER that is known here")]
    Der,
    /// The numbers do not make a point on the curve.
    #[error("not a point on its curve")]
    NotOnCurve,
    /// The key can be broken, or anybody can sign for it.
    #[error("the key is weak: {0}")]
    Weak(&'static str),
    /// The engine made no key.
    #[error("no key could be made")]
    NotMade,
    /// An id that no message can carry: empty, longer than 256 bytes, or with characters that no
    /// string of structured fields has (RFC 9651 section 3.3.3).
    #[error("a key's id is 1 to 256 printable ASCII characters")]
    Id,
    /// The one who signs has no name.
    #[error("the subject of key `{0}` is empty")]
    NoSubject(Box<str>),
    /// The key is good for nothing.
    #[error("key `{0}` has no purpose")]
    NoPurpose(Box<str>),
    /// Two keys have one id.
    #[error("two keys have the id `{0}`")]
    IdTwice(Box<str>),
    /// No key has the id.
    #[error("no key has the id `{0}`")]
    UnknownId(Box<str>),
    /// Neither a secret nor a public key is named, or more than one.
    #[error("one of `secret`, `secret_base64` and `public_key` is given")]
    NotOneKey,
    /// A file or a variable that was named cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key of the configuration, by its id.
    #[error("key `{id}`: {why}")]
    InKey {
        /// Its id.
        id: Box<str>,
        /// What is wrong with it.
        why: Box<KeyError>,
    },
}

/// The signature does not hold. There is nothing more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// A signature could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub struct SigningFailed;

#[cfg(feature = "asymmetric")]
impl From<crate::weak_key::WeakKey> for KeyError {
    fn from(why: crate::weak_key::WeakKey) -> Self {
        use crate::weak_key::WeakKey;
        match why {
            WeakKey::Number(_) => Self::Der,
            WeakKey::NotOnCurve => Self::NotOnCurve,
            WeakKey::Weak(why) => Self::Weak(why),
        }
    }
}
