use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, request};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{NotVerified, ResponsePolicy, VerifyResponseError, VerifyResponseFuture, asked::Asked};
use crate::{
    body::{BoxError, CollectLimits, CollectedBody},
    clock::{Clock, SystemClock},
    signature::{
        base::{FieldTypes, UrlScheme},
        key::KeyResolver,
    },
};

/// Believes responses that are signed for the request that was sent; see the [module](super).
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct VerifyResponseLayer(Arc<VerifySettings>);

/// The service that [`VerifyResponseLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct VerifyResponse<S> {
    inner: S,
    layer: VerifyResponseLayer,
}

#[derive(Debug, Clone)]
pub(super) struct VerifySettings {
    pub(super) keys: Arc<dyn KeyResolver>,
    pub(super) policy: ResponsePolicy,
    pub(super) types: FieldTypes,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: CollectLimits,
    relative: UrlScheme,
}

impl VerifyResponseLayer {
    /// Verifies with those of `keys` that are for responses, and wants of a signature what `policy`
    /// says.
    pub fn new(keys: impl KeyResolver, policy: ResponsePolicy) -> Self {
        Self(Arc::new(VerifySettings {
            keys: Arc::new(keys),
            policy,
            types: FieldTypes::default(),
            clock: Arc::new(SystemClock),
            limits: CollectLimits {
                bytes: 1024 * 1024,
                deadline: Duration::from_secs(30),
            },
            relative: UrlScheme::Https,
        }))
    }

    /// How much of a body is read, and for how long; 1 MiB and 30 s otherwise.
    #[must_use]
    pub fn body_limits(mut self, limits: CollectLimits) -> Self {
        self.settings().limits = limits;
        self
    }

    /// The scheme of requests whose URI does not say one, https otherwise.
    #[must_use]
    pub fn relative_scheme(mut self, scheme: UrlScheme) -> Self {
        self.settings().relative = scheme;
        self
    }

    /// Which fields are structured, for `;sf` and `;key` of fields that no RFC defines.
    #[must_use]
    pub fn field_types(mut self, types: FieldTypes) -> Self {
        self.settings().types = types;
        self
    }

    /// Reads the time from `clock` instead of the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings().clock = Arc::new(clock);
        self
    }

    /// Verifies `response`, the answer to the request of `sent`, as the layer does, for clients
    /// that are no tower services. `sent` is the request as it was sent, with its signature.
    ///
    /// The response that comes back has a [`VerifiedResponse`](super::VerifiedResponse) in its
    /// extensions.
    ///
    /// # Errors
    ///
    /// Where it is not to be believed.
    pub async fn verify<R>(
        &self,
        sent: &request::Parts,
        response: Response<R>,
    ) -> Result<Response<CollectedBody>, NotVerified>
    where
        R: Body + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let asked = self.asked(sent)?;
        super::check::verify(Arc::clone(&self.0), asked, response).await
    }

    fn asked(&self, sent: &request::Parts) -> Result<Asked, crate::signature::sign::TargetError> {
        let label = self.0.policy.request_label.as_deref();
        Asked::sent(sent, self.0.relative, label)
    }

    fn settings(&mut self) -> &mut VerifySettings {
        Arc::make_mut(&mut self.0)
    }
}

impl<S> Layer<S> for VerifyResponseLayer {
    type Service = VerifyResponse<S>;

    fn layer(&self, inner: S) -> VerifyResponse<S> {
        VerifyResponse {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for VerifyResponse<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<CollectedBody>;
    type Error = VerifyResponseError<S::Error>;
    type Future = VerifyResponseFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(task)
            .map_err(VerifyResponseError::Inner)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match self.layer.asked(&parts) {
            Ok(asked) => {
                let held = Box::new((Arc::clone(&self.layer.0), asked));
                let answer = self.inner.call(Request::from_parts(parts, body));
                VerifyResponseFuture::asking(answer, held)
            }
            Err(why) => VerifyResponseFuture::not_sent(why),
        }
    }
}
