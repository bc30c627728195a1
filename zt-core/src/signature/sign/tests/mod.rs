mod refuses;
#[cfg(feature = "reqwest")]
mod reqwest;
mod satisfying;
mod signs;
mod wire;

use std::{convert::Infallible, sync::Arc, sync::Mutex};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    clock::ManualClock,
    digest::ContentDigest,
    random::SeededEntropy,
    secret::Secret,
    signature::{
        base::{FieldTypes, Fields, Message, RequestMessage, Scratch, Signatures, UrlScheme},
        key::SigningKey,
    },
};

fn key(fill: u8) -> SigningKey {
    SigningKey::hmac_sha256(&Secret::new(vec![fill; 32])).unwrap()
}

fn layer() -> SignRequestLayer {
    SignRequestLayer::new(key(1), "orders-1")
        .unwrap()
        .clock(ManualClock::default())
        .entropy(SeededEntropy::new(7))
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("https://payments.internal/pay?order=7")
        .body(body.into())
        .unwrap()
}

/// What a client sent.
type Sent = Arc<Mutex<Vec<(Parts, Bytes)>>>;

/// Sends `request` through `layer`, and says what came out below.
async fn send(
    layer: &SignRequestLayer,
    request: Request<Body>,
) -> Result<(Parts, Bytes), CannotSign> {
    let sent = Sent::default();
    let client = service_fn(|request: Request<Body>| {
        let sent = Arc::clone(&sent);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            sent.lock().unwrap().push((parts, body));
            Ok::<_, Infallible>(Response::new(()))
        }
    });
    let answer = layer.layer(client).oneshot(request).await;
    let mut sent = sent.lock().unwrap();
    match answer {
        Ok(_) => {
            assert_eq!(sent.len(), 1);
            Ok(sent.remove(0))
        }
        Err(SignError::CannotSign(why)) => {
            assert!(sent.is_empty(), "nothing may be sent");
            Err(why)
        }
        Err(SignError::Inner(never)) => match never {},
    }
}

/// Why the request was not sent.
async fn refusal(layer: &SignRequestLayer, request: Request<Body>) -> CannotSign {
    send(layer, request).await.unwrap_err()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// The components that `label` covers, as in the field.
fn covered(headers: &HeaderMap, label: &str) -> Vec<String> {
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(headers), &LIMITS, &mut scratch)
        .unwrap()
        .unwrap();
    let found = signatures.candidates().find(|one| one.label() == label);
    let found = found.unwrap();
    found.components().map(str::to_owned).collect()
}

/// Whether every signature of the request is `key`'s, and the digest that of the body.
fn holds(request: RequestMessage<'_>, headers: &HeaderMap, body: &[u8], key: &SigningKey) -> bool {
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(headers), &LIMITS, &mut scratch)
        .unwrap()
        .unwrap();
    let mut all = signatures.candidates();
    let good = all.all(|candidate| {
        let mut base = Vec::new();
        let message = Message::Request(request);
        candidate
            .write_base(&message, &FieldTypes::default(), &mut base)
            .is_ok()
            && key
                .verifying_key()
                .verify(&base, candidate.signature())
                .is_ok()
    });
    let digest = ContentDigest::from_headers(headers).unwrap();
    good && digest.map_or(body.is_empty(), |digest| digest.matches(body))
}

/// The same for a request that a client sent to `authority`.
fn sent_holds((parts, body): &(Parts, Bytes), authority: &str, key: &SigningKey) -> bool {
    let message = RequestMessage {
        method: &parts.method,
        uri: &parts.uri,
        version: parts.version,
        scheme: UrlScheme::Https,
        authority,
        fields: Fields::new(&parts.headers),
    };
    holds(message, &parts.headers, body, key)
}
