//! The whole stack with a log that writes to the disk: in process, and served over loopback by one
//! core.

/// The whole stack around what stands in its slot for the record.
macro_rules! stack {
    ($mint:expr, $($record:tt)+) => {
        ZeroTrust::builder()
            .$($record)+
            .limit_peer(LimitRateLayer::by_peer(Quota::new("peer", 1_000_000_000, Duration::from_secs(1))?))
            .authenticate(VerifyJwtLayer::new(verifier($mint)?.build()?))
            .authorize(AuthorizeLayer::new(RequireScopes::all_of(["orders:read"])?))
            .charge($crate::whole::charge()?)
            .build()?
    };
}

mod loopback;

use std::{io::Write, time::Duration};

use axum::extract::ConnectInfo;
use http::StatusCode;
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_benches::{Bar, Group, Kind, Options, Outcome, Report, Template};
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    stack::ZeroTrust,
    state::Acknowledgement,
};
use zt_jwt::verify_jwt::VerifyJwtLayer;
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, LimitRateLayer, Limits, Quota, Who,
    cost::Currency,
    counter::MemoryCounters,
    limits::{Hard, Subjects},
};

use crate::{
    audit::{Folder, roomy},
    bare::{AXUM, router},
    budget,
    jwt::{Flaw, Kty, Mint, bearing, verifier},
};

const STACK: &str = "the stack, audit `Batched`";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("whole")?;
    in_process(options, report)?;
    if options.only.is_none() {
        loopback::run(options, report)?;
    }
    Ok(())
}

fn in_process(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let folder = Folder::new("whole")?;
    let mint = Mint::new(Kty::Es256)?;
    let peer = ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 4711)));
    let good = bearing(&mint.token(1, Flaw::None)?)?.extension(peer);
    let nobody = Template::get("/orders").extension(peer);
    let (ok, refused) = (
        (&good, StatusCode::OK),
        &[(&nobody, StatusCode::UNAUTHORIZED)],
    );

    let mut group = Group::new(
        "headers, audit on the disk, validation, peer's limit, ES256 token that is known, policy, budget; around axum",
    );
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    let unrecorded = stack!(&mint, without_audit());
    group.service(
        Kind::Zt,
        "the stack without audit",
        "",
        unrecorded.wrap(router()),
        ok,
        refused,
    )?;
    let log = AuditLog::open(folder.path().join("log"), roomy())?;
    let record = RecordAuditLayer::new(log.clone()).acknowledge(Acknowledgement::Batched);
    let recorded = stack!(&mint, record(record));
    group.service(
        Kind::Zt,
        STACK,
        "2 records handed over, written and flushed meanwhile",
        recorded.wrap(router()),
        ok,
        refused,
    )?;
    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_none() {
        report.bar(Bar::new(
            "the whole stack, audit `Batched`, over axum",
            report.nanos(10_000.0),
            measured.over(STACK, AXUM)?,
        ));
    }
    log.close()?;
    Ok(())
}

/// Three budgets and a rate of each principal, in memory, at a fixed price.
fn charge() -> Result<ChargeBudgetLayer<Hard, Cost>, Box<dyn std::error::Error + Send + Sync>> {
    let who = Who::new(|_, cx| {
        let principal = cx.principal()?;
        Some(Subjects::new(["acme", "search", principal.subject()]))
    });
    let limits = Limits::builder(MemoryCounters::default()).build(budget::policy()?)?;
    let price = Cost::from_nanos(1000, Currency::USD);
    Ok(ChargeBudgetLayer::hard(limits, who, price)?)
}
