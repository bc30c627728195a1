//! `LimitRate` beside `tower_governor`, admitted and refused.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::extract::ConnectInfo;
use governor::middleware::NoOpMiddleware;
use http::{StatusCode, request::Parts};
use tower::Layer;
use tower_governor::{
    GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::PeerIpKeyExtractor,
};
use zt_benches::{Bar, Group, Kind, Limit, Options, Outcome, Report, Template, drive, shows};
use zt_core::{
    context::{SecurityContext, Stage},
    gate::{Check, GateLayer, Link, Settings, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
};
use zt_ratelimit::{LimitRateLayer, Quota};

use crate::bare::{AXUM, router};

const PEER: &str = "LimitRate by peer";
const PEER_REFUSED: &str = "LimitRate by peer, refused";
const CALLER: &str = "LimitRate by principal";
const CALLER_REFUSED: &str = "LimitRate by principal, refused";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("limit")?;
    one_caller(options, report)?;
    many_callers(options, report)
}

fn one_caller(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders").extension(ConnectInfo(address(0)));
    let ok = (&request, StatusCode::OK);
    // What is refused was let in once before: its quota is one request.
    let limited = (&request, StatusCode::TOO_MANY_REQUESTS);

    let mut group = Group::new("one caller, through axum, limits outside the router");
    group.service(
        Kind::Base,
        AXUM,
        "with the peer's address",
        router(),
        ok,
        &[],
    )?;
    let peer = LimitRateLayer::by_peer(plenty()?);
    group.service(
        Kind::Zt,
        PEER,
        "with RateLimit fields",
        peer.layer(router()),
        ok,
        &[],
    )?;
    let quiet = peer.without_headers().layer(router());
    group.service(
        Kind::Zt,
        "LimitRate by peer, without fields",
        "",
        quiet,
        ok,
        &[],
    )?;
    let mut service = LimitRateLayer::by_peer(one()?).layer(router());
    shows(PEER_REFUSED, &mut service, &request, StatusCode::OK)?;
    group.service(
        Kind::Zt,
        PEER_REFUSED,
        "problem+json",
        service,
        limited,
        &[],
    )?;

    let named = GateLayer::new(Link::first(Named::new()), settings()).layer(router());
    group.service(
        Kind::Zt,
        "a named caller, no limit",
        "one check that names",
        named,
        ok,
        &[],
    )?;
    let chain = |quota| Link::first(Named::new()).then(LimitRateLayer::by_principal(quota));
    let service = GateLayer::new(chain(plenty()?), settings()).layer(router());
    group.service(Kind::Zt, CALLER, "with RateLimit fields", service, ok, &[])?;
    let mut service = GateLayer::new(chain(one()?), settings()).layer(router());
    shows(CALLER_REFUSED, &mut service, &request, StatusCode::OK)?;
    group.service(
        Kind::Zt,
        CALLER_REFUSED,
        "problem+json",
        service,
        limited,
        &[],
    )?;

    let config = Arc::new(governor(1, u32::MAX)?);
    let keyed = Arc::clone(&config);
    group.function(Kind::Floor, "governor, the key alone", "1 key", move || {
        keyed.limiter().check_key(&address(0).ip()).is_ok()
    });
    let service = GovernorLayer::new(config).layer(router());
    group.service(
        Kind::Peer,
        "tower_governor 0.8",
        "by peer; no fields",
        service,
        ok,
        &[],
    )?;
    let mut service = GovernorLayer::new(governor(u64::MAX >> 12, 1)?).layer(router());
    shows(
        "tower_governor 0.8, refused",
        &mut service,
        &request,
        StatusCode::OK,
    )?;
    group.service(
        Kind::Peer,
        "tower_governor 0.8, refused",
        "text",
        service,
        limited,
        &[],
    )?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    for (what, refused, admitted) in [
        (
            "a request refused by the peer's limit against one admitted",
            PEER_REFUSED,
            PEER,
        ),
        (
            "a request refused by the principal's limit against one admitted",
            CALLER_REFUSED,
            CALLER,
        ),
    ] {
        report.bar(Bar::new(
            what,
            Limit::Times(1.5),
            measured.ratio(refused, admitted)?,
        ));
    }
    Ok(())
}

/// 10,000 peers in turn: what caches and tables cost.
fn many_callers(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut group = Group::new("10,000 peers in turn, through axum");
    macro_rules! in_turn {
        ($kind:expr, $name:expr, $note:expr, $service:expr) => {{
            let mut service = $service;
            let template = Template::get("/orders");
            let mut next: u32 = 0;
            group.function($kind, $name, $note, move || {
                // A step that is coprime to the number of peers: no neighbours.
                next = (next + 7_919) % 10_000;
                let mut request = template.request();
                request.extensions_mut().insert(ConnectInfo(address(next)));
                drive(&mut service, request)
            });
        }};
    }
    in_turn!(Kind::Base, AXUM, "", router());
    in_turn!(
        Kind::Zt,
        PEER,
        "",
        LimitRateLayer::by_peer(plenty()?).layer(router())
    );
    let service = GovernorLayer::new(governor(1, u32::MAX)?).layer(router());
    in_turn!(Kind::Peer, "tower_governor 0.8", "no fields", service);
    report.group(&group.measure(options)?)?;
    Ok(())
}

fn settings() -> Arc<Settings> {
    Settings::shared_default()
}

pub(crate) fn address(number: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), 4711)
}

/// So much that nobody uses it up.
fn plenty() -> Result<Quota, zt_ratelimit::limit_rate::QuotaError> {
    Quota::new("plenty", 1_000_000_000, Duration::from_secs(1))
}

/// One request a year.
fn one() -> Result<Quota, zt_ratelimit::limit_rate::QuotaError> {
    Quota::new("one", 1, Duration::from_secs(365 * 86_400))
}

pub(crate) type Governor =
    GovernorConfig<PeerIpKeyExtractor, NoOpMiddleware<governor::clock::QuantaInstant>>;

pub(crate) fn governor(nanos: u64, burst: u32) -> Result<Governor, String> {
    GovernorConfigBuilder::default()
        .per_nanosecond(nanos)
        .burst_size(burst)
        .finish()
        .ok_or_else(|| "a governor without quota".to_owned())
}

/// Names the caller, without a credential: what a limit by principal needs before it.
#[derive(Clone)]
pub(crate) struct Named(Arc<Principal>);

impl Named {
    pub(crate) fn new() -> Self {
        let principal =
            Principal::assertion(PrincipalKind::Service, "billing", AuthMethod::ServiceToken);
        Self(Arc::new(principal.scopes(["orders:read"]).finish()))
    }
}

impl Check for Named {
    type Guard = ();

    const NAME: &'static str = "named";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        cx.set_principal(Arc::clone(&self.0));
        Step::pass(())
    }
}
