//! Signs, for tests: a key for each algorithm, made on the spot.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac, rand,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair, RsaKeyPair},
};

use crate::{algorithm::Algorithm, jose::base64url::encode, key::VerificationKey};

pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
    Shared(Vec<u8>),
}

static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap());

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Pair::Rsa(RSA.clone()),
            Algorithm::Hs256 => Pair::Shared(random(32)),
            Algorithm::Hs384 => Pair::Shared(random(48)),
            Algorithm::Hs512 => Pair::Shared(random(64)),
            Algorithm::MlDsa44 => ml_dsa(&signature::ML_DSA_44_SIGNING),
            Algorithm::MlDsa65 => ml_dsa(&signature::ML_DSA_65_SIGNING),
            Algorithm::MlDsa87 => ml_dsa(&signature::ML_DSA_87_SIGNING),
        };
        Self { algorithm, pair }
    }

    /// The public key as a JWK whose members `extra` (each with a comma behind) come first.
    pub(crate) fn jwk(&self, extra: &str) -> String {
        let members = match &self.pair {
            Pair::Ec(pair) => {
                let (x, y) = self.point(pair);
                let crv = match self.algorithm {
                    Algorithm::Es256 => "P-256",
                    Algorithm::Es384 => "P-384",
                    _ => "P-521",
                };
                format!(
                    r#""kty":"EC","crv":"{crv}","x":"{}","y":"{}""#,
                    encode(&x),
                    encode(&y)
                )
            }
            Pair::Ed(pair) => format!(
                r#""kty":"OKP","crv":"Ed25519","x":"{}""#,
                encode(pair.public_key().as_ref())
            ),
            Pair::Rsa(pair) => format!(
                r#""kty":"RSA","n":"{}","e":"AQAB""#,
                encode(&pair.public_key().as_ref()[9..265])
            ),
            Pair::MlDsa(pair) => format!(
                r#""kty":"AKP","alg":"{}","pub":"{}""#,
                self.algorithm,
                encode(pair.public_key().as_ref())
            ),
            Pair::Shared(secret) => format!(
                r#""kty":"oct","alg":"{}","k":"{}""#,
                self.algorithm,
                encode(secret)
            ),
        };
        format!("{{{extra}{members}}}")
    }

    /// Whether its key could be used with `algorithm` too.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm == self.algorithm
            || (matches!(self.pair, Pair::Rsa(_))
                && matches!(algorithm.as_str().get(..2), Some("RS" | "PS")))
    }

    /// As it is checked with.
    pub(crate) fn key(&self) -> VerificationKey {
        VerificationKey::from_any_jwk(self.jwk("").as_bytes()).unwrap()
    }

    /// The public key as SubjectPublicKeyInfo; none for secrets.
    pub(crate) fn spki(&self) -> Option<Vec<u8>> {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der().unwrap(),
            Pair::Ed(pair) => pair.public_key().as_der().unwrap(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Pair::MlDsa(pair) => pair.public_key().as_der().unwrap(),
            Pair::Shared(_) => return None,
        };
        Some(der.as_ref().to_vec())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign_as(self.algorithm, message)
    }

    /// Signs under another algorithm of the same kind of key.
    pub(crate) fn sign_as(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; 5000];
                let length = pair.sign(message, &mut signature).unwrap();
                signature.truncate(length);
                signature
            }
            Pair::Shared(secret) => {
                let hash = match algorithm {
                    Algorithm::Hs256 => hmac::HMAC_SHA256,
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                let key = hmac::Key::new(hash, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// A token of this header and payload.
    pub(crate) fn token(&self, header: &str, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(payload.as_bytes())
        );
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    /// A token whose header says no more than the algorithm.
    pub(crate) fn plain_token(&self) -> String {
        self.token(
            &format!(r#"{{"alg":"{}"}}"#, self.algorithm),
            r#"{"sub":"a"}"#,
        )
    }

    fn point(&self, pair: &EcdsaKeyPair) -> (Vec<u8>, Vec<u8>) {
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        (x.to_vec(), y.to_vec())
    }
}

fn ec(curve: &'static signature::EcdsaSigningAlgorithm) -> Pair {
    Pair::Ec(EcdsaKeyPair::generate(curve).unwrap())
}

fn ml_dsa(parameters: &'static signature::PqdsaSigningAlgorithm) -> Pair {
    Pair::MlDsa(PqdsaKeyPair::generate(parameters).unwrap())
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}
