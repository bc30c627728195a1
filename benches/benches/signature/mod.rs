//! `VerifySignature`, `SignRequest` and `VerifyWebhook` beside verifiers by others; what the
//! replay memory holds; and requests on which verifiers differ.

mod flood;
mod floors;
mod memory;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod probes;
mod sign;
mod webhook;

use std::io::Write;

use axum::body::Body;
use http::StatusCode;
use tower::Layer as _;
use zt_benches::{Bar, BenchError, Group, Kind, Limit, Measured, Options, Outcome, Report};
use zt_core::gate::{GateLayer, Opened, Settings};

use self::{
    memory::Busy,
    sign::{Algorithm, Keys, Order},
};
use crate::bare::BARE;

const GATE: &str = "gate without checks";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let keys = Keys::new()?;
    let busy = Busy::new()?;
    report.section("signature")?;
    if cfg!(not(feature = "peers")) {
        report.line("Without other verifiers: they are there with `--features peers`.")?;
    }
    for (title, length) in [
        ("a signed request without a body", 0),
        ("a signed request with a body of 1 KB", 1024),
        ("a signed request with a body of 64 KB", 64 * 1024),
    ] {
        let order = |algorithm| Order {
            keys: &keys,
            algorithm,
            length,
        };
        let (shared, public) = (order(Algorithm::Hmac), order(Algorithm::Ed25519));
        let measured = one(title, &shared, &public, &busy)?.measure(options)?;
        report.group(&measured)?;
        if options.only.is_none() {
            bars(length, &measured, report)?;
        }
    }
    webhook::run(options, report, &busy)?;
    if options.only.is_some() {
        return Ok(());
    }
    let order = Order {
        keys: &keys,
        algorithm: Algorithm::Hmac,
        length: 1024,
    };
    flood::run(&order, options, report)?;
    probes::run(&keys, report)
}

fn one(
    title: &'static str,
    shared: &Order<'_>,
    public: &Order<'_>,
    busy: &Busy,
) -> sign::Answered<Group> {
    let good = shared.good()?;
    let ok = (&good, StatusCode::OK);
    let mut group = Group::new(title);
    let base = tower::service_fn(ours::drain::<Body>);
    let note = match shared.length {
        0 => "",
        _ => "reads the body, as everybody's does",
    };
    group.service(Kind::Base, BARE, note, base, ok, &[])?;
    floors::add(&mut group, shared, public)?;
    let opened = GateLayer::new(Opened, Settings::shared_default()).layer(base);
    let note = "hands its context on";
    group.service(Kind::Zt, GATE, note, opened, ok, &[])?;
    #[cfg(feature = "peers")]
    peers::add(&mut group, shared, public, busy)?;
    ours::add(&mut group, shared, public, busy)?;
    if shared.length == 1024 {
        floors::memory(&mut group, busy)?;
        ours::variants(&mut group, shared, busy)?;
        ours::sign(&mut group, shared)?;
        #[cfg(feature = "peers")]
        peers::sign(&mut group, shared)?;
    }
    Ok(group)
}

fn bars(
    length: usize,
    measured: &Measured,
    report: &mut Report<impl Write>,
) -> Result<(), BenchError> {
    let (name, at_most) = match length {
        1024 => ("1 KB", 3_000.0),
        65_536 => ("64 KB", 65_000.0),
        _ => return Ok(()),
    };
    report.bar(Bar::new(
        format!("{name}: {} over a bare service", ours::HMAC),
        report.nanos(at_most),
        measured.over(ours::HMAC, BARE)?,
    ));
    report.bar(Bar::new(
        format!(
            "{name}: {} over a bare service and the bare signature",
            ours::ED25519
        ),
        report.nanos(at_most),
        measured.beyond(ours::ED25519, BARE, floors::ED25519_VERIFY)?,
    ));
    for row in [ours::HMAC, ours::ED25519] {
        report.bar(Bar::new(
            format!("{name}: allocations of {row}"),
            Limit::Allocations(8.0),
            measured.allocations_over(row, BARE)?,
        ));
    }
    if length != 1024 {
        return Ok(());
    }
    report.bar(Bar::new(
        format!("{name}: allocations of {}", ours::ORIGIN),
        Limit::Allocations(8.0),
        measured.allocations_over(ours::ORIGIN, BARE)?,
    ));
    // Behind Ed25519 nobody can be five times faster: the curve is most of it.
    #[cfg(feature = "peers")]
    for row in [peers::HMAC, peers::STRICT] {
        report.bar(Bar::new(
            format!(
                "{name}: {row}, with its digest, over a bare service, in those of {}",
                ours::HMAC
            ),
            Limit::AtLeast(5.0),
            measured.over(row, BARE)? / measured.over(ours::HMAC, BARE)?,
        ));
    }
    Ok(())
}
