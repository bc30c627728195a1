//! axum's own types around a stack.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    Router, body::Body, extract::connect_info::IntoMakeServiceWithConnectInfo,
    routing::future::RouteFuture,
};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::ZeroTrust;
use crate::{
    body::RequestBody,
    gate::{Chain, Gate, Replace, ResponseFuture},
};

impl<C> ZeroTrust<C>
where
    C: Chain<RequestBody<Body>>,
{
    /// The stack around a finished router.
    ///
    /// ```
    /// # async fn serve<C>(zt: zt_core::stack::ZeroTrust<C>, router: axum::Router) -> std::io::Result<()>
    /// # where C: zt_core::gate::Chain<zt_core::body::RequestBody<axum::body::Body>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// axum::serve(listener, zt.wrap(router).into_make_service_with_connect_info()).await
    /// # }
    /// ```
    pub fn wrap(&self, router: Router) -> Guarded<C> {
        Guarded(self.layer(RouterService(router)))
    }
}

/// A router as the inner service of a stack. A body that nothing had to be done to is handed on
/// as it came, without a box.
#[derive(Debug, Clone)]
pub struct RouterService(Router);

impl Service<Request<RequestBody<Body>>> for RouterService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouterFuture;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Router as Service<Request<Body>>>::poll_ready(&mut self.0, task)
    }

    fn call(&mut self, request: Request<RequestBody<Body>>) -> RouterFuture {
        self.0
            .call(request.map(|body| body.try_into_inner().unwrap_or_else(Body::new)))
    }
}

/// The future of a [`RouterService`].
pub type RouterFuture = RouteFuture<Infallible>;

/// A router behind a stack; `axum::serve` takes it.
#[derive(Debug)]
pub struct Guarded<C>(Gate<RouterService, C, Replace>);

impl<C> Clone for Guarded<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Guarded<C> {
    /// For `axum::serve`, with the peer's address on each request, which limits by peer, address
    /// rules and the audit record need.
    pub fn into_make_service_with_connect_info(
        self,
    ) -> IntoMakeServiceWithConnectInfo<Self, SocketAddr>
    where
        C: Chain<RequestBody<Body>>,
    {
        axum::ServiceExt::<Request<Body>>::into_make_service_with_connect_info(self)
    }
}

impl<C> Service<Request<Body>> for Guarded<C>
where
    C: Chain<RequestBody<Body>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = GuardedFuture<C>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> GuardedFuture<C> {
        GuardedFuture {
            inner: self.0.call(request),
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`Guarded`] router.
    pub struct GuardedFuture<C: Chain<RequestBody<Body>>> {
        #[pin]
        inner: ResponseFuture<RouterService, C, RequestBody<Body>, Body>,
    }
}

impl<C: Chain<RequestBody<Body>>> std::fmt::Debug for GuardedFuture<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardedFuture")
    }
}

impl<C: Chain<RequestBody<Body>>> Future for GuardedFuture<C> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(task))?;
        Poll::Ready(Ok(
            response.map(|body| body.try_into_inner().unwrap_or_else(Body::new))
        ))
    }
}
