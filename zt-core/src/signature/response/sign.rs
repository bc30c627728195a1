use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response,
};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{SignResponseFuture, asked::Asked, required::OF_THE_REQUEST};
use crate::{
    body::{BoxError, CollectLimits, CollectedBody},
    digest::CONTENT_DIGEST,
    signature::{
        base::{Component, Fields, Message, ResponseMessage, UrlScheme},
        key::SigningKey,
        sign::{
            BodyError, CannotSign, Maker, NamedKey, SignConfigError, SigningKeys, is_authority,
            signer_settings,
        },
    },
};

/// Signs the responses of a server; see the [module](super). Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignResponseLayer(pub(super) Arc<SignSettings>);

/// The service that [`SignResponseLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct SignResponse<S> {
    inner: S,
    layer: SignResponseLayer,
}

#[derive(Debug, Clone)]
pub(super) struct SignSettings {
    pub(super) maker: Maker,
    scheme: UrlScheme,
    authority: Option<Box<str>>,
    request_label: Option<Box<str>>,
    pub(super) limits: CollectLimits,
}

signer_settings!(SignResponseLayer);

impl SignResponseLayer {
    /// Signs with `key`, which callers know as `keyid`. Not with a key that signs requests.
    ///
    /// # Errors
    ///
    /// Where `keyid` is empty or has other than visible ASCII and spaces.
    pub fn new(key: SigningKey, keyid: &str) -> Result<Self, SignConfigError> {
        Ok(Self::with_keys(Arc::new(NamedKey::new(key, keyid)?)))
    }

    /// Signs with the key that `keys` say at the time.
    pub fn with_keys(keys: impl SigningKeys) -> Self {
        let mut maker = Maker::new(Arc::new(keys));
        // The request's nonce is in the signature that the response is bound to.
        maker.nonce = false;
        Self(Arc::new(SignSettings {
            maker,
            scheme: UrlScheme::Https,
            authority: None,
            request_label: None,
            limits: CollectLimits {
                bytes: 1024 * 1024,
                deadline: Duration::from_secs(30),
            },
        }))
    }

    /// Adds a nonce, for callers that remember which responses they saw.
    #[must_use]
    pub fn with_nonce(mut self) -> Self {
        self.settings().maker.nonce = true;
        self
    }

    /// Also covers `component`, of the response or (`;req`) of the request. Where either does not
    /// have it, the answer is an unsigned 500.
    ///
    /// # Errors
    ///
    /// Where it is covered already, or is a field that the signature changes.
    pub fn cover(mut self, component: Component) -> Result<Self, SignConfigError> {
        self.settings().maker.cover(component, None, &always())?;
        Ok(self)
    }

    /// Also covers the field `name` of responses that have it, such as `location`.
    ///
    /// # Errors
    ///
    /// As [`cover`](Self::cover).
    pub fn also_if_present(mut self, name: HeaderName) -> Result<Self, SignConfigError> {
        let component = Component::field(name.as_str())
            .map_err(|_| SignConfigError::Component(name.as_str().into()))?;
        let settings = self.settings();
        settings.maker.cover(component, Some(name), &always())?;
        Ok(self)
    }

    /// Binds responses to the request's signature with this label, where there are several; to the
    /// first otherwise.
    #[must_use]
    pub fn request_label(mut self, label: &str) -> Self {
        self.settings().request_label = Some(label.into());
        self
    }

    /// The scheme of the URLs that callers use, https otherwise.
    #[must_use]
    pub fn scheme(mut self, scheme: UrlScheme) -> Self {
        self.settings().scheme = scheme;
        self
    }

    /// The host, and the port where it is not the scheme's own, of the URLs that callers use, where
    /// a proxy changes them; otherwise what the request says.
    ///
    /// # Errors
    ///
    /// Where it is neither `host` nor `host:port`.
    pub fn authority(mut self, authority: &str) -> Result<Self, SignConfigError> {
        if !is_authority(authority) {
            return Err(SignConfigError::Authority(authority.into()));
        }
        self.settings().authority = Some(authority.into());
        Ok(self)
    }

    fn settings(&mut self) -> &mut SignSettings {
        Arc::make_mut(&mut self.0)
    }
}

impl SignSettings {
    /// The response to `asked`, signed; `content` is what its body has.
    pub(super) fn finish(
        &self,
        asked: &Asked,
        mut parts: response::Parts,
        content: Result<Bytes, BodyError>,
    ) -> Response<CollectedBody> {
        let signed = content
            .map_err(CannotSign::Body)
            .and_then(|content| self.sign(asked, &mut parts, &content).map(|()| content));
        match signed {
            Ok(content) => Response::from_parts(parts, CollectedBody::new(content, None)),
            Err(why) => {
                tracing::error!(error = %why, "a response could not be signed");
                unsigned(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }

    fn sign(
        &self,
        asked: &Asked,
        parts: &mut response::Parts,
        content: &Bytes,
    ) -> Result<(), CannotSign> {
        let maker = &self.maker;
        maker.check_room(&parts.headers)?;
        maker.digest(&mut parts.headers, Some(content))?;
        let mut covered = vec![Component::STATUS, Component::CONTENT_DIGEST];
        if parts.headers.contains_key(CONTENT_TYPE) {
            covered.push(Component::field(CONTENT_TYPE.as_str())?);
        }
        covered.extend(OF_THE_REQUEST.iter().cloned());
        covered.extend(asked.signature().cloned());
        covered.extend(maker.further(&parts.headers));
        let message = Message::Response(ResponseMessage {
            status: parts.status,
            fields: Fields::new(&parts.headers),
            request: Some(asked.message()),
        });
        maker.make(covered, &message)?.attach(&mut parts.headers)
    }
}

/// What is covered anyway, or where it is there.
fn always() -> Vec<Component> {
    let mut all = vec![Component::STATUS];
    all.extend(Component::field(CONTENT_TYPE.as_str()));
    all.extend(OF_THE_REQUEST.iter().cloned());
    all
}

/// Whether the response has no content, whatever its body says (RFC 9110 section 6.4.1).
pub(super) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD
        || (method == Method::CONNECT && status.is_success())
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Makes the head that of a response without content. The server would have left out the body, so
/// it is left out here, where the digest is made.
pub(super) fn without_content(parts: &mut response::Parts, body: &impl Body) {
    // RFC 9530 appendix B.2: the digest of an answer to HEAD is that of no content. One that a
    // handler wrote is about the answer to GET.
    parts.headers.remove(CONTENT_DIGEST);
    // RFC 9110 section 8.6: an answer to HEAD may say how long the one to GET would be; the server
    // would have counted the body that it does not see any more.
    if let Some(length) = body.size_hint().exact()
        && length > 0
        && !parts.status.is_informational()
        && parts.status != StatusCode::NO_CONTENT
        && !parts.headers.contains_key(CONTENT_LENGTH)
    {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
}

/// An answer in place of one that cannot be signed, with nothing of it.
pub(super) fn unsigned(status: StatusCode, why: CannotSign) -> Response<CollectedBody> {
    let detail = if status.is_server_error() {
        "the answer could not be signed"
    } else {
        "the request does not say clearly where it goes"
    };
    let problem = format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{detail}"}}"#,
        status.canonical_reason().unwrap_or("Refused"),
        status.as_u16(),
    );
    let mut response = Response::new(CollectedBody::new(problem.into(), None));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response.extensions_mut().insert(why);
    response
}

impl<S> Layer<S> for SignResponseLayer {
    type Service = SignResponse<S>;

    fn layer(&self, inner: S) -> SignResponse<S> {
        SignResponse {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for SignResponse<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<CollectedBody>;
    type Error = S::Error;
    type Future = SignResponseFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = &self.layer.0;
        let asked = Asked::received(
            request.method(),
            request.uri(),
            request.headers(),
            (settings.scheme, settings.authority.as_deref()),
            settings.request_label.as_deref(),
        );
        match asked {
            Ok(asked) => {
                let held = Box::new((Arc::clone(settings), asked));
                SignResponseFuture::answering(self.inner.call(request), held)
            }
            // Its answer could not be bound to it, so nothing is done that would have to be told.
            Err(why) => SignResponseFuture::refused(unsigned(StatusCode::BAD_REQUEST, why.into())),
        }
    }
}
