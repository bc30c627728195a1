//! Tokens of a fresh key of each algorithm, made by aws-lc-rs and nothing else.

use aws_lc_rs::{
    error::{KeyRejected, Unspecified},
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_SHA256, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{HeaderValue, header};
use zt_benches::Template;
use zt_core::clock::{Clock, SystemClock, Timestamp};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://shop.example";
const KID: &str = "key-1";

/// An algorithm that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kty {
    Es256,
    EdDsa,
    Rs256,
    Hs256,
}

impl Kty {
    pub(crate) const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256];

    /// What it is called in a header.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

/// Signs tokens.
pub(crate) struct Mint {
    pub(crate) kty: Kty,
    key: Key,
    now: Timestamp,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
    Shared(Box<hmac::Key>),
}

/// Checks a signature, with a key that was parsed before.
pub(crate) enum Floor {
    Asymmetric(ParsedPublicKey),
    Shared(Box<hmac::Key>),
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Signature,
    Issuer,
    Audience,
    Expired,
    NotYet,
}

impl Mint {
    pub(crate) fn new(kty: Kty) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = match kty {
            Kty::Es256 => Key::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Kty::EdDsa => Key::Ed25519(Ed25519KeyPair::generate()?),
            Kty::Rs256 => Key::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048)?),
            Kty::Hs256 => Key::Shared(Box::new(hmac::Key::new(
                hmac::HMAC_SHA256,
                Self::SECRET.as_bytes(),
            ))),
        };
        let now = SystemClock.now()?;
        Ok(Self { kty, key, now })
    }

    /// The secret of `HS256`; text, since one of the peers takes nothing else.
    pub(crate) const SECRET: &str = "only a benchmark's: 0123456789abcdef0123456789abcdef";

    /// The public key as a JSON Web Key Set; `None` for a secret.
    pub(crate) fn jwks(&self) -> Option<String> {
        let parameters = match &self.key {
            Key::Ecdsa(key) => {
                // An uncompressed point: 4, x, y.
                let (x, y) = key.public_key().as_ref().get(1..)?.split_at_checked(32)?;
                let (x, y) = (BASE64.encode(x), BASE64.encode(y));
                format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#)
            }
            Key::Ed25519(key) => {
                let x = BASE64.encode(key.public_key());
                format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#)
            }
            Key::Rsa(key) => {
                // RFC 8017 appendix A.1.1: two headers of four bytes, the zero before the modulus,
                // its 256 bytes; the exponent is 65537.
                let n = BASE64.encode(key.public_key().as_ref().get(9..265)?);
                format!(r#""kty":"RSA","n":"{n}","e":"AQAB""#)
            }
            Key::Shared(_) => return None,
        };
        let alg = self.kty.as_str();
        Some(format!(
            r#"{{"keys":[{{{parameters},"kid":"{KID}","alg":"{alg}","use":"sig"}}]}}"#
        ))
    }

    /// The least that checks a signature.
    pub(crate) fn floor(&self) -> Result<Floor, KeyRejected> {
        let parsed = match &self.key {
            Key::Ecdsa(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key()).parse()?
            }
            Key::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key.public_key()).parse()?,
            Key::Rsa(key) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key()).parse()?
            }
            Key::Shared(key) => return Ok(Floor::Shared(key.clone())),
        };
        Ok(Floor::Asymmetric(parsed))
    }

    /// A token of nine claims, the `number`th.
    pub(crate) fn token(&self, number: usize, flaw: Flaw) -> Result<String, Unspecified> {
        let (input, mut signature) = self.parts(number, flaw)?;
        if flaw == Flaw::Signature {
            let middle = signature.len() / 2 + 4;
            if let Some(byte) = signature.get_mut(middle) {
                *byte ^= 1;
            }
        }
        Ok(format!("{input}.{}", BASE64.encode(signature)))
    }

    /// What is signed, and its signature.
    pub(crate) fn parts(
        &self,
        number: usize,
        flaw: Flaw,
    ) -> Result<(String, Vec<u8>), Unspecified> {
        let alg = self.kty.as_str();
        let header = format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{KID}"}}"#);
        let wrong = "https://another.example";
        let iss = if flaw == Flaw::Issuer { wrong } else { ISSUER };
        let aud = if flaw == Flaw::Audience {
            wrong
        } else {
            AUDIENCE
        };
        let now = self.now.as_secs();
        let (iat, nbf, exp) = match flaw {
            Flaw::Expired => (now - 7_200, now - 7_200, now - 3_600),
            Flaw::NotYet => (now, now + 3_600, now + 7_200),
            _ => (now, now, now + 43_200),
        };
        // 208 bytes, and 437 in all with ES256: the size that the peers were first measured with.
        let payload = format!(
            r#"{{"iss":"{iss}","sub":"customer-000004711","aud":"{aud}","client_id":"web","exp":{exp},"iat":{iat},"nbf":{nbf},"jti":"{number:016x}","scope":"orders:read orders:write"}}"#
        );
        let input = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = self.sign(input.as_bytes())?;
        Ok((input, signature))
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ecdsa(key) => Ok(key.sign(&random, input)?.as_ref().to_vec()),
            Key::Ed25519(key) => Ok(key.try_sign(input)?.as_ref().to_vec()),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)?;
                Ok(signature)
            }
            Key::Shared(key) => Ok(hmac::sign(key, input).as_ref().to_vec()),
        }
    }
}

impl Floor {
    pub(crate) fn verify(&self, input: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
        match self {
            Self::Asymmetric(key) => key.verify_sig(input, signature),
            Self::Shared(key) => hmac::verify(key, input, signature),
        }
    }
}

/// `GET /orders` with `token`.
pub(crate) fn bearing(token: &str) -> Result<Template, header::InvalidHeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"))?;
    Ok(Template::get("/orders").header(header::AUTHORIZATION, value))
}
