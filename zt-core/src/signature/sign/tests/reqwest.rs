//! With reqwest's client.

use futures_util::stream;
use tower::Service;

use super::{wire::serve, *};

fn client() -> ::reqwest::Client {
    ::reqwest::Client::builder()
        .redirect(::reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_layer_signs_requests_of_reqwest() {
    let address = serve().await;
    let mut signing = layer().layer(client());
    for (path, body) in [
        ("", ""),
        ("/pay?order=7#part", "7 EUR"),
        ("/a b?q=\u{20ac}", "x"),
    ] {
        let request = client()
            .post(format!("http://{address}{path}"))
            .body(body)
            .build()
            .unwrap();
        let ready = ServiceExt::<::reqwest::Request>::ready(&mut signing)
            .await
            .unwrap();
        let response = ready.call(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let covered = text(response.headers(), "x-covered");
        assert_eq!(covered.contains("content-digest"), !body.is_empty());
        assert_eq!(response.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_request_is_signed_without_the_layer() {
    let address = serve().await;
    let mut request = client().get(format!("http://{address}/")).build().unwrap();
    sign_reqwest(&layer(), &mut request).unwrap();
    assert_eq!(
        client().execute(request).await.unwrap().status().as_u16(),
        200
    );
}

#[test]
fn refuses_a_stream_and_leaves_the_headers_as_they_were() {
    let body = ::reqwest::Body::wrap(http_body_util::StreamBody::new(stream::iter([Ok::<
        _,
        Infallible,
    >(
        http_body::Frame::data(Bytes::from("7")),
    )])));
    let mut request = client()
        .post("https://a.example/")
        .header("x-mine", "1")
        .body(body)
        .build()
        .unwrap();
    let why = sign_reqwest(&layer(), &mut request).unwrap_err();
    assert_eq!(why, CannotSign::Body(BodyError::Stream));
    assert_eq!(request.headers()["x-mine"], "1");
    assert!(!request.headers().contains_key("signature"));
}

#[test]
fn refuses_a_host_that_is_not_the_urls() {
    let mut request = client()
        .get("https://a.example/")
        .header("host", "b.example")
        .build()
        .unwrap();
    let why = sign_reqwest(&layer(), &mut request).unwrap_err();
    assert_eq!(why, CannotSign::Target(TargetError::HostDisagrees));
}
