//! Over real connections, HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use axum::http::StatusCode;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Serves what says whether the request is signed with the key of the tests: 200, or 401.
pub(super) async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(|request: Request<Incoming>| async {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let host = parts.headers.get("host").map(|host| host.to_str().unwrap());
        let authority = parts.uri.authority().map(|authority| authority.as_str());
        let message = RequestMessage {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            scheme: UrlScheme::Http,
            authority: authority.or(host).unwrap(),
            fields: Fields::new(&parts.headers),
        };
        let mut response = Response::new(Full::new(body.clone()));
        if !holds(message, &parts.headers, &body, &key(1)) {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        let version = format!("{:?}", parts.version).parse().unwrap();
        response.headers_mut().insert("x-version", version);
        let covered = covered(&parts.headers, "sig1").join(" ").parse().unwrap();
        response.headers_mut().insert("x-covered", covered);
        Ok::<_, Infallible>(response)
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn both_versions_carry_one_signature() {
    let address = serve().await;
    let layer = layer().cover("\"@target-uri\"".parse().unwrap()).unwrap();
    let layer = layer.cover("\"@request-target\"".parse().unwrap()).unwrap();
    for (http2, version) in [(false, "HTTP/1.1"), (true, "HTTP/2.0")] {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let client = layer.layer(client);
        for (path, body) in [
            ("", ""),
            ("/pay?", "7 EUR"),
            ("/pay?order=7&order=8", "7 EUR"),
            ("/a%2Fb/%E2%82%AC;x=1?q=%20+", ""),
        ] {
            let request = Request::post(format!("http://{address}{path}"))
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let response = client.clone().oneshot(request).await.unwrap();
            assert_eq!(response.headers()["x-version"], version);
            assert_eq!(response.status(), 200, "{version} {path}");
            let covered = text(response.headers(), "x-covered");
            assert_eq!(covered.contains("content-digest"), !body.is_empty());
            let back = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(back, body);
        }
    }
}

#[tokio::test]
async fn one_connection_with_a_path_and_a_host() {
    let address = serve().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (mut parts, body) = Request::put("/pay?order=7")
        .header("host", "Payments.internal:80")
        .body(Full::new(Bytes::from("7 EUR")))
        .unwrap()
        .into_parts();
    layer()
        .relative_scheme(UrlScheme::Http)
        .sign(&mut parts, Some(&Bytes::from("7 EUR")))
        .unwrap();
    let request = Request::from_parts(parts, body);
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_server_of_these_tests_refuses_another_key() {
    let address = serve().await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let layer = SignRequestLayer::new(key(2), "orders-1").unwrap();
    let request = Request::get(format!("http://{address}/"))
        .body(Full::default())
        .unwrap();
    let response = layer.layer(client).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
}
