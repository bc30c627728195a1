//! `VerifySignature` and `SignRequest`.

use std::{convert::Infallible, future::poll_fn, pin::pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::Layer as _;
use zt_benches::{Group, Kind, Outcome, Template};
use zt_core::{
    body::RequestBody,
    secret::Secret,
    signature::{
        key::SigningKey,
        sign::SignRequestLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
};

use super::{
    memory::Busy,
    sign::{Answered, Keys, Order, SECRET, SHARED_ID},
};

pub(super) const HMAC: &str = "VerifySignature, hmac-sha256";
pub(super) const ED25519: &str = "VerifySignature, ed25519";
pub(super) const ORIGIN: &str = "VerifySignature, origin-form and Host";
const SIGN: &str = "SignRequest, hmac-sha256";

/// Reads the body to its end, as a handler would; what is measured stands before it.
pub(super) async fn drain<B>(request: Request<B>) -> Result<Response<Body>, Infallible>
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = pin!(request.into_body());
    while let Some(frame) = poll_fn(|task| body.as_mut().poll_frame(task)).await {
        if frame.is_err() {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(answer);
        }
    }
    Ok(Response::new(Body::from("ok")))
}

/// As strict as it is by default, but for the age: a run takes longer than a minute, and the
/// requests of one are signed once.
pub(super) fn strict() -> SignaturePolicy {
    SignaturePolicy::strict().max_age(MAX_AGE)
}

pub(super) const MAX_AGE: Duration = Duration::from_secs(86_400);

pub(super) fn layer(
    keys: &Keys,
    policy: SignaturePolicy,
    busy: &Busy,
) -> Answered<VerifySignatureLayer> {
    Ok(VerifySignatureLayer::new(
        policy,
        keys.ring()?,
        busy.another()?,
    )?)
}

/// Adds those that every length has.
pub(super) fn add(
    group: &mut Group,
    shared: &Order<'_>,
    public: &Order<'_>,
    busy: &Busy,
) -> Outcome {
    let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let note = match shared.length {
        0 => "",
        _ => "read whole, then handed on",
    };
    for (name, order) in [(HMAC, shared), (ED25519, public)] {
        let service =
            layer(order.keys, strict(), busy)?.layer(tower::service_fn(drain::<RequestBody<Body>>));
        let bad = order.bad()?;
        let bad: Vec<(&Template, StatusCode)> = bad.iter().map(|one| (one, no)).collect();
        group.service(Kind::Zt, name, note, service, (&order.good()?, ok), &bad)?;
    }
    if shared.length > 0 {
        for (name, order) in [
            ("VerifySignature, stream, hmac-sha256", shared),
            ("VerifySignature, stream, ed25519", public),
        ] {
            let service = layer(order.keys, strict().stream(), busy)?
                .layer(tower::service_fn(drain::<RequestBody<Body>>));
            let bad = order.bad()?;
            let bad: Vec<(&Template, StatusCode)> = bad.iter().map(|one| (one, no)).collect();
            let note = "hashed as it flows";
            group.service(Kind::Zt, name, note, service, (&order.good()?, ok), &bad)?;
        }
    }
    Ok(())
}

/// Adds refusals, and the other form of target.
pub(super) fn variants(group: &mut Group, order: &Order<'_>, busy: &Busy) -> Outcome {
    let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let service =
        layer(order.keys, strict(), busy)?.layer(tower::service_fn(drain::<RequestBody<Body>>));
    group.service(
        Kind::Zt,
        ORIGIN,
        "as HTTP/1.1 delivers it; hmac-sha256",
        service.clone(),
        (&order.origin_form()?, ok),
        &[],
    )?;
    group.service(
        Kind::Zt,
        "VerifySignature, forged MAC",
        "401; the body is not read",
        service.clone(),
        (&order.forged()?, no),
        &[],
    )?;
    group.service(
        Kind::Zt,
        "VerifySignature, no signature",
        "401; the body is not read",
        service.clone(),
        (&order.bare(), no),
        &[],
    )?;
    group.service(
        Kind::Zt,
        "VerifySignature, another body",
        "401",
        service,
        (&order.good()?.body(vec![b'y'; order.length]), no),
        &[],
    )?;
    Ok(())
}

/// Adds the client's side.
pub(super) fn sign(group: &mut Group, order: &Order<'_>) -> Outcome {
    let key = SigningKey::hmac_sha256(&Secret::new(SECRET.to_vec()))?;
    let service = SignRequestLayer::new(key, SHARED_ID)?.layer(tower::service_fn(drain::<Body>));
    let note = "the client; digest, nonce, MAC";
    let request = (&order.plain(), StatusCode::OK);
    group.service(Kind::Zt, SIGN, note, service, request, &[])?;
    Ok(())
}
