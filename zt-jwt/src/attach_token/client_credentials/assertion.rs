use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Serialize;
use zeroize::Zeroizing;
use zt_core::{
    clock::Timestamp,
    random::{Entropy, bytes},
    secret::Secret,
};

use super::super::{ConfigError, SourceError};
use crate::Algorithm;

/// Signs who this client is (RFC 7523 section 3).
pub(super) struct Assertions {
    key: Key,
    header: String,
    client_id: String,
    audience: String,
}

enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: Algorithm,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
}

/// How long an assertion is good: the time of one request, and of clocks that differ.
const GOOD_FOR_SECONDS: u64 = 60;

impl Assertions {
    pub(super) fn new(
        algorithm: Algorithm,
        key: &Secret,
        kid: Option<&str>,
        client_id: &str,
        audience: &str,
    ) -> Result<Self, ConfigError> {
        let der = der(key.expose()).ok_or(ConfigError::PrivateKey)?;
        let key = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                .map(Key::Es256)
                .map_err(|_| ConfigError::PrivateKey)?,
            // Version 1 is what `openssl genpkey` writes: without the public half to compare.
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
                .map(Key::EdDsa)
                .map_err(|_| ConfigError::PrivateKey)?,
            other => return Err(ConfigError::Algorithm(other)),
        };
        let header = Header {
            alg: algorithm,
            typ: "JWT",
            kid,
        };
        Ok(Self {
            key,
            header: segment(&header).ok_or(ConfigError::PrivateKey)?,
            client_id: client_id.to_owned(),
            audience: audience.to_owned(),
        })
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A fresh assertion. It is good for a minute and, by its `jti`, once.
    pub(super) fn sign(
        &self,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<String>, SourceError> {
        const FAILED: SourceError = SourceError::Unusable("the assertion could not be signed");
        let jti = URL_SAFE_NO_PAD.encode(bytes::<16>(entropy)?);
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: &self.audience,
            iat: now.as_secs(),
            exp: now.as_secs().saturating_add(GOOD_FOR_SECONDS),
            jti: &jti,
        };
        let claims = segment(&claims).ok_or(FAILED)?;
        // Two dots and 64 bytes of signature.
        let full = self.header.len() + claims.len() + 2 + 86;
        let mut text = Zeroizing::new(String::with_capacity(full));
        text.push_str(&self.header);
        text.push('.');
        text.push_str(&claims);
        let signature = match &self.key {
            Key::Es256(key) => key
                .sign(&SystemRandom::new(), text.as_bytes())
                .map_err(|_| FAILED)?,
            Key::EdDsa(key) => key.sign(text.as_bytes()),
        };
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut text);
        Ok(text)
    }
}

fn segment(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(value).ok()?;
    Some(URL_SAFE_NO_PAD.encode(json))
}

/// The contents of a `PRIVATE KEY` in PEM (RFC 7468 section 10); what is not PEM is taken for DER.
fn der(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let Some(text) = std::str::from_utf8(key)
        .ok()
        .filter(|text| text.contains("-----BEGIN "))
    else {
        return Some(Zeroizing::new(key.to_vec()));
    };
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    STANDARD.decode(&*base64).ok().map(Zeroizing::new)
}
