//! The floors under every layer, and how they compare with those of the peers' baseline.

use std::io::Write;

use http::StatusCode;
use tower::layer::util::Identity;
use zt_benches::{BenchError, Group, Kind, Options, Report, Template, baseline};

use crate::bare::{Bare, router};

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Result<(), BenchError> {
    let request = Template::get("/orders");
    let ok = (&request, StatusCode::OK);
    let mut group = Group::new("in-process request");
    let template = request.clone();
    group.function(
        Kind::Floor,
        "make the request",
        "3 headers, cloned from a template",
        move || template.request(),
    );
    let service = tower::service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::from("ok")))
    });
    group.service(Kind::Floor, "tower service_fn", "", service, ok, &[])?;
    group.service(Kind::Floor, "bare service", "a ready future", Bare, ok, &[])?;
    group.service(Kind::Base, "axum Router", "", router(), ok, &[])?;
    let layered = router().layer(Identity::new());
    group.service(
        Kind::Floor,
        "axum Router + 1 empty layer",
        "",
        layered,
        ok,
        &[],
    )?;

    let measured = group.measure(options);
    report.section("tower")?;
    report.group(&measured)?;
    for (name, floor) in [
        ("tower service_fn", baseline::SERVICE_FN),
        ("axum Router", baseline::AXUM),
    ] {
        if let Ok(here) = measured.median(name) {
            report.line(&format!(
                "Floor `{name}`: {here:.0} ns here, {floor:.0} ns in the peers' baseline, factor {:.2}.",
                here / floor
            ))?;
        }
    }
    Ok(())
}
