//! The members of a JSON Web Key (RFC 7517 section 4).

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::{
    KeyError,
    public::{Curve, Public},
};
use crate::{
    algorithm::{Algorithm, Algorithms},
    jose::{
        base64url,
        json::{Names, Skip, Text},
        shape::{self, Shape},
    },
};

/// A key of 8192 bits with its private part, or an ML-DSA-87 key, with a chain of certificates.
const MAX_LENGTH: usize = 64 * 1024;

/// The members that are looked at, as they stand there.
#[derive(Default)]
pub(super) struct Jwk<'a> {
    kty: Option<Shape<'a>>,
    kid: Option<Shape<'a>>,
    alg: Option<Shape<'a>>,
    usage: Option<Shape<'a>>,
    key_ops: Option<Shape<'a>>,
    crv: Option<Shape<'a>>,
    x: Option<Shape<'a>>,
    y: Option<Shape<'a>>,
    n: Option<Shape<'a>>,
    e: Option<Shape<'a>>,
    k: Option<Shape<'a>>,
    public: Option<Shape<'a>>,
    private: bool,
}

impl<'a> Jwk<'a> {
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, KeyError> {
        if json.len() > MAX_LENGTH {
            return Err(KeyError::TooLong);
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let jwk = reader.deserialize_map(Members);
        let jwk = jwk.map_err(|_| KeyError::NotAKey)?;
        reader.end().map_err(|_| KeyError::NotAKey)?;
        Ok(jwk)
    }

    /// Whether it says something that only the signer may know.
    pub(super) const fn is_private(&self) -> bool {
        self.private
    }

    pub(super) fn is_symmetric(&self) -> Result<bool, KeyError> {
        Ok(required(&self.kty, "kty")? == "oct")
    }

    pub(super) fn kid(&self) -> Result<Option<&str>, KeyError> {
        let kid = optional(&self.kid, "kid")?;
        match kid {
            Some(kid) if kid.len() > crate::jose::MAX_KID => Err(KeyError::KidTooLong),
            kid => Ok(kid),
        }
    }

    /// Whether signatures may be checked with it.
    pub(super) fn check_use(&self) -> Result<(), KeyError> {
        // RFC 7517 section 4.2.
        if optional(&self.usage, "use")?.is_some_and(|usage| usage != "sig") {
            return Err(KeyError::Use);
        }
        // RFC 7517 section 4.3: values are unique. Who may sign with a key may check with it.
        match &self.key_ops {
            None => Ok(()),
            Some(Shape::Texts(operations)) => {
                let mut names = Names::default();
                if !operations.iter().all(|name| names.insert(name.clone())) {
                    return Err(KeyError::Malformed("key_ops"));
                }
                let may = |operation: &str| operations.iter().any(|known| known == operation);
                if may("verify") || (self.private && may("sign")) {
                    Ok(())
                } else {
                    Err(KeyError::Use)
                }
            }
            Some(_) => Err(KeyError::Malformed("key_ops")),
        }
    }

    /// What `alg` says (RFC 7517 section 4.4).
    pub(super) fn algorithm(&self) -> Result<Option<Algorithm>, KeyError> {
        optional(&self.alg, "alg")?
            .map(|alg| Algorithm::parse(alg).ok_or(KeyError::UnknownAlgorithm))
            .transpose()
    }

    /// The public key, and what it may be used with.
    pub(super) fn public(&self) -> Result<(Public, Algorithms), KeyError> {
        let algorithm = self.algorithm();
        let public = match required(&self.kty, "kty")? {
            // RFC 7518 section 6.3.1.
            "RSA" => Public::Rsa {
                n: bytes(&self.n, "n")?,
                e: bytes(&self.e, "e")?,
            },
            // RFC 7518 section 6.2.1.
            "EC" => {
                let curve = Curve::parse(required(&self.crv, "crv")?).ok_or(KeyError::Curve)?;
                Public::Ec {
                    curve,
                    x: bytes(&self.x, "x")?,
                    y: bytes(&self.y, "y")?,
                }
            }
            // RFC 8037 section 2; of its curves only one signs and is supported.
            "OKP" => {
                if required(&self.crv, "crv")? != "Ed25519" {
                    return Err(KeyError::Curve);
                }
                Public::Ed25519 {
                    x: bytes(&self.x, "x")?,
                }
            }
            // RFC 9964: `alg` is required and says what the bytes are.
            "AKP" => Public::MlDsa {
                algorithm: algorithm.clone()?.ok_or(KeyError::Missing("alg"))?,
                key: bytes(&self.public, "pub")?,
            },
            "oct" => return Err(KeyError::Symmetric),
            _ => return Err(KeyError::KeyType),
        };
        let fitting = public.algorithms();
        let algorithms = match algorithm? {
            None => fitting,
            Some(algorithm) if fitting.contains(algorithm) => algorithm.into(),
            Some(algorithm) => return Err(KeyError::AlgorithmMismatch(algorithm)),
        };
        Ok((public, algorithms))
    }

    /// `k` (RFC 7518 section 6.4.1).
    #[cfg(test)]
    pub(super) fn secret(&self) -> Result<Vec<u8>, KeyError> {
        bytes(&self.k, "k")
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Shape<'a>>> {
        Some(match name {
            "kty" => &mut self.kty,
            "kid" => &mut self.kid,
            "alg" => &mut self.alg,
            "use" => &mut self.usage,
            "key_ops" => &mut self.key_ops,
            "crv" => &mut self.crv,
            "x" => &mut self.x,
            "y" => &mut self.y,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "k" => &mut self.k,
            "pub" => &mut self.public,
            _ => return None,
        })
    }
}

fn optional<'a>(
    shape: &'a Option<Shape<'_>>,
    name: &'static str,
) -> Result<Option<&'a str>, KeyError> {
    match shape {
        None => Ok(None),
        Some(Shape::Text(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::Malformed(name)),
    }
}

fn required<'a>(shape: &'a Option<Shape<'_>>, name: &'static str) -> Result<&'a str, KeyError> {
    optional(shape, name)?.ok_or(KeyError::Missing(name))
}

fn bytes(shape: &Option<Shape<'_>>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let text = required(shape, name)?;
    base64url::decode(text.as_bytes()).ok_or(KeyError::Malformed(name))
}

/// What only the signer may know (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037, RFC 9964).
fn is_private(name: &str) -> bool {
    matches!(name, "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "priv")
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Jwk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key whose members are unique")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let twice = || A::Error::custom("a member stands there twice");
        let mut jwk = Jwk::default();
        let mut others = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            jwk.private |= is_private(&name);
            if let Some(slot) = jwk.slot(&name) {
                if slot.is_some() {
                    return Err(twice());
                }
                *slot = Some(members.next_value_seed(shape::MEMBER)?);
            } else if others.insert(name) {
                members.next_value_seed(Skip::MEMBER)?;
            } else {
                return Err(twice());
            }
        }
        Ok(jwk)
    }
}
