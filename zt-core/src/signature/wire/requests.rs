//! Requests: written by hand, read by hyper's server, verified by the layer.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower_layer::Layer;

use super::{
    BaseError, Code, FieldTypes, LIMITS, PATIENCE, Sent, Transport, UrlScheme,
    VerifySignatureLayer, http1, http2,
};
use crate::{
    body::RequestBody,
    clock::ManualClock,
    context::SecurityContext,
    decision::Denial,
    gate::{OpenContextLayer, Settings},
    signature::base::{Fields, Message, RequestMessage, Scratch, Signatures},
};

/// What the layer did with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handler was called: whose request it was, and the body that it read.
    Passed(String, Vec<u8>),
    Denied(Code, String),
}

impl Outcome {
    #[track_caller]
    pub(super) fn is(&self, code: Code, detail: &str, id: &str) {
        match self {
            Self::Denied(found, text) if *found == code && text.ends_with(detail) => {}
            other => panic!("{id}: {other:?} instead of {code}: {detail}"),
        }
    }

    #[track_caller]
    pub(super) fn invalid(&self, detail: impl ToString, id: &str) {
        self.is(Code::SignatureInvalid, &detail.to_string(), id);
    }

    #[track_caller]
    pub(super) fn passed(&self, who: &str, id: &str) {
        match self {
            Self::Passed(found, _) if found == who => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

/// How a server answers that does not ask its service, and that it was asked otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// HTTP/1.1.
    Status(u16),
    /// HTTP/2: an answer, whatever it is.
    Answered,
    /// HTTP/2: the stream, with this error code (RFC 9113 section 7).
    Reset(u32),
    /// HTTP/2: the connection, with this error code.
    GoAway(u32),
    Closed,
}

/// A request as hyper's server handed it to its service, and what the layer did with it.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) outcome: Outcome,
}

impl Arrived {
    pub(super) fn message(&self, scheme: UrlScheme) -> Message<'_> {
        let host = self.headers.get(HOST).map(|host| host.to_str().unwrap());
        let target = self.uri.authority().map(|authority| authority.as_str());
        Message::Request(RequestMessage {
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            scheme,
            authority: target.or(host).unwrap_or_default(),
            fields: Fields::new(&self.headers),
        })
    }

    pub(super) fn component(
        &self,
        component: &str,
        types: &FieldTypes,
        scheme: UrlScheme,
    ) -> Result<String, BaseError> {
        self.message(scheme).component(&component.parse()?, types)
    }

    /// The base of the signature `label`, and the signature.
    pub(super) fn base(&self, label: &str, scheme: UrlScheme) -> Result<Based, BaseError> {
        base(&self.headers, label, &self.message(scheme))
    }
}

/// A signature base and the signature over it.
pub(super) type Based = (String, Vec<u8>);

pub(super) fn base(
    headers: &HeaderMap,
    label: &str,
    message: &Message<'_>,
) -> Result<Based, BaseError> {
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(headers), &LIMITS, &mut scratch);
    let signatures = signatures.unwrap().unwrap();
    let mut candidates = signatures.candidates();
    let candidate = candidates.find(|one| one.label() == label).unwrap();
    let mut base = Vec::new();
    candidate.write_base(message, &FieldTypes::default(), &mut base)?;
    let base = String::from_utf8(base).unwrap();
    Ok((base, candidate.signature().to_vec()))
}

/// Sends the request to a server behind `layer`, at the time of `clock`.
pub(super) async fn deliver(
    transport: Transport,
    sent: &Sent,
    layer: VerifySignatureLayer,
    clock: ManualClock,
) -> Result<Arrived, Refused> {
    match transport {
        Transport::Http1 => {
            let asked = |stream| http1::ask(stream, sent);
            exchange(transport, asked, layer, clock).await
        }
        Transport::Http2 => {
            let lines = http2::translated(sent);
            deliver_lines(&lines, &sent.pieces, layer, clock).await
        }
    }
}

/// Sends fields as they are, with HTTP/2.
pub(super) async fn deliver_lines(
    lines: &[(String, Vec<u8>)],
    pieces: &[Vec<u8>],
    layer: VerifySignatureLayer,
    clock: ManualClock,
) -> Result<Arrived, Refused> {
    let asked = |stream| http2::ask(stream, lines, pieces);
    exchange(Transport::Http2, asked, layer, clock).await
}

/// One connection, and one request on it.
async fn exchange<A: Future<Output = Refused>>(
    transport: Transport,
    ask: impl FnOnce(TcpStream) -> A,
    layer: VerifySignatureLayer,
    clock: ManualClock,
) -> Result<Arrived, Refused> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived: Arc<Mutex<Option<Arrived>>> = Arc::default();
    let noted = Arc::clone(&arrived);
    let server = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |request| {
            let (layer, clock) = (layer.clone(), clock.clone());
            let noted = Arc::clone(&noted);
            async move {
                let (arrived, response) = serve(request, layer, clock).await;
                let earlier = noted.lock().unwrap().replace(arrived);
                assert!(earlier.is_none(), "one request");
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        // Whether it ends well is seen at the other end.
        let _ = match transport {
            Transport::Http1 => {
                let server = hyper::server::conn::http1::Builder::new();
                server.serve_connection(stream, service).await
            }
            Transport::Http2 => {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.serve_connection(stream, service).await
            }
        };
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        ask(stream).await
    };
    let both = async { tokio::join!(server, client).1 };
    let answer = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let arrived = arrived.lock().unwrap().take();
    arrived.ok_or(answer)
}

/// Who asked, and the body.
type Read = (String, Vec<u8>);

/// What the server's service does.
async fn serve(
    request: Request<Incoming>,
    layer: VerifySignatureLayer,
    clock: ManualClock,
) -> (Arrived, Response<Full<Bytes>>) {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (version, headers) = (request.version(), request.headers().clone());
    let read: Arc<Mutex<Option<Read>>> = Arc::default();
    let reading = Arc::clone(&read);
    let handler = tower::service_fn(move |request: Request<RequestBody<Incoming>>| {
        let reading = Arc::clone(&reading);
        async move {
            let cx = request.extensions().get::<SecurityContext>().unwrap();
            let who = cx.principal().unwrap().subject().to_owned();
            if let Ok(body) = request.into_body().collect().await {
                *reading.lock().unwrap() = Some((who, body.to_bytes().to_vec()));
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    let settings = Settings::default().with_clock(clock);
    let service = OpenContextLayer::new(settings).layer(layer.layer(handler));
    let response = service.oneshot(request).await.unwrap();
    let denial = response.extensions().get::<Denial>().cloned();
    let outcome = match (denial, read.lock().unwrap().take()) {
        (Some(denial), None) => {
            let detail = denial.private_detail().unwrap_or_default();
            Outcome::Denied(denial.code(), detail.to_owned())
        }
        (None, Some((who, body))) => Outcome::Passed(who, body),
        both => panic!("{both:?}"),
    };
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let arrived = Arrived {
        method,
        uri,
        version,
        headers,
        outcome,
    };
    (arrived, Response::from_parts(parts, Full::new(body)))
}
