use std::fmt;

use serde::Deserialize;

use super::{super::ConfigError, ClientAuthentication};
use crate::http::without_secrets;

/// What a client is to its issuer.
///
/// ```
/// use zt_jwt::attach_token::ClientCredentialsConfig;
///
/// # let file = std::env::temp_dir().join(format!("zt-client-{}", std::process::id()));
/// # std::fs::write(&file, "s3cret")?;
/// # let text = format!(r#"
/// {{
///     "token_endpoint": "https://login.example/token",
///     "client_id": "billing",
///     "authentication": {{"method": "client_secret_basic", "secret": "file:{}"}},
///     "scopes": ["orders:read"],
///     "resources": ["https://orders.internal"]
/// }}
/// # "#, file.display());
/// # let config: ClientCredentialsConfig = serde_json::from_str(&text)?;
/// # std::fs::remove_file(&file)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentialsConfig {
    pub(super) token_endpoint: String,
    pub(super) client_id: String,
    pub(super) authentication: ClientAuthentication,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) resources: Vec<String>,
    #[serde(default)]
    pub(super) audience: Option<String>,
    #[serde(default)]
    pub(super) assertion_audience: Option<String>,
    #[serde(default)]
    pub(super) assume_lifetime_seconds: Option<u32>,
    #[serde(default = "deadline")]
    pub(super) deadline_seconds: u32,
}

const fn deadline() -> u32 {
    5
}

impl ClientCredentialsConfig {
    /// The client `client_id` of the issuer whose token endpoint is at `token_endpoint`.
    pub fn new(
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
        authentication: ClientAuthentication,
    ) -> Self {
        Self {
            token_endpoint: token_endpoint.into(),
            client_id: client_id.into(),
            authentication,
            scopes: Vec::new(),
            resources: Vec::new(),
            audience: None,
            assertion_audience: None,
            assume_lifetime_seconds: None,
            deadline_seconds: deadline(),
        }
    }

    /// Asks for this scope too (RFC 6749 section 3.3).
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Asks for a token for this resource too (RFC 8707 section 2).
    #[must_use]
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.resources.push(uri.into());
        self
    }

    /// Asks for a token for this audience, at issuers that know that parameter.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// The `aud` of assertions, where it is not the token endpoint: many issuers want their
    /// issuer identifier.
    #[must_use]
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        self.assertion_audience = Some(audience.into());
        self
    }

    /// Tokens of an issuer that does not say so are good for so many seconds
    /// (RFC 6749 section 5.1 lets it say so elsewhere).
    #[must_use]
    pub const fn assume_lifetime_seconds(mut self, seconds: u32) -> Self {
        self.assume_lifetime_seconds = Some(seconds);
        self
    }

    /// How long the issuer may take to answer: 1 to 60 seconds, and 5 by default.
    #[must_use]
    pub const fn deadline_seconds(mut self, seconds: u32) -> Self {
        self.deadline_seconds = seconds;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let id = &self.client_id;
        if id.is_empty()
            || !id
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        {
            return Err(ConfigError::ClientId);
        }
        if let Some(bad) = self.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(ConfigError::Scope(bad.as_str().into()));
        }
        if let Some(bad) = self.resources.iter().find(|uri| !is_resource(uri)) {
            return Err(ConfigError::Resource(bad.as_str().into()));
        }
        if !(1..=60).contains(&self.deadline_seconds) {
            return Err(ConfigError::OutOfBounds {
                setting: "deadline_seconds",
                bounds: "1 to 60",
            });
        }
        Ok(())
    }
}

impl fmt::Debug for ClientCredentialsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentialsConfig")
            .field("token_endpoint", &without_secrets(&self.token_endpoint))
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication)
            .field("scopes", &self.scopes)
            .field("resources", &self.resources)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 section 3.3: `1*( %x21 / %x23-5B / %x5D-7E )`.
fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(fits)
}

/// RFC 8707 section 2: an absolute URI, without a fragment.
fn is_resource(text: &str) -> bool {
    let scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && text.split_once(':').is_some_and(|(name, rest)| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(scheme)
                && !rest.is_empty()
        })
}
