//! Secrets in memory and in configuration.
//!
//! A [`Secret`] is wiped when it is dropped, compared in constant time, has no `Debug` of its
//! contents and no `Serialize`. In configuration it is never written out: it is a reference,
//! `env:NAME` or `file:/path`, that is read when the configuration is.

use std::fmt;

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, de::Error as _};
use subtle::ConstantTimeEq;

/// Bytes that nobody may see.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes over `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The contents; keep them on the stack and away from logs.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether `other` is the same, in time that depends on the length alone.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        constant_time_eq(self.expose(), other)
    }

    /// Reads `env:NAME` or `file:/path` (one final line break is not part of the secret).
    ///
    /// # Errors
    ///
    /// When `reference` is of another form, what it names is not there, or is empty. The message
    /// names the reference, never the contents.
    pub fn resolve(reference: &str) -> Result<Self, SecretError> {
        let bytes = if let Some(name) = reference.strip_prefix("env:") {
            std::env::var_os(name)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| SecretError::Missing(reference.to_owned()))?
        } else if let Some(path) = reference.strip_prefix("file:") {
            let mut bytes =
                std::fs::read(path).map_err(|_| SecretError::Missing(reference.to_owned()))?;
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
            }
            bytes
        } else {
            return Err(SecretError::NotAReference);
        };
        if bytes.is_empty() {
            return Err(SecretError::Empty(reference.to_owned()));
        }
        Ok(Self::new(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// From a reference, [`Secret::resolve`]d at once.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = String::deserialize(deserializer)?;
        Self::resolve(&reference).map_err(D::Error::custom)
    }
}

/// Why a reference gave no secret. No variant holds a secret, nor the text of what was not a
/// reference (it may be one).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Neither `env:` nor `file:`.
    #[error("a secret is given as `env:NAME` or `file:/path`, not as its value")]
    NotAReference,
    /// No such variable, or no such file that can be read.
    #[error("nothing to be read at `{0}`")]
    Missing(String),
    /// There, but without contents.
    #[error("the secret at `{0}` is empty")]
    Empty(String),
}

/// Whether `a` and `b` are the same, in time that depends on their lengths alone.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(..)");
    }

    #[test]
    fn compares() {
        let secret = Secret::from("abc");
        assert!(secret.matches(b"abc"));
        assert!(!secret.matches(b"abd"));
        assert!(!secret.matches(b"ab"));
        assert!(!secret.matches(b""));
    }

    #[test]
    fn configuration_takes_references_only() {
        let path = std::env::temp_dir().join(format!("zt-secret-{}", std::process::id()));
        std::fs::write(&path, "s3cret\n").unwrap();
        let json = format!("\"file:{}\"", path.display());
        let secret: Secret = serde_json::from_str(&json).unwrap();
        assert!(secret.matches(b"s3cret"));
        std::fs::write(&path, "\n").unwrap();
        let error = serde_json::from_str::<Secret>(&json)
            .unwrap_err()
            .to_string();
        assert!(error.contains("is empty"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(serde_json::from_str::<Secret>(&json).is_err());

        let error = serde_json::from_str::<Secret>("\"hunter2\"")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(matches!(
            Secret::resolve("env:ZT_NO_SUCH_VARIABLE"),
            Err(SecretError::Missing(_))
        ));
    }
}
