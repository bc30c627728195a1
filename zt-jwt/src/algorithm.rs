use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// A signature algorithm (RFC 7518 section 3, RFC 8037, RFC 9864, RFC 9964).
        ///
        /// There is no `none`: a token that says so names no algorithm.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Algorithm { $($(#[$doc])* $name,)* }

        impl Algorithm {
            /// Every algorithm there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in `alg`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What `alg` names, to the letter; `Ed25519` (RFC 9864) is another name of `EdDSA`
            /// here, since Ed25519 is the only curve.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    "Ed25519" => Some(Self::EdDsa),
                    _ => None,
                }
            }
        }
    };
}

algorithms! {
    /// ECDSA on P-256 with SHA-256.
    Es256 "ES256";
    /// ECDSA on P-384 with SHA-384.
    Es384 "ES384";
    /// ECDSA on P-521 with SHA-512.
    Es512 "ES512";
    /// Ed25519.
    EdDsa "EdDSA";
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 "RS256";
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 "RS384";
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 "RS512";
    /// RSASSA-PSS with SHA-256.
    Ps256 "PS256";
    /// RSASSA-PSS with SHA-384.
    Ps384 "PS384";
    /// RSASSA-PSS with SHA-512.
    Ps512 "PS512";
    /// HMAC with SHA-256.
    Hs256 "HS256";
    /// HMAC with SHA-384.
    Hs384 "HS384";
    /// HMAC with SHA-512.
    Hs512 "HS512";
    /// ML-DSA-44 (FIPS 204).
    MlDsa44 "ML-DSA-44";
    /// ML-DSA-65 (FIPS 204).
    MlDsa65 "ML-DSA-65";
    /// ML-DSA-87 (FIPS 204).
    MlDsa87 "ML-DSA-87";
}

impl Algorithm {
    /// Whether whoever verifies could also sign (`HS256` and its like).
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a signature algorithm"))
    }
}

/// A set of [`Algorithm`]s.
///
/// ```
/// use zt_jwt::{Algorithm, Algorithms};
///
/// let both = Algorithms::from_iter([Algorithm::Es256, Algorithm::EdDsa]);
/// assert!(both.contains(Algorithm::Es256) && !both.contains(Algorithm::Hs256));
/// assert!(!Algorithms::ASYMMETRIC.contains(Algorithm::Hs256));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithms(u32);

impl Algorithms {
    /// No algorithm.
    pub const NONE: Self = Self(0);

    /// Every algorithm but the symmetric ones.
    pub const ASYMMETRIC: Self = {
        let mut all = 0;
        let mut rest = Algorithm::ALL;
        while let [first, others @ ..] = rest {
            if !first.is_symmetric() {
                all |= first.bit();
            }
            rest = others;
        }
        Self(all)
    };

    /// Whether `algorithm` is among them.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and `algorithm`.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | algorithm.bit())
    }

    /// These and `others`.
    #[must_use]
    pub const fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .iter()
            .copied()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl From<Algorithm> for Algorithms {
    fn from(algorithm: Algorithm) -> Self {
        Self::NONE.with(algorithm)
    }
}

/// One, or none where it came to be after this was written.
impl From<jsonwebtoken::Algorithm> for Algorithms {
    fn from(algorithm: jsonwebtoken::Algorithm) -> Self {
        use jsonwebtoken::Algorithm as Theirs;
        let known = match algorithm {
            Theirs::HS256 => Algorithm::Hs256,
            Theirs::HS384 => Algorithm::Hs384,
            Theirs::HS512 => Algorithm::Hs512,
            Theirs::ES256 => Algorithm::Es256,
            Theirs::ES384 => Algorithm::Es384,
            Theirs::RS256 => Algorithm::Rs256,
            Theirs::RS384 => Algorithm::Rs384,
            Theirs::RS512 => Algorithm::Rs512,
            Theirs::PS256 => Algorithm::Ps256,
            Theirs::PS384 => Algorithm::Ps384,
            Theirs::PS512 => Algorithm::Ps512,
            Theirs::EdDSA => Algorithm::EdDsa,
            _ => return Self::NONE,
        };
        known.into()
    }
}

impl<A: Into<Algorithms>> FromIterator<A> for Algorithms {
    fn from_iter<I: IntoIterator<Item = A>>(algorithms: I) -> Self {
        algorithms
            .into_iter()
            .fold(Self::NONE, |all, some| all.or(some.into()))
    }
}

impl<A: Into<Algorithms>, const N: usize> From<[A; N]> for Algorithms {
    fn from(algorithms: [A; N]) -> Self {
        algorithms.into_iter().collect()
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<'de> Deserialize<'de> for Algorithms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Algorithm>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}
