//! The same over real connections, through a whole stack.

use std::{net::SocketAddr, sync::atomic::Ordering};

use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    bodies::{ByBody, Counting},
    *,
};
use crate::{
    body::{BoxError, RequestBody},
    stack::ZeroTrust,
};

/// Gives back what it got; an error is answered with nothing.
async fn echo(request: Request<RequestBody<Incoming>>) -> Result<Answer, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new(body)))
}

/// Serves a stack whose policy wants `ok`; the handler gives back what it got.
async fn serve(clock: &Counting) -> SocketAddr {
    let zt = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .authorize(AuthorizeLayer::new(ByBody::default()))
        .public(Method::POST, "/open")
        .settings(Settings::default().with_clock(clock.clone()))
        .build()
        .unwrap();
    assert!(!zt.to_string().contains("ReadBod"), "it is one step: {zt}");
    let service = zt.layer(service_fn(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// Sends `request` and reads the answer until `end` stands in it, or the connection ends.
async fn talk(stream: &mut TcpStream, request: &str, end: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (String::new(), [0; 4096]);
    while !answer.contains(end) {
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            read => answer.push_str(std::str::from_utf8(&piece[..read]).unwrap()),
        }
    }
    answer
}

#[tokio::test]
async fn http1_bodies_decide_however_they_come() {
    let clock = Counting::default();
    let address = serve(&clock).await;
    let head = "POST /charge HTTP/1.1\r\nhost: shop.example\r\n";
    for (rest, status, end) in [
        ("content-length: 2\r\n\r\nok", "200 OK", "\r\n\r\nok"),
        (
            "content-length: 2\r\n\r\nno",
            "403 Forbidden",
            "policy-denied",
        ),
        ("\r\n", "403 Forbidden", "policy-denied"),
        (
            "transfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            "200 OK",
            "\r\n\r\nok",
        ),
        // Refused by its length alone, before a byte of it is there.
        (
            "content-length: 9\r\n\r\n",
            "413 Payload Too Large",
            "body-too-large",
        ),
        (
            "transfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n",
            "413 Payload Too Large",
            "body-too-large",
        ),
        (
            "transfer-encoding: chunked\r\n\r\nzz\r\n",
            "400 Bad Request",
            "request-malformed",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = talk(&mut stream, &format!("{head}{rest}"), end).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{rest}: {answer}"
        );
        assert!(answer.contains(end), "{rest}: {answer}");
    }
}

#[tokio::test]
async fn a_body_is_invited_only_once_it_is_wanted() {
    let clock = Counting::default();
    let address = serve(&clock).await;
    let expects = |path: &str, length: u32| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: shop.example\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let invited = talk(&mut stream, &expects("/charge", 2), "\r\n\r\n").await;
    assert!(invited.starts_with("HTTP/1.1 100 "), "{invited}");
    let answer = talk(&mut stream, "ok", "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // One that is too large is not (RFC 9110 section 10.1.1).
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = talk(&mut stream, &expects("/charge", 9), "body-too-large").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_slow_body_is_answered_at_its_deadline() {
    let clock = Counting::default();
    let address = serve(&clock).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "POST /charge HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 2\r\n\r\no";
    stream.write_all(request.as_bytes()).await.unwrap();
    while clock.1.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    clock.0.advance(bodies::LIMITS.deadline);
    let answer = talk(&mut stream, "", "request-timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

type Sent = UnsyncBoxBody<Bytes, BoxError>;

fn sent(pieces: &'static [&'static str], ends: bool) -> Sent {
    use futures_util::{StreamExt, stream};
    let pieces = stream::iter(pieces)
        .map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))));
    match ends {
        true => StreamBody::new(pieces).boxed_unsync(),
        false => StreamBody::new(pieces.chain(stream::pending())).boxed_unsync(),
    }
}

#[tokio::test]
async fn http2_bodies_and_grpc_streams_decide_too() {
    let clock = Counting::default();
    let address = serve(&clock).await;
    let client: Client<_, Sent> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let post = |grpc: bool, body: Sent| {
        let mut request = Request::post(format!("http://{address}/charge"));
        if grpc {
            request = request.header("content-type", "application/grpc");
        }
        client.request(request.body(body).unwrap())
    };
    let answer = post(false, sent(&["o", "k"], true)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "ok");
    for (pieces, status) in [(&["no"][..], 403), (&["1234", "56789"], 413)] {
        assert_eq!(
            post(false, sent(pieces, true)).await.unwrap().status(),
            status
        );
    }
    // A stream that goes on is refused by what it has sent, or by its deadline; in the terms of gRPC.
    let answer = post(true, sent(&["1234", "56789"], false)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &"8".parse().unwrap())
    );
    let before = clock.1.load(Ordering::SeqCst);
    let (answer, ()) = tokio::join!(post(true, sent(&["o"], false)), async {
        while clock.1.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        clock.0.advance(bodies::LIMITS.deadline);
    });
    assert_eq!(answer.unwrap().headers()["grpc-status"], "4");
}
