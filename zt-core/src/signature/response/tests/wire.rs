//! Both sides back to back, in one process and over real connections.

use std::net::SocketAddr;

use axum::{Json, Router, routing::get as on_get};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

use super::*;
use crate::signature::base::UrlScheme;

#[tokio::test]
async fn both_sides_in_one_process() {
    let clock = ManualClock::default();
    let service = service_fn(|request: Request<Body>| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Body::from(body)))
    });
    let server = signing(&clock).layer(service);
    let mut client = signing_requests(&clock).layer(verifying(&clock).layer(server));
    for _ in 0..2 {
        let request = Request::post(URI).body(Body::from("7 EUR")).unwrap();
        let response = client.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.body().bytes(), "7 EUR");
        assert!(response.extensions().get::<VerifiedResponse>().is_some());
    }
}

#[tokio::test]
async fn in_the_wrong_order_nothing_is_believed() {
    let clock = ManualClock::default();
    let service =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let server = signing(&clock).layer(service);
    let client = verifying(&clock).layer(signing_requests(&clock).layer(server));
    let error = client.oneshot(get(URI)).await.unwrap_err();
    assert!(
        matches!(error, VerifyResponseError::NotVerified(_)),
        "{error:?}"
    );
}

async fn serve() -> SocketAddr {
    let router = Router::new()
        .route("/orders", on_get(|| async { Json([1, 2, 3]) }).post(echo))
        .route("/none", on_get(|| async { http::StatusCode::NO_CONTENT }));
    let layer = SignResponseLayer::new(key(2), "payments-1").unwrap();
    let service = layer.scheme(UrlScheme::Http).layer(router);
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

async fn echo(body: Bytes) -> Bytes {
    body
}

#[tokio::test]
async fn both_sides_over_both_versions() {
    let address = serve().await;
    for http2 in [false, true] {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let spy = Arc::clone(&seen);
        // What goes over the wire, and what comes back.
        let spied = service_fn(move |request: Request<Full<Bytes>>| {
            let input = request.headers()["signature-input"].to_str().unwrap();
            spy.lock().unwrap().push(input.to_owned());
            client.request(request)
        });
        let verify = VerifyResponseLayer::new(ring(), ResponsePolicy::strict());
        let sign = SignRequestLayer::new(key(1), "orders-1").unwrap();
        let mut client = sign.layer(verify.layer(spied));
        for (method, path, body, status) in [
            ("GET", "/orders?id=7", "", 200),
            ("POST", "/orders", "7 EUR", 200),
            ("HEAD", "/orders", "", 200),
            ("GET", "/none?", "", 204),
            ("GET", "/missing", "", 404),
            ("DELETE", "/orders", "", 405),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(format!("http://{address}{path}"))
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let response = client.ready().await.unwrap().call(request).await;
            let response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            assert_eq!(response.status(), status, "{method} {path}");
            match method {
                "POST" => assert_eq!(response.body().bytes(), body),
                "HEAD" => assert_eq!(response.headers()["content-length"], "7"),
                _ => {}
            }
        }
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 6, "each has its own nonce");
    }
}

#[tokio::test]
async fn a_response_that_the_wire_changed_is_refused() {
    let address = serve().await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let changing = service_fn(move |request: Request<Full<Bytes>>| {
        let answer = client.request(request);
        async move {
            let response = answer.await?;
            let (parts, body): (_, Incoming) = response.into_parts();
            let mut body = body.collect().await.unwrap().to_bytes().to_vec();
            body[1] ^= 1;
            Ok::<_, hyper_util::client::legacy::Error>(Response::from_parts(
                parts,
                Full::new(Bytes::from(body)),
            ))
        }
    });
    let verify = VerifyResponseLayer::new(ring(), ResponsePolicy::strict());
    let request = Request::get(format!("http://{address}/orders"))
        .body(Full::default())
        .unwrap();
    let error = verify.layer(changing).oneshot(request).await.unwrap_err();
    let VerifyResponseError::NotVerified(NotVerified::Invalid(why)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(why, Invalid::DigestMismatch);
}
