//! What happens to each request.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;
use zt_core::{
    context::{PeerAddr, RequestId},
    decision::{Code, Denial},
    problem::{Asked, Render},
};

use super::{
    registry::{Ending, Entry, Running},
    server::Server,
    stall,
};
use crate::peer::asking_for_another_connection;

/// The application, as hyper calls it for one connection.
pub(super) struct Requests<A> {
    pub(super) server: Arc<Server>,
    pub(super) entry: Arc<Entry>,
    pub(super) app: A,
}

/// Makes the request one of this connection, or refuses it.
pub(super) fn admit(server: &Server, entry: &Entry, parts: &mut Parts) -> Result<(), Denial> {
    match entry.ending() {
        Some(Ending::Expired) => return Err(Code::CredentialExpired.into()),
        Some(Ending::Revoked) => return Err(Code::CredentialRevoked.into()),
        Some(Ending::Idle | Ending::Shutdown) | None => {}
    }
    let now = server.clock.now().map_err(|_| Code::ClockUnavailable)?;
    if entry.until() <= now {
        entry.end(Ending::Expired);
        return Err(Code::CredentialExpired.into());
    }
    if let Some(sni) = &entry.sni
        && !server.any_host
        && !asks_for(parts, sni)
    {
        return Err(Code::Misdirected.into());
    }
    parts.extensions.insert(PeerAddr(entry.address));
    parts.extensions.insert(Arc::clone(&entry.identity));
    #[cfg(feature = "axum")]
    parts
        .extensions
        .insert(axum::extract::ConnectInfo(entry.address));
    // Whom a proxy speaks for takes its place.
    server
        .forwarded
        .settle(&mut parts.headers, &mut parts.extensions)
}

/// Whether a request is for this host, and for no other: in its target (RFC 9112 section 3.2.2,
/// RFC 9113 section 8.3.1), and in each `Host`.
pub(super) fn asks_for(parts: &Parts, sni: &str) -> bool {
    let is = |host: &[u8]| {
        let host = host.strip_suffix(b".").unwrap_or(host);
        host.eq_ignore_ascii_case(sni.as_bytes())
    };
    let target = parts
        .uri
        .authority()
        .map(|target| is(target.host().as_bytes()));
    let hosts = parts.headers.get_all(header::HOST);
    let mut hosts = hosts.iter().map(|value| is(host(value.as_bytes())));
    match target {
        Some(target) => target && hosts.all(|host| host),
        None => hosts.next() == Some(true) && hosts.all(|host| host),
    }
}

/// `Host` without its port (RFC 9110 section 7.2). It has no user, so one in it makes another host.
fn host(value: &[u8]) -> &[u8] {
    let port = value.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let before = value.len() - port.count();
    value
        .get(..before)
        .and_then(|before| before.strip_suffix(b":"))
        .unwrap_or(value)
}

pub(super) fn refuse(render: &dyn Render, parts: &Parts, denial: Denial) -> Response<Full<Bytes>> {
    let asked = Asked::new(RequestId::next(), is_grpc(&parts.headers));
    let denial = asking_for_another_connection(denial);
    let mut response = render.render(&denial, asked);
    // RFC 9110 section 9.3.2: HEAD has the header fields of GET and no content. hyper sends what it is
    // given over HTTP/2, and clients take that for a fault of the whole connection.
    if parts.method == Method::HEAD
        && let Some(length @ 1..) = response.body().size_hint().exact()
    {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = Full::default();
    }
    response.extensions_mut().insert(denial);
    response
}

/// `application/grpc` and its kin, and not grpc-web, which reads no answer without a body.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

impl<A, B> hyper::service::Service<Request<Incoming>> for Requests<A>
where
    A: Service<Request<Incoming>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<AnswerBody<B>>;
    type Error = A::Error;
    type Future = Answer<A, Incoming>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let running = Running::new(&self.entry);
        let state = match admit(&self.server, &self.entry, &mut parts) {
            Ok(()) => State::Waits {
                app: self.app.clone(),
                request: Some(Request::from_parts(parts, body)),
            },
            Err(denial) => State::Refused {
                response: Some(refuse(&*self.server.render, &parts, denial)),
            },
        };
        Answer {
            state,
            running: Some(running),
        }
    }
}

pin_project! {
    /// The answer to come.
    pub struct Answer<A: Service<Request<R>>, R> {
        #[pin]
        state: State<A, A::Future, R>,
        running: Option<Running>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<A, F, R> {
        Refused { response: Option<Response<Full<Bytes>>> },
        Waits { app: A, request: Option<Request<R>> },
        Runs { #[pin] future: F },
    }
}

impl<A, B, R> Answer<A, R>
where
    A: Service<Request<R>, Response = Response<B>>,
{
    #[cfg(feature = "axum")]
    pub(super) const fn runs(future: A::Future, running: Running) -> Self {
        Self {
            state: State::Runs { future },
            running: Some(running),
        }
    }

    #[cfg(feature = "axum")]
    pub(super) const fn refused(response: Response<Full<Bytes>>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
            running: None,
        }
    }
}

impl<A, B, R> Future for Answer<A, R>
where
    A: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<AnswerBody<B>>, A::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let called = match this.state.as_mut().project() {
                StateProj::Refused { response } => match response.take() {
                    Some(response) => {
                        return Poll::Ready(Ok(response.map(|body| AnswerBody::Refused { body })));
                    }
                    None => return Poll::Pending,
                },
                StateProj::Waits { app, request } => {
                    ready!(app.poll_ready(cx))?;
                    match request.take() {
                        Some(request) => app.call(request),
                        None => return Poll::Pending,
                    }
                }
                StateProj::Runs { future } => {
                    let response = ready!(future.poll(cx))?;
                    let running = this.running.take();
                    return Poll::Ready(Ok(response.map(|body| AnswerBody::App {
                        body,
                        running,
                        left: Bytes::new(),
                    })));
                }
            };
            this.state.set(State::Runs { future: called });
        }
    }
}

pin_project! {
    /// The body of an answer: the application's, or that of a refusal.
    #[project = AnswerBodyProj]
    #[derive(Debug)]
    #[expect(missing_docs, reason = "made here, and nobody looks inside")]
    pub enum AnswerBody<B> {
        App { #[pin] body: B, running: Option<Running>, left: Bytes },
        Refused { #[pin] body: Full<Bytes> },
    }
}

impl<B: Body<Data = Bytes>> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            AnswerBodyProj::App { body, left, .. } => stall::poll_piece(body, left, cx),
            AnswerBodyProj::Refused { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::App { body, left, .. } => left.is_empty() && body.is_end_stream(),
            Self::Refused { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App { body, left, .. } => stall::size_hint(body, left),
            Self::Refused { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

    use super::asks_for;

    const SNI: &str = "orders.internal";

    fn asks(target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        asks_for(&request.body(()).unwrap().into_parts().0, SNI)
    }

    #[test]
    fn the_host_of_the_handshake_may_be_asked_for_in_each_of_its_forms() {
        for host in [
            SNI,
            "Orders.INTERNAL",
            "orders.internal.",
            "orders.internal:8443",
            "orders.internal.:8443",
            "orders.internal:",
        ] {
            assert!(asks("/", &[host]), "{host}");
            assert!(asks("https://orders.internal:8443/", &[host]), "{host}");
        }
        assert!(asks("https://orders.internal/", &[]));
    }

    #[test]
    fn any_other_host_is_another() {
        for host in [
            "",
            ":443",
            "ledger.internal",
            "orders.internal.evil.example",
            "evil.orders.internal",
            "orders.internal..",
            "orders.internal:8443:1",
            "orders.internal:x",
            "user@orders.internal",
            "orders.internal:443@ledger.internal",
            "orders.internal, ledger.internal",
            "[::1]:443",
        ] {
            assert!(!asks("/", &[host]), "{host}");
            assert!(!asks("https://orders.internal/", &[host]), "{host}");
            assert!(!asks("/", &[SNI, host]), "{host}");
        }
        assert!(!asks("/", &[]));
        assert!(!asks("https://ledger.internal/", &[SNI]));
    }
}
