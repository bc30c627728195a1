use std::{fs, path::PathBuf, time::Duration};

use serde::Deserialize;
use zt_core::secret::Secret;

use super::{Audience, ConfigError, Issuer};
use crate::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    jwks::RefreshSettings,
    key::KeySet,
};

/// An [`Issuer`] as it stands in a configuration. Times are whole seconds; what is left out is as
/// with [`Issuer`]'s own methods.
///
/// ```
/// use zt_jwt::{IssuerConfig, HttpService};
///
/// let config: IssuerConfig = serde_json::from_str(r#"{
///     "issuer": "https://login.example.com",
///     "audience": ["orders"],
///     "keys": "oidc",
///     "algorithms": ["ES256", "EdDSA"],
///     "roles_claim": "/realm_access/roles",
///     "refresh": {"cooldown_secs": 30}
/// }"#)?;
/// # let client = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # });
/// let issuer = config.build(Some(HttpService::new(client)))?;
/// # let _ = issuer;
///
/// // The audience has no default, and nothing is passed over.
/// let wrong = r#"{"issuer": "https://login.example.com", "keys": "oidc"}"#;
/// assert!(serde_json::from_str::<IssuerConfig>(wrong).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    issuer: Box<str>,
    audience: Names,
    keys: KeysConfig,
    #[serde(default)]
    algorithms: Option<Algorithms>,
    #[serde(default)]
    leeway_secs: Option<u32>,
    #[serde(default)]
    max_lifetime_secs: Option<u32>,
    #[serde(default)]
    strict_rfc9068: bool,
    #[serde(default)]
    typ: Option<Vec<Box<str>>>,
    #[serde(default)]
    insecure_accept_id_tokens: bool,
    #[serde(default)]
    roles_claim: Option<Box<str>>,
    #[serde(default)]
    tenant_claim: Option<Box<str>>,
    #[serde(default)]
    require_claims: Vec<Box<str>>,
    #[serde(default)]
    refresh: RefreshSettings,
}

/// One name, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Names {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
enum KeysConfig {
    /// From the address that the issuer's metadata names.
    Oidc,
    /// From this address.
    Jwks(Box<str>),
    /// From this file, a JSON Web Key Set, which is read once.
    File(PathBuf),
    /// There are none, but a secret: `env:NAME` or `file:/path`.
    SharedSecret {
        algorithm: Algorithm,
        secret: Secret,
    },
}

impl IssuerConfig {
    /// The issuer. `http` fetches its keys, where they are fetched.
    ///
    /// # Errors
    ///
    /// Where something cannot be used, a file cannot be read, or keys are to be fetched and there
    /// is no `http`.
    pub fn build(self, http: Option<HttpService>) -> Result<Issuer, ConfigError> {
        let name = &*self.issuer;
        let audience = match self.audience {
            Names::One(name) => Audience::one_of([name]),
            Names::Several(names) => Audience::one_of(names),
        };
        let http = http.ok_or_else(|| ConfigError::NoHttp(name.into()));
        let mut issuer = match self.keys {
            KeysConfig::Oidc => Issuer::oidc(name, audience, http?)?,
            KeysConfig::Jwks(url) => Issuer::jwks(name, &url, audience, http?)?,
            KeysConfig::File(path) => {
                let keys = fs::read(&path)
                    .map_err(|_| ConfigError::File(path.to_string_lossy().into()))?;
                Issuer::keys(name, audience, KeySet::parse(&keys)?)
            }
            KeysConfig::SharedSecret { algorithm, secret } => {
                Issuer::shared_secret(name, audience, algorithm, &secret)?
            }
        };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        if let Some(algorithms) = self.algorithms {
            issuer = issuer.algorithms(algorithms);
        }
        if let Some(leeway) = self.leeway_secs {
            issuer = issuer.leeway(seconds(leeway));
        }
        if let Some(lifetime) = self.max_lifetime_secs {
            issuer = issuer.max_lifetime(seconds(lifetime));
        }
        if let Some(types) = self.typ {
            issuer = issuer.typ(types);
        }
        if self.strict_rfc9068 {
            issuer = issuer.strict_rfc9068();
        }
        if self.insecure_accept_id_tokens {
            issuer = issuer.insecure_accept_id_tokens();
        }
        if let Some(pointer) = self.roles_claim {
            issuer = issuer.roles_claim(&pointer)?;
        }
        if let Some(claim) = self.tenant_claim {
            issuer = issuer.tenant_claim(&claim);
        }
        Ok(issuer
            .require_claims(self.require_claims)
            .refresh(self.refresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verifier;

    fn read(text: &str) -> Result<IssuerConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn nothing_is_passed_over() {
        for wrong in [
            r#"{"audience": "a", "keys": "oidc"}"#,
            r#"{"issuer": "https://i", "keys": "oidc"}"#,
            r#"{"issuer": "https://i", "audience": "a"}"#,
            r#"{"issuer": "https://i", "audience": "a", "keys": "none"}"#,
            r#"{"issuer": "https://i", "audience": "a", "keys": "oidc", "leeway": 30}"#,
            r#"{"issuer": "https://i", "audience": "a", "keys": "oidc", "algorithms": ["none"]}"#,
            r#"{"issuer": "https://i", "audience": "a", "keys": "oidc", "leeway_secs": -1}"#,
            r#"{"issuer": "https://i", "audience": "a",
                "keys": {"shared_secret": {"algorithm": "HS256", "secret": "hunter2"}}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_before_the_first_request() {
        let build = |text: &str| read(text).unwrap().build(None);
        let error = build(r#"{"issuer": "https://i", "audience": "a", "keys": "oidc"}"#);
        assert!(matches!(error, Err(ConfigError::NoHttp(_))));
        let error =
            build(r#"{"issuer": "https://i", "audience": "a", "keys": {"file": "/no/such/file"}}"#);
        assert!(matches!(error, Err(ConfigError::File(_))));
    }

    #[test]
    fn a_file_of_keys_and_every_setting() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("zt-jwt-keys-{}.json", std::process::id()));
        let keys = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        fs::write(&path, keys).unwrap();
        let text = format!(
            r#"{{"issuer": "https://i", "audience": ["a", "b"], "keys": {{"file": {path:?}}},
                "algorithms": ["EdDSA"], "leeway_secs": 5, "max_lifetime_secs": 600,
                "strict_rfc9068": true, "typ": ["at+jwt"], "insecure_accept_id_tokens": true,
                "roles_claim": "/realm_access/roles", "tenant_claim": "org",
                "require_claims": ["org"], "refresh": {{"cooldown_secs": 30}}}}"#
        );
        let issuer = read(&text).unwrap().build(None).unwrap();
        fs::remove_file(&path).unwrap();
        let policy = &issuer.policy;
        assert_eq!(&*policy.name, "https://i");
        assert_eq!(policy.audience.0.as_ref().unwrap().len(), 2);
        assert_eq!(policy.algorithms, Algorithm::EdDsa.into());
        assert_eq!(policy.leeway.as_secs(), 5);
        assert_eq!(policy.max_lifetime.as_secs(), 600);
        assert!(policy.strict && policy.kinds.id_tokens);
        assert_eq!(policy.roles.len(), 2);
        assert_eq!(policy.tenant.as_deref(), Some("org"));
        assert_eq!(policy.required.len(), 1);
        Verifier::builder().issuer(issuer).build().unwrap();
    }
}
