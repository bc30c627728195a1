use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{request::Parts, response};
use http_body::Body;
use tower_layer::Layer;

use super::{ValidateRequestConfig, ValidateRequestError, check, config::Rules};
use crate::{
    body::RequestBody,
    context::{SecurityContext, Stage, Trail},
    decision::{Code, Denial},
    gate::{BodyLink, CheckBody, Gate, Guard, Replace, Root, Settings, Step},
    state::Routes,
};

/// Refuses requests that are out of bounds or can be read in two ways, resolves the route, and
/// takes claimed identities off; see the [module](super).
#[derive(Debug, Clone, Default)]
pub struct ValidateRequestLayer(Arc<Rules>);

/// The service that [`ValidateRequestLayer`] makes.
pub type ValidateRequest<S> = <ValidateRequestLayer as Layer<S>>::Service;

impl ValidateRequestLayer {
    /// The layer of `config`.
    ///
    /// # Errors
    ///
    /// Where a bound is zero, a list empty, or a method or a host not one.
    pub fn new(config: ValidateRequestConfig) -> Result<Self, ValidateRequestError> {
        config.compile().map(|rules| Self(Arc::new(rules)))
    }

    /// A layer that resolves the route and lets every request pass as it came, claimed identities
    /// included. Whatever stands behind it may read a request otherwise than the policy did.
    #[must_use]
    pub fn insecure_accept_anything() -> Self {
        Self(Arc::new(Rules {
            accept_anything: true,
            ..Rules::default()
        }))
    }

    /// This layer with another table of routes.
    #[must_use]
    pub(crate) fn with_routes(mut self, routes: Routes) -> Self {
        Arc::make_mut(&mut self.0).routes = routes;
        self
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.0.routes
    }

    /// What weakens it.
    pub(crate) fn doors(&self) -> impl Iterator<Item = &'static str> {
        let rules = &*self.0;
        [
            (rules.accept_anything, "insecure_accept_anything"),
            (rules.encoded_unreserved, "insecure_encoded_unreserved"),
        ]
        .into_iter()
        .filter_map(|(open, door)| open.then_some(door))
    }

    fn decide<B: Body>(
        &self,
        parts: &Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Result<BodyBound, Denial> {
        let rules = &*self.0;
        if !rules.accept_anything {
            check::target_length(rules, &parts.uri)?;
        }
        // On the raw path, as the router will read it; its own rules may be wider.
        let route = rules.routes.resolve(&parts.method, parts.uri.path());
        if let Some(route) = &route {
            cx.set_route(route.clone());
        }
        // What such a request sends after its head may be anything, and is answered as it comes.
        if body.is_endless() {
            cx.set_effects();
        }
        if rules.accept_anything {
            return Ok(BodyBound);
        }
        let route = route.as_ref();
        let length = check::head(rules, parts, route)?;
        let limit = route
            .and_then(|route| route.body_limit())
            .unwrap_or(rules.limits.body_bytes);
        check::body(length, body.lower_bound(), limit)?;
        // A stack that only observes must not cut a body that it was told to let pass.
        if !cx.is_observing() {
            body.limit(limit, cx.trail());
        }
        Ok(BodyBound)
    }
}

impl<B: Body> CheckBody<B> for ValidateRequestLayer {
    type Guard = BodyBound;

    const NAME: &'static str = "ValidateRequest";
    const STAGE: Stage = Stage::Validate;

    fn check(
        &self,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Step<BodyBound, RequestBody<B>> {
        let result = self.decide(parts, body, cx);
        // Also where the request is refused: a stack that only observes lets it go on.
        if !self.0.accept_anything {
            check::strip(&mut parts.headers, cx.trail().claimed());
        }
        result.into()
    }
}

impl<S> Layer<S> for ValidateRequestLayer {
    type Service = Gate<S, BodyLink<Root, Self>, Replace>;

    fn layer(&self, inner: S) -> Self::Service {
        let chain = BodyLink::new(Root, self.clone());
        Gate::with_settings(inner, chain, Settings::shared_default())
    }
}

/// Answers `body-too-large` in the handler's place where the body went past its limit.
#[derive(Debug)]
pub struct BodyBound;

impl Guard for BodyBound {
    const SETTLES: bool = false;

    fn poll_release(
        &mut self,
        _: &mut Context<'_>,
        _: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if trail.has_exceeded_body() {
            return Poll::Ready(Err(
                Denial::new(Code::BodyTooLarge).detail("the body went past the limit")
            ));
        }
        Poll::Ready(Ok(()))
    }
}
