use serde::Deserialize;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{KeyEntry, KeyError, KeyRing, Purpose, VerifyingKey};
use crate::{clock::Timestamp, secret::Secret, signature::Algorithm};

/// The keys of a ring, as they stand in a configuration file.
///
/// Keys are named, never written out: `secret` (its bytes are the key), `secret_base64` (they are
/// base64 of it, RFC 4648 section 4) or `public_key` (PEM), each as `env:NAME` or `file:/path`,
/// which is read when the configuration is. `issuer`, `scopes`, `roles`, `tenant`, `purposes`
/// (`["requests"]` by default), `not_before` and `expires_at` may be left out, as may `previous`,
/// the key before this one: it has `until`, and an `algorithm` where that was another. Times are
/// seconds since 1970.
///
/// ```
/// use zt_core::signature::key::{KeyRing, KeyRingConfig};
///
/// # let path = std::env::temp_dir().join(format!("zt-ring-{}", std::process::id()));
/// # std::fs::write(&path, [0x11; 32])?;
/// # let text =
/// r#"{"keys": [{
///     "id": "orders-1",
///     "algorithm": "hmac-sha256",
///     "secret": "file:/run/secrets/orders",
///     "subject": "orders",
///     "scopes": ["payments:create"]
/// }]}"#
/// # .replace("/run/secrets/orders", path.to_str().ok_or("path")?);
/// # let text = text.as_str();
/// # ;
/// let config: KeyRingConfig = serde_json::from_str(text)?;
/// let ring = KeyRing::try_from(config)?;
/// assert_eq!(ring.len(), 1);
///
/// // Nothing is passed over.
/// assert!(serde_json::from_str::<KeyRingConfig>(r#"{"keys": [], "key": []}"#).is_err());
/// # std::fs::remove_file(path)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRingConfig {
    keys: Vec<KeyConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyConfig {
    id: Box<str>,
    algorithm: Algorithm,
    secret: Option<Secret>,
    secret_base64: Option<Secret>,
    public_key: Option<Secret>,
    subject: Box<str>,
    issuer: Option<Box<str>>,
    #[serde(default)]
    scopes: Vec<Box<str>>,
    #[serde(default)]
    roles: Vec<Box<str>>,
    tenant: Option<Box<str>>,
    purposes: Option<Vec<Purpose>>,
    not_before: Option<u64>,
    expires_at: Option<u64>,
    previous: Option<PreviousConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviousConfig {
    algorithm: Option<Algorithm>,
    secret: Option<Secret>,
    secret_base64: Option<Secret>,
    public_key: Option<Secret>,
    until: u64,
}

impl KeyRingConfig {
    /// The keys' entries, in order.
    ///
    /// # Errors
    ///
    /// [`KeyError::InKey`], with the first key that cannot be used.
    pub fn entries(&self) -> Result<Vec<KeyEntry>, KeyError> {
        let entries = self.keys.iter().map(|key| {
            key.entry().map_err(|why| KeyError::InKey {
                id: key.id.clone(),
                why: Box::new(why),
            })
        });
        entries.collect()
    }
}

impl TryFrom<KeyRingConfig> for KeyRing {
    type Error = KeyError;

    fn try_from(config: KeyRingConfig) -> Result<Self, KeyError> {
        Self::new(config.entries()?)
    }
}

impl KeyConfig {
    fn entry(&self) -> Result<KeyEntry, KeyError> {
        let key = verifying(
            self.algorithm,
            [&self.secret, &self.secret_base64, &self.public_key],
        )?;
        let mut entry = KeyEntry::new(&self.id, key, &self.subject)
            .scopes(self.scopes.iter().cloned())
            .roles(self.roles.iter().cloned());
        if let Some(issuer) = &self.issuer {
            entry = entry.issuer(issuer.clone());
        }
        if let Some(tenant) = &self.tenant {
            entry = entry.tenant(tenant.clone());
        }
        if let Some(purposes) = &self.purposes {
            entry = entry.purposes(purposes.iter().copied());
        }
        if let Some(at) = self.not_before {
            entry = entry.not_before(Timestamp::from_secs(at));
        }
        if let Some(at) = self.expires_at {
            entry = entry.expires_at(Timestamp::from_secs(at));
        }
        if let Some(previous) = &self.previous {
            let key = verifying(
                previous.algorithm.unwrap_or(self.algorithm),
                [
                    &previous.secret,
                    &previous.secret_base64,
                    &previous.public_key,
                ],
            )?;
            entry = entry.previous(key, Timestamp::from_secs(previous.until));
        }
        Ok(entry)
    }
}

/// The key, of which one form is given: a secret, base64 of one, a public key.
fn verifying(algorithm: Algorithm, forms: [&Option<Secret>; 3]) -> Result<VerifyingKey, KeyError> {
    match forms {
        [Some(secret), None, None] => shared(algorithm, secret),
        [None, Some(base64), None] => {
            let text = base64.expose().trim_ascii();
            let bytes = STANDARD.decode(text).map_err(|_| KeyError::Base64)?;
            shared(algorithm, &Secret::new(bytes))
        }
        [None, None, Some(pem)] => public(algorithm, pem),
        _ => Err(KeyError::NotOneKey),
    }
}

fn shared(algorithm: Algorithm, secret: &Secret) -> Result<VerifyingKey, KeyError> {
    match algorithm {
        Algorithm::HmacSha256 => VerifyingKey::hmac_sha256(secret),
        other => Err(KeyError::NotSymmetric(other)),
    }
}

fn public(algorithm: Algorithm, pem: &Secret) -> Result<VerifyingKey, KeyError> {
    if algorithm == Algorithm::HmacSha256 {
        return Err(KeyError::Symmetric(algorithm));
    }
    #[cfg(feature = "asymmetric")]
    return VerifyingKey::from_pem(algorithm, pem.expose());
    #[cfg(not(feature = "asymmetric"))]
    {
        let _ = pem;
        Err(KeyError::NotBuilt(algorithm))
    }
}
