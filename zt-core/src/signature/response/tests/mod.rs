mod attacks;
mod client;
mod server;
mod wire;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, request, response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::{
    body::CollectedBody,
    clock::ManualClock,
    random::SeededEntropy,
    secret::Secret,
    signature::{
        base::{Component, Fields, Scratch, Signatures},
        key::{KeyEntry, KeyRefusal, KeyRing, Purpose, SigningKey},
        sign::{BodyError, CannotSign, LIMITS, SignRequestLayer, TargetError},
    },
};

fn key(fill: u8) -> SigningKey {
    SigningKey::hmac_sha256(&Secret::new(vec![fill; 32])).unwrap()
}

/// Answers are signed with key 2, requests with key 1.
fn signing(clock: &ManualClock) -> SignResponseLayer {
    SignResponseLayer::new(key(2), "payments-1")
        .unwrap()
        .clock(clock.clone())
}

fn signing_requests(clock: &ManualClock) -> SignRequestLayer {
    SignRequestLayer::new(key(1), "orders-1")
        .unwrap()
        .clock(clock.clone())
        .entropy(SeededEntropy::new(7))
}

fn ring() -> KeyRing {
    let requests = KeyEntry::new("orders-1", key(1).verifying_key(), "orders");
    let responses = KeyEntry::new("payments-1", key(2).verifying_key(), "payments");
    KeyRing::new([requests, responses.purposes([Purpose::Responses])]).unwrap()
}

fn verifying(clock: &ManualClock) -> VerifyResponseLayer {
    VerifyResponseLayer::new(ring(), ResponsePolicy::strict()).clock(clock.clone())
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

const URI: &str = "https://payments.internal/orders?id=7";

/// A request as it goes out, signed.
fn signed(clock: &ManualClock, uri: &str) -> request::Parts {
    let (mut parts, _) = get(uri).into_parts();
    signing_requests(clock).sign(&mut parts, None).unwrap();
    parts
}

fn again(parts: &request::Parts) -> Request<Body> {
    Request::from_parts(parts.clone(), Body::empty())
}

/// What `layer` makes of `response`, as the answer to `request`.
async fn answer(
    layer: &SignResponseLayer,
    request: Request<Body>,
    response: Response<Body>,
) -> Response<CollectedBody> {
    let response = Mutex::new(Some(response));
    let service = service_fn(|_: Request<Body>| {
        let response = response.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    layer.layer(service).oneshot(request).await.unwrap()
}

/// A response that is signed for `request`.
async fn good(clock: &ManualClock, request: &request::Parts) -> (response::Parts, Bytes) {
    let response = Response::builder()
        .header("content-type", "text/plain")
        .header("location", "/8")
        .body(Body::from("paid"))
        .unwrap();
    let (parts, body) = answer(&signing(clock), again(request), response)
        .await
        .into_parts();
    assert_eq!(parts.status, 200);
    (parts, body.bytes().clone())
}

/// What `layer` says to `response` as the answer to `request`.
async fn verdict(
    layer: &VerifyResponseLayer,
    request: &request::Parts,
    response: (response::Parts, impl Into<Body>),
) -> Result<Response<CollectedBody>, NotVerified> {
    let response = Response::from_parts(response.0, response.1.into());
    layer.verify(request, response).await
}

/// What is wrong with `response` as the answer to `request`.
async fn invalid(
    layer: &VerifyResponseLayer,
    request: &request::Parts,
    response: (response::Parts, impl Into<Body>),
) -> Invalid {
    match verdict(layer, request, response).await.unwrap_err() {
        NotVerified::Invalid(why) => why,
        why => panic!("{why:?}"),
    }
}

fn covered(parts: &response::Parts) -> Vec<String> {
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(&parts.headers), &LIMITS, &mut scratch);
    let signatures = signatures.unwrap().unwrap();
    let first = signatures.candidates().next().unwrap();
    first.components().map(str::to_owned).collect()
}
