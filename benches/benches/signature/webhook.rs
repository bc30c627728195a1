//! `VerifyWebhook` beside `standardwebhooks`.

use std::{io::Write, sync::Arc};

use aws_lc_rs::hmac;
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tower::Layer as _;
use zt_benches::{Group, Kind, Options, Outcome, Report, Template};
use zt_core::{body::RequestBody, secret::Secret, signature::webhook::VerifyWebhookLayer};

use super::{
    memory::Busy,
    ours::drain,
    sign::{Answered, SECRET, body, now},
};
use crate::bare::BARE;

const LENGTH: usize = 1024;

pub(super) fn run(options: &Options, report: &mut Report<impl Write>, busy: &Busy) -> Outcome {
    let secret = format!("whsec_{}", BASE64.encode(SECRET));
    let good = delivery(now()?)?;
    let forged = good.clone().body(vec![b'y'; LENGTH]);
    let late = delivery(now()?.saturating_sub(3_600))?;
    let (ok, no) = ((&good, StatusCode::OK), StatusCode::UNAUTHORIZED);
    let none = Template::get("/hooks")
        .method(Method::POST)
        .body(body(LENGTH));
    let bad = [(&forged, no), (&late, no), (&none, no)];

    let mut group = Group::new("a webhook of 1 KB (Standard Webhooks), HMAC-SHA256");
    let base = tower::service_fn(drain::<Body>);
    group.service(Kind::Base, BARE, "reads the body", base, ok, &[])?;
    let layer = VerifyWebhookLayer::standard(
        &Secret::from(secret.as_str()),
        "shop",
        Arc::new(busy.another()?),
    );
    let service = layer
        .build()?
        .layer(tower::service_fn(drain::<RequestBody<Body>>));
    let note = "and never twice";
    group.service(Kind::Zt, "VerifyWebhook", note, service, ok, &bad)?;
    #[cfg(feature = "peers")]
    group.service(
        Kind::Peer,
        "standardwebhooks 1.0.1",
        "no limit of the body, no memory",
        super::peers::webhooks(&secret)?,
        ok,
        &bad,
    )?;
    report.group(&group.measure(options)?)?;
    Ok(())
}

fn delivery(at: u64) -> Answered<Template> {
    let content = body(LENGTH);
    let id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
    let mut signed = format!("{id}.{at}.").into_bytes();
    signed.extend_from_slice(&content);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    let signature = format!("v1,{}", BASE64.encode(hmac::sign(&key, &signed)));
    let request = Template::get("/hooks").method(Method::POST).body(content);
    Ok(request
        .header(
            HeaderName::from_static("webhook-id"),
            HeaderValue::from_static(id),
        )
        .header(
            HeaderName::from_static("webhook-timestamp"),
            HeaderValue::from(at),
        )
        .header(
            HeaderName::from_static("webhook-signature"),
            HeaderValue::from_str(&signature)?,
        ))
}
