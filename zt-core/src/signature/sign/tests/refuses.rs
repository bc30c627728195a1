use std::time::Duration;

use futures_util::stream;
use http::header::{CONTENT_ENCODING, HOST};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    body::{BoxError, CollectLimits},
    clock::ClockError,
    digest::{DigestAlgorithm, DigestError},
    random::{Entropy, EntropyError},
    signature::base::{BaseError, Component, FieldError},
};

type Piece = Result<Frame<Bytes>, BoxError>;

fn stream_of(pieces: impl IntoIterator<Item = Piece>) -> Body {
    let pieces: Vec<_> = pieces.into_iter().collect();
    Body::new(StreamBody::new(stream::iter(pieces)))
}

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn refuses_a_request_that_does_not_say_where_it_goes() {
    let unclear = CannotSign::Target(TargetError::Unclear);
    for uri in [
        "/pay",
        "ftp://payments.internal/pay",
        "https://user:password@payments.internal/pay",
        "https://payments.internal@evil.example/pay",
        "https://payments.internal:99999/pay",
    ] {
        assert_eq!(refusal(&layer(), get(uri)).await, unclear, "{uri}");
    }
    for host in ["", "a b", "user@payments.internal", ":80", "a/b", "a?b"] {
        let mut request = get("/pay");
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(refusal(&layer(), request).await, unclear, "{host}");
    }
    let mut request = get("/pay");
    request
        .headers_mut()
        .append(HOST, "a.example".parse().unwrap());
    request
        .headers_mut()
        .append(HOST, "a.example".parse().unwrap());
    assert_eq!(refusal(&layer(), request).await, unclear);
}

#[tokio::test]
async fn refuses_a_host_that_is_not_the_uris() {
    let disagrees = CannotSign::Target(TargetError::HostDisagrees);
    for host in [
        "evil.example",
        "payments.internal:8443",
        "payments.internal:80",
        "internal",
    ] {
        let mut request = get("https://payments.internal/pay");
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(refusal(&layer(), request).await, disagrees, "{host}");
    }
}

#[tokio::test]
async fn refuses_a_body_past_the_limit_declared_or_not() {
    let layer = layer().body_limits(CollectLimits {
        bytes: 4,
        deadline: Duration::from_secs(1),
    });
    let too_large = CannotSign::Body(BodyError::TooLarge);
    assert_eq!(refusal(&layer, post("12345")).await, too_large);
    let body = stream_of([data("123"), data("45")]);
    assert_eq!(refusal(&layer, post(body)).await, too_large);
    assert!(send(&layer, post("1234")).await.is_ok());
}

#[tokio::test]
async fn refuses_a_body_that_does_not_end_in_time() {
    let clock = ManualClock::default();
    let layer = layer().clock(clock.clone());
    let body = Body::new(StreamBody::new(stream::pending::<Piece>()));
    let refused = tokio::spawn(async move { refusal(&layer, post(body)).await });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(30));
    assert_eq!(refused.await.unwrap(), CannotSign::Body(BodyError::TooSlow));
}

#[tokio::test]
async fn refuses_a_body_that_breaks_off() {
    let body = stream_of([data("123"), Err("reset".into())]);
    let why = refusal(&layer(), post(body)).await;
    let CannotSign::Body(BodyError::Broken(text)) = why else {
        panic!("{why:?}");
    };
    assert!(text.contains("reset"), "{text}");
}

#[tokio::test]
async fn refuses_trailers_which_would_be_lost() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "1".parse().unwrap());
    let body = stream_of([data("123"), Ok(Frame::trailers(trailers))]);
    let why = refusal(&layer(), post(body)).await;
    assert_eq!(why, CannotSign::Body(BodyError::Trailers));
}

#[tokio::test]
async fn refuses_a_digest_that_is_not_the_bodys() {
    let of_another = ContentDigest::of(DigestAlgorithm::Sha256, b"70 EUR").header_value();
    let mut request = post("7 EUR");
    request
        .headers_mut()
        .insert("content-digest", of_another.clone());
    assert_eq!(refusal(&layer(), request).await, CannotSign::DigestMismatch);

    let mut without_body = post(Body::empty());
    without_body
        .headers_mut()
        .insert("content-digest", of_another);
    assert_eq!(
        refusal(&layer(), without_body).await,
        CannotSign::DigestMismatch
    );

    for (value, why) in [
        ("sha-256=7", DigestError::Malformed),
        ("md5=:AAAAAAAAAAAAAAAAAAAAAA==:", DigestError::Unsupported),
    ] {
        let mut request = post("7 EUR");
        request
            .headers_mut()
            .insert("content-digest", value.parse().unwrap());
        assert_eq!(
            refusal(&layer(), request).await,
            CannotSign::Digest(why),
            "{value}"
        );
    }
}

#[tokio::test]
async fn refuses_a_request_that_has_our_label_already() {
    let (parts, body) = send(&layer(), post("7 EUR")).await.unwrap();
    let again = Request::from_parts(parts, Body::from(body));
    assert_eq!(refusal(&layer(), again).await, CannotSign::LabelTaken);
}

#[tokio::test]
async fn refuses_to_add_to_signatures_that_cannot_be_read() {
    for (input, signature, why) in [
        (
            Some("other=(\"@method\")"),
            None,
            FieldError::SignatureAbsent,
        ),
        (None, Some("other=:AAAA:"), FieldError::InputAbsent),
        (
            Some("other=7"),
            Some("other=:AAAA:"),
            FieldError::NotAnInnerList,
        ),
    ] {
        let mut request = get("https://payments.internal/");
        let headers = request.headers_mut();
        if let Some(input) = input {
            headers.insert("signature-input", input.parse().unwrap());
        }
        if let Some(signature) = signature {
            headers.insert("signature", signature.parse().unwrap());
        }
        assert_eq!(refusal(&layer(), request).await, CannotSign::Existing(why));
    }
}

#[tokio::test]
async fn refuses_a_request_without_what_is_to_be_covered() {
    let absent = CannotSign::Base(BaseError::FieldAbsent);
    let date = layer().cover(Component::field("date").unwrap()).unwrap();
    assert_eq!(refusal(&date, get("https://a.example/")).await, absent);
    let pet = layer().cover(Component::query_param("pet")).unwrap();
    let why = CannotSign::Base(BaseError::QueryParamAbsent);
    assert_eq!(refusal(&pet, get("https://a.example/?cat=1")).await, why);
    let why = CannotSign::Base(BaseError::QueryParamRepeated);
    assert_eq!(
        refusal(&pet, get("https://a.example/?pet=1&pet=2")).await,
        why
    );
}

#[tokio::test]
async fn refuses_without_key_time_or_randomness() {
    let keys = RotatingSigner::default();
    let without = SignRequestLayer::with_keys(keys.clone());
    let request = || get("https://payments.internal/");
    assert_eq!(refusal(&without, request()).await, CannotSign::NoKey);
    keys.replace(key(1), "orders-1").unwrap();
    assert!(send(&without, request()).await.is_ok());
    keys.clear();
    assert_eq!(refusal(&without, request()).await, CannotSign::NoKey);

    let clock = ManualClock::default();
    clock.fail();
    let why = CannotSign::Clock(ClockError::Unset);
    assert_eq!(refusal(&layer().clock(clock), request()).await, why);

    #[derive(Debug)]
    struct Dry;
    impl Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let why = CannotSign::Entropy(EntropyError);
    assert_eq!(refusal(&layer().entropy(Dry), request()).await, why);
}

#[test]
fn refuses_configurations_that_make_no_sense() {
    assert_eq!(
        NamedKey::new(key(1), "").unwrap_err(),
        SignConfigError::KeyId
    );
    for keyid in ["a\"\n", "schlüssel", "a\u{7f}"] {
        let why = SignRequestLayer::new(key(1), keyid).unwrap_err();
        assert_eq!(why, SignConfigError::KeyId, "{keyid}");
    }
    for label in ["", "Sig", "1sig", "-a", "a b", "a=", "ä"] {
        let why = layer().label(label).unwrap_err();
        assert_eq!(why, SignConfigError::Label(label.into()));
    }
    assert_eq!(layer().tag("").unwrap_err(), SignConfigError::Tag);
    let short = layer().expires_after(Duration::from_millis(999));
    assert_eq!(short.unwrap_err(), SignConfigError::Lifetime);

    for text in [
        "\"signature\"",
        "\"signature-input\"",
        "\"signature\";bs",
        "\"@status\"",
        "\"@method\";req",
    ] {
        let why = layer().cover(text.parse().unwrap()).unwrap_err();
        assert_eq!(why, SignConfigError::Component(text.into()));
    }
    for text in ["\"@method\"", "\"content-digest\""] {
        let why = layer().cover(text.parse().unwrap()).unwrap_err();
        assert_eq!(why, SignConfigError::Twice(text.into()));
    }
    let once = layer().also_if_present(CONTENT_ENCODING).unwrap();
    let why = once.also_if_present(CONTENT_ENCODING).unwrap_err();
    assert_eq!(why, SignConfigError::Twice("\"content-encoding\"".into()));
}

#[test]
fn shows_neither_keys_nor_values() {
    let why = CannotSign::DigestMismatch;
    let error = SignError::<BoxError>::from(why);
    assert!(error.into_inner().is_none());
    let inner = SignError::Inner(BoxError::from("below"));
    assert_eq!(inner.into_boxed().to_string(), "below");
    let shown = format!("{:?}", layer());
    assert!(!shown.contains("[1, 1"), "{shown}");
}
