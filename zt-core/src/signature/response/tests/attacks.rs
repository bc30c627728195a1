//! Ways to have another answer believed, tried from outside.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;

/// Signs requests with the body, so that two with other bodies have other signatures.
fn posted(clock: &ManualClock, body: &'static str) -> request::Parts {
    let (mut parts, _) = Request::post(URI).body(()).unwrap().into_parts();
    let body = Bytes::from(body);
    signing_requests(clock)
        .sign(&mut parts, Some(&body))
        .unwrap();
    parts
}

#[tokio::test]
async fn refuses_the_answer_to_the_same_request_with_another_body() {
    let clock = ManualClock::default();
    let (one, other) = (posted(&clock, "7 EUR"), posted(&clock, "700 EUR"));
    let answer = good(&clock, &other).await;
    assert!(
        verdict(&verifying(&clock), &other, answer.clone())
            .await
            .is_ok()
    );
    assert!(verdict(&verifying(&clock), &one, answer).await.is_err());
}

#[tokio::test]
async fn refuses_an_answer_whose_request_lost_its_signature_on_the_way() {
    // Who is in between takes the signature off: the answer is then bound to none.
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let mut stripped = sent.clone();
    stripped.headers.remove("signature");
    stripped.headers.remove("signature-input");
    let answer = good(&clock, &stripped).await;
    assert!(matches!(
        invalid(&verifying(&clock), &sent, answer).await,
        Invalid::Uncovered(_)
    ));
}

#[tokio::test]
async fn refuses_an_answer_that_is_bound_to_a_signature_which_was_put_in_front() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let mut changed = sent.clone();
    for name in ["signature-input", "signature"] {
        let there = changed.headers[name].to_str().unwrap();
        let front = there.replacen("sig1=", "evil=", 1);
        let both = format!("{front}, {there}");
        changed.headers.insert(name, both.parse().unwrap());
    }
    let answer = good(&clock, &changed).await;
    assert!(verdict(&verifying(&clock), &sent, answer).await.is_err());
}

#[tokio::test]
async fn refuses_an_answer_to_get_as_the_one_to_head_and_the_other_way_round() {
    let clock = ManualClock::default();
    let ask = |method: Method| {
        let (mut parts, _) = get(URI).into_parts();
        parts.method = method;
        parts
    };
    let (get, head) = (ask(Method::GET), ask(Method::HEAD));
    let to_get = good(&clock, &get).await;
    let to_head = good(&clock, &head).await;
    let layer = verifying(&clock);
    assert!(verdict(&layer, &head, to_get.clone()).await.is_err());
    assert!(verdict(&layer, &get, to_head.clone()).await.is_err());
    // A body under the answer to HEAD is one that nobody signed.
    assert!(
        verdict(&layer, &head, (to_head.0.clone(), "EVIL"))
            .await
            .is_err()
    );
    assert!(verdict(&layer, &head, to_head).await.is_ok());
}

#[tokio::test]
async fn refuses_content_under_an_answer_that_had_none() {
    let clock = ManualClock::default();
    let request = signed(&clock, URI);
    for status in [204, 304] {
        let response = Response::builder().status(status).body(Body::empty());
        let response = answer(&signing(&clock), again(&request), response.unwrap()).await;
        let (parts, _) = response.into_parts();
        let layer = verifying(&clock);
        assert!(verdict(&layer, &request, (parts.clone(), "")).await.is_ok());
        assert!(
            verdict(&layer, &request, (parts.clone(), "EVIL"))
                .await
                .is_err()
        );
        let mut changed = parts;
        changed.status = StatusCode::OK;
        assert!(verdict(&layer, &request, (changed, "")).await.is_err());
    }
}

#[tokio::test]
async fn refuses_a_second_digest_or_signature_line_beside_the_signed_one() {
    let clock = ManualClock::default();
    let request = signed(&clock, URI);
    let (parts, body) = good(&clock, &request).await;
    let evil = crate::digest::ContentDigest::of(crate::digest::DigestAlgorithm::Sha512, b"EVIL");
    let layer = verifying(&clock);
    for (name, value) in [
        ("content-digest", evil.header_value()),
        ("content-type", HeaderValue::from_static("text/html")),
        ("signature-input", parts.headers["signature-input"].clone()),
        ("signature", parts.headers["signature"].clone()),
    ] {
        for front in [false, true] {
            let mut changed = parts.clone();
            let there = changed.headers.remove(name).unwrap();
            let pair = if front {
                [value.clone(), there]
            } else {
                [there, value.clone()]
            };
            for value in pair {
                changed.headers.append(name, value);
            }
            let found = verdict(&layer, &request, (changed, body.clone())).await;
            assert!(found.is_err(), "{name}");
        }
    }
}

#[tokio::test]
async fn refuses_trailers_under_a_signed_answer() {
    let clock = ManualClock::default();
    let request = signed(&clock, URI);
    let (parts, body) = good(&clock, &request).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-paid", HeaderValue::from_static("no"));
    let pieces = [
        Ok::<_, Infallible>(http_body::Frame::data(body)),
        Ok(http_body::Frame::trailers(trailers)),
    ];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let response = Response::from_parts(parts, body);
    let found = verifying(&clock).verify(&request, response).await;
    assert!(matches!(
        found.unwrap_err(),
        NotVerified::Body(BodyError::Trailers)
    ));
}

#[tokio::test]
async fn nothing_of_an_answer_that_cannot_be_signed_leaves_the_server() {
    let clock = ManualClock::default();
    let secret = "the secret of the house";
    // The handler has put our label there, a digest of something else, an unreadable signature.
    for (name, value) in [
        ("signature-input", "sig1=(\"@status\");created=1"),
        ("signature", "garbage("),
        (
            "content-digest",
            "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
        ),
        ("content-digest", "md5=:AAAA:"),
    ] {
        let response = Response::builder()
            .header(name, value)
            .header("set-cookie", secret)
            .header("location", secret)
            .extension(secret)
            .body(Body::from(secret))
            .unwrap();
        let response = answer(&signing(&clock), get(URI), response).await;
        assert_eq!(response.status(), 500, "{name}");
        let shown = format!("{:?}", response.headers());
        assert!(!shown.contains(secret));
        assert!(!response.headers().contains_key("signature"));
        assert!(response.extensions().get::<&str>().is_none());
        assert!(!String::from_utf8_lossy(response.body().bytes()).contains(secret));
    }
}
