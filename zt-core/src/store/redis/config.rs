use std::{fmt, path::PathBuf, time::Duration};

use redis::{ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::RedisError;
use crate::secret::Secret;

/// Where a Redis server is, and how to speak to it.
///
/// ```
/// use zt_core::store::redis::RedisConfig;
///
/// assert!(RedisConfig::new("redis://cache.example:6379/1").is_ok());
/// assert!(RedisConfig::new("redis+unix:///run/redis.sock").is_ok());
/// assert!(RedisConfig::new("https://cache.example").is_err());
/// // In a file, a password is a reference and never written out.
/// let read = |text| serde_json::from_str::<RedisConfig>(text);
/// assert!(read(r#"{ "url": "redis://cache.example", "timeout_ms": 250 }"#).is_ok());
/// assert!(read(r#"{ "url": "redis://:hunter2@cache.example" }"#).is_err());
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) address: Address,
    pub(super) settings: RedisConnectionInfo,
    pub(super) timeout: Duration,
    pub(super) wants_tls: bool,
    #[cfg(feature = "redis-tls")]
    pub(super) tls: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
}

#[derive(Clone)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

/// How long a call may take, unless said otherwise.
const TIMEOUT: Duration = Duration::from_millis(500);

impl RedisConfig {
    /// From `redis://[user[:password]@]host[:port][/database]`, `rediss://..` for TLS, or
    /// `redis+unix:///path[?db=database]`. Read a URL that has a password from the environment or
    /// a file.
    ///
    /// # Errors
    ///
    /// [`RedisError::Config`] where it is none of these.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        // TLS is ours to do, so the library is told of a plain connection.
        let (wants_tls, plain) = match url.split_once("://") {
            Some(("rediss", rest)) => (true, format!("redis://{rest}")),
            _ => (false, url.to_owned()),
        };
        if url.contains('#') {
            return Err(RedisError::Config("a Redis URL has no fragment"));
        }
        let info = plain
            .as_str()
            .into_connection_info()
            // Its message may show the URL, and that a password.
            .map_err(|_| RedisError::Config("not a Redis URL"))?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Address::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(RedisError::Config("not a Redis URL")),
        };
        Ok(Self {
            address,
            // News comes unasked, beside the answers, which takes the third protocol.
            settings: info
                .redis_settings()
                .clone()
                .set_protocol(ProtocolVersion::RESP3)
                .set_skip_set_lib_name(),
            timeout: TIMEOUT,
            wants_tls,
            #[cfg(feature = "redis-tls")]
            tls: None,
        })
    }

    /// Logs in with `password`; as `user`, or as `default` where there is none.
    ///
    /// # Errors
    ///
    /// [`RedisError::Config`] where the password is not text.
    pub fn credentials(
        mut self,
        user: Option<&str>,
        password: &Secret,
    ) -> Result<Self, RedisError> {
        let password = std::str::from_utf8(password.expose())
            .map_err(|_| RedisError::Config("a Redis password is text"))?;
        if let Some(user) = user {
            self.settings = self.settings.set_username(user);
        }
        self.settings = self.settings.set_password(password);
        Ok(self)
    }

    /// A call that takes longer than `timeout` has failed; 500 ms unless said otherwise.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Speaks TLS with these settings, which name their cryptography, roots and client
    /// certificate themselves: build them with
    /// `rustls::ClientConfig::builder_with_provider(..)`. Needed for `rediss://`.
    #[cfg(feature = "redis-tls")]
    #[must_use]
    pub fn tls(mut self, tls: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.wants_tls = true;
        self.tls = Some(tls);
        self
    }
}

/// As in a configuration file: `url`, and where wanted `user`, `password` (a reference),
/// `timeout_ms`.
impl<'de> Deserialize<'de> for RedisConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            url: String,
            user: Option<String>,
            password: Option<Secret>,
            timeout_ms: Option<u64>,
        }
        let written = Written::deserialize(deserializer)?;
        let mut config = Self::new(&written.url).map_err(D::Error::custom)?;
        if config.settings.password().is_some() {
            return Err(D::Error::custom(
                "a password stands in `password`, as a reference, and not in `url`",
            ));
        }
        if let Some(password) = &written.password {
            config = config
                .credentials(written.user.as_deref(), password)
                .map_err(D::Error::custom)?;
        } else if written.user.is_some() {
            return Err(D::Error::custom("a `user` has a `password`"));
        }
        if let Some(millis) = written.timeout_ms {
            config = config.timeout(Duration::from_millis(millis));
        }
        Ok(config)
    }
}

/// Without the password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("address", &self.address)
            .field("tls", &self.wants_tls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
