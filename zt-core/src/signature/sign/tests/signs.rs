use std::{collections::HashSet, time::Duration};

use futures_util::stream;
use http::header::{CONTENT_TYPE, HOST};
use http_body::Frame;
use http_body_util::StreamBody;
use tower::Service;

use super::*;
use crate::{body::BoxError, digest::DigestAlgorithm, signature::base::Component};

const NOW: u64 = 1_893_456_000;

#[tokio::test]
async fn covers_what_a_strict_verifier_wants_and_says_what_is_registered() {
    let sent = send(&layer(), post("7 EUR")).await.unwrap();
    assert!(sent_holds(&sent, "payments.internal", &key(1)));
    assert!(!sent_holds(&sent, "payments.internal", &key(2)));
    assert!(!sent_holds(&sent, "evil.example", &key(1)));

    let input = text(&sent.0.headers, "signature-input");
    let (before, rest) = input.split_once(";nonce=\"").unwrap();
    let (nonce, after) = rest.split_once('"').unwrap();
    assert_eq!(
        before,
        format!(
            "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created={NOW}"
        )
    );
    assert_eq!(after, ";keyid=\"orders-1\";alg=\"hmac-sha256\"");
    assert_eq!(nonce.len(), 24, "144 bits");
    assert_eq!(sent.1, "7 EUR");
    assert!(!sent.0.headers.contains_key("content-length"));
}

#[tokio::test]
async fn says_when_it_ends_and_what_it_is_for() {
    let layer = layer()
        .label("orders")
        .unwrap()
        .tag("payment \"x\"")
        .unwrap()
        .expires_after(Duration::from_millis(30_900))
        .unwrap();
    let sent = send(&layer, get("https://a.example/")).await.unwrap();
    assert!(sent_holds(&sent, "a.example", &key(1)));
    let input = text(&sent.0.headers, "signature-input");
    assert!(input.starts_with("orders=("), "{input}");
    assert!(
        input.contains(&format!(";created={NOW};expires={};nonce=", NOW + 30)),
        "{input}"
    );
    assert!(input.ends_with(r#";tag="payment \"x\"""#), "{input}");
    assert!(text(&sent.0.headers, "signature").starts_with("orders=:"));
}

#[tokio::test]
async fn digests_a_body_and_leaves_an_ended_one_as_it_is() {
    let (parts, _) = send(&layer(), post(Body::empty())).await.unwrap();
    assert!(!parts.headers.contains_key("content-digest"));
    let four = ["\"@method\"", "\"@authority\"", "\"@path\"", "\"@query\""];
    assert_eq!(covered(&parts.headers, "sig1"), four);

    // Not ended, though there is nothing: who receives it cannot know.
    let nothing = stream::iter(Vec::<Result<Frame<Bytes>, BoxError>>::new());
    let body = Body::new(StreamBody::new(nothing));
    let sent = send(&layer(), post(body)).await.unwrap();
    assert!(sent_holds(&sent, "payments.internal", &key(1)));
    assert!(covered(&sent.0.headers, "sig1").contains(&"\"content-digest\"".to_owned()));

    let pieces = ["7 ", "EUR"].map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from(piece))));
    let body = Body::new(StreamBody::new(stream::iter(pieces)));
    let layer = layer().digest(DigestAlgorithm::Sha512);
    let sent = send(&layer, post(body)).await.unwrap();
    assert!(sent_holds(&sent, "payments.internal", &key(1)));
    assert_eq!(sent.1, "7 EUR");
    assert!(text(&sent.0.headers, "content-digest").starts_with("sha-512=:"));
}

#[tokio::test]
async fn keeps_a_digest_that_is_the_bodys() {
    let digest = ContentDigest::of(DigestAlgorithm::Sha512, b"7 EUR").header_value();
    let mut request = post("7 EUR");
    request
        .headers_mut()
        .insert("content-digest", digest.clone());
    let sent = send(&layer(), request).await.unwrap();
    assert_eq!(sent.0.headers["content-digest"], digest);
    assert!(sent_holds(&sent, "payments.internal", &key(1)));

    let empty = ContentDigest::of(DigestAlgorithm::Sha256, b"").header_value();
    let mut request = post(Body::empty());
    request.headers_mut().insert("content-digest", empty);
    let sent = send(&layer(), request).await.unwrap();
    assert!(covered(&sent.0.headers, "sig1").contains(&"\"content-digest\"".to_owned()));
}

#[tokio::test]
async fn covers_more_in_the_order_that_was_given() {
    let layer = layer()
        .also_if_present(CONTENT_TYPE)
        .unwrap()
        .cover("\"digest-of\";bs".parse().unwrap())
        .unwrap()
        .cover(Component::query_param("order"))
        .unwrap();
    let request = |kind: Option<&str>| {
        let mut request = post("7");
        request
            .headers_mut()
            .insert("digest-of", "a".parse().unwrap());
        if let Some(kind) = kind {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        request
    };
    let sent = send(&layer, request(Some("text/plain"))).await.unwrap();
    assert!(sent_holds(&sent, "payments.internal", &key(1)));
    let all = covered(&sent.0.headers, "sig1");
    let more = [
        "\"content-digest\"",
        "\"content-type\"",
        "\"digest-of\";bs",
        "\"@query-param\";name=\"order\"",
    ];
    assert_eq!(all[4..], more);
    let sent = send(&layer, request(None)).await.unwrap();
    assert_eq!(covered(&sent.0.headers, "sig1").len(), 7);
}

#[tokio::test]
async fn signs_the_host_as_the_server_sees_it() {
    for (uri, host, authority) in [
        ("https://Payments.Internal:443/p", None, "payments.internal"),
        (
            "https://payments.internal/p",
            Some("PAYMENTS.internal:443"),
            "payments.internal",
        ),
        (
            "https://payments.internal:8443/p",
            Some("payments.internal:8443"),
            "payments.internal:8443",
        ),
        ("/p", Some("payments.internal"), "payments.internal"),
        ("https://[::1]:3000/p", None, "[::1]:3000"),
    ] {
        let mut request = get(uri);
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host.parse().unwrap());
        }
        let sent = send(&layer(), request).await.unwrap();
        assert!(sent_holds(&sent, authority, &key(1)), "{uri}");
    }
    // Port 443 goes without saying with https alone.
    let sent = send(&layer(), get("http://a.example:443/")).await.unwrap();
    assert!(!sent_holds(&sent, "a.example", &key(1)));
    let plain = layer().relative_scheme(UrlScheme::Http);
    let mut request = get("/p");
    request
        .headers_mut()
        .insert(HOST, "a.example:80".parse().unwrap());
    let sent = send(&plain, request).await.unwrap();
    assert!(sent_holds(&sent, "a.example", &key(1)));
}

#[tokio::test]
async fn adds_to_the_signatures_of_others() {
    let other = layer().label("other").unwrap();
    let (parts, body) = send(&other, post("7 EUR")).await.unwrap();
    let before = text(&parts.headers, "signature-input").to_owned();
    let request = Request::from_parts(parts, Body::from(body));
    let sent = send(&layer(), request).await.unwrap();
    let headers = &sent.0.headers;
    assert!(text(headers, "signature-input").starts_with(&format!("{before}, sig1=(")));
    assert_eq!(headers.get_all("signature").iter().count(), 1);
    assert!(sent_holds(&sent, "payments.internal", &key(1)));
}

#[tokio::test]
async fn each_attempt_has_its_own_nonce_and_time() {
    let clock = ManualClock::default();
    let sent = Sent::default();
    let below = Arc::clone(&sent);
    let client = service_fn(move |request: Request<Body>| {
        below
            .lock()
            .unwrap()
            .push((request.into_parts().0, Bytes::new()));
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let mut client = layer().clock(clock.clone()).layer(client);
    for _ in 0..3 {
        client
            .ready()
            .await
            .unwrap()
            .call(post("7 EUR"))
            .await
            .unwrap();
        clock.advance(Duration::from_secs(1));
    }
    let sent = sent.lock().unwrap();
    let inputs: HashSet<_> = sent
        .iter()
        .map(|(parts, _)| {
            let input = text(&parts.headers, "signature-input");
            input.split_once("nonce=").unwrap().1.to_owned()
        })
        .collect();
    assert_eq!(inputs.len(), 3);
    for (second, (parts, _)) in (NOW..).zip(sent.iter()) {
        let input = text(&parts.headers, "signature-input");
        assert!(input.contains(&format!("created={second};")));
    }
}

#[tokio::test]
async fn a_key_is_replaced_while_requests_run() {
    let keys = RotatingSigner::new(key(1), "orders-1").unwrap();
    let layer = SignRequestLayer::with_keys(keys.clone());
    let request = || get("https://a.example/");
    let sent = send(&layer, request()).await.unwrap();
    assert!(sent_holds(&sent, "a.example", &key(1)));
    keys.replace(key(2), "orders-2").unwrap();
    assert!(keys.replace(key(3), "").is_err());
    let sent = send(&layer, request()).await.unwrap();
    assert!(sent_holds(&sent, "a.example", &key(2)));
    assert!(text(&sent.0.headers, "signature-input").contains("keyid=\"orders-2\""));
}

#[test]
fn signs_without_a_service() {
    let (mut parts, _) = get("https://a.example/").into_parts();
    layer().sign(&mut parts, Some(&Bytes::from("7"))).unwrap();
    assert!(sent_holds(&(parts, Bytes::from("7")), "a.example", &key(1)));
}
