//! How zt-jwt asks others over HTTP: through any tower service, with bounds on everything.

use std::{error::Error as StdError, fmt, future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;
use zt_core::clock::Clock;

/// A boxed error of somebody else's.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An HTTP client: any tower service over `http` types.
///
/// The service must not follow redirects; where one arrives, zt-jwt refuses it, and a service that
/// follows them by itself takes that decision away.
#[derive(Clone)]
pub struct HttpService(Arc<dyn Exchange>);

type Sent = BoxFuture<'static, Result<Response<BoxBody>, BoxError>>;
type BoxBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// A named type, since bounds on a boxed error do not hold for every lifetime.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BodyError(BoxError);

trait Exchange: Send + Sync + 'static {
    fn send(&self, request: Request<Full<Bytes>>) -> Sent;
}

impl HttpService {
    /// Sends through `service`; each request through a clone of it that was asked whether it is
    /// ready.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Erased(service)))
    }

    /// Sends `request`, and reads an answer of at most `limit` bytes before `deadline` has passed.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        deadline: Duration,
        clock: &dyn Clock,
    ) -> Result<Answer, HttpError> {
        let answer = async {
            let response = self.0.send(request).await.map_err(HttpError::Transport)?;
            let (head, body) = response.into_parts();
            if head.status.is_redirection() {
                return Err(HttpError::Redirect(head.status));
            }
            let body = Limited::new(body, limit)
                .collect()
                .await
                .map_err(
                    |error| match error.downcast::<http_body_util::LengthLimitError>() {
                        Ok(_) => HttpError::TooLarge(limit),
                        Err(error) => HttpError::Transport(error),
                    },
                )?
                .to_bytes();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        match select(pin!(answer), clock.sleep(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(HttpError::TooSlow(deadline)),
        }
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpService(..)")
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The service failed.
    #[error("{0}")]
    Transport(BoxError),
    /// The answer sends elsewhere, which is not followed.
    #[error("the answer is a redirect ({0})")]
    Redirect(StatusCode),
    /// The answer is another one than was hoped for.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer is larger than this many bytes.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer was not there in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The answer is there and makes no sense.
    #[error("the answer cannot be used: {0}")]
    Unusable(Box<str>),
}

/// An address that zt-jwt may ask: https, or plain http on this machine.
///
/// # Errors
///
/// Where it is neither, has no host, or holds a password.
pub(crate) fn endpoint(url: &str, plain_is_fine: bool) -> Result<Uri, EndpointError> {
    let error = || EndpointError(url.into());
    let uri: Uri = url.parse().map_err(|_| error())?;
    let authority = uri.authority().ok_or_else(error)?;
    let local = matches!(
        uri.host(),
        Some("localhost" | "127.0.0.1" | "[::1]" | "::1")
    );
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => local || plain_is_fine,
        _ => false,
    };
    if !secure || authority.as_str().contains('@') {
        return Err(error());
    }
    Ok(uri)
}

/// Not an address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an https address without credentials")]
pub struct EndpointError(pub(crate) Box<str>);

struct Erased<S>(S);

impl<S, B> Exchange for Erased<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Full<Bytes>>) -> Sent {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|task| service.poll_ready(task))
                .await
                .map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            Ok(response.map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync()))
        })
    }
}

#[cfg(feature = "hyper-client")]
impl HttpService {
    /// A client of hyper and rustls (aws-lc-rs), with the system's certificate authorities.
    ///
    /// # Errors
    ///
    /// Where the system has none, or the versions of TLS are not to be had.
    pub fn hyper() -> Result<Self, BoxError> {
        use hyper_util::{client::legacy::Client, rt::TokioExecutor};

        // The provider is given: the process's default may not be set, or be somebody else's.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        Ok(Self::new(
            Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector),
        ))
    }
}
