//! What a token has to carry besides: claims, and how its holder was authenticated.
//!
//! # What they protect against
//!
//! Genuine tokens that are not enough: of a free plan, of another department, of a session that
//! was opened this morning by password alone.
//!
//! # A request passes when
//!
//! 1. authentication has run before (`stack-misordered`);
//! 2. somebody is named, and not anonymous (`credential-missing`);
//!
//! and, for [`RequireClaimsLayer`],
//!
//! 3. the credential has claims, and they are a `T` (`policy-denied`: it is genuine, so another one
//!    of its kind would fare no better);
//! 4. the function says yes to them (`policy-denied`);
//!
//! or, for [`RequireStepUpLayer`],
//!
//! 3. the caller is a person (`step-up-required`): a program has nobody who could sign in again;
//! 4. where values of `acr` are asked for, the token's is one of them, to the letter
//!    (`step-up-required`);
//! 5. where a `max_age` is asked for, the token has an `auth_time`, it is no further ahead than
//!    the 30 seconds that clocks may be apart, and no longer ago than `max_age`
//!    (`step-up-required`).
//!
//! Scopes and roles are asked for by
//! [`RequireScopesLayer`](zt_core::authorize::RequireScopesLayer) and
//! [`RequireRolesLayer`](zt_core::authorize::RequireRolesLayer), whatever the credential was.
//!
//! # A refusal
//!
//! `policy-denied` is 403, `credential-missing` 401 with a plain challenge. `step-up-required` is
//! 401 and says what would do (RFC 9470 section 3):
//!
//! ```text
//! WWW-Authenticate: Bearer realm="api", error="insufficient_user_authentication",
//!     error_description="more recent authentication is required", acr_values="phr", max_age="300"
//! ```
//!
//! Which condition failed stands in the audit record alone.
//!
//! # Where they belong
//!
//! Behind authentication: anywhere in an application, on one route or on all. [`RequireStepUp`]
//! also has a slot of its own in the stack (`.step_up(..)`), where it stands before authorization
//! and is asked of every route that is not public. [`RequireClaims`] and [`RequireStepUp`] are
//! policies as well: hand them to [`AuthorizeLayer`](zt_core::authorize::AuthorizeLayer), alone or
//! in [`all`](zt_core::authorize::all), [`any`](zt_core::authorize::any) and
//! [`deny_overrides`](zt_core::authorize::deny_overrides). Only so do they give a permit; as layers
//! they narrow.
//!
//! # What a proxy in front can break
//!
//! Nothing: they read what was proved, not the request.
//!
//! # Example
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use zt_jwt::require::{RequireStepUp, RequireStepUpLayer};
//! # use http::request::Parts;
//! # use zt_core::{authenticate::{Authenticate, Presented}, clock::{Clock, SystemClock},
//! #     context::SecurityContext, decision::Challenge, gate::Step,
//! #     identity::{AuthMethod, Principal, PrincipalKind}};
//! # #[derive(Clone)]
//! # struct SignedIn { ago: u64 }
//! # impl Authenticate for SignedIn {
//! #     const NAME: &'static str = "SignedIn";
//! #     fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented { Presented::Mine }
//! #     fn authenticate(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
//! #         let at = cx.now().saturating_sub(Duration::from_secs(self.ago));
//! #         let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
//! #         Step::pass(Arc::new(who.authenticated_at(at).finish()))
//! #     }
//! #     fn challenges(&self) -> Vec<Challenge> { vec![Challenge::new("Bearer")] }
//! # }
//! # zt_core::impl_authenticate_layer!(SignedIn);
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let recently = RequireStepUp::max_age(Duration::from_secs(300))?;
//! let service = |ago| {
//!     ServiceBuilder::new()
//!         .layer(SignedIn { ago }) // any authenticator
//!         .layer(RequireStepUpLayer::new(recently.clone()))
//!         .service(service_fn(|_: Request<String>| async {
//!             Ok::<_, Infallible>(Response::new(String::from("paid")))
//!         }))
//! };
//! let pay = || Request::post("/payments").body(String::new());
//!
//! assert_eq!(service(60).oneshot(pay()?).await?.status(), 200);
//!
//! let response = service(3600).oneshot(pay()?).await?;
//! assert_eq!(response.status(), 401);
//! let challenge = response.headers()["www-authenticate"].to_str()?;
//! assert!(challenge.contains(r#"error="insufficient_user_authentication""#));
//! assert!(challenge.ends_with(r#"max_age="300""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Standards
//!
//! - RFC 9470 section 3: the challenge, its `acr_values` and `max_age`; section 6: `acr` and
//!   `auth_time` in a token.
//! - RFC 6750 section 3.1, RFC 9728 section 5.1: what else a challenge says.
//!
//! # What they do not do
//!
//! They know no order of `acr` values: every value that is good enough has to be named. They do
//! not cut an answer that outlives `max_age`. They believe the issuer's word for how somebody was
//! authenticated, as they believe it for who that is. Claims are parsed at each request.

mod claims;
mod error;
mod step_up;
mod step_up_layer;

pub use self::{
    claims::{RequireClaims, RequireClaimsLayer, RequireClaimsService},
    error::RequireError,
    step_up::RequireStepUp,
    step_up_layer::{RequireStepUpLayer, RequireStepUpService},
};

#[cfg(test)]
mod tests;
