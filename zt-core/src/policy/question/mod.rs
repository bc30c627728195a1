//! Questions: a request described in words, put to a policy as a real one would be.
//!
//! # What it protects against
//!
//! Tests and reviews of a policy that ask something else than production does. A question becomes a
//! request's head, a context with principal, peer and body, and goes the way of every request.
//!
//! # What a question says
//!
//! ```toml
//! request = "POST https://pay.shop.example/charge"   # or "POST /charge", and `host = ".."`
//! workload = "spiffe://shop.example/orders"          # on the connection
//! client = "10.0.0.7"
//! headers = { "x-region" = "eu" }
//! body = { amount = 9999 }                           # as JSON, or a text as it is
//! now = "2026-03-29T12:00:00Z"                       # the clock's where nothing is said
//! grants = ["refunds.write"]                         # for [`DeclaredFacts`]
//! attributes.device = { managed = true }
//!
//! [caller]
//! kind = "user"                                      # `service`, `anonymous`
//! issuer = "https://id.shop.example"
//! subject = "ada"
//! tenant = "shop"
//! session = "s1"
//! scopes = ["orders:read"]
//! roles = ["clerk"]
//! claims = { department = "payments" }
//! method = "jwt"                                     # `service-token`, `client-certificate`, `signature`
//! authenticated_at = "2026-03-29T11:55:00Z"
//! context_class = "urn:example:mfa"
//! ```
//!
//! A workload alone, without `caller`, is a service that was authenticated by its certificate, as
//! `RequirePeer` makes one: its SPIFFE ID is its subject. Without either, the caller is anonymous.
//!
//! # Facts from outside
//!
//! Grants and attributes are asked of the sources that the policy was loaded with. A policy that is
//! loaded with [`DeclaredFacts`] instead takes them from the question; what the question does not
//! say is not held, or not known, and denies.
//!
//! # Example
//!
//! ```
//! use zt_core::policy::{CompiledPolicy, PolicyOptions, Question};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = CompiledPolicy::from_toml(
//!     r#"
//!     [[rule]]
//!     id = "orders-charge"
//!     effect = "allow"
//!     caller = { workload = "spiffe://shop.example/orders" }
//!     methods = ["POST"]
//!     path = "/charge"
//!     "#,
//!     &PolicyOptions::new(),
//! )?;
//! let charge = Question::new("POST /charge");
//! let orders = policy.ask(&charge.clone().workload("spiffe://shop.example/orders")).await?;
//! assert!(orders.is_permitted());
//! assert_eq!(orders.rule(), Some("orders-charge"));
//!
//! let admin = policy.ask(&charge.workload("spiffe://shop.example/admin")).await?;
//! assert!(!admin.is_permitted());
//! # Ok(()) }
//! ```
//!
//! # What it does not do
//!
//! No layer but the policy is asked: no token is verified, no rate counted, and `Question` states who
//! asks. Headers that claim an identity stand in it as they were written.

mod answer;
mod asked;
mod declared;
mod moment;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

pub use self::{answer::Answer, declared::DeclaredFacts};
pub(crate) use self::{asked::Asked, moment::Moment};
use crate::clock::Timestamp;

/// A request, described: what is asked, and what was proved about who asks.
///
/// As TOML or JSON it is this, and a key that is not known is refused:
///
/// ```toml
/// request = "POST https://pay.shop.example/charge"   # or "POST /charge", and `host = ".."`
/// workload = "spiffe://shop.example/orders"          # on the connection
/// client = "10.0.0.7"
/// headers = { "x-region" = "eu" }
/// body = { amount = 9999 }                           # as JSON, or a text as it is
/// now = "2026-03-29T12:00:00Z"                       # the clock's where nothing is said
/// grants = ["refunds.write"]                         # for `DeclaredFacts`
/// attributes.device = { managed = true }
///
/// [caller]
/// kind = "user"                                      # `service`, `anonymous`
/// issuer = "https://id.shop.example"
/// subject = "ada"
/// roles = ["clerk"]          # `tenant`, `session`, `scopes`, `claims`, `method`, `authenticated_at`, ..
/// ```
///
/// A workload without a caller is a service that was authenticated by its certificate. `Debug` shows
/// neither headers nor claims nor the body.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Question {
    pub(crate) request: Arc<str>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    client: Option<IpAddr>,
    #[serde(default)]
    pub(crate) caller: Option<Caller>,
    #[serde(default)]
    workload: Option<String>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    now: Option<Moment>,
    #[serde(default)]
    pub(crate) grants: Vec<String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, BTreeMap<String, Value>>,
}

/// Who asks.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Caller {
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: Option<Value>,
    #[serde(default)]
    method: Option<Proof>,
    #[serde(default)]
    authenticated_at: Option<Moment>,
    #[serde(default)]
    context_class: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Service,
    Anonymous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Proof {
    Jwt,
    ServiceToken,
    ClientCertificate,
    Signature,
}

/// Why a question is none. It names what is wrong, and not its value where that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuestionError(pub(crate) String);

impl Question {
    /// A request: its method and its target, `POST /charge` or `POST https://pay.example/charge`.
    /// Nobody in particular asks.
    pub fn new(request: impl Into<Arc<str>>) -> Self {
        Self {
            request: request.into(),
            ..Self::default()
        }
    }

    /// The `Host` field.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// A header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The client's address.
    pub fn client(mut self, address: IpAddr) -> Self {
        self.client = Some(address);
        self
    }

    /// The SPIFFE ID of the workload on the connection.
    pub fn workload(mut self, id: impl Into<String>) -> Self {
        self.workload = Some(id.into());
        self
    }

    /// A person asks.
    pub fn user(self, issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        self.named(Kind::User, issuer.into(), subject.into())
    }

    /// A program asks.
    pub fn service(self, issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        self.named(Kind::Service, issuer.into(), subject.into())
    }

    fn named(mut self, kind: Kind, issuer: String, subject: String) -> Self {
        let caller = self.caller.get_or_insert_default();
        caller.kind = Some(kind);
        caller.issuer = Some(issuer);
        caller.subject = Some(subject);
        self
    }

    /// Scopes of the caller.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let caller = self.caller.get_or_insert_default();
        caller.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Roles of the caller.
    pub fn roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        let caller = self.caller.get_or_insert_default();
        caller.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The tenant of the caller.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.caller.get_or_insert_default().tenant = Some(tenant.into());
        self
    }

    /// The claims of the caller's token.
    pub fn claims(mut self, claims: Value) -> Self {
        self.caller.get_or_insert_default().claims = Some(claims);
        self
    }

    /// When the caller proved who they are.
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.caller.get_or_insert_default().authenticated_at = Some(Moment(at));
        self
    }

    /// The body, as JSON; a text stands there as it is.
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// When it is asked.
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(Moment(now));
        self
    }

    /// Scopes of grants that the caller holds, for a policy with [`DeclaredFacts`].
    pub fn grants<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.grants = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// A fact of an attribute group, for a policy with [`DeclaredFacts`].
    pub fn attribute(
        mut self,
        group: impl Into<String>,
        name: impl Into<String>,
        value: Value,
    ) -> Self {
        let group = self.attributes.entry(group.into()).or_default();
        group.insert(name.into(), value);
        self
    }
}

/// The request; what it carries may be secret.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("request", &self.request)
            .field("workload", &self.workload)
            .field(
                "subject",
                &self
                    .caller
                    .as_ref()
                    .and_then(|caller| caller.subject.as_ref()),
            )
            .finish_non_exhaustive()
    }
}
