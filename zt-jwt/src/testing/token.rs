use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use zt_core::{
    clock::Timestamp,
    random::{OsEntropy, bytes},
};

use super::{
    draft::{Draft, Signer},
    encode::{base64url, object},
    state::State,
};
use crate::algorithm::Algorithm;

/// A token in the making; [`TestIssuer::token`](super::TestIssuer::token) begins one.
///
/// Unless told otherwise it is good in every respect but for its audience, which has to be named:
/// an access token of RFC 9068 under the issuer's usual algorithm, with `iat` and `nbf` now, `exp`
/// in five minutes, a random `jti`, and `client_id` `test-client`.
///
/// ```
/// use serde_json::json;
/// use std::time::Duration;
/// use zt_jwt::{Algorithm, testing::TestIssuer};
///
/// let issuer = TestIssuer::offline();
/// let token = issuer
///     .token("ada")
///     .audience("orders")
///     .scope("orders:read")
///     .role("admin")
///     .claim("tenant", json!("acme"))
///     .session("s-1")
///     .id("jti-1")
///     .lives(Duration::from_secs(60))
///     .algorithm(Algorithm::EdDsa)
///     .mint();
/// assert_eq!(token.split('.').count(), 3);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a token is made by `mint`"]
pub struct TestToken {
    state: Arc<State>,
    algorithm: Option<Algorithm>,
    audiences: Vec<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    lifetime: Duration,
    claims: Map<String, Value>,
    header: Map<String, Value>,
    without: BTreeSet<String>,
    without_header: BTreeSet<String>,
}

impl TestToken {
    pub(super) fn new(state: Arc<State>, subject: &str) -> Self {
        Self {
            state,
            algorithm: None,
            audiences: Vec::new(),
            scopes: Vec::new(),
            roles: Vec::new(),
            lifetime: Duration::from_secs(300),
            claims: object([("sub", json!(subject)), ("client_id", json!("test-client"))]),
            header: object([("typ", json!("at+jwt"))]),
            without: BTreeSet::new(),
            without_header: BTreeSet::new(),
        }
    }

    /// Adds to `aud`: a string where there is one, an array where there are several.
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Adds to `scope`; several may be given at once, between spaces.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds to `roles`.
    pub fn role(mut self, role: &str) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Any claim, whatever it is: this wins over what other calls, and defaults, say of it.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, claim: &str) -> Self {
        self.without.insert(claim.into());
        self
    }

    /// `sid`: the session that it belongs to.
    pub fn session(self, id: &str) -> Self {
        self.claim("sid", id)
    }

    /// `jti`.
    pub fn id(self, id: &str) -> Self {
        self.claim("jti", id)
    }

    /// `exp` is so much later than now, in whole seconds.
    pub const fn lives(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// `acr`: how strongly its subject was authenticated (RFC 9068 section 2.2.1).
    pub fn acr(self, class: &str) -> Self {
        self.claim("acr", class)
    }

    /// `auth_time`: when its subject was authenticated.
    pub fn auth_time(self, at: Timestamp) -> Self {
        self.claim("auth_time", at.as_secs())
    }

    /// `client_id`; one that is also the subject makes the token a service's (RFC 9068 section
    /// 2.2).
    pub fn client_id(self, id: &str) -> Self {
        self.claim("client_id", id)
    }

    /// Binds it to the certificate with this SHA-256 thumbprint (RFC 8705 section 3.1).
    pub fn bound_to_certificate(self, thumbprint: &[u8; 32]) -> Self {
        self.claim("cnf", json!({ "x5t#S256": base64url(thumbprint) }))
    }

    /// Signs under `algorithm`; a symmetric one takes the issuer's
    /// [`secret`](super::TestIssuer::secret).
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// `typ` in the header; `at+jwt` unless said otherwise.
    pub fn typ(self, typ: &str) -> Self {
        self.header("typ", typ)
    }

    /// Any header parameter, whatever it is; the token is signed under
    /// [`algorithm`](Self::algorithm) all the same.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Leaves a header parameter out, such as `kid`.
    pub fn without_header(mut self, name: &str) -> Self {
        self.without_header.insert(name.into());
        self
    }

    /// The token, in compact serialization. Each call makes another one, from the time that it is
    /// then.
    ///
    /// # Panics
    ///
    /// Where the issuer's clock has no time.
    #[must_use]
    pub fn mint(&self) -> String {
        self.draft().mint()
    }

    pub(super) fn draft(&self) -> Draft {
        let now = self.state.now();
        let signer = self.signer();
        Draft {
            header: self.header_for(&signer),
            claims: self.claims_at(now),
            signer,
            now,
        }
    }

    fn signer(&self) -> Signer {
        let mut ring = self.state.ring();
        let algorithm = self.algorithm.unwrap_or(ring.usual);
        if algorithm.is_symmetric() {
            Signer::Secret(algorithm, self.state.settings().secret.to_vec())
        } else {
            Signer::Key(ring.current(algorithm))
        }
    }

    fn claims_at(&self, now: Timestamp) -> Map<String, Value> {
        let id: [u8; 16] = bytes(&OsEntropy).expect("there is randomness");
        let mut claims = object([
            ("iss", json!(self.state.name)),
            ("iat", json!(now.as_secs())),
            ("nbf", json!(now.as_secs())),
            ("exp", json!((now + self.lifetime).as_secs())),
            ("jti", json!(base64url(id))),
        ]);
        match self.audiences.as_slice() {
            [] => {}
            [one] => drop(claims.insert("aud".into(), json!(one))),
            several => drop(claims.insert("aud".into(), json!(several))),
        }
        if !self.scopes.is_empty() {
            claims.insert("scope".into(), json!(self.scopes.join(" ")));
        }
        if !self.roles.is_empty() {
            claims.insert("roles".into(), json!(self.roles));
        }
        claims.extend(self.claims.clone());
        claims.retain(|name, _| !self.without.contains(name));
        claims
    }

    fn header_for(&self, signer: &Signer) -> Map<String, Value> {
        let mut header = match signer {
            Signer::Key(key) => object([("alg", json!(key.algorithm)), ("kid", json!(key.kid))]),
            Signer::Secret(algorithm, _) => object([("alg", json!(algorithm))]),
        };
        header.extend(self.header.clone());
        header.retain(|name, _| !self.without_header.contains(name));
        header
    }
}
