//! Budgets: the engine beside governor and limitador, the layer over no layer.
#![expect(
    clippy::indexing_slicing,
    reason = "as many subjects as limits, said a few lines above"
)]

#[cfg(feature = "peers")]
#[path = "budget/limitador.rs"]
mod limitador;

use std::{io::Write, num::NonZeroU32, sync::Arc, time::Duration};

use axum::extract::ConnectInfo;
use http::StatusCode;
use tower::Layer;
use tower_governor::GovernorLayer;
use zt_benches::{Bar, Group, Kind, Limit as Most, Options, Outcome, Report, Template};
use zt_core::{
    clock::{Clock, SystemClock, Timestamp},
    gate::{GateLayer, Link, Settings},
};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, LimitRateLayer, Limits, Quota, Who,
    cost::Currency,
    counter::{
        Answer, Claim, CounterStore, MemoryBounds, MemoryCounters, Moment, Purpose, Reserve,
        Settle, Verdict,
    },
    limit::Window,
    limits::{Ask, Hard, Level, Policy, Subjects},
};

use crate::{
    bare::{AXUM, router},
    limit::{Named, address, governor},
};

const THREE: &str = "three budgets and a rate, reserve and settle";
const ONE_RATE: &str = "one rate, reserve and settle";
const GOVERNOR: &str = "governor, keyed, one key";
const NAMED: &str = "a named caller, no limit";
const CHARGE: &str = "ChargeBudget, three budgets and a rate";
const BY_LIMITS: &str = "LimitRate by limits, one rate";
const BY_PRINCIPAL: &str = "LimitRate by principal, one quota";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("budget")?;
    engine(options, report)?;
    layer(options, report)?;
    memory(report)
}

/// A key, its team, its organisation; a rate of the key.
fn limits() -> Result<Vec<Arc<Limit>>, zt_ratelimit::limit::LimitError> {
    let plenty = Cost::from_nanos(1 << 52, Currency::USD);
    Ok(vec![
        Arc::new(Limit::budget("org-month", plenty, Window::month())?),
        Arc::new(Limit::budget("team-week", plenty, Window::week("monday")?)?),
        Arc::new(Limit::budget("key-day", plenty, Window::day())?),
        Arc::new(rate()?),
    ])
}

fn rate() -> Result<Limit, zt_ratelimit::limit::LimitError> {
    Limit::rate("key-second", 1_000_000_000, Duration::from_secs(1))
}

/// The three of a request, in the order of [`limits`].
const SUBJECTS: [&str; 4] = ["acme", "search", "acme-key-1", "acme-key-1"];

fn engine(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut group = Group::new("the engine, in memory, one caller; the time is given");
    let limiter =
        governor::RateLimiter::<String, _, _>::keyed(governor::Quota::per_second(NonZeroU32::MAX));
    let key = SUBJECTS[2].to_owned();
    group.function(
        Kind::Floor,
        GOVERNOR,
        "a text as key; its own clock",
        move || limiter.check_key(&key).is_ok(),
    );
    let direct = governor::RateLimiter::direct(governor::Quota::per_second(NonZeroU32::MAX));
    group.function(
        Kind::Floor,
        "governor, direct",
        "one limit for all",
        move || direct.check().is_ok(),
    );

    let one = vec![Arc::new(rate()?)];
    group.function(Kind::Zt, ONE_RATE, "", engine_call(one, &SUBJECTS[3..])?);
    group.function(Kind::Zt, THREE, "", engine_call(limits()?, &SUBJECTS)?);

    let policy = policy()?;
    let limits = Limits::builder(MemoryCounters::default()).build(policy)?;
    let ask = Ask::at_most(Cost::from_nanos(1000, Currency::USD));
    let clock = SystemClock;
    group.function(
        Kind::Zt,
        "the same through Limits",
        "the clock is read twice",
        move || {
            let who = Subjects::new(["acme", "search", "acme-key-1"]);
            let now = Moment::of(&clock).ok()?;
            let Answer::Now(Ok(outcome)) = limits.reserve::<Hard>(&who, ask, now) else {
                return None;
            };
            match outcome {
                zt_ratelimit::limits::Outcome::Held(reservation) => reservation
                    .settle(Cost::from_nanos(500, Currency::USD))
                    .ok(),
                zt_ratelimit::limits::Outcome::Refused(_) => None,
            }
        },
    );
    #[cfg(feature = "peers")]
    limitador::add(&mut group)?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    let bar = report.nanos(500.0);
    report.bar(Bar::new(
        "reserve and settle over three budgets and a rate, in memory",
        bar,
        measured.median(THREE)?,
    ));
    report.bar(Bar::new(
        "one rate of the engine, reserve and settle, against governor's keyed limiter",
        Most::Times(1.2),
        measured.ratio(ONE_RATE, GOVERNOR)?,
    ));
    Ok(())
}

/// Reserves and settles, over and over; each is granted.
fn engine_call(
    limits: Vec<Arc<Limit>>,
    subjects: &'static [&'static str],
) -> Result<impl FnMut() -> u64 + 'static, String> {
    let store = MemoryCounters::default();
    let wall = SystemClock.now().map_err(|error| error.to_string())?;
    let mut monotonic = Duration::from_secs(1);
    let mut call = move || {
        let claims: [Claim<'_>; 4] = std::array::from_fn(|place| {
            let place = place.min(limits.len() - 1);
            Claim {
                limit: &limits[place],
                subject: subjects[place],
            }
        });
        monotonic += Duration::from_nanos(200);
        let now = Moment { wall, monotonic };
        let ask = Reserve {
            root: subjects[0],
            claims: &claims[..limits.len()],
            cost: 1000,
            weight: 1,
            permits: 1,
            expires_in: Duration::from_secs(60),
            purpose: Purpose::Request,
            now,
        };
        let Answer::Now(Ok(Verdict::Held(held))) = store.reserve(&ask) else {
            return 0;
        };
        match store.settle(held.hold, Settle::Charge(500), now) {
            Answer::Now(Ok(settled)) => 1 + settled.charged,
            _ => 0,
        }
    };
    if call() == 0 {
        return Err("the engine does not grant".to_owned());
    }
    Ok(call)
}

pub(crate) fn policy() -> Result<Policy, Box<dyn std::error::Error + Send + Sync>> {
    let mut limits = limits()?.into_iter().map(Arc::unwrap_or_clone);
    let mut next = || limits.next().into_iter();
    let org = Level::new("organisation", next());
    let team = Level::new("team", next());
    let key: Vec<Limit> = next().chain(next()).collect();
    Ok(Policy::new([org, team, Level::new("key", key)])?)
}

fn layer(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders").extension(ConnectInfo(address(0)));
    let ok = (&request, StatusCode::OK);
    let settings = Settings::shared_default;
    let mut group = Group::new("layers behind a named caller, through axum");
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    let named = GateLayer::new(Link::first(Named::new()), settings()).layer(router());
    group.service(Kind::Zt, NAMED, "one check that names", named, ok, &[])?;

    let who = Who::new(|_, cx| {
        let principal = cx.principal()?;
        Some(Subjects::new(["acme", "search", principal.subject()]))
    });
    let limits = Limits::builder(MemoryCounters::default()).build(policy()?)?;
    let price = Cost::from_nanos(1000, Currency::USD);
    let charge = ChargeBudgetLayer::hard(limits, who, price)?;
    let chain = Link::first(Named::new()).then(charge.clone());
    let service = GateLayer::new(chain, settings()).layer(router());
    group.service(Kind::Zt, CHARGE, "a fixed price", service, ok, &[])?;
    let chain = Link::first(Named::new()).then(charge.with_headers());
    let service = GateLayer::new(chain, settings()).layer(router());
    group.service(
        Kind::Zt,
        "the same with RateLimit fields",
        "",
        service,
        ok,
        &[],
    )?;

    let quota = Quota::new("second", 1_000_000_000, Duration::from_secs(1))?;
    let limit = LimitRateLayer::by_principal(quota).without_headers();
    let chain = Link::first(Named::new()).then(limit);
    let service = GateLayer::new(chain, settings()).layer(router());
    group.service(Kind::Zt, BY_PRINCIPAL, "governor", service, ok, &[])?;
    let policy = Policy::new([Level::new("caller", [rate()?])])?;
    let limits = Limits::builder(MemoryCounters::default()).build(policy)?;
    let limit = LimitRateLayer::by_limits(limits, Who::by_principal())?.without_headers();
    let chain = Link::first(Named::new()).then(limit);
    let service = GateLayer::new(chain, settings()).layer(router());
    group.service(Kind::Zt, BY_LIMITS, "the engine", service, ok, &[])?;
    let service = GovernorLayer::new(governor(1, u32::MAX)?).layer(router());
    group.service(
        Kind::Peer,
        "tower_governor 0.8",
        "by peer; no fields",
        service,
        ok,
        &[],
    )?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    let bar = report.nanos(1500.0);
    report.bar(Bar::new(
        "the layer over a named caller, three budgets and a rate in memory",
        bar,
        measured.over(CHARGE, NAMED)?,
    ));
    Ok(())
}

/// What a million keys take, and that they take no more.
fn memory(report: &mut Report<impl Write>) -> Outcome {
    let store = MemoryCounters::with_bounds(MemoryBounds {
        bytes: 1 << 30,
        ..MemoryBounds::default()
    });
    let limit = Arc::new(rate()?);
    let now = Moment {
        wall: Timestamp::from_secs(1_893_456_000),
        monotonic: Duration::from_secs(1),
    };
    let before = store.bytes();
    for key in 0..1_000_000 {
        let subject = format!("key-{key:07}");
        let claims = [Claim {
            limit: &limit,
            subject: &subject,
        }];
        let verdict = store.reserve(&Reserve {
            root: &subject,
            claims: &claims,
            cost: 0,
            weight: 1_000_000_000,
            permits: 0,
            expires_in: Duration::from_secs(1),
            purpose: Purpose::Request,
            now,
        });
        let Answer::Now(Ok(Verdict::Held(held))) = verdict else {
            return Err(format!("{subject} was refused: {verdict:?}").into());
        };
        drop(store.settle(held.hold, Settle::Release, now));
    }
    let each = (store.bytes() - before) as f64 / 1e6;
    report.line(&format!(
        "A million keys of a rate, names of eleven bytes included: {each:.0} bytes each."
    ))?;
    Ok(())
}
