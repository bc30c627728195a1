use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair},
};
use serde_json::{Value, json};

use super::encode::{base64url, pem};
use crate::algorithm::Algorithm;

/// A key pair, its id, and the one algorithm that it is for.
pub(super) struct TestKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pair: Lazy,
}

/// Made when it is first needed: an RSA key takes a tenth of a second.
pub(super) type Lazy = Arc<OnceLock<Pair>>;

pub(super) enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
    MlDsa(PqdsaKeyPair),
}

impl TestKey {
    /// A key that was not there before. All RSA algorithms may share one `pair`.
    pub(super) fn new(kid: String, algorithm: Algorithm, pair: Lazy) -> Self {
        assert!(!algorithm.is_symmetric(), "`{algorithm}` has no key pair");
        Self {
            kid,
            algorithm,
            pair,
        }
    }

    /// The same key pair under the name `kid`.
    pub(super) fn renamed(&self, kid: &str) -> Self {
        Self::new(kid.into(), self.algorithm, self.pair.clone())
    }

    /// The signature of `message`, as JOSE has it.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self.pair() {
            Pair::Ec(pair) => pair
                .sign(&SystemRandom::new(), message)
                .expect("aws-lc signs")
                .as_ref()
                .to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    rsa_padding(self.algorithm),
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .expect("aws-lc signs");
                signature
            }
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let len = pair.sign(message, &mut signature).expect("aws-lc signs");
                signature.truncate(len);
                signature
            }
        }
    }

    /// The public half as a JSON Web Key.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match self.pair() {
            Pair::Ec(pair) => {
                // SEC 1 section 2.3.3: 4, then both coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match self.algorithm {
                    Algorithm::Es256 => "P-256",
                    Algorithm::Es384 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key()) })
            }
            Pair::Rsa(pair) => {
                // RFC 8017 section A.1.1: the modulus, of 2048 bits behind a zero, then 65537.
                let modulus = pair
                    .public_key()
                    .as_ref()
                    .strip_prefix(b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00")
                    .and_then(|rest| rest.strip_suffix(b"\x02\x03\x01\x00\x01"))
                    .expect("an RSA key as aws-lc makes them");
                json!({ "kty": "RSA", "n": base64url(modulus), "e": "AQAB" })
            }
            Pair::MlDsa(pair) => json!({ "kty": "AKP", "pub": base64url(pair.public_key()) }),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public half as SubjectPublicKeyInfo (RFC 5280 section 4.1).
    pub(super) fn public_der(&self) -> Vec<u8> {
        fn der<K: AsDer<PublicKeyX509Der<'static>>>(key: &K) -> Vec<u8> {
            key.as_der().expect("aws-lc encodes").as_ref().to_vec()
        }
        match self.pair() {
            Pair::Ec(pair) => der(pair.public_key()),
            Pair::Ed(pair) => der(pair.public_key()),
            Pair::Rsa(pair) => der(pair.public_key()),
            Pair::MlDsa(pair) => der(pair.public_key()),
        }
    }

    pub(super) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// PKCS #8, version 1 (RFC 5208 section 5).
    pub(super) fn private_pem(&self) -> String {
        let document = match self.pair() {
            Pair::Ec(pair) => pair.to_pkcs8v1(),
            Pair::Ed(pair) => pair.to_pkcs8v1(),
            Pair::MlDsa(pair) => pair.to_pkcs8v1(),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'static> = pair.as_der().expect("aws-lc encodes");
                return pem("PRIVATE KEY", der.as_ref());
            }
        };
        pem("PRIVATE KEY", document.expect("aws-lc encodes").as_ref())
    }

    fn pair(&self) -> &Pair {
        self.pair.get_or_init(|| Pair::generate(self.algorithm))
    }
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn generate(algorithm: Algorithm) -> Self {
        use Algorithm::*;
        let ec = |curve| EcdsaKeyPair::generate(curve).map(Self::Ec);
        let ml_dsa = |set| PqdsaKeyPair::generate(set).map(Self::MlDsa);
        let pair = match algorithm {
            Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            EdDsa => Ed25519KeyPair::generate().map(Self::Ed),
            MlDsa44 => ml_dsa(&signature::ML_DSA_44_SIGNING),
            MlDsa65 => ml_dsa(&signature::ML_DSA_65_SIGNING),
            MlDsa87 => ml_dsa(&signature::ML_DSA_87_SIGNING),
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => {
                rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(Self::Rsa)
            }
            Hs256 | Hs384 | Hs512 => panic!("`{algorithm}` has no key pair"),
        };
        pair.expect("aws-lc makes keys")
    }
}

/// Whether `algorithm` takes an RSA key.
pub(super) const fn is_rsa(algorithm: Algorithm) -> bool {
    use Algorithm::*;
    matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
}

fn rsa_padding(algorithm: Algorithm) -> &'static dyn signature::RsaEncoding {
    match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        _ => panic!("`{algorithm}` is not for RSA"),
    }
}

/// The code of `message` under `secret` (RFC 7518 section 3.2), however short the secret is.
pub(super) fn hmac(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message)
        .as_ref()
        .to_vec()
}
