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

impl<B> tower::Service<Request<B>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Body::from("ok"))))
    }
}

/// The same as an axum application of one route.
pub(crate) fn router() -> Router {
    let ok = any(|| async { "ok" });
    Router::new()
        .route("/orders", ok.clone())
        .route("/orders/{id}", ok)
}

/// Runs what is set up before anything is measured.
pub(crate) fn wait<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// What the bare service and the bare router are called in tables.
pub(crate) const BARE: &str = "bare service";
pub(crate) const AXUM: &str = "axum Router";
