//! `ValidateRequest`: bounds, canonical paths, identity headers taken off.

use std::io::Write;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use tower::Layer;
use zt_benches::{Group, Kind, Options, Outcome, Report, Template};
use zt_core::{
    gate::{BodyLink, GateLayer, Replace, Root, Settings},
    state::{RouteRule, Routes},
    validate::{ValidateRequestConfig, ValidateRequestLayer},
};

use crate::bare::{BARE, Bare};

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders/7");
    let ok = (&request, StatusCode::OK);
    let dots = Template::get("/public/%2e%2e/orders");
    let trace = request.clone().method(Method::TRACE);
    let refused = &[
        (&dots, StatusCode::BAD_REQUEST),
        (&trace, StatusCode::BAD_REQUEST),
    ];
    let claims = request
        .clone()
        .header(
            HeaderName::from_static("x-forwarded-user"),
            HeaderValue::from_static("ada"),
        )
        .header(
            HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_static("192.0.2.1"),
        );

    let mut group = Group::new("around a bare service");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let empty = GateLayer::<_, Replace>::with_mode(Root, Settings::shared_default()).layer(Bare);
    group.service(Kind::Zt, "gate without checks", "", empty, ok, &[])?;
    let service = ValidateRequestLayer::new(ValidateRequestConfig::default())?.layer(Bare);
    group.service(
        Kind::Zt,
        "ValidateRequest",
        "no routes",
        service.clone(),
        ok,
        refused,
    )?;
    group.service(
        Kind::Zt,
        "ValidateRequest, 2 claims",
        "captured, taken off",
        service.clone(),
        (&claims, StatusCode::OK),
        refused,
    )?;
    let layer = ValidateRequestLayer::new(
        ValidateRequestConfig::default()
            .hosts(["shop.example"])
            .routes(routes()?),
    )?;
    let chain = BodyLink::new(Root, layer);
    let routed = GateLayer::<_, Replace>::with_mode(chain, Settings::shared_default()).layer(Bare);
    group.service(
        Kind::Zt,
        "ValidateRequest, 32 routes, 1 host",
        "",
        routed,
        ok,
        refused,
    )?;
    group.service(
        Kind::Zt,
        "ValidateRequest, refused",
        "a dot segment",
        service,
        (&dots, StatusCode::BAD_REQUEST),
        &[],
    )?;
    report.section("validate")?;
    report.group(&group.measure(options)?)?;
    Ok(())
}

/// 32 routes, the one that is asked for among them.
fn routes() -> Result<Routes, zt_core::state::RouteError> {
    let orders = RouteRule::new(Method::GET, "/orders/{id}");
    (1..32)
        .fold(Routes::builder().route(orders), |routes, number| {
            routes.route(RouteRule::any(format!("/things{number}/{{id}}")))
        })
        .build()
}
