use std::{collections::BTreeSet, fmt, iter, sync::Arc};

use serde::de::DeserializeOwned;

use super::Memo;
use crate::clock::Timestamp;

/// What kind of caller a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    Service,
    /// Nobody in particular: the route is public, or the authenticator optional.
    Anonymous,
}

impl PrincipalKind {
    /// As it stands in records: `user`, `service`, `anonymous`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Anonymous => "anonymous",
        }
    }
}

/// How an identity was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// Not at all.
    Anonymous,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A service token.
    ServiceToken,
    /// A client certificate (RFC 8446, RFC 8705).
    ClientCertificate,
    /// A signed request (RFC 9421).
    Signature,
    /// The printed token of a development stack.
    Development,
    /// In a way of the application's own, by the name that it has in records: a session cookie,
    /// an existing decoder.
    Custom(&'static str),
}

impl AuthMethod {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Jwt => "jwt",
            Self::ServiceToken => "service-token",
            Self::ClientCertificate => "client-certificate",
            Self::Signature => "signature",
            Self::Development => "development",
            Self::Custom(name) => name,
        }
    }
}

/// What a credential is bound to (RFC 7800 `cnf`): it is good only with proof of that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// SHA-256 of the client's certificate (RFC 8705 section 3.1, `x5t#S256`).
    CertificateThumbprint([u8; 32]),
    /// SHA-256 thumbprint of a proof key (RFC 9449 section 6, `jkt`).
    KeyThumbprint([u8; 32]),
}

/// Who asks, whatever the credential was: the same type from a JWT, a service token, a client
/// certificate or a signature.
///
/// Cheap to clone; the context shares it as `Arc<Principal>`. `Debug` shows the names, not the claims.
#[derive(Clone)]
pub struct Principal(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: PrincipalKind,
    subject: Arc<str>,
    /// The first in order, and all others.
    method: AuthMethod,
    further_methods: BTreeSet<AuthMethod>,
    issuer: Option<Arc<str>>,
    scopes: BTreeSet<Arc<str>>,
    roles: BTreeSet<Arc<str>>,
    tenant: Option<Arc<str>>,
    session: Option<Arc<str>>,
    token: Option<Arc<str>>,
    key: Option<Arc<str>>,
    context_class: Option<Arc<str>>,
    authenticated_at: Option<Timestamp>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    binding: Option<Binding>,
    claims: Option<Arc<str>>,
    further: Vec<Principal>,
    /// Whose name, rights and claims these are, where further proofs were added and nothing else.
    strengthens: Option<Principal>,
    /// Of all texts.
    size: usize,
    /// What was worked out about it; a clone has none.
    memo: Memo,
}

impl Inner {
    fn measured(mut self) -> Self {
        let one = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let many = |texts: &BTreeSet<Arc<str>>| texts.iter().map(|text| text.len()).sum::<usize>();
        self.size = self.subject.len()
            + [&self.issuer, &self.tenant, &self.session, &self.token]
                .map(one)
                .iter()
                .sum::<usize>()
            + [&self.key, &self.context_class, &self.claims]
                .map(one)
                .iter()
                .sum::<usize>()
            + many(&self.scopes)
            + many(&self.roles)
            + self.further.iter().map(Principal::size).sum::<usize>();
        self
    }

    fn methods(&self) -> impl Iterator<Item = AuthMethod> {
        iter::once(self.method).chain(self.further_methods.iter().copied())
    }

    fn prove(&mut self, method: AuthMethod) {
        if method != self.method {
            let later = method.max(self.method);
            self.method = method.min(self.method);
            self.further_methods.insert(later);
        }
    }
}

impl Principal {
    /// States that `subject` was proved by `method`. Only authenticators call this.
    pub fn assertion(
        kind: PrincipalKind,
        subject: impl Into<Arc<str>>,
        method: AuthMethod,
    ) -> Assertion {
        Assertion(Box::new(Inner {
            kind,
            subject: subject.into(),
            method,
            further_methods: BTreeSet::new(),
            issuer: None,
            scopes: BTreeSet::new(),
            roles: BTreeSet::new(),
            tenant: None,
            session: None,
            token: None,
            key: None,
            context_class: None,
            authenticated_at: None,
            issued_at: None,
            expires_at: None,
            binding: None,
            claims: None,
            further: Vec::new(),
            strengthens: None,
            size: 0,
            memo: Memo::new(),
        }))
    }

    /// What the anonymous caller of a public route is.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::assertion(PrincipalKind::Anonymous, "anonymous", AuthMethod::Anonymous).finish()
    }

    /// An assertion that starts from this one: how a second authenticator adds what it proved.
    pub fn and_also(&self, method: AuthMethod) -> Assertion {
        let mut inner = (*self.0).clone();
        inner.strengthens = None;
        inner.prove(method);
        Assertion(Box::new(inner))
    }

    /// This principal with `other`'s proofs added: same name and rights, every method of both, and
    /// the earlier of two expiries.
    #[must_use]
    pub fn strengthened_by(&self, other: &Self) -> Self {
        let mut inner = (*self.0).clone();
        inner.strengthens = Some(self.0.strengthens.as_ref().unwrap_or(self).clone());
        for method in other.methods() {
            if method != AuthMethod::Anonymous {
                inner.prove(method);
            }
        }
        inner.expires_at = inner.expires_at.into_iter().chain(other.expires_at()).min();
        if !other.is_anonymous() {
            let mut proof = (*other.0).clone();
            let nested = std::mem::take(&mut proof.further);
            inner.further.push(Self(Arc::new(proof.measured())));
            inner.further.extend(nested);
        }
        Self(Arc::new(inner.measured()))
    }

    /// What further credentials of the same request proved: their subjects, sessions, tokens and
    /// keys can be sanctioned too.
    pub fn further_proofs(&self) -> impl Iterator<Item = &Self> {
        self.0.further.iter()
    }

    /// Person, program or nobody.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.0.kind
    }

    /// Whether nobody in particular asks.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.kind == PrincipalKind::Anonymous
    }

    /// The caller's name; unique within its issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Who vouched for it (`iss`, a token registry, a trust domain).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Everything that was proved about this request's caller.
    pub fn methods(&self) -> impl Iterator<Item = AuthMethod> {
        self.0.methods()
    }

    /// Whether `method` is among the proofs.
    #[must_use]
    pub fn proved_by(&self, method: AuthMethod) -> bool {
        self.0.methods().any(|proof| proof == method)
    }

    /// The scopes that the credential carries, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(|scope| &**scope)
    }

    /// Whether the credential carries `scope`, to the letter.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.contains(scope)
    }

    /// The caller's roles, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(|role| &**role)
    }

    /// Whether the caller has `role`, to the letter.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.contains(role)
    }

    /// The organisation the caller acts for.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The session (`sid`).
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// The credential's own id (`jti`, a service token's id); not secret.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// The id of the key that vouched (`kid`, `keyid`).
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// How strongly the caller was authenticated (`acr`, RFC 9470).
    #[must_use]
    pub fn context_class(&self) -> Option<&str> {
        self.0.context_class.as_deref()
    }

    /// When the caller last proved itself in person (`auth_time`).
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.0.authenticated_at
    }

    /// When the credential was made (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.0.issued_at
    }

    /// When the credential ends; answers that outlive it are cut.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// What the credential is bound to.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        self.0.binding
    }

    /// Whether the credential has claims at all.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        self.0.claims.is_some()
    }

    /// Bytes of its names, rights and claims, roughly: what keeping it costs.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// What was worked out about its kind, name, rights and claims, which is all that rules ask of a
    /// principal. Further proofs change none of it, and come anew with each request: so one that was
    /// [strengthened](Self::strengthened_by) remembers with the one that it was.
    pub(crate) fn memo(&self) -> &Memo {
        &self.0.strengthens.as_ref().unwrap_or(self).0.memo
    }

    /// The credential's claims as `T`, parsed now.
    ///
    /// # Errors
    ///
    /// When there are no claims, or they are not a `T`. Where there are none `null` is parsed, so
    /// that `Option<T>` can be asked for; see [`has_claims`](Self::has_claims).
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.claims.as_deref().unwrap_or("null"))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("kind", &self.0.kind)
            .field("subject", &self.0.subject)
            .field("issuer", &self.0.issuer)
            .field("methods", &self.0.methods().collect::<Vec<_>>())
            .field("scopes", &self.0.scopes)
            .field("roles", &self.0.roles)
            .field("tenant", &self.0.tenant)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// A [`Principal`] in the making; see [`Principal::assertion`].
#[derive(Clone)]
#[must_use]
pub struct Assertion(Box<Inner>);

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assertion").field(&self.0.subject).finish()
    }
}

impl Assertion {
    /// The principal as asserted so far.
    #[must_use]
    pub fn finish(self) -> Principal {
        Principal(Arc::new(self.0.measured()))
    }

    /// Who vouches.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.0.issuer = Some(issuer.into());
        self
    }

    /// Adds scopes.
    pub fn scopes<S: Into<Arc<str>>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.0.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Adds roles.
    pub fn roles<S: Into<Arc<str>>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.0.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// The organisation.
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.0.tenant = Some(tenant.into());
        self
    }

    /// The session's id.
    pub fn session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.0.session = Some(session.into());
        self
    }

    /// The credential's id, which is not a secret.
    pub fn token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.0.token = Some(token.into());
        self
    }

    /// The id of the key that vouched.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.0.key = Some(key.into());
        self
    }

    /// The authentication context class.
    pub fn context_class(mut self, class: impl Into<Arc<str>>) -> Self {
        self.0.context_class = Some(class.into());
        self
    }

    /// When the caller proved itself in person.
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.0.authenticated_at = Some(at);
        self
    }

    /// When the credential was made.
    pub fn issued_at(mut self, at: Timestamp) -> Self {
        self.0.issued_at = Some(at);
        self
    }

    /// When the credential ends. The earlier of two ends holds.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.0.expires_at = Some(self.0.expires_at.map_or(at, |before| before.min(at)));
        self
    }

    /// What the credential is bound to.
    pub fn binding(mut self, binding: Binding) -> Self {
        self.0.binding = Some(binding);
        self
    }

    /// The claims: the JSON text as it was signed.
    pub fn claims(mut self, claims: impl Into<Arc<str>>) -> Self {
        self.0.claims = Some(claims.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_parsed_on_demand_and_not_shown() {
        #[derive(serde::Deserialize)]
        struct Claims {
            plan: String,
        }
        let principal = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
            .claims(r#"{"plan":"gold","ssn":"123"}"#)
            .scopes(["b", "a"])
            .finish();
        assert_eq!(principal.claims::<Claims>().unwrap().plan, "gold");
        assert_eq!(principal.scopes().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!format!("{principal:?}").contains("123"));
        assert!(principal.has_claims() && !Principal::anonymous().has_claims());
        assert!(Principal::anonymous().claims::<Claims>().is_err());
    }

    #[test]
    fn what_it_keeps_is_counted() {
        let token = |claims: usize| {
            Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
                .claims("x".repeat(claims))
                .scopes(["b", "a"])
                .finish()
        };
        assert_eq!(token(0).size(), 5);
        assert_eq!(token(8000).size(), 8005);
        let both = token(100).strengthened_by(&token(8000));
        assert_eq!(both.size(), 105 + 8005);
        let more = both.and_also(AuthMethod::Signature).key("key-1").finish();
        assert_eq!(more.size(), both.size() + 5);
        // Of a third, what the second brought is not counted twice.
        let all = token(0).strengthened_by(&more);
        assert_eq!(all.size(), 5 + more.size());
    }

    #[test]
    fn a_second_proof_never_extends_the_first() {
        let first = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
            .expires_at(Timestamp::from_secs(10))
            .finish();
        let both = first
            .and_also(AuthMethod::Signature)
            .expires_at(Timestamp::from_secs(20))
            .finish();
        assert_eq!(both.expires_at(), Some(Timestamp::from_secs(10)));
        assert!(both.proved_by(AuthMethod::Jwt) && both.proved_by(AuthMethod::Signature));
    }
}
