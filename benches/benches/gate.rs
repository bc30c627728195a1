//! What a gate costs: opening the context, one more check, a check that waits, gates in gates.

use std::{
    io::Write,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use futures_util::future::Either;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use tower::{Layer, Service};
use zt_benches::{Bar, Group, Kind, Limit, Options, Outcome, Report, Template};
use zt_core::{
    context::{PeerAddr, SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Chain, Check, GateLayer, Later, Link, OpenContextLayer, Opened, Root, Settings, Step},
};

use crate::bare::{AXUM, BARE, Bare, router};

static NAMES: [HeaderName; 8] = [
    HeaderName::from_static("x-check-0"),
    HeaderName::from_static("x-check-1"),
    HeaderName::from_static("x-check-2"),
    HeaderName::from_static("x-check-3"),
    HeaderName::from_static("x-check-4"),
    HeaderName::from_static("x-check-5"),
    HeaderName::from_static("x-check-6"),
    HeaderName::from_static("x-check-7"),
];

/// One header look-up: the check of all candidates.
fn look_up(parts: &Parts, name: &HeaderName) -> Result<(), Denial> {
    match parts.headers.get(name) {
        Some(value) if value == "yes" => Ok(()),
        _ => Err(Code::PolicyDenied.into()),
    }
}

/// The look-up as a check.
#[derive(Clone)]
struct LookUp(HeaderName);

impl Check for LookUp {
    type Guard = ();

    const NAME: &'static str = "look-up";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        look_up(parts, &self.0).into()
    }
}

/// A check that passes everything: what is left is the gate's own work.
#[derive(Clone)]
struct Passes;

impl Check for Passes {
    type Guard = ();

    const NAME: &'static str = "passes";
    const STAGE: Stage = Stage::Anywhere;

    #[inline(never)]
    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        Step::pass(())
    }
}

/// The look-up as a check that waits: `PENDING` times, then it answers.
#[derive(Clone)]
struct Waits<const PENDING: u8>(HeaderName);

impl<const PENDING: u8> Check for Waits<PENDING> {
    type Guard = ();

    const NAME: &'static str = "look-up that waits";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        let name = self.0.clone();
        Step::Later(Later::then(Turns(PENDING), move |(), parts, _| {
            look_up(parts, &name)
        }))
    }
}

struct Turns(u8);

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// The floor: the same eight look-ups, as a team would write them into one service.
#[derive(Clone)]
struct Plain<S>(S);

impl<S> Service<Request<Body>> for Plain<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, std::future::Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        for name in &NAMES {
            if look_up(&parts, name).is_err() {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::FORBIDDEN;
                return Either::Right(std::future::ready(Ok(response)));
            }
        }
        Either::Left(self.0.call(Request::from_parts(parts, body)))
    }
}

/// Opens a context and drops it; nothing else of a gate.
#[derive(Clone)]
struct Opens<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Opens<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        std::hint::black_box(SecurityContext::open(&parts, &self.settings));
        self.inner.call(Request::from_parts(parts, body))
    }
}

fn settings() -> Arc<Settings> {
    Settings::shared_default()
}

/// The chain of `NAMES` look-ups, of which the last is `last`.
fn eight(last: impl Check) -> impl Chain<Body> + Clone {
    let [a, b, c, d, e, f, g, _] = NAMES.clone().map(LookUp);
    Link::first(a)
        .then(b)
        .then(c)
        .then(d)
        .then(e)
        .then(f)
        .then(g)
        .then(last)
}

/// A request of eleven headers, eight of which are looked up.
fn good() -> Template {
    NAMES
        .iter()
        .fold(Template::get("/orders"), |request, name| {
            request.header(name.clone(), HeaderValue::from_static("yes"))
        })
}

fn last() -> HeaderName {
    let [.., last] = NAMES.clone();
    last
}

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("gate")?;
    around_a_service(options, report)?;
    around_axum(options, report)
}

fn around_a_service(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let good = good();
    let bad = good.clone().header(last(), HeaderValue::from_static("no"));
    let ok = (&good, StatusCode::OK);
    let refused = &[(&bad, StatusCode::FORBIDDEN)];

    let mut group = Group::new("around a bare service");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    group.service(
        Kind::Floor,
        PLAIN,
        "on the split head",
        Plain(Bare),
        ok,
        refused,
    )?;
    let opens = Opens {
        inner: Bare,
        settings: settings(),
    };
    group.service(Kind::Zt, OPEN, "and dropped; no gate", opens, ok, &[])?;
    let empty = GateLayer::new(Opened, settings()).layer(Bare);
    let quiet = GateLayer::new(Root, settings()).layer(Bare);
    group.service(
        Kind::Zt,
        "gate that keeps its context",
        "no check finds anything of use inside",
        quiet,
        ok,
        &[],
    )?;
    group.service(
        Kind::Zt,
        EMPTY,
        "opens the context, hands it on",
        empty,
        ok,
        &[],
    )?;
    let inside = OpenContextLayer::new(Settings::default())
        .layer(GateLayer::new(Opened, settings()).layer(Bare));
    group.service(Kind::Zt, "two gates without checks", "", inside, ok, &[])?;

    let passes = Link::first(Passes).then(Passes).then(Passes).then(Passes);
    let passes = passes.then(Passes).then(Passes).then(Passes).then(Passes);
    let gate = GateLayer::new(passes, settings()).layer(Bare);
    group.service(
        Kind::Zt,
        "one gate of eight checks that pass all",
        "",
        gate,
        ok,
        &[],
    )?;
    let one = GateLayer::new(Link::first(LookUp(last())), settings()).layer(Bare);
    group.service(Kind::Zt, "one gate, one check", "", one, ok, refused)?;
    let gate = GateLayer::new(eight(LookUp(last())), settings()).layer(Bare);
    group.service(Kind::Zt, EIGHT, "", gate, ok, refused)?;
    let gate = GateLayer::new(eight(Waits::<0>(last())), settings()).layer(Bare);
    group.service(
        Kind::Zt,
        WAITS,
        "ready at its first poll",
        gate,
        ok,
        refused,
    )?;
    let gate = GateLayer::new(eight(Waits::<1>(last())), settings()).layer(Bare);
    group.service(
        Kind::Zt,
        "eight checks, the last waits once",
        "",
        gate,
        ok,
        refused,
    )?;
    let gate = |name| GateLayer::new(Link::first(LookUp(name)), settings());
    let [a, b, c, d, e, f, g, h] = NAMES.clone().map(gate);
    let nested = tower::ServiceBuilder::new()
        .layer(a)
        .layer(b)
        .layer(c)
        .layer(d)
        .layer(e)
        .layer(f)
        .layer(g)
        .layer(h)
        .service(Bare);
    group.service(Kind::Zt, NESTED, "one check each", nested, ok, refused)?;
    let gate = GateLayer::new(eight(LookUp(last())), settings()).layer(Bare);
    let refusal = (&bad, StatusCode::FORBIDDEN);
    group.service(
        Kind::Zt,
        "one gate of eight checks, refused",
        "problem+json",
        gate,
        refusal,
        &[],
    )?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    let (checks, calls) = (measured.over(EIGHT, EMPTY)?, measured.over(PLAIN, BARE)?);
    report.bar(Bar::new(
        "eight checks in one gate, over the gate alone, against eight plain calls over none",
        Limit::Times(1.3),
        checks / calls,
    ));
    report.bar(Bar::new(
        "a request through one gate of eight checks against one through eight plain calls",
        Limit::Times(1.3),
        measured.ratio(EIGHT, PLAIN)?,
    ));
    report.bar(Bar::new(
        "allocations of eight checks beyond the gate's own",
        Limit::Allocations(0.0),
        measured.allocations_over(EIGHT, EMPTY)?,
    ));
    Ok(())
}

fn around_axum(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let peer = PeerAddr(([192, 0, 2, 1], 4711).into());
    let good = good().extension(peer);
    let bad = good.clone().header(last(), HeaderValue::from_static("no"));
    let ok = (&good, StatusCode::OK);
    let refused = &[(&bad, StatusCode::FORBIDDEN)];

    let mut group = Group::new("around axum, with the peer's address on the request");
    group.service(Kind::Base, AXUM, "", router(), ok, &[])?;
    let gate = || GateLayer::new(eight(LookUp(last())), settings());
    group.service(
        Kind::Floor,
        "eight plain calls outside",
        "",
        Plain(router()),
        ok,
        refused,
    )?;
    let outside = GateLayer::new(Opened, settings()).layer(router());
    group.service(
        Kind::Zt,
        "a gate without checks outside",
        "",
        outside,
        ok,
        &[],
    )?;
    group.service(
        Kind::Zt,
        "one gate of eight checks outside",
        "",
        gate().layer(router()),
        ok,
        refused,
    )?;
    let inside = router().layer(gate());
    group.service(
        Kind::Zt,
        "one gate of eight checks, Router::layer",
        "boxed",
        inside,
        ok,
        refused,
    )?;
    report.group(&group.measure(options)?)?;
    Ok(())
}

const PLAIN: &str = "eight plain calls";
const OPEN: &str = "context opened";
const EMPTY: &str = "gate without checks";
const EIGHT: &str = "one gate of eight checks";
const WAITS: &str = "eight checks, the last waits";
const NESTED: &str = "eight nested gates";
