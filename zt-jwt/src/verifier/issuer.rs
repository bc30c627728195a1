use std::{collections::BTreeSet, sync::Arc, time::Duration};

use zt_core::{identity::PrincipalKind, secret::Secret};

use super::{
    ConfigError,
    policy::{Audience, Policy},
};
use crate::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    jwks::{HttpKeys, KeySource, RefreshSettings},
    key::{KeySet, VerificationKey},
};

/// One issuer of tokens: its name, its keys, and what is asked of its tokens.
#[derive(Debug)]
#[must_use]
pub struct Issuer {
    pub(super) policy: Policy,
    pub(super) keys: Keys,
    pub(super) refresh: RefreshSettings,
}

#[derive(Debug)]
pub(super) enum Keys {
    Fixed(KeySet),
    Remote(Arc<dyn KeySource>),
}

impl Issuer {
    /// `name` is `iss`, to the letter; `keys` are its keys for as long as this lives.
    pub fn keys(name: &str, audience: impl Into<Audience>, keys: KeySet) -> Self {
        Self::new(name, audience, Keys::Fixed(keys))
    }

    /// `name` is `iss`, to the letter; its keys are fetched from `jwks_url`.
    ///
    /// # Errors
    ///
    /// Where `jwks_url` is not an https address; plain http is for this machine only.
    pub fn jwks(
        name: &str,
        jwks_url: &str,
        audience: impl Into<Audience>,
        http: HttpService,
    ) -> Result<Self, ConfigError> {
        let source = HttpKeys::jwks(jwks_url, http)?;
        Ok(Self::source(name, audience, source))
    }

    /// An OpenID provider, or an authorization server with metadata: `name` is `iss` to the letter,
    /// and where its metadata stands (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
    /// Metadata that names another issuer is refused.
    ///
    /// # Errors
    ///
    /// Where `name` is not an https address; plain http is for this machine only.
    pub fn oidc(
        name: &str,
        audience: impl Into<Audience>,
        http: HttpService,
    ) -> Result<Self, ConfigError> {
        let source = HttpKeys::oidc(name, http)?;
        Ok(Self::source(name, audience, source))
    }

    /// Keys from an application's own source.
    pub fn source(name: &str, audience: impl Into<Audience>, source: impl KeySource) -> Self {
        Self::new(name, audience, Keys::Remote(Arc::new(source)))
    }

    /// Tokens under a secret that issuer and verifier share: `HS256`, `HS384` or `HS512`. Whoever
    /// verifies such tokens can make them, so this stands apart from all other keys, and no other
    /// issuer takes these algorithms.
    ///
    /// # Errors
    ///
    /// Where the secret is shorter than the hash (RFC 7518 section 3.2), or `algorithm` is not
    /// symmetric.
    pub fn shared_secret(
        name: &str,
        audience: impl Into<Audience>,
        algorithm: Algorithm,
        secret: &Secret,
    ) -> Result<Self, ConfigError> {
        let key = VerificationKey::shared_secret(algorithm, secret)?;
        let mut issuer = Self::keys(name, audience, KeySet::new([key])?);
        issuer.policy.algorithms = algorithm.into();
        Ok(issuer)
    }

    fn new(name: &str, audience: impl Into<Audience>, keys: Keys) -> Self {
        Self {
            policy: Policy::new(name, audience.into(), Algorithms::ASYMMETRIC),
            keys,
            refresh: RefreshSettings::default(),
        }
    }

    /// Only these algorithms. Keys are pinned to theirs in any case: this narrows, and never makes
    /// a key good for an algorithm that it is not for. Symmetric ones are for
    /// [`shared_secret`](Self::shared_secret) alone.
    pub fn algorithms(mut self, algorithms: impl Into<Algorithms>) -> Self {
        self.policy.algorithms = self.policy.algorithms.and(algorithms.into());
        self
    }

    /// How far clocks may be apart: 30 seconds unless said otherwise, five minutes at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.policy.leeway = leeway.min(Duration::from_secs(300));
        self
    }

    /// How long a token may live, from `iat` (or now, where it has none) to `exp`: a day unless
    /// said otherwise.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.max_lifetime = lifetime;
        self
    }

    /// Only access tokens of RFC 9068: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti` are all there.
    pub fn strict_rfc9068(mut self) -> Self {
        self.policy.strict = true;
        self
    }

    /// Only tokens that say one of these in `typ` (without `application/`, in any case). Without
    /// this call, `JWT`, `at+jwt` and none at all pass.
    pub fn typ<S: AsRef<str>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.policy.kinds.typ = types
            .into_iter()
            .map(|typ| typ.as_ref().to_ascii_lowercase().into_boxed_str())
            .collect();
        self.policy.kinds.without_typ = false;
        self
    }

    /// Id tokens pass too. They say who signed in at a client, not what the client may do here,
    /// and clients show them around.
    pub fn insecure_accept_id_tokens(mut self) -> Self {
        self.policy.kinds.id_tokens = true;
        self
    }

    /// Where roles stand, as a JSON Pointer (RFC 6901): `/realm_access/roles`. `/roles` unless said
    /// otherwise.
    ///
    /// # Errors
    ///
    /// Where it is not a pointer to a member.
    pub fn roles_claim(mut self, pointer: &str) -> Result<Self, ConfigError> {
        let members = pointer
            .strip_prefix('/')
            .ok_or_else(|| ConfigError::Pointer(pointer.into()))?;
        self.policy.roles = members
            .split('/')
            .map(|member| member.replace("~1", "/").replace("~0", "~").into())
            .collect();
        Ok(self)
    }

    /// The claim that names the organisation a caller acts for; none unless said.
    pub fn tenant_claim(mut self, claim: &str) -> Self {
        self.policy.tenant = Some(claim.into());
        self
    }

    /// Claims that must be there, whatever they say. Further calls add to them.
    pub fn require_claims<S: AsRef<str>>(mut self, claims: impl IntoIterator<Item = S>) -> Self {
        let more = claims.into_iter().map(|claim| claim.as_ref().into());
        // Each once: those that are there are counted.
        let all: BTreeSet<Box<str>> = self.policy.required.iter().cloned().chain(more).collect();
        self.policy.required = all.into_iter().collect();
        self
    }

    /// What its callers are. Without this call, one whose `sub` is its `client_id` (RFC 9068
    /// section 2.2) is a service and everybody else a user.
    pub fn principals(mut self, kind: PrincipalKind) -> Self {
        self.policy.principal = Some(kind);
        self
    }

    /// How its keys are kept fresh, where they are fetched.
    pub fn refresh(mut self, settings: RefreshSettings) -> Self {
        self.refresh = settings;
        self
    }
}
