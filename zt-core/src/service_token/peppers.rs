use std::fmt;

use hmac::{Hmac, KeyInit};
use serde::Deserialize;

use super::{
    ConfigError,
    digest::{MAX_SCHEMES, Scheme},
};
use crate::secret::Secret;

/// The keys under which tokens are hashed at rest: the current one, and previous ones under which
/// some tokens still rest.
///
/// Every request is hashed under each of them, whatever it presents, so drop a version when no
/// token rests under it any more; tokens move to the current version when they are rotated.
///
/// ```
/// use zt_core::{secret::Secret, service_token::Peppers};
///
/// # fn main() -> Result<(), zt_core::service_token::ConfigError> {
/// let peppers = Peppers::new(2, Secret::new(vec![0x22; 32]))?
///     .previous(1, Secret::new(vec![0x11; 32]))?;
/// # let _ = peppers; Ok(()) }
/// ```
#[derive(Clone, Deserialize)]
#[serde(try_from = "PeppersConfig")]
pub struct Peppers(Vec<Scheme>);

impl Peppers {
    /// New secrets are hashed under `pepper`, which is version `version`.
    ///
    /// # Errors
    ///
    /// Where the pepper is shorter than 32 bytes.
    pub fn new(version: u32, pepper: Secret) -> Result<Self, ConfigError> {
        Self(Vec::new()).with(version, &pepper)
    }

    /// Secrets that rest under this version are accepted too.
    ///
    /// # Errors
    ///
    /// Where the pepper is shorter than 32 bytes, the version is there already, or there are more
    /// than four versions.
    pub fn previous(self, version: u32, pepper: Secret) -> Result<Self, ConfigError> {
        self.with(version, &pepper)
    }

    /// Secrets that rest without a pepper, from before there was one, are accepted too.
    ///
    /// # Errors
    ///
    /// Where there are more than four versions.
    pub fn also_without(mut self) -> Result<Self, ConfigError> {
        if self.0.len() >= MAX_SCHEMES {
            return Err(ConfigError::TooManyPeppers);
        }
        self.0.push(Scheme::Plain);
        Ok(self)
    }

    pub(super) fn into_schemes(self) -> Vec<Scheme> {
        self.0
    }

    fn with(mut self, version: u32, pepper: &Secret) -> Result<Self, ConfigError> {
        if pepper.len() < MIN_PEPPER {
            return Err(ConfigError::PepperTooShort(version));
        }
        if self.0.iter().any(|it| it.version() == Some(version)) {
            return Err(ConfigError::PepperTwice(version));
        }
        if self.0.len() >= MAX_SCHEMES {
            return Err(ConfigError::TooManyPeppers);
        }
        let mac = Hmac::new_from_slice(pepper.expose())
            .map_err(|_| ConfigError::PepperTooShort(version))?;
        self.0.push(Scheme::Peppered { version, mac });
        Ok(self)
    }
}

/// The versions.
impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.0.iter().map(Scheme::version);
        f.debug_tuple("Peppers")
            .field(&versions.collect::<Vec<_>>())
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeppersConfig {
    current: PepperConfig,
    #[serde(default)]
    previous: Vec<PepperConfig>,
    #[serde(default)]
    also_without: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperConfig {
    version: u32,
    secret: Secret,
}

impl TryFrom<PeppersConfig> for Peppers {
    type Error = ConfigError;

    fn try_from(config: PeppersConfig) -> Result<Self, ConfigError> {
        let mut peppers = Self::new(config.current.version, config.current.secret)?;
        for previous in config.previous {
            peppers = peppers.previous(previous.version, previous.secret)?;
        }
        if config.also_without {
            peppers = peppers.also_without()?;
        }
        Ok(peppers)
    }
}

/// The shortest pepper, in bytes: as long as the hash (RFC 2104 section 3).
const MIN_PEPPER: usize = 32;
