use std::{fmt, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{ConfigError, Peppers, format::is_environment};
use crate::{
    random::{Entropy, OsEntropy},
    state::{Feed, Recorder},
};

/// Where requests carry their token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenSource {
    /// In `X-Service-Token`.
    #[default]
    Header,
    /// In `Authorization`.
    Authorization,
    /// In either; in both at once it is `credential-ambiguous`.
    Either,
}

/// The scheme of tokens in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenScheme {
    /// `Bearer` (RFC 6750), shared with other tokens: only values that begin with `ztk_` are
    /// service tokens.
    #[default]
    Bearer,
    /// `ServiceToken`, of our own: every value is one.
    ServiceToken,
}

/// The settings of service tokens, as they stand in a configuration file.
///
/// ```
/// # use zt_core::service_token::ServiceTokenConfig;
/// let config: ServiceTokenConfig = serde_json::from_str(r#"{
///     "environment": "production",
///     "source": "either",
///     "scheme": "bearer",
///     "max_tokens": 5000
/// }"#).unwrap();
/// ```
///
/// `peppers` is `{"current": {"version": 2, "secret": "env:PEPPER_2"}, "previous": [..],
/// "also_without": true}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTokenConfig {
    pub(super) environment: String,
    #[serde(default = "issuer")]
    pub(super) issuer: String,
    #[serde(default = "realm")]
    pub(super) realm: String,
    #[serde(default)]
    pub(super) source: TokenSource,
    #[serde(default)]
    pub(super) scheme: TokenScheme,
    #[serde(default)]
    pub(super) opaque_bearer: bool,
    #[serde(default = "max_tokens")]
    pub(super) max_tokens: usize,
    #[serde(default = "retention_days")]
    pub(super) retention_days: u32,
    #[serde(default)]
    pub(super) peppers: Option<Peppers>,
}

fn issuer() -> String {
    "service-tokens".to_owned()
}

fn realm() -> String {
    "services".to_owned()
}

const fn max_tokens() -> usize {
    100_000
}

const fn retention_days() -> u32 {
    30
}

impl ServiceTokenConfig {
    /// The defaults, for an environment such as `production` or `eu1`: 1 to 16 lower-case letters
    /// and digits.
    pub fn new(environment: impl Into<String>) -> Self {
        Self {
            environment: environment.into(),
            issuer: issuer(),
            realm: realm(),
            source: TokenSource::default(),
            scheme: TokenScheme::default(),
            opaque_bearer: false,
            max_tokens: max_tokens(),
            retention_days: retention_days(),
            peppers: None,
        }
    }

    /// Who vouches for the principals; `service-tokens` by default.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// The realm of the challenges (RFC 9110 section 11.5).
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Where requests carry their token.
    #[must_use]
    pub const fn source(mut self, source: TokenSource) -> Self {
        self.source = source;
        self
    }

    /// The scheme of tokens in `Authorization`.
    #[must_use]
    pub const fn scheme(mut self, scheme: TokenScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Every `Bearer` value is taken for a service token, since plain values were imported. No
    /// other authenticator can then read `Bearer` values beside this one.
    #[must_use]
    pub const fn opaque_bearer(mut self) -> Self {
        self.opaque_bearer = true;
        self
    }

    /// The most tokens that are held; 100,000 by default.
    #[must_use]
    pub const fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// How long the record of an expired or revoked token is kept, so that its bearer is told
    /// so; 30 days by default. After that the token is merely unknown.
    #[must_use]
    pub const fn retention_days(mut self, days: u32) -> Self {
        self.retention_days = days;
        self
    }

    /// The keys under which tokens are hashed at rest.
    #[must_use]
    pub fn peppers(mut self, peppers: Peppers) -> Self {
        self.peppers = Some(peppers);
        self
    }

    pub(super) fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_days) * 86_400)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !is_environment(&self.environment) {
            return Err(ConfigError::Environment(self.environment.clone()));
        }
        if self.issuer.is_empty() || self.issuer.chars().any(char::is_control) {
            return Err(ConfigError::Issuer);
        }
        if self.max_tokens == 0 {
            return Err(ConfigError::NoTokens);
        }
        Ok(())
    }
}

/// The settings, and what a registry works with.
#[derive(Clone)]
pub struct ServiceTokenOptions {
    pub(super) config: ServiceTokenConfig,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl ServiceTokenOptions {
    /// No recorder, no feed, the system's randomness.
    #[must_use]
    pub fn new(config: ServiceTokenConfig) -> Self {
        Self {
            config,
            recorder: None,
            feed: None,
            entropy: Arc::new(OsEntropy),
        }
    }

    /// Administrative acts are recorded here, and done once the record is durable.
    #[must_use]
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Other instances hear of changes here. [`ServiceTokens::follow`](super::ServiceTokens::follow)
    /// must then run: a view that hears nothing refuses.
    #[must_use]
    pub fn feed(mut self, feed: Arc<dyn Feed>) -> Self {
        self.feed = Some(feed);
        self
    }

    /// Another source of randomness.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }
}

impl From<ServiceTokenConfig> for ServiceTokenOptions {
    fn from(config: ServiceTokenConfig) -> Self {
        Self::new(config)
    }
}

impl fmt::Debug for ServiceTokenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenOptions")
            .field("config", &self.config)
            .field("records", &self.recorder.is_some())
            .field("feeds", &self.feed.is_some())
            .finish_non_exhaustive()
    }
}
