use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zt_core::clock::ManualClock;

use super::super::{Behaviour, Endpoint, TestIssuer, draft::segments, encode::from_base64url};
use crate::{algorithm::Algorithm, refusal::Refusal};

/// One exchange over a connection of its own, as text.
async fn exchange(issuer: &TestIssuer, request: &str) -> String {
    let address = issuer.name().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let text = format!(
        "{}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        head.replace('\n', "\r\n"),
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(issuer: &TestIssuer, path: &str) -> String {
    exchange(issuer, &format!("GET {path} HTTP/1.1")).await
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {answer}"))
}

const JWKS: &str = "/jwks.json";
const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn metadata_names_the_issuer_and_its_keys() {
    let issuer = TestIssuer::start().await;
    for path in [OPENID, OAUTH] {
        let answer = get(&issuer, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(body(&answer)["issuer"], issuer.name());
        assert_eq!(body(&answer)["jwks_uri"], issuer.jwks_url());
        assert_eq!(body(&answer)["token_endpoint"], issuer.token_url());
    }
    assert_eq!(issuer.discovery_requests(), 2);
    assert_eq!(issuer.jwks_requests(), 0);
}

#[tokio::test]
async fn keys_come_with_a_tag_and_an_age() {
    let issuer = TestIssuer::start().await;
    issuer.cache_for(Duration::from_secs(42));
    let answer = get(&issuer, JWKS).await;
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, issuer.jwks());
    assert_eq!(header(&answer, "cache-control"), "public, max-age=42");
    let tag = header(&answer, "etag").to_owned();

    let asked = format!("GET {JWKS} HTTP/1.1\nif-none-match: {tag}");
    let again = exchange(&issuer, &asked).await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    issuer.rotate();
    let again = exchange(&issuer, &asked).await;
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
    assert_ne!(header(&again, "etag"), tag);
    assert_eq!(issuer.jwks_requests(), 3);
}

#[tokio::test]
async fn there_is_nothing_else() {
    let issuer = TestIssuer::start().await;
    assert!(get(&issuer, "/").await.starts_with("HTTP/1.1 404"));
    assert!(get(&issuer, "/token").await.starts_with("HTTP/1.1 405"));
    let posted = exchange(&issuer, &format!("POST {JWKS} HTTP/1.1")).await;
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    let head = exchange(&issuer, &format!("HEAD {JWKS} HTTP/1.1")).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"));
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

#[tokio::test]
async fn clients_get_tokens_by_basic_and_by_post() {
    let issuer = TestIssuer::start()
        .await
        .with_client("shop", "p:ss w%rd")
        .with_default_audience("orders");
    let verifier = issuer.verifier("orders");
    // RFC 6749 section 2.3.1: encoded as in a form, then joined.
    let basic = super::super::encode::base64("shop:p%3Ass+w%25rd");
    for request in [
        format!(
            "POST /token HTTP/1.1\n{FORM}\nauthorization: Basic {basic}\n\n\
             grant_type=client_credentials&scope=orders:read"
        ),
        format!(
            "POST /token HTTP/1.1\n{FORM}\n\n\
             grant_type=client_credentials&scope=orders%3Aread\
             &client_id=shop&client_secret=p%3Ass+w%25rd"
        ),
    ] {
        let answer = exchange(&issuer, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(header(&answer, "cache-control"), "no-store");
        let answer = body(&answer);
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 300);
        assert_eq!(answer["scope"], "orders:read");
        let token = answer["access_token"].as_str().unwrap();
        let shop = verifier.verify(token, None).await.unwrap();
        assert_eq!(shop.subject(), "shop");
        assert!(shop.has_scope("orders:read"));
    }
    assert_eq!(issuer.token_requests(), 2);
}

#[tokio::test]
async fn clients_name_whom_tokens_are_for() {
    let issuer = TestIssuer::start()
        .await
        .with_client("shop", "secret")
        .with_token_lifetime(Duration::from_secs(7));
    let request = format!(
        "POST /token HTTP/1.1\n{FORM}\n\ngrant_type=client_credentials&client_id=shop\
         &client_secret=secret&audience=orders&resource=https://payments.test"
    );
    let answer = body(&exchange(&issuer, &request).await);
    assert_eq!(answer["expires_in"], 7);
    let token = answer["access_token"].as_str().unwrap();
    let claims = from_base64url(segments(token)[1]);
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        claims["aud"],
        serde_json::json!(["orders", "https://payments.test"])
    );
}

#[tokio::test]
async fn the_token_endpoint_refuses() {
    let issuer = TestIssuer::start().await.with_client("shop", "secret");
    let basic = super::super::encode::base64("shop:secret");
    let wrong = super::super::encode::base64("shop:wrong");
    let good = "grant_type=client_credentials";
    let post = "client_id=shop&client_secret=secret";
    for (headers, form, status, error) in [
        (FORM.to_owned(), good.to_owned(), 401, "invalid_client"),
        (
            format!("{FORM}\nauthorization: Basic {wrong}"),
            good.to_owned(),
            401,
            "invalid_client",
        ),
        (
            format!("{FORM}\nauthorization: Bearer {basic}"),
            good.to_owned(),
            401,
            "invalid_client",
        ),
        (
            FORM.to_owned(),
            format!("{good}&client_id=other&client_secret=secret"),
            401,
            "invalid_client",
        ),
        (
            format!("{FORM}\nauthorization: Basic {basic}"),
            format!("{good}&{post}"),
            400,
            "invalid_request",
        ),
        (FORM.to_owned(), post.to_owned(), 400, "invalid_request"),
        (
            FORM.to_owned(),
            format!("{good}&{good}&{post}"),
            400,
            "invalid_request",
        ),
        (
            "content-type: application/json".to_owned(),
            format!("{good}&{post}"),
            400,
            "invalid_request",
        ),
        (
            FORM.to_owned(),
            format!("grant_type=password&{post}"),
            400,
            "unsupported_grant_type",
        ),
    ] {
        let request = format!("POST /token HTTP/1.1\n{headers}\n\n{form}");
        let answer = exchange(&issuer, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{form}: {answer}"
        );
        assert_eq!(body(&answer)["error"], error, "{form}");
    }
}

#[tokio::test]
async fn behaves_as_it_is_told() {
    let issuer = TestIssuer::start().await;
    let own = body(&get(&issuer, JWKS).await)["keys"]
        .as_array()
        .unwrap()
        .len();
    let keys = |answer: &str| body(answer)["keys"].as_array().unwrap().len();

    issuer.behave(Behaviour::Down);
    assert_eq!(get(&issuer, JWKS).await, "");
    issuer.behave(Behaviour::Huge);
    let answer = get(&issuer, JWKS).await;
    assert!(answer.len() > 10 << 20);
    assert_eq!(keys(&answer), own);
    issuer.behave(Behaviour::ManyKeys(1000));
    assert_eq!(keys(&get(&issuer, JWKS).await), own + 1000);
    issuer.behave(Behaviour::Html);
    assert!(get(&issuer, JWKS).await.contains("<!doctype html>"));
    issuer.behave(Behaviour::Redirect("https://elsewhere.test/".into()));
    let answer = get(&issuer, OPENID).await;
    assert!(answer.starts_with("HTTP/1.1 302"));
    assert_eq!(header(&answer, "location"), "https://elsewhere.test/");
    issuer.behave(Behaviour::ServerError);
    assert!(get(&issuer, "/token").await.starts_with("HTTP/1.1 405"));
    assert!(get(&issuer, JWKS).await.starts_with("HTTP/1.1 500"));
    issuer.behave(Behaviour::TooManyRequests(Duration::from_secs(3)));
    assert_eq!(header(&get(&issuer, JWKS).await, "retry-after"), "3");
    issuer.behave(Behaviour::NotModifiedAlways);
    assert!(get(&issuer, JWKS).await.starts_with("HTTP/1.1 304"));
    assert!(get(&issuer, OPENID).await.starts_with("HTTP/1.1 200"));
    issuer.behave(Behaviour::OtherIssuer);
    let metadata = body(&get(&issuer, OPENID).await);
    assert_ne!(metadata["issuer"], issuer.name());
    assert_eq!(metadata["jwks_uri"], issuer.jwks_url());
    issuer.behave(Behaviour::KeysAt("https://elsewhere.test/keys".into()));
    let metadata = body(&get(&issuer, OPENID).await);
    assert_eq!(metadata["jwks_uri"], "https://elsewhere.test/keys");
    issuer.behave(Behaviour::BadKeyAmong);
    assert!(keys(&get(&issuer, JWKS).await) > own);
    issuer.behave(Behaviour::EmptySet);
    assert_eq!(keys(&get(&issuer, JWKS).await), 0);
    issuer.behave(Behaviour::Garbage);
    let answer = get(&issuer, JWKS).await;
    let text = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(serde_json::from_str::<Value>(text).is_err());
    issuer.behave(Behaviour::CutShort);
    let answer = get(&issuer, JWKS).await;
    let length: usize = header(&answer, "content-length").parse().unwrap();
    assert!(answer.split_once("\r\n\r\n").unwrap().1.len() < length);
    issuer.behave(Behaviour::Well);
    assert_eq!(keys(&get(&issuer, JWKS).await), own);
}

#[tokio::test]
async fn behaves_differently_at_each_endpoint() {
    let issuer = TestIssuer::start().await;
    issuer.behave_at(Endpoint::Keys, Behaviour::ServerError);
    assert!(get(&issuer, JWKS).await.starts_with("HTTP/1.1 500"));
    assert!(get(&issuer, OPENID).await.starts_with("HTTP/1.1 200"));
}

/// Until the issuer has seen so many requests for its keys.
async fn until_asked(issuer: &TestIssuer, times: u64) {
    while issuer.jwks_requests() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn waits_on_its_clock_or_until_told_otherwise() {
    let clock = ManualClock::default();
    let issuer = TestIssuer::start().await.with_clock(clock.clone());
    let ask = || {
        let issuer = issuer.clone();
        tokio::spawn(async move { get(&issuer, JWKS).await })
    };

    issuer.behave(Behaviour::Slow(Duration::from_secs(60)));
    let slow = ask();
    until_asked(&issuer, 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!slow.is_finished());
    // The clock may be moved before the server has begun to wait.
    while !slow.is_finished() {
        clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
    assert!(slow.await.unwrap().starts_with("HTTP/1.1 200"));

    issuer.behave(Behaviour::Hanging);
    let hanging = ask();
    until_asked(&issuer, 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!hanging.is_finished());
    issuer.behave(Behaviour::ServerError);
    assert!(hanging.await.unwrap().starts_with("HTTP/1.1 500"));
}

#[tokio::test]
async fn ends_with_its_last_handle() {
    let issuer = TestIssuer::start().await;
    let address = issuer.name().strip_prefix("http://").unwrap().to_owned();
    let token = issuer.token("ada");
    drop(issuer.clone());
    let mut open = TcpStream::connect(&address).await.unwrap();
    drop(issuer);
    // A connection that was open ends, and no other is taken.
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(TcpStream::connect(&address).await.is_err());
    let _ = token.mint();
}

#[tokio::test]
async fn a_verifier_follows_it() {
    let clock = ManualClock::default();
    let issuer = TestIssuer::start().await.with_clock(clock.clone());
    let verifier = issuer.verifier("orders");
    let mint = || issuer.token("ada").audience("orders").mint();
    verifier.verify(&mint(), None).await.unwrap();
    assert_eq!(
        (issuer.discovery_requests(), issuer.jwks_requests()),
        (1, 1)
    );

    issuer.rotate();
    clock.advance(Duration::from_secs(60));
    verifier.verify(&mint(), None).await.unwrap();
    assert_eq!(issuer.jwks_requests(), 2);

    let other = TestIssuer::start().await.with_clock(clock.clone());
    other.behave(Behaviour::OtherIssuer);
    let refused = other
        .verifier("orders")
        .verify(&other.token("ada").audience("orders").mint(), None)
        .await
        .unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Keys);
}

#[tokio::test]
async fn a_verifier_leaves_bad_keys_out() {
    let issuer = TestIssuer::start().await;
    issuer.behave(Behaviour::BadKeyAmong);
    let verifier = issuer.verifier("orders");
    let token = issuer.token("ada").audience("orders");
    verifier.verify(&token.mint(), None).await.unwrap();
    let dsa = token.algorithm(Algorithm::MlDsa65).mint();
    verifier.verify(&dsa, None).await.unwrap();
}
