//! Composing a stack without the builder, and writing layers of one's own.
//!
//! Every layer is a [`tower_layer::Layer`]. The builder makes one gate over a chain of checks; by hand
//! each layer is a gate of its own, which costs a little more and gives a place for layers of others in
//! between.
//!
//! # The rules
//!
//! 1. [`OpenContextLayer`](crate::gate::OpenContextLayer) goes outermost and brings the
//!    [`Settings`](crate::gate::Settings) of all layers inside: clock, proxies, sanctions, renderer.
//!    Without it the outermost layer opens the context with the defaults.
//! 2. Then in the order of [`Stage`](crate::context::Stage): headers, record, validation, limit by peer,
//!    authentication, sanctions, authorization, limits by principal, commit. A layer behind one of a
//!    later stage refuses every request with `stack-misordered`, and so does one whose evidence is
//!    missing. What nobody notices is a layer that is not there: that is what the builder is for.
//! 3. `zt-audit`'s `RecordAuditLayer` stands twice: itself as the second layer, its `commit()` as the
//!    last one. Without the second half it is an access log, and nothing waits for the disk.
//! 4. [`ValidateRequestLayer`](crate::validate::ValidateRequestLayer) hands on
//!    [`RequestBody<B>`](crate::body::RequestBody), everything else the body that came. Give it its table
//!    of routes with [`routes`](crate::validate::ValidateRequestConfig::routes).
//! 5. Sanctions are given twice: to the layer, and to the settings, which cut running answers.
//! 6. In a `ServiceBuilder` the first layer is the outermost; with axum's `Router::layer` the last one is.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use zt_core::{
//!     authorize::{Access, AuthorizeLayer},
//!     body::RequestBody,
//!     clock::SystemClock,
//!     decision::Denial,
//!     gate::{OpenContextLayer, Settings},
//!     headers::SetSecurityHeadersLayer,
//!     sanction::EnforceSanctionsLayer,
//!     service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
//!     state::Sanctions,
//!     store::MemoryStore,
//!     validate::ValidateRequestLayer,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new(SystemClock));
//! let tokens = ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("prod")).await?;
//! let token = tokens.mint(MintRequest::new("billing", "manual").insecure_never_expires()).await?;
//! let sanctions = Sanctions::local(SystemClock);
//!
//! let verify = VerifyServiceTokenLayer::new(tokens);
//! let authorize = AuthorizeLayer::new(|access: &Access<'_>| access.method().is_safe());
//! let handler = |_: Request<RequestBody<Full<Bytes>>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! };
//! let service = ServiceBuilder::new()
//!     .layer(OpenContextLayer::new(Settings::default().with_sanctions(sanctions.clone())))
//!     .layer(SetSecurityHeadersLayer::api())
//!     .layer(ValidateRequestLayer::default())
//!     .layer(verify.clone())
//!     .layer(EnforceSanctionsLayer::new(sanctions))
//!     .layer(authorize.clone())
//!     .service(service_fn(handler));
//!
//! let request = |method: &str| {
//!     Request::builder()
//!         .method(method)
//!         .uri("/invoices")
//!         .header("host", "billing.example")
//!         .header("x-service-token", token.clear.expose())
//!         .body(Full::<Bytes>::default())
//! };
//! assert_eq!(service.clone().oneshot(request("GET")?).await?.status(), 200);
//! assert_eq!(service.oneshot(request("DELETE")?).await?.status(), 403);
//!
//! // Two layers have changed places: nothing passes, and the detail says which.
//! let service = ServiceBuilder::new()
//!     .layer(ValidateRequestLayer::default())
//!     .layer(authorize)
//!     .layer(verify)
//!     .service(service_fn(handler));
//! let response = service.oneshot(request("GET")?).await?;
//! let denial = response.extensions().get::<Denial>().ok_or("no denial")?;
//! assert_eq!(denial.code().as_str(), "stack-misordered");
//! assert!(denial.private_detail().is_some_and(|detail| detail.contains("authentication")));
//! # Ok(()) }
//! ```
//!
//! # An authenticator of one's own
//!
//! Implement [`Authenticate`](crate::authenticate::Authenticate): say what a request presents, prove
//! it, and name the challenges of a 401. It fits the builder's `authenticate` slot,
//! [`any_of`](crate::authenticate::any_of) and [`all_of`](crate::authenticate::all_of);
//! [`impl_authenticate_layer!`](crate::impl_authenticate_layer) makes it a layer. Three things are easy
//! to get wrong: a key or session store that is down is not `credential-invalid`; a value that is not
//! yours is [`Foreign`](crate::authenticate::Presented::Foreign), not absent; and what is secret must
//! not become the principal's subject, session or token id, since records show those.
//!
//! # A policy of one's own
//!
//! A function of [`Access`](crate::authorize::Access) is a policy; one that needs facts waits for them
//! with [`later`](crate::authorize::later). `false`, an error, and no answer in time all deny.
//!
//! # A check of one's own
//!
//! Implement [`Check`](crate::gate::Check) and [`impl_layer!`](crate::impl_layer) it, or wrap a function
//! in [`FnCheck`](crate::gate::FnCheck). A check with
//! [`Stage::Anywhere`](crate::context::Stage::Anywhere) narrows wherever it stands. To go into a slot of
//! the builder, implement the slot's [trait](crate::stack::slots). A check that holds something until
//! the request is over gives a [`Guard`](crate::gate::Guard), which settles exactly once, perhaps in
//! `Drop`.
//!
//! # Servers of one's own
//!
//! zt finds the peer's address in [`PeerAddr`](crate::context::PeerAddr), or in axum's `ConnectInfo`
//! with feature `axum`, among the request's extensions. Insert it for each request; limits by peer
//! refuse without it. Drive the response body to its end, or drop it: both settle the request.
