use std::time::Duration;

use futures_util::stream;
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    body::{BoxError, CollectLimits},
    digest::{ContentDigest, DigestAlgorithm, DigestError},
    signature::{
        base::{BaseError, UrlScheme},
        sign::{RotatingSigner, SignConfigError},
    },
};

type Piece = Result<Frame<Bytes>, BoxError>;

fn stream_of(pieces: impl IntoIterator<Item = Piece>) -> Body {
    let pieces: Vec<_> = pieces.into_iter().collect();
    Body::new(StreamBody::new(stream::iter(pieces)))
}

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from(text)))
}

/// Asserts that `response` was answered with nothing of it, and says why.
async fn replaced(layer: &SignResponseLayer, response: Response<Body>) -> CannotSign {
    let request = again(&signed(&ManualClock::default(), URI));
    let (mut parts, body) = response.into_parts();
    parts.headers.insert("x-secret", "1".parse().unwrap());
    let response = answer(layer, request, Response::from_parts(parts, body)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    for name in ["signature", "signature-input", "content-digest", "x-secret"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(
        response.body().bytes(),
        r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the answer could not be signed"}"#
    );
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    response.extensions().get::<CannotSign>().unwrap().clone()
}

#[tokio::test]
async fn never_sends_what_it_cannot_sign() {
    let clock = ManualClock::default();
    let layer = signing(&clock).body_limits(CollectLimits {
        bytes: 4,
        deadline: Duration::from_secs(1),
    });
    let body = |why| CannotSign::Body(why);
    let large = Response::new(Body::from("12345"));
    assert_eq!(replaced(&layer, large).await, body(BodyError::TooLarge));
    let large = Response::new(stream_of([data("123"), data("45")]));
    assert_eq!(replaced(&layer, large).await, body(BodyError::TooLarge));
    let broken = Response::new(stream_of([data("1"), Err("reset".into())]));
    let why = replaced(&layer, broken).await;
    assert!(
        matches!(why, CannotSign::Body(BodyError::Broken(_))),
        "{why:?}"
    );
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let grpc = Response::new(stream_of([data("1"), Ok(Frame::trailers(trailers))]));
    assert_eq!(replaced(&layer, grpc).await, body(BodyError::Trailers));

    let events = Response::builder()
        .header("content-type", "Text/Event-Stream; charset=utf-8")
        .body(Body::new(StreamBody::new(stream::pending::<Piece>())));
    assert_eq!(
        replaced(&layer, events.unwrap()).await,
        body(BodyError::Stream)
    );

    let slow = Response::new(Body::new(StreamBody::new(stream::pending::<Piece>())));
    let waiting = tokio::spawn(async move { replaced(&layer, slow).await });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(waiting.await.unwrap(), body(BodyError::TooSlow));

    let ok = || Response::new(Body::from("paid"));
    let without = SignResponseLayer::with_keys(RotatingSigner::default());
    assert_eq!(replaced(&without, ok()).await, CannotSign::NoKey);
    let clock = ManualClock::default();
    clock.fail();
    let why = replaced(&signing(&clock), ok()).await;
    assert!(matches!(why, CannotSign::Clock(_)), "{why:?}");
}

#[tokio::test]
async fn never_signs_what_is_not_so() {
    let layer = signing(&ManualClock::default());
    let with = |name: &str, value: &str| {
        let response = Response::builder().header(name, value);
        response.body(Body::from("paid")).unwrap()
    };
    let other = ContentDigest::of(DigestAlgorithm::Sha256, b"lost").header_value();
    let why = replaced(&layer, with("content-digest", other.to_str().unwrap())).await;
    assert_eq!(why, CannotSign::DigestMismatch);
    let why = replaced(&layer, with("content-digest", "paid")).await;
    assert_eq!(why, CannotSign::Digest(DigestError::Malformed));
    let location = layer.clone().cover(Component::field("location").unwrap());
    let why = replaced(&location.unwrap(), with("x-a", "1")).await;
    assert_eq!(why, CannotSign::Base(BaseError::FieldAbsent));
    let clock = ManualClock::default();
    let (parts, body) = good(&clock, &signed(&clock, URI)).await;
    let twice = Response::from_parts(parts, Body::from(body));
    assert_eq!(replaced(&layer, twice).await, CannotSign::LabelTaken);
}

#[tokio::test]
async fn does_nothing_for_a_request_that_does_not_say_where_it_goes() {
    let service = service_fn(|_: Request<Body>| async {
        panic!("nothing may be done");
        #[expect(unreachable_code, reason = "says the type")]
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let service = signing(&ManualClock::default()).layer(service);
    let response = service.oneshot(get("/orders")).await.unwrap();
    assert_eq!(response.status(), 400);
    let why = response.extensions().get::<CannotSign>();
    assert_eq!(why, Some(&CannotSign::Target(TargetError::Unclear)));
    assert!(!response.headers().contains_key("signature"));
}

#[test]
fn refuses_configurations_that_make_no_sense() {
    let layer = || signing(&ManualClock::default());
    for text in ["", "a b", "user@a.example", "a.example:x"] {
        let why = layer().authority(text).unwrap_err();
        assert_eq!(why, SignConfigError::Authority(text.into()));
    }
    for text in ["\"@status\"", "\"content-type\"", "\"@path\";req"] {
        let why = layer().cover(text.parse().unwrap()).unwrap_err();
        assert_eq!(why, SignConfigError::Twice(text.into()));
    }
    assert!(layer().label("A").is_err());
    assert!(layer().tag("\n").is_err());
    assert!(layer().expires_after(Duration::ZERO).is_err());
}

#[tokio::test]
async fn covers_the_response_and_the_request() {
    let clock = ManualClock::default();
    let (parts, body) = good(&clock, &signed(&clock, URI)).await;
    assert_eq!(body, "paid");
    let all = [
        "\"@status\"",
        "\"content-digest\"",
        "\"content-type\"",
        "\"@method\";req",
        "\"@authority\";req",
        "\"@path\";req",
        "\"@query\";req",
        "\"signature\";req;key=\"sig1\"",
    ];
    assert_eq!(covered(&parts), all);
    let input = parts.headers["signature-input"].to_str().unwrap();
    let parameters = ";created=1893456000;keyid=\"payments-1\";alg=\"hmac-sha256\"";
    assert!(input.ends_with(parameters), "{input}");

    let nonce = signing(&clock).with_nonce();
    let request = get(URI);
    let (parts, _) = answer(&nonce, request, Response::new(Body::empty()))
        .await
        .into_parts();
    assert!(
        parts.headers["signature-input"]
            .to_str()
            .unwrap()
            .contains(";nonce=\"")
    );
    assert_eq!(covered(&parts).len(), 6);
}

#[tokio::test]
async fn binds_to_the_first_signature_or_to_the_one_named() {
    let clock = ManualClock::default();
    let mut sent = signed(&clock, URI);
    let second = signing_requests(&clock).label("second").unwrap();
    second.sign(&mut sent, None).unwrap();
    for (label, bound) in [(None, "sig1"), (Some("second"), "second")] {
        let (mut layer, mut policy) = (signing(&clock), ResponsePolicy::strict());
        if let Some(label) = label {
            layer = layer.request_label(label);
            policy = policy.request_label(label);
        }
        let response = answer(&layer, again(&sent), Response::new(Body::empty())).await;
        let (parts, _) = response.into_parts();
        let component = format!("\"signature\";req;key=\"{bound}\"");
        assert_eq!(covered(&parts).last().unwrap(), &component);
        let client = VerifyResponseLayer::new(ring(), policy).clock(clock.clone());
        assert!(
            verdict(&client, &sent, (parts, Body::empty()))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn answers_without_content_have_the_digest_of_nothing() {
    let clock = ManualClock::default();
    let nothing = ContentDigest::of(DigestAlgorithm::Sha256, b"").header_value();
    let of_get = ContentDigest::of(DigestAlgorithm::Sha256, b"paid").header_value();
    for (method, status, length) in [
        (Method::HEAD, 200, Some("4")),
        (Method::GET, 204, None),
        (Method::GET, 304, Some("4")),
        (Method::GET, 101, None),
    ] {
        let mut sent = get(URI).into_parts().0;
        sent.method = method;
        let response = Response::builder()
            .status(status)
            .header("content-digest", of_get.clone())
            .body(Body::from("paid"))
            .unwrap();
        let (parts, body) = answer(&signing(&clock), again(&sent), response)
            .await
            .into_parts();
        assert_eq!(parts.status, status);
        assert_eq!(body.bytes(), "");
        assert_eq!(parts.headers["content-digest"], nothing);
        let said = parts.headers.get("content-length");
        assert_eq!(said.map(|said| said.to_str().unwrap()), length, "{status}");
        assert!(
            verdict(&verifying(&clock), &sent, (parts, Body::empty()))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn a_server_behind_a_proxy_is_told_what_callers_see() {
    let clock = ManualClock::default();
    let sent = signed(&clock, "http://Payments.example:80/orders?id=7");
    let mut seen = sent.clone();
    seen.uri = "/orders?id=7".parse().unwrap();
    seen.headers
        .insert("host", "10.0.0.7:3000".parse().unwrap());
    let client = verifying(&clock);
    let response = good(&clock, &seen).await;
    let why = invalid(&client, &sent, response).await;
    assert_eq!(why, Invalid::Key(KeyRefusal::BadSignature));
    let told = signing(&clock)
        .scheme(UrlScheme::Http)
        .authority("payments.example:80")
        .unwrap();
    let response = answer(&told, again(&seen), Response::new(Body::empty())).await;
    let (parts, _) = response.into_parts();
    assert!(
        verdict(&client, &sent, (parts, Body::empty()))
            .await
            .is_ok()
    );
}
