//! zt lets any axum, hyper or tonic application refuse by default.
//!
//! This crate answers three questions about each request: who is asking, what was decided, and why it
//! was refused. It has the types that everything shares, the gate, the stack, and the layers that need
//! nothing more. `zt-audit` keeps the evidence and `zt-ratelimit` counts; both build on it.
//!
//! # The vocabulary, and where each word lives
//!
//! A request comes to a **[`gate`]**, which runs a chain of **[checks](gate::Check)**. A check looks
//! at the request's head and at the **[context](context::SecurityContext)**, which has the request's one
//! `now`, its id, and where it comes from. It lets the request go on or gives a
//! **[denial](decision::Denial)**, an answer with a stable [code](decision::Code) that
//! [`problem`] renders. A check may leave a **[guard](gate::Guard)** for the way out, which settles
//! exactly once. What was found stays in the **[trail](context::Trail)**, which outlives the request.
//!
//! An **[authenticator](authenticate::Authenticate)** turns a credential into a
//! **[principal](identity::Principal)**, who asks; a **[peer](identity::PeerIdentity)** is the workload
//! on the connection. A **[policy](authorize::Policy)** turns both into a **[permit](decision::Permit)**,
//! evidence that handlers can ask for. A **[sanction](state::Sanctions)** takes back what a credential
//! still says. A **[lease](gate::Lease)** is the right of an answer to go on.
//!
//! | where | what |
//! |---|---|
//! | [`stack`] | every layer in its one place: [`ZeroTrust::builder()`](stack::ZeroTrust::builder) |
//! | [`gate`] | the one service, the one future, checks and guards |
//! | [`context`], [`decision`], [`identity`], [`problem`], [`body`] | what is known, decided, proved, answered, and carried |
//! | [`headers`] | security headers on every answer |
//! | [`validate`] | bounds, canonical paths, no borrowed identities |
//! | [`authenticate`], [`service_token`] | authenticators, how they combine, and one of them |
//! | [`signature`], [`digest`] | requests and answers that are signed, and what they carry |
//! | [`sanction`], [`authorize`] | revoked and quarantined callers; policies, scopes, roles |
//! | [`policy`], [`grant`] | policies in a file, their tools; rights for an hour, approved by somebody else |
//! | [`state`], [`store`] | routes, recorder, sanctions, feeds, live snapshots; the store below them |
//! | [`clock`], [`random`], [`secret`], [`weak_key`] | time, chance, what nobody may see, and keys that nobody should use |
//! | `extract` (feature `axum`) | permit, principal and context as arguments of handlers |
//! | [`manual`] | attacks, defaults, stacks by hand, and what zt will not do |
//!
//! # Example
//!
//! ```
//! use std::{convert::Infallible, sync::Arc};
//!
//! use bytes::Bytes;
//! use http::{Method, Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use zt_core::{
//!     authorize::{AuthorizeLayer, RequireScopes},
//!     body::RequestBody,
//!     clock::SystemClock,
//!     service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
//!     stack::ZeroTrust,
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new(SystemClock));
//! let tokens = ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("prod")).await?;
//! let request = MintRequest::new("billing", "example").scopes(["orders:read"]);
//! let token = tokens.mint(request.insecure_never_expires()).await?;
//!
//! let zt = ZeroTrust::builder()
//!     .without_audit() // `.record(RecordAuditLayer::new(log))` with zt-audit
//!     .authenticate(VerifyServiceTokenLayer::new(tokens))
//!     .authorize(AuthorizeLayer::new(RequireScopes::all_of(["orders:read"])?))
//!     .public(Method::GET, "/health")
//!     .build()?;
//! let service = zt.layer(service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! }));
//!
//! let get = |path: &str| Request::get(path).header("host", "shop.example");
//! let body = Full::<Bytes>::default;
//! let with_token = get("/orders").header("x-service-token", token.clear.expose());
//! assert_eq!(service.clone().oneshot(with_token.body(body())?).await?.status(), 200);
//! assert_eq!(service.clone().oneshot(get("/orders").body(body())?).await?.status(), 401);
//! assert_eq!(service.oneshot(get("/health").body(body())?).await?.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! `cedar`: conditions of policies; `istio`: policies of a mesh; `cli`: the program `zt-policy`.
//! `axum`: `zt.wrap(router)`, and extractors. `asymmetric`: Ed25519, ECDSA and RSA for
//! [`signature`]s. `reqwest`: signs what its client sends. `redis`, `postgres`: stores and feeds that
//! processes share; `redis-tls`: the first over TLS. `redb`: ones that outlive the process.
//! `test-util`: seeded randomness, the conformance suites for stores and feeds of one's own, and
//! servers for tests. Turning one on changes nothing that works without it.

#[cfg(test)]
#[expect(clippy::string_slice, reason = "cut where ASCII was found")]
mod architecture;
pub mod authenticate;
pub mod authorize;
pub mod body;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod context;
pub mod decision;
pub mod digest;
#[cfg(feature = "axum")]
pub mod extract;
pub mod gate;
pub mod grant;
pub mod headers;
pub mod identity;
pub mod manual;
pub mod policy;
pub mod problem;
pub mod random;
pub mod sanction;
pub mod secret;
pub mod service_token;
pub mod signature;
pub mod stack;
pub mod state;
pub mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod validate;
pub mod weak_key;

/// For the macros of this crate.
#[doc(hidden)]
pub use tower_layer;
