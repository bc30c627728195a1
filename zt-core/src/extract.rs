//! Extractors for axum handlers: [`Permit`] and [`Principal`] as arguments.
//!
//! A handler that takes a [`Permit`] cannot be reached without authorization: where none ran, the
//! extractor refuses with `stack-misordered`, and the handler is not called.
//!
//! ```
//! use zt_core::{decision::Permit, identity::Principal};
//!
//! async fn orders(permit: Permit, caller: Principal) -> String {
//!     format!("{} may read orders by {}", caller.subject(), permit.rule())
//! }
//! let router: axum::Router = axum::Router::new().route("/orders", axum::routing::get(orders));
//! ```

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    context::{RequestId, SecurityContext},
    decision::{Code, Denial, Permit},
    identity::Principal,
    problem::{Asked, ProblemJson, Render},
};

/// An extractor's denial as a response, rendered as the stack renders its own.
#[derive(Debug)]
pub struct Refused {
    denial: Denial,
    cx: Option<SecurityContext>,
}

impl Refused {
    pub(crate) fn new(denial: Denial, cx: Option<&SecurityContext>) -> Self {
        Self {
            denial,
            cx: cx.cloned(),
        }
    }

    /// What a handler refuses by itself, told and recorded as the stack's own refusals are.
    #[must_use]
    pub fn by_handler(denial: Denial, cx: &SecurityContext) -> Self {
        Self::new(denial, Some(cx))
    }

    /// Why.
    #[must_use]
    pub const fn denial(&self) -> &Denial {
        &self.denial
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = match &self.cx {
            Some(cx) => {
                // Not before: a handler may take the refusal as an argument, and answer itself.
                cx.trail().deny(&self.denial);
                let asked = Asked::new(cx.request_id(), cx.trail().is_grpc());
                cx.settings().render().render(&self.denial, asked)
            }
            None => {
                ProblemJson::default().render(&self.denial, Asked::new(RequestId::next(), false))
            }
        };
        response.extensions_mut().insert(self.denial);
        response.map(Body::new)
    }
}

fn context(parts: &Parts) -> Result<&SecurityContext, Refused> {
    parts.extensions.get::<SecurityContext>().ok_or_else(|| {
        let detail = "a handler asks for evidence, and there is no stack around it";
        Refused::new(Denial::misordered(detail), None)
    })
}

impl<S: Sync> FromRequestParts<S> for Permit {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let cx = context(parts)?;
        cx.permit().cloned().ok_or_else(|| {
            let detail = "a handler takes a permit, and no authorization ran before it";
            Refused::new(Denial::misordered(detail), Some(cx))
        })
    }
}

/// Refuses with `credential-missing` where nobody was asked who they are: on a public route.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let cx = context(parts)?;
        match cx.principal() {
            Some(principal) => Ok((**principal).clone()),
            None => Err(Refused::new(Code::CredentialMissing.into(), Some(cx))),
        }
    }
}

/// The context itself: request id, `now`, route, addresses.
impl<S: Sync> FromRequestParts<S> for SecurityContext {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        context(parts).cloned()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        context::Stage,
        gate::{Check, FnCheck, Gate, Link, Step},
        identity::{AuthMethod, PrincipalKind},
    };

    #[derive(Clone)]
    struct Permits;

    impl Check for Permits {
        type Guard = ();

        const NAME: &'static str = "permits";
        const STAGE: Stage = Stage::Authorize;

        fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
            let principal = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
            cx.set_principal(std::sync::Arc::new(principal.finish()));
            Step::Now(cx.set_permit(Permit::assertion("test").finish()))
        }
    }

    fn router() -> Router {
        Router::new().route(
            "/",
            get(
                |permit: Permit, caller: Principal, cx: SecurityContext| async move {
                    assert!(cx.principal().is_some());
                    format!("{} by {}", caller.subject(), permit.rule())
                },
            ),
        )
    }

    fn request() -> Request<Body> {
        Request::new(Body::empty())
    }

    async fn code(response: Response<impl axum::body::HttpBody>) -> Code {
        response
            .extensions()
            .get::<Denial>()
            .expect("a denial")
            .code()
    }

    #[tokio::test]
    async fn a_handler_gets_its_evidence() {
        let response = Gate::new(router(), Link::first(Permits))
            .oneshot(request())
            .await
            .unwrap();
        let body = axum::body::to_bytes(Body::new(response.into_body()), 99)
            .await
            .unwrap();
        assert_eq!(body, "ada by test");
    }

    #[tokio::test]
    async fn a_handler_with_a_permit_is_not_reached_without_a_stack() {
        let response = router().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(code(response).await, Code::StackMisordered);
    }

    #[tokio::test]
    async fn a_handler_with_a_permit_is_not_reached_without_authorization() {
        let nothing = FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| Ok(()));
        let response = Gate::new(router(), Link::first(nothing))
            .oneshot(request())
            .await
            .unwrap();
        assert_eq!(code(response).await, Code::StackMisordered);
    }

    #[tokio::test]
    async fn a_refusal_that_a_handler_took_as_an_argument_is_not_what_was_answered() {
        use std::sync::{Arc, Mutex};

        use crate::{
            context::Trail,
            gate::{Guard, Settlement},
        };

        #[derive(Clone, Default)]
        struct Denied(Arc<Mutex<Vec<Option<Code>>>>);

        impl Check for Denied {
            type Guard = Self;

            const NAME: &'static str = "denied";
            const STAGE: Stage = Stage::Record;

            fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Self> {
                Step::pass(self.clone())
            }
        }

        impl Guard for Denied {
            fn settle(&mut self, settlement: &Settlement<'_>) {
                let code = Trail::denial(settlement.trail).map(Denial::code);
                self.0.lock().unwrap().push(code);
            }
        }

        let denied = Denied::default();
        let router = Router::new()
            .route(
                "/tolerant",
                get(|caller: Result<Principal, Refused>| async move {
                    assert!(caller.is_err());
                    "hello stranger"
                }),
            )
            .route("/strict", get(|_: Principal| async {}));
        let gate = Gate::new(router, Link::first(denied.clone()));
        for (path, status, code) in [
            ("/tolerant", 200, None),
            ("/strict", 401, Some(Code::CredentialMissing)),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = gate.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
            drop(response);
            assert_eq!(denied.0.lock().unwrap().pop(), Some(code), "{path}");
        }
    }

    #[tokio::test]
    async fn a_handler_with_a_principal_is_not_reached_by_nobody() {
        let nothing = FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| Ok(()));
        let router = Router::new().route("/", get(|_: Principal| async {}));
        let response = Gate::new(router, Link::first(nothing))
            .oneshot(request())
            .await
            .unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(code(response).await, Code::CredentialMissing);
    }
}
