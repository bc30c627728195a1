//! What stands behind every layer that is measured.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use axum::{Router, body::Body, routing::any};
use http::{Request, Response};

/// The smallest inner service that has axum's bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bare;

impl tower::Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::from("ok"))))
    }
}

/// The same as an axum application of one route.
pub(crate) fn router() -> Router {
    Router::new().route("/orders", any(|| async { "ok" }))
}
