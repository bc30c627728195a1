use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use zt_core::{
    context::RequestId,
    decision::Denial,
    problem::{Asked, ProblemJson, Render},
};

use super::{Forwarded, ForwardedBody};
use crate::peer::asking_for_another_connection;

/// Takes the headers that forward certificates off every request, and believes them from proxies on
/// a list alone; see the [module](super).
///
/// It stands outside the stack, and right inside the server.
#[derive(Clone)]
pub struct ForwardedPeerLayer(Arc<Settings>);

struct Settings {
    forwarded: Forwarded,
    render: Arc<dyn Render>,
}

/// The service that [`ForwardedPeerLayer`] makes of `S`.
#[derive(Clone)]
pub struct ForwardedPeer<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl ForwardedPeerLayer {
    /// Believes whom `forwarded` says.
    #[must_use]
    pub fn new(forwarded: Forwarded) -> Self {
        Self::rendering(forwarded, ProblemJson::default())
    }

    /// The same, with refusals rendered by `render`.
    #[must_use]
    pub fn rendering(forwarded: Forwarded, render: impl Render) -> Self {
        Self(Arc::new(Settings {
            forwarded,
            render: Arc::new(render),
        }))
    }
}

impl<S> Layer<S> for ForwardedPeerLayer {
    type Service = ForwardedPeer<S>;

    fn layer(&self, inner: S) -> ForwardedPeer<S> {
        ForwardedPeer {
            inner,
            settings: Arc::clone(&self.0),
        }
    }
}

impl<S, R, B> Service<Request<R>> for ForwardedPeer<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<ForwardedBody<B>>;
    type Error = S::Error;
    type Future = ForwardedPeerFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let forwarded = &self.settings.forwarded;
        let kind = match forwarded.settle(&mut parts.headers, &mut parts.extensions) {
            Ok(()) => Kind::Inner {
                future: self.inner.call(Request::from_parts(parts, body)),
            },
            Err(denial) => {
                let denial = asking_for_another_connection(denial);
                let answer = self.settings.refuse(&denial, &parts);
                Kind::Refused {
                    answer: Some(answer),
                }
            }
        };
        ForwardedPeerFuture { kind }
    }
}

impl Settings {
    fn refuse(&self, denial: &Denial, request: &request::Parts) -> Response<Bytes> {
        let id = RequestId::next();
        tracing::warn!(
            request_id = %id,
            code = denial.code().as_str(),
            detail = denial.private_detail(),
            "a forwarded certificate was refused"
        );
        let asked = Asked::new(id, is_grpc(&request.headers));
        let (mut parts, body) = self.render.render(denial, asked).into_parts();
        let mut bytes = whole(body);
        // RFC 9110 section 9.3.2: HEAD has the header fields of GET and no content.
        if request.method == Method::HEAD && !bytes.is_empty() {
            let length = HeaderValue::from(bytes.len());
            parts.headers.insert(header::CONTENT_LENGTH, length);
            bytes = Bytes::new();
        }
        parts.extensions.insert(denial.clone());
        Response::from_parts(parts, bytes)
    }
}

/// What a body holds that is in memory as a whole.
fn whole(mut body: impl Body<Data = Bytes> + Unpin) -> Bytes {
    let mut task = Context::from_waker(std::task::Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut task) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

pin_project_lite::pin_project! {
    /// The answer of [`ForwardedPeer`].
    pub struct ForwardedPeerFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Inner { #[pin] future: F },
        Refused { answer: Option<Response<Bytes>> },
    }
}

impl<F, B, E> Future for ForwardedPeerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ForwardedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Inner { future } => {
                let answer = ready!(future.poll(task))?;
                Poll::Ready(Ok(answer.map(ForwardedBody::inner)))
            }
            KindProj::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer.map(ForwardedBody::refusal))),
                // Polled again after it was done.
                None => Poll::Pending,
            },
        }
    }
}

impl fmt::Debug for ForwardedPeerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardedPeerLayer")
            .field(&self.0.forwarded)
            .finish()
    }
}

impl<S> fmt::Debug for ForwardedPeer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardedPeer")
            .field(&self.settings.forwarded)
            .finish()
    }
}

impl<F> fmt::Debug for ForwardedPeerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForwardedPeerFuture")
    }
}
