//! The floors under every layer, and how they compare with those of the peers' baseline.

use std::io::Write;

use http::StatusCode;
use tower::layer::util::Identity;
use zt_benches::{
    BASELINE_AXUM, BASELINE_SERVICE_FN, Group, Kind, Options, Outcome, Report, Template,
};

use crate::bare::{AXUM, BARE, Bare, router};

const SERVICE_FN: &str = "tower service_fn";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
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
    group.service(Kind::Floor, SERVICE_FN, "", service, ok, &[])?;
    group.service(Kind::Floor, BARE, "a ready future", Bare, ok, &[])?;
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    let layered = router().layer(Identity::new());
    group.service(
        Kind::Floor,
        "axum Router + 1 empty layer",
        "",
        layered,
        ok,
        &[],
    )?;

    let measured = group.measure(options)?;
    report.section("tower")?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    for (name, baseline) in [(SERVICE_FN, BASELINE_SERVICE_FN), (AXUM, BASELINE_AXUM)] {
        let here = measured.median(name)?;
        report.line(&format!(
            "Floor `{name}`: {here:.0} ns here, {baseline:.0} ns in the peers' baseline, factor {:.2}.",
            here / baseline
        ))?;
    }
    report.scale(measured.median(SERVICE_FN)? / BASELINE_SERVICE_FN);
    Ok(())
}
