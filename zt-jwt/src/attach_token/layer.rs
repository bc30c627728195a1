use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header::AUTHORIZATION};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    AttachError, AttachFuture, AttachableToken, ConfigError, DestinationError, Destinations,
    Tokens,
    tokens::{NotNow, Pick, Picked},
};

/// Attaches a token to requests that a client sends; see the [module](super).
#[derive(Debug, Clone)]
pub struct AttachTokenLayer {
    pub(super) tokens: Tokens,
    destinations: Arc<Destinations>,
    header: HeaderName,
    pub(super) pick: Pick<HeaderValue>,
    elsewhere_bare: bool,
}

/// The service that [`AttachTokenLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct AttachToken<S> {
    inner: S,
    layer: AttachTokenLayer,
}

impl AttachTokenLayer {
    /// Attaches the token of `tokens` as `Authorization: Bearer ..` to requests that go to
    /// `destinations`, and refuses to send others.
    ///
    /// `tokens` is [`Tokens`], which several layers can share, or a source of them.
    ///
    /// # Errors
    ///
    /// Where there is no destination.
    pub fn new(tokens: impl Into<Tokens>, destinations: Destinations) -> Result<Self, ConfigError> {
        if destinations.is_nowhere() {
            return Err(ConfigError::NoDestination);
        }
        Ok(Self {
            tokens: tokens.into(),
            destinations: Arc::new(destinations),
            header: AUTHORIZATION,
            pick: AttachableToken::bearer,
            elsewhere_bare: false,
        })
    }

    /// Attaches the token alone, without a scheme, as the header `name`.
    #[must_use]
    pub fn in_header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self.pick = AttachableToken::plain;
        self
    }

    /// Attaches the token as `X-Service-Token`, where zt's own
    /// [service tokens](zt_core::service_token) stand.
    #[must_use]
    pub fn as_service_token(self) -> Self {
        self.in_header(HeaderName::from_static("x-service-token"))
    }

    /// Requests that go elsewhere, or over plain http, are sent as they are, without the token.
    /// For clients that call others too.
    #[must_use]
    pub const fn bare_elsewhere(mut self) -> Self {
        self.elsewhere_bare = true;
        self
    }

    /// Whether to attach a token to the request.
    fn examine<B, E>(&self, request: &Request<B>) -> Result<Verdict, AttachError<E>> {
        let headers = request.headers();
        match self.destinations.judge(request.uri(), headers) {
            // RFC 9110 section 9.3.8: nothing sensitive goes into a request that comes back.
            Ok(()) if request.method() == Method::TRACE => Err(AttachError::Trace),
            Ok(()) if headers.contains_key(&self.header) => Err(AttachError::AlreadyThere),
            Ok(()) => Ok(Verdict::Attach),
            Err(DestinationError::Elsewhere | DestinationError::PlainHttp)
                if self.elsewhere_bare =>
            {
                Ok(Verdict::Bare)
            }
            Err(error) => Err(AttachError::Destination(error)),
        }
    }

    pub(super) fn attach<E>(
        &self,
        headers: &mut HeaderMap,
        value: HeaderValue,
    ) -> Result<(), AttachError<E>> {
        match headers.try_insert(self.header.clone(), value) {
            Ok(_) => Ok(()),
            Err(_) => Err(AttachError::NoRoom),
        }
    }
}

#[derive(Debug)]
enum Verdict {
    Attach,
    Bare,
}

impl<S> Layer<S> for AttachTokenLayer {
    type Service = AttachToken<S>;

    fn layer(&self, inner: S) -> AttachToken<S> {
        AttachToken {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for AttachToken<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<R>;
    type Error = AttachError<S::Error>;
    type Future = AttachFuture<S, B>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task).map_err(AttachError::Inner)
    }

    fn call(&mut self, mut request: Request<B>) -> AttachFuture<S, B> {
        match self.layer.examine(&request) {
            Ok(Verdict::Attach) => {}
            Ok(Verdict::Bare) => return AttachFuture::sent(self.inner.call(request), None),
            Err(error) => return AttachFuture::refused(error),
        }
        match self.layer.tokens.0.current(self.layer.pick) {
            Ok(Picked { value, edition }) => {
                if let Err(error) = self.layer.attach(request.headers_mut(), value) {
                    return AttachFuture::refused(error);
                }
                let used = (Arc::clone(&self.layer.tokens.0), edition);
                AttachFuture::sent(self.inner.call(request), Some(used))
            }
            Err(NotNow::Clock(error)) => {
                AttachFuture::refused(AttachError::Unavailable(error.into()))
            }
            Err(NotNow::Absent) => {
                // The one that was asked whether it is ready is the one that is called later.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                AttachFuture::waiting(self.layer.clone(), ready, request)
            }
        }
    }
}
