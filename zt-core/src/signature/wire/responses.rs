//! Responses: written by hand, read by hyper's client, to a request that it sent.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request, response};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::{PATIENCE, Sent, Transport, http1, http2};
use crate::signature::base::{Fields, Message, RequestMessage, ResponseMessage};

/// A request as it was sent, and its answer as hyper's client handed it out.
pub(super) struct Answered {
    pub(super) sent: request::Parts,
    pub(super) parts: response::Parts,
    pub(super) body: Collected<Bytes>,
}

pub(super) async fn collected(sent: request::Parts, response: Response<Incoming>) -> Answered {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    Answered { sent, parts, body }
}

/// Both, as a message to verify.
pub(super) fn message<'a>(
    sent: &'a request::Parts,
    parts: &'a response::Parts,
    request: &'a Sent,
) -> Message<'a> {
    let asked = RequestMessage {
        method: &sent.method,
        uri: &sent.uri,
        version: sent.version,
        scheme: request.url_scheme(),
        authority: request.line("host").unwrap(),
        fields: Fields::new(&sent.headers),
    };
    Message::Response(ResponseMessage {
        status: parts.status,
        fields: Fields::new(&parts.headers),
        request: Some(asked),
    })
}

/// Sends `request` with hyper to a server that answers `response`; what `verify` makes of it.
pub(super) async fn ask<V: Future>(
    transport: Transport,
    request: &Sent,
    response: &Sent,
    verify: impl FnOnce(request::Parts, Response<Incoming>) -> V,
) -> hyper::Result<V::Output> {
    if transport == Transport::Http2 {
        let lines = http2::translated(response);
        return ask_lines(request, &lines, response, verify).await;
    }
    let client = hyper::client::conn::http1::Builder::new();
    ask_with(&client, request, response, verify).await
}

/// As [`ask`] with HTTP/1.1 and a client of one's own.
pub(super) async fn ask_with<V: Future>(
    client: &hyper::client::conn::http1::Builder,
    request: &Sent,
    response: &Sent,
    verify: impl FnOnce(request::Parts, Response<Incoming>) -> V,
) -> hyper::Result<V::Output> {
    let (listener, stream) = connected().await;
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let head = http1::answer(stream, response).await;
        let line = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        assert!(head.starts_with(&line), "{head}");
    };
    let client = async {
        let (mut sender, connection) = client.handshake(stream).await?;
        let connection = tokio::spawn(connection);
        let (parts, body) = asked(Transport::Http1, request).into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let response = sender.send_request(request).await?;
        let verified = verify(parts, response).await;
        drop((sender, connection));
        Ok(verified)
    };
    both(server, client).await
}

/// As [`ask`] with HTTP/2, where the answer's fields are `lines`.
pub(super) async fn ask_lines<V: Future>(
    request: &Sent,
    lines: &[(String, Vec<u8>)],
    response: &Sent,
    verify: impl FnOnce(request::Parts, Response<Incoming>) -> V,
) -> hyper::Result<V::Output> {
    let (listener, stream) = connected().await;
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let body = http2::answer(stream, lines, response).await;
        assert_eq!(body, request.body());
    };
    let client = async {
        let executor = TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, stream).await?;
        let connection = tokio::spawn(connection);
        let (parts, body) = asked(Transport::Http2, request).into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let verified = match sender.send_request(request).await {
            Ok(response) => Ok(verify(parts, response).await),
            Err(error) => Err(error),
        };
        drop((sender, connection));
        verified
    };
    both(server, client).await
}

async fn both<T>(server: impl Future, client: impl Future<Output = T>) -> T {
    let both = async { tokio::join!(server, client).1 };
    tokio::time::timeout(PATIENCE, both).await.unwrap()
}

async fn connected() -> (TcpListener, TokioIo<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    (listener, TokioIo::new(stream))
}

/// The request for hyper: the target as it is, or the whole URL.
fn asked(transport: Transport, sent: &Sent) -> Request<Full<Bytes>> {
    let host = sent.line("host").unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        if transport == Transport::Http1 || !name.eq_ignore_ascii_case("host") {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.as_slice().try_into().unwrap());
        }
    }
    let uri = match transport {
        Transport::Http1 => sent.target.clone(),
        Transport::Http2 => format!("{}://{host}{}", sent.scheme, sent.target),
    };
    let request = Request::builder().method(sent.method.as_str()).uri(uri);
    let mut request = request.body(Full::from(sent.body())).unwrap();
    *request.headers_mut() = headers;
    request
}
