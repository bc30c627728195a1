use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use zeroize::Zeroizing;
use zt_core::{clock::Clock, random::Entropy, secret::Secret};

use super::{
    super::{ConfigError, SourceError},
    ClientCredentialsConfig,
    assertion::Assertions,
};
use crate::Algorithm;

/// How a client proves to its issuer who it is.
///
/// In a configuration secrets and keys are references: `{"method": "private_key_jwt",
/// "algorithm": "ES256", "key": "file:/run/keys/billing.pem", "kid": "2030-01"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "method", deny_unknown_fields)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// With a shared secret in `Authorization: Basic` (RFC 6749 section 2.3.1).
    #[serde(rename = "client_secret_basic")]
    SecretBasic {
        /// The secret.
        secret: Secret,
    },
    /// With a shared secret in the form; for issuers that know no other way.
    #[serde(rename = "client_secret_post")]
    SecretPost {
        /// The secret.
        secret: Secret,
    },
    /// With a signed assertion (RFC 7523 section 2.2): no secret leaves this process.
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt {
        /// `ES256` or `EdDSA`.
        algorithm: Algorithm,
        /// PKCS #8, in PEM or DER.
        key: Secret,
        /// Under which id the issuer knows the public key.
        #[serde(default)]
        kid: Option<String>,
    },
}

/// A way to prove it, ready for use.
pub(super) enum Prepared {
    Basic(HeaderValue),
    Post(Bytes),
    Assertions(Box<Assertions>),
}

/// What goes into one request.
#[derive(Default)]
pub(super) struct Credential {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) form: Option<Bytes>,
}

impl Prepared {
    pub(super) fn new(config: &ClientCredentialsConfig) -> Result<Self, ConfigError> {
        match &config.authentication {
            ClientAuthentication::SecretBasic { secret }
            | ClientAuthentication::SecretPost { secret }
                if secret.is_empty() =>
            {
                Err(ConfigError::EmptySecret)
            }
            ClientAuthentication::SecretBasic { secret } => basic(&config.client_id, secret)
                .map(Self::Basic)
                .ok_or(ConfigError::ClientId),
            ClientAuthentication::SecretPost { secret } => {
                let form = form(&[
                    ("client_id", config.client_id.as_bytes()),
                    ("client_secret", secret.expose()),
                ]);
                Ok(Self::Post(Bytes::from_owner(form)))
            }
            ClientAuthentication::PrivateKeyJwt {
                algorithm,
                key,
                kid,
            } => {
                let audience = config.assertion_audience.as_ref();
                Assertions::new(
                    *algorithm,
                    key,
                    kid.as_deref(),
                    &config.client_id,
                    audience.unwrap_or(&config.token_endpoint),
                )
                .map(|assertions| Self::Assertions(Box::new(assertions)))
            }
        }
    }

    pub(super) fn credential(
        &self,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Credential, SourceError> {
        Ok(match self {
            Self::Basic(value) => Credential {
                authorization: Some(value.clone()),
                ..Credential::default()
            },
            Self::Post(form) => Credential {
                form: Some(form.clone()),
                ..Credential::default()
            },
            Self::Assertions(assertions) => {
                let assertion = assertions.sign(clock.now()?, entropy)?;
                let form = form(&[
                    ("client_id", assertions.client_id().as_bytes()),
                    // RFC 7523 section 2.2
                    (
                        "client_assertion_type",
                        b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", assertion.as_bytes()),
                ]);
                Credential {
                    form: Some(Bytes::from_owner(form)),
                    ..Credential::default()
                }
            }
        })
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::Assertions(_) => "private_key_jwt",
        })
    }
}

/// RFC 6749 section 2.3.1: both halves are form-encoded first, so that a `:` in the id does not
/// end it.
fn basic(client_id: &str, secret: &Secret) -> Option<HeaderValue> {
    const SCHEME: &str = "Basic ";
    let (id, secret) = (client_id.as_bytes(), secret.expose());
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
    pair.extend(form_urlencoded::byte_serialize(id));
    pair.push(':');
    pair.extend(form_urlencoded::byte_serialize(secret));

    let full = SCHEME.len() + pair.len().div_ceil(3) * 4;
    let mut value = Zeroizing::new(String::with_capacity(full));
    value.push_str(SCHEME);
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    let value = Zeroizing::new(std::mem::take(&mut *value).into_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `application/x-www-form-urlencoded`, made at its full size and wiped when dropped.
pub(super) fn form(fields: &[(&str, &[u8])]) -> Zeroizing<Vec<u8>> {
    let size = |(name, value): &(&str, &[u8])| 3 * (name.len() + value.len()) + 2;
    let mut text = Zeroizing::new(String::with_capacity(fields.iter().map(size).sum()));
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.extend(form_urlencoded::byte_serialize(value));
    }
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}
