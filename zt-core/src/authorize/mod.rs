//! `Authorize`: who may do what, and why.
//!
//! # What it protects against
//!
//! Handlers that run because nobody said no. A request without a rule that permits it is denied,
//! and so is one whose policy failed, waited too long, or never learned who asks.
//!
//! # A request passes when
//!
//! 1. authentication has run before (`stack-misordered` otherwise), or its route is public;
//! 2. it was not authorized before (`stack-misordered`): one request has one permit;
//! 3. the [`Policy`] answers [`Verdict::Permit`]. That no rule applies, a denial, an error, and no
//!    answer before the deadline are four different things, and all four deny;
//! 4. the grounds of that verdict have not ended.
//!
//! The request then carries a [`Permit`](crate::decision::Permit) that names the rule, the policy
//! and the principal, and ends with the first of credential, certificate and grounds. Where the
//! grounds [stand on](Grounds::standing_on) something that can be taken away, the answer is cut within a
//! second of that. On a public
//! route the rule is `public` and the route's template, and the policy is not asked.
//!
//! [`RequireScopesLayer`] and [`RequireRolesLayer`] narrow: they may stand anywhere behind
//! authentication, on one route inside an application that is authorized as a whole
//! (`route_layer`), or alone. A request passes one when
//!
//! 1. authentication has run before (`stack-misordered`);
//! 2. somebody is named, public route or not (`credential-missing`);
//! 3. the caller has all, or one, of the scopes (`scope-insufficient`) or roles
//!    (`policy-denied`), to the letter.
//!
//! Where no permit is there yet they set one. So they stand behind [`AuthorizeLayer`], or without
//! it; before it, the request would be authorized twice.
//!
//! # Policies that see the body
//!
//! A policy that [needs](Policy::needs_body) the body of a request is asked once the body is there.
//! In a stack it is read right before the policy decides, and by a layer that stands alone where it
//! is told to ([`AuthorizeLayer::reading_bodies`]); elsewhere such a request is refused
//! (`stack-misordered`).
//!
//! 1. Nothing is read before authentication and sanctions have had their turn, nothing on a public
//!    route, and nothing that the policy does not ask for.
//! 2. The body arrives whole, within the policy's limit and deadline (`body-too-large`,
//!    `request-timeout`; `request-malformed` where it breaks off). One that was collected already is
//!    not read again; one that is verified as it is read has to be the one that was proved, before
//!    the policy sees it.
//! 3. There is [room](AuthorizeLayer::body_room) for it: of all bodies that were read for the policy,
//!    and that handlers have not dropped yet, 64 MiB are there at once (what an allocator takes for
//!    pieces that are put together may be twice that). Where there is none the
//!    request is refused at once (`store-unavailable`, 503 with `Retry-After`): nothing of its body is
//!    read, and nobody waits for others'.
//! 4. Policy and handler get the same bytes. The policy's copy is gone once it has decided.
//! 5. A policy that is replaced meanwhile ([`Policy::edition`]) decides by the edition that asked for
//!    the body.
//!
//! A request that never ends (a stream of gRPC messages) cannot be read whole: it is refused by limit
//! or deadline. What follows the head of a CONNECT is no content and not read; the policy sees an
//! empty body. A client that waits for `100 Continue` gets it when the reading begins. Several
//! policies need together the most that one of them needs, whether it is asked in the end or not. A
//! stack that observes only hands on what could not be read as it came, and gives back its room.
//!
//! # A refusal
//!
//! `policy-denied` (403), or what the policy chose; `store-unavailable` (503) where it did not
//! answer in time. Rule, policy and version stand in the audit record alone. A lack of scopes is told with `WWW-Authenticate: Bearer
//! error="insufficient_scope", scope=".."` (RFC 6750 section 3.1). Why a policy said no is in the
//! audit record, not in the answer.
//!
//! # Where it belongs
//!
//! Behind authentication and sanctions, before what the principal spends. A stack that observes
//! only asks the policy all the same: a denial is noted, and the permit that lets the handler run
//! is [marked](crate::decision::Permit::is_observed_only).
//!
//! # What a proxy in front can break
//!
//! Rules that read the path read it raw, as the router does; a proxy that rewrites it decides what
//! they see. Rules that read the client's address are as good as
//! [`TrustedProxies`](crate::context::TrustedProxies).
//!
//! # Combining policies
//!
//! A policy answers permit (P), deny (D), not applicable (N) or fails (E). They are asked in order,
//! and not all once the answer is certain; whatever is not asked cannot fail.
//!
//! | | P,P | P,D | P,N | D,D | D,N | N,N | with E | none |
//! |---|---|---|---|---|---|---|---|---|
//! | [`all`] | P | D | N | D | D | N | E | N |
//! | [`any`] | P | P | P | D | D | N | E, unless P came first | N |
//! | [`deny_overrides`] | P | D | P | D | D | N | E, unless D came first | N |
//!
//! At the end N denies, and E denies everything around it: a policy that cannot answer is never
//! passed over.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Method, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use zt_core::{
//!     authenticate::InsecureAnonymous,
//!     authorize::{Access, AuthorizeLayer},
//!     gate::{Gate, Link},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let policy = |access: &Access<'_>| access.method() == Method::GET && access.path() == "/prices";
//! let chain = Link::first(InsecureAnonymous).then(AuthorizeLayer::new(policy));
//! let service = Gate::new(
//!     service_fn(|_request: Request<String>| async {
//!         Ok::<_, Infallible>(Response::new(String::from("1.20")))
//!     }),
//!     chain,
//! );
//!
//! let response = service.clone().oneshot(Request::get("/prices").body(String::new())?).await?;
//! assert_eq!(response.status(), 200);
//!
//! let response = service.oneshot(Request::post("/prices").body(String::new())?).await?;
//! assert_eq!(response.status(), 403);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Standards
//!
//! - RFC 6749 section 3.3: what a scope is made of.
//! - RFC 6750 section 3 and 3.1: challenges, `insufficient_scope`.
//!
//! # What it does not do
//!
//! It has no policy language; engines implement [`Policy`]. It does not fetch facts: a policy that
//! needs some waits for them with [`later`], under the layer's deadline. It does not ask again
//! while a response is going out; the permit's end and sanctions are watched by the gate.

mod access;
mod any_authenticated;
mod attributes;
mod check;
mod combine;
mod error;
mod layer;
mod policy;
mod reading;
mod require;

pub(crate) use self::check::narrow;
pub use self::{
    access::Access,
    any_authenticated::AnyAuthenticated,
    attributes::{
        ActiveGrant, ActiveGrants, AttributeError, AttributeQuestion, AttributeResult,
        AttributeSource, AttributeValue, Attributes,
    },
    combine::{All, Any, DenyOverrides, IntoPolicies, all, any, deny_overrides},
    error::AuthorizeError,
    layer::{Authorize, AuthorizeLayer},
    policy::{Grounds, IntoStep, IntoVerdict, Policy, Verdict, later},
    reading::{ReadBodies, ReadingBodies},
    require::{RequireRoles, RequireRolesLayer, RequireScopes, RequireScopesLayer},
};

#[cfg(test)]
mod tests;
