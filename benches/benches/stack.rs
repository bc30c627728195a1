//! The whole stack around a bare service and around axum.

use std::{io::Write, time::Duration};

use axum::extract::ConnectInfo;
use http::StatusCode;
use tower::Layer;
use zt_audit::RecordAuditLayer;
use zt_benches::{Bar, Group, Kind, Options, Outcome, Report, Template};
use zt_core::{
    authorize::AuthorizeLayer, service_token::VerifyServiceTokenLayer, stack::ZeroTrust,
};
use zt_ratelimit::{LimitRateLayer, Quota};

use crate::{
    audit::Enqueues,
    authorize::table,
    bare::{AXUM, BARE, Bare, router, wait},
    service_token::{registry, with},
};

const STACK: &str = "the stack";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let (tokens, minted) = wait(registry())??;
    let quota = |name| Quota::new(name, 1_000_000_000, Duration::from_secs(1));
    let peer = ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 4711)));
    let nobody = Template::get("/orders/7").extension(peer);
    let good = with(&nobody, &minted)?;
    let dots = with(
        &Template::get("/orders/../orders/7").extension(peer),
        &minted,
    )?;
    let other = with(&Template::get("/orders/8").extension(peer), &minted)?;
    let ok = (&good, StatusCode::OK);
    let refused = &[
        (&nobody, StatusCode::UNAUTHORIZED),
        (&dots, StatusCode::BAD_REQUEST),
        (&other, StatusCode::FORBIDDEN),
    ];
    let unrecorded = ZeroTrust::builder()
        .without_audit()
        .limit_peer(LimitRateLayer::by_peer(quota("peer")?))
        .authenticate(VerifyServiceTokenLayer::new(tokens.clone()))
        .authorize(AuthorizeLayer::new(table()))
        .limit(LimitRateLayer::by_principal(quota("principal")?))
        .build()?;
    macro_rules! recorded {
        ($recorder:expr) => {
            ZeroTrust::builder()
                .record(RecordAuditLayer::new($recorder))
                .limit_peer(LimitRateLayer::by_peer(quota("peer")?))
                .authenticate(VerifyServiceTokenLayer::new(tokens.clone()))
                .authorize(AuthorizeLayer::new(table()))
                .limit(LimitRateLayer::by_principal(quota("principal")?))
                .build()?
        };
    }
    let zt = recorded!(Enqueues::busy()?);
    let idle = recorded!(Enqueues::idle()?);

    report.section("stack")?;
    let mut group = Group::new(
        "headers, audit, validation, peer's limit, service token, policy, principal's limit",
    );
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let bare = unrecorded.layer(Bare);
    group.service(Kind::Zt, "the stack without audit", "", bare, ok, refused)?;
    group.service(
        Kind::Zt,
        STACK,
        "2 records handed over",
        zt.layer(Bare),
        ok,
        refused,
    )?;
    group.service(
        Kind::Zt,
        "the stack, its writer asleep",
        "flushes at once; often woken",
        idle.layer(Bare),
        ok,
        refused,
    )?;
    group.service(
        Kind::Zt,
        "no credential",
        "401",
        zt.layer(Bare),
        (&nobody, StatusCode::UNAUTHORIZED),
        &[],
    )?;
    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_none() {
        report.bar(Bar::new(
            "the stack over a bare service",
            report.nanos(5_000.0),
            measured.over(STACK, BARE)?,
        ));
    }

    let mut group = Group::new("the same around axum");
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    group.service(
        Kind::Zt,
        "zt.wrap(router)",
        "from outside",
        zt.wrap(router()),
        ok,
        refused,
    )?;
    let inside = router().layer(zt);
    group.service(Kind::Zt, "router.layer(zt)", "boxed", inside, ok, &[])?;
    report.group(&group.measure(options)?)?;
    Ok(())
}
