//! Refuses callers who were sanctioned after their credential was issued.
//!
//! A stolen token, a session that was logged out, a key that leaked, a workload that behaves
//! oddly: their credentials verify until they expire. [`EnforceSanctionsLayer`] asks
//! [`Sanctions`](crate::state::Sanctions) about whoever was authenticated, and about the workload
//! on the connection.
//!
//! A request passes when
//!
//! 1. authentication stands before this layer (`stack-misordered` otherwise);
//! 2. the view of the sanctions is fresh enough to tell (`store-unavailable` otherwise); a caller
//!    without a name, whom no sanction could strike, passes all the same, so that a health check
//!    without a credential outlives an outage of the store;
//! 3. no revocation strikes one of the caller's credentials, or the workload
//!    (`credential-revoked` otherwise);
//! 4. no quarantine does (`quarantined` otherwise).
//!
//! On a public route nobody is named, so only the workload is looked at.
//!
//! # What a refusal looks like
//!
//! 401 `credential-revoked`: the caller may authenticate anew. 403 `quarantined`: it need not
//! try. 503 `store-unavailable`. Kind and reason of the sanction go to the audit record; the
//! caller is told neither.
//!
//! # Where it belongs
//!
//! Between authentication and authorization, in the stack's `sanction` slot. What strikes later,
//! while an answer or an upgraded connection goes on, is seen by the gate itself: give the same
//! `Sanctions` to [`Settings::with_sanctions`](crate::gate::Settings::with_sanctions).
//!
//! # What a proxy in front can break
//!
//! Where the proxy ends TLS, the workload on the connection is the proxy. Sanctions against
//! workloads strike then only where the workload's name comes with a credential.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use zt_core::{
//!     clock::SystemClock,
//!     sanction::EnforceSanctionsLayer,
//!     state::{Sanction, SanctionAction, SanctionTarget, Sanctions},
//! };
//! # use std::sync::Arc;
//! # use http::request::Parts;
//! # use zt_core::{authenticate::{Authenticate, Presented}, context::SecurityContext,
//! #     decision::Challenge, gate::Step, identity::{AuthMethod, Principal, PrincipalKind}};
//! # #[derive(Clone)]
//! # struct ByName;
//! # impl Authenticate for ByName {
//! #     const NAME: &'static str = "ByName";
//! #     fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented { Presented::Mine }
//! #     fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
//! #         let name = parts.uri.path().trim_start_matches('/');
//! #         let who = Principal::assertion(PrincipalKind::User, name, AuthMethod::Development);
//! #         Step::pass(Arc::new(who.session(format!("session of {name}")).finish()))
//! #     }
//! #     fn challenges(&self) -> Vec<Challenge> { vec![Challenge::new("Bearer")] }
//! # }
//! # zt_core::impl_authenticate_layer!(ByName);
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let sanctions = Sanctions::local(SystemClock);
//! let mut service = ServiceBuilder::new()
//!     .layer(ByName) // any authenticator
//!     .layer(EnforceSanctionsLayer::new(sanctions.clone()))
//!     .service(service_fn(|_: http::Request<String>| async {
//!         Ok::<_, Infallible>(http::Response::new(String::from("hello")))
//!     }));
//! let request = |name: &str| http::Request::get(format!("/{name}")).body(String::new()).unwrap();
//!
//! sanctions
//!     .impose(Sanction {
//!         target: SanctionTarget::Session("session of eve".into()),
//!         action: SanctionAction::Revoke,
//!         reason: "logged out".to_owned(),
//!         author: "eve".into(),
//!         expires: None,
//!     })
//!     .await
//!     .unwrap();
//! let permitted = service.ready().await.unwrap().call(request("ada")).await.unwrap();
//! assert_eq!(permitted.status(), 200);
//! let refused = service.ready().await.unwrap().call(request("eve")).await.unwrap();
//! assert_eq!(refused.status(), 401);
//! # });
//! ```
//!
//! # Standards
//!
//! RFC 9110 section 15.5.2 (a 401 carries a challenge) and 15.5.4. Ending what was issued before
//! its time follows the use of `jti`, `sid` and `iat` in RFC 7519 section 4.1 and OpenID Connect
//! Back-Channel Logout 1.0 section 2.
//!
//! # What it does not do
//!
//! It imposes nothing: that is [`Sanctions::impose`](crate::state::Sanctions::impose). It does not
//! wait for a store: each process decides by its own view, at most a second behind.

mod check;
mod layer;
#[cfg(test)]
mod tests;

pub use self::layer::{EnforceSanctions, EnforceSanctionsLayer};
