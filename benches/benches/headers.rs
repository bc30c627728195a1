//! `SetSecurityHeaders` beside the crates that teams use today.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::Write,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use axum_helmet::{Helmet, HelmetLayer};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::set_header::SetResponseHeaderLayer;
use zt_benches::{Bar, Group, Kind, Limit, Options, Outcome, Report, Template, carries};
use zt_core::headers::{PermissionsPolicy, SetSecurityHeadersLayer};

use crate::bare::{AXUM, BARE, Bare, router};

const HELMET: &str = "SetSecurityHeaders::helmet";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("headers")?;
    around_a_service(options, report)?;
    around_axum(options, report)
}

fn around_a_service(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders");
    let ok = (&request, StatusCode::OK);
    let helmet = SetSecurityHeadersLayer::helmet();
    let thirteen = thirteen()?;
    let list: Vec<_> = thirteen
        .headers()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();

    let mut group = Group::new("around a bare service");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let inserts = Inserts(list.clone().into());
    group.service(
        Kind::Floor,
        "13 prebuilt inserts",
        "by hand, room made first",
        inserts,
        ok,
        &[],
    )?;
    let mut service = helmet.layer(Bare);
    carries(
        HELMET,
        &mut service,
        &request,
        &header::CONTENT_SECURITY_POLICY,
    )?;
    group.service(
        Kind::Zt,
        HELMET,
        "12 headers, 1 taken off; keeps the handler's own",
        service,
        ok,
        &[],
    )?;
    let service = thirteen.layer(Bare);
    group.service(
        Kind::Zt,
        "SetSecurityHeaders, 13 headers",
        "",
        service,
        ok,
        &[],
    )?;
    let service = SetSecurityHeadersLayer::api().layer(Bare);
    group.service(Kind::Zt, "SetSecurityHeaders::api", "", service, ok, &[])?;

    let mut service = axum_helmet()?.layer(Bare);
    carries(
        "axum-helmet",
        &mut service,
        &request,
        &header::X_CONTENT_TYPE_OPTIONS,
    )?;
    group.service(
        Kind::Peer,
        "axum-helmet 1.0",
        "defaults, 12 headers; overwrites",
        service,
        ok,
        &[],
    )?;
    let mut service = tower_helmet::HelmetLayer::with_defaults().layer(Bare);
    carries(
        "tower-helmet",
        &mut service,
        &request,
        &header::X_CONTENT_TYPE_OPTIONS,
    )?;
    group.service(
        Kind::Peer,
        "tower-helmet 0.3",
        "defaults, 14 headers; overwrites",
        service,
        ok,
        &[],
    )?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m] = set_each(&list)?;
    let service = ServiceBuilder::new()
        .layer((a, b, c, d, e, f, g))
        .layer((h, i, j, k, l, m))
        .service(Bare);
    group.service(
        Kind::Peer,
        "13 × SetResponseHeaderLayer",
        "tower-http 0.7",
        service,
        ok,
        &[],
    )?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    report.bar(Bar::new(
        "the helmet set over a bare service",
        report.nanos(2_000.0),
        measured.over(HELMET, BARE)?,
    ));
    report.bar(Bar::new(
        "its allocations over none",
        Limit::Allocations(3.0),
        measured.allocations_over(HELMET, BARE)?,
    ));
    Ok(())
}

fn around_axum(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders");
    let ok = (&request, StatusCode::OK);
    let helmet = SetSecurityHeadersLayer::helmet();
    let list: Vec<_> = thirteen()?
        .headers()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();

    let mut group = Group::new("around axum");
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    group.service(Kind::Zt, HELMET, "outside", helmet.layer(router()), ok, &[])?;
    let inside = router().layer(helmet.clone());
    group.service(
        Kind::Zt,
        "SetSecurityHeaders::helmet, .layer()",
        "boxed",
        inside,
        ok,
        &[],
    )?;
    let inside = router().layer(axum_helmet()?);
    group.service(
        Kind::Peer,
        "axum-helmet 1.0, .layer()",
        "boxed",
        inside,
        ok,
        &[],
    )?;
    let inside = router().layer(tower_helmet::HelmetLayer::with_defaults());
    group.service(
        Kind::Peer,
        "tower-helmet 0.3, .layer()",
        "boxed",
        inside,
        ok,
        &[],
    )?;
    let inside = set_each(&list)?
        .into_iter()
        .fold(router(), axum::Router::layer);
    group.service(
        Kind::Peer,
        "13 × SetResponseHeaderLayer, .layer() each",
        "every layer boxed",
        inside,
        ok,
        &[],
    )?;
    report.group(&group.measure(options)?)?;
    Ok(())
}

/// helmet's twelve, and one more.
fn thirteen() -> Result<SetSecurityHeadersLayer, zt_core::headers::PermissionsError> {
    let policy = PermissionsPolicy::builder().deny_others().build()?;
    Ok(SetSecurityHeadersLayer::helmet().permissions_policy(&policy))
}

fn axum_helmet() -> Result<HelmetLayer, axum_helmet::HelmetError> {
    // The wrapper of the crate starts without headers; its defaults are those of its core.
    Helmet::default().into_layer()
}

type SetEach = [SetResponseHeaderLayer<HeaderValue>; 13];

fn set_each(list: &[(HeaderName, HeaderValue)]) -> Result<SetEach, String> {
    let layers: Vec<_> = list
        .iter()
        .map(|(name, value)| SetResponseHeaderLayer::overriding(name.clone(), value.clone()))
        .collect();
    SetEach::try_from(layers).map_err(|layers| format!("{} headers, not 13", layers.len()))
}

/// The floor: what a team would write by hand around a service that answers at once.
#[derive(Clone)]
struct Inserts(Arc<[(HeaderName, HeaderValue)]>);

impl Service<Request<Body>> for Inserts {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut answer = Bare.call(request).into_inner();
        if let Ok(response) = &mut answer {
            let headers = response.headers_mut();
            headers.reserve(self.0.len());
            for (name, value) in &*self.0 {
                headers.insert(name, value.clone());
            }
        }
        ready(answer)
    }
}
