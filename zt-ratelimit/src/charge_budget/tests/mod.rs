//! What is charged, and what is refused, broken one condition at a time.

mod attacks;
mod metering;
mod races;
mod refusals;
mod settling;
mod stacks;
mod tabs;

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt, service_fn};
use zt_core::{
    body::{BoxError, ZtBody},
    clock::{Clock, ManualClock},
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Chain, Check, GateLayer, Link, Settings, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Event, MemoryRecorder, RouteRule, Routes},
};

use super::*;
use crate::{
    Cost, Limit, Limits, Who,
    cost::Price,
    counter::{
        Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, HoldId,
        HoldState, MemoryCounters, Moment, Reserve, Settle, Settled, Verdict,
    },
    limit::Window,
    limits::{Level, Policy},
};

pub(super) fn usd(amount: &str) -> Cost {
    format!("{amount} USD").parse().unwrap()
}

/// Names the caller as the request's `x-user` says, `tenant/subject` or only a subject.
#[derive(Clone)]
pub(super) struct Names;

impl Check for Names {
    type Guard = ();
    const NAME: &'static str = "names";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        let Some(user) = parts.headers.get("x-user") else {
            cx.set_principal(Arc::new(Principal::anonymous()));
            return Step::pass(());
        };
        let user = user.to_str().unwrap();
        let made = |subject: &str| {
            Principal::assertion(PrincipalKind::User, subject.to_owned(), AuthMethod::Jwt)
        };
        let principal = match user.split_once('/') {
            Some((tenant, subject)) => made(subject).tenant(tenant.to_owned()),
            None => made(user),
        };
        cx.set_principal(Arc::new(principal.finish()));
        Step::pass(())
    }
}

/// `/health` is public; `/cheap` and `/dear` are declared.
#[derive(Clone)]
pub(super) struct Resolves;

impl Check for Resolves {
    type Guard = ();
    const NAME: &'static str = "resolves";
    const STAGE: Stage = Stage::Validate;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        let routes = Routes::builder()
            .route(RouteRule::new(Method::GET, "/health").public())
            .route(RouteRule::any("/cheap/{id}"))
            .route(RouteRule::any("/dear"))
            .build()
            .unwrap();
        if let Some(route) = routes.resolve(&parts.method, parts.uri.path()) {
            cx.set_route(route);
        }
        Step::pass(())
    }
}

/// Counters that can be slow, or down.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) counters: MemoryCounters,
    slow: Arc<AtomicBool>,
    down: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    answers: Arc<Semaphore>,
}

impl Remote {
    fn new() -> Self {
        Self {
            counters: MemoryCounters::new(),
            slow: Arc::default(),
            down: Arc::default(),
            full: Arc::default(),
            answers: Arc::new(Semaphore::new(0)),
        }
    }

    /// From now on answers wait for [`answer`](Self::answer).
    pub(super) fn slow(&self) {
        self.slow.store(true, Ordering::SeqCst);
    }

    pub(super) fn down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn full(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// One that waits may be read.
    pub(super) fn answer(&self) {
        self.answers.add_permits(1);
    }

    fn tell<T: Send + 'static>(&self, act: impl FnOnce() -> Answer<T>) -> Answer<T> {
        if self.down.load(Ordering::SeqCst) {
            return Answer::Now(Err(CounterError::Unavailable("it is down".into())));
        }
        if self.full.load(Ordering::SeqCst) {
            return Answer::Now(Err(CounterError::Full));
        }
        let answer = act();
        if !self.slow.load(Ordering::SeqCst) {
            return answer;
        }
        let answers = Arc::clone(&self.answers);
        Answer::Later(Box::pin(async move {
            answers.acquire().await.unwrap().forget();
            answer.wait().await
        }))
    }
}

impl CounterStore for Remote {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        self.tell(|| self.counters.reserve(ask))
    }

    fn extend(&self, hold: HoldId, more: u64, lives: Duration, now: Moment) -> Answer<Extended> {
        self.tell(|| self.counters.extend(hold, more, lives, now))
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        self.counters.settle(hold, how, now)
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.counters.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        self.counters.adjust(root, claim, how, now)
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        self.counters.holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        self.counters.expire(at_most, now)
    }
}

/// Limits over counters that can be broken, behind a clock that stands where it is told to.
pub(super) struct Bank {
    pub(super) clock: ManualClock,
    pub(super) store: Remote,
    pub(super) limits: Limits,
    pub(super) recorder: Arc<MemoryRecorder>,
}

impl Bank {
    pub(super) fn of(policy: Policy) -> Self {
        let clock = ManualClock::default();
        let store = Remote::new();
        let recorder = Arc::new(MemoryRecorder::new(10_000));
        let limits = Limits::builder(store.clone())
            .clock(clock.clone())
            .recorder(Arc::clone(&recorder))
            .build(policy)
            .unwrap();
        Self {
            clock,
            store,
            limits,
            recorder,
        }
    }

    /// Each principal has so much a day.
    pub(super) fn daily(amount: &str) -> Self {
        let day = Limit::budget("day", usd(amount), Window::day()).unwrap();
        Self::of(Policy::new([Level::new("key", [day])]).unwrap())
    }

    pub(super) fn now(&self) -> Moment {
        Moment::of(&self.clock).unwrap()
    }

    /// What a limit's subject has spent and holds, in nano-units.
    #[track_caller]
    pub(super) fn cell(&self, root: &str, subject: &str, limit: &str) -> (u64, u64) {
        let policy = self.limits.policy();
        let tier = policy.find(None).unwrap();
        let mut slots = tier.slots().iter();
        let slot = slots.find(|slot| &**slot.limit.name() == limit).unwrap();
        let claim = Claim {
            limit: &slot.limit,
            subject,
        };
        let Answer::Now(Ok(cells)) = self.store.counters.read(root, &[claim], self.now()) else {
            panic!("the counters can be read")
        };
        (cells[0].spent, cells[0].held)
    }

    /// What alice has spent today, in micro-units; she holds nothing.
    #[track_caller]
    pub(super) fn spent(&self) -> u64 {
        let (spent, held) = self.cell("alice", "alice", "day");
        assert_eq!(held, 0, "something is still held");
        spent / 1000
    }

    pub(super) fn held(&self) -> u64 {
        self.cell("alice", "alice", "day").1 / 1000
    }

    /// The actions of the budget events so far that the layer itself tells.
    pub(super) fn told(&self, action: &str) -> usize {
        let events = self.recorder.events();
        let budget =
            |event: &&Event| matches!(event, Event::Budget(event) if event.action == action);
        events.iter().filter(budget).count()
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::default().with_clock(self.clock.clone())
    }

    /// `charge` behind authentication, around `handler`.
    pub(super) fn stand<C: Check, H>(&self, charge: C, handler: H) -> impl Served + use<C, H>
    where
        H: Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        self.chain(
            Link::first(Resolves).then(Names).then(charge),
            self.settings(),
            handler,
        )
    }

    pub(super) fn chain<C: Chain<()>, H>(
        &self,
        chain: C,
        settings: Settings,
        handler: H,
    ) -> impl Served + use<C, H>
    where
        H: Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        GateLayer::new(chain, Arc::new(settings)).layer(handler)
    }
}

/// A finished stack.
pub(super) trait Served:
    Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
    fn ask(&self, request: Request<()>) -> impl Future<Output = Response<Body>> + Send {
        let asked = self.clone().oneshot(request);
        async { asked.await.unwrap_or_else(|never| match never {}) }
    }
}

impl<S> Served for S where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

pub(super) type Frames = StreamBody<futures_util::stream::BoxStream<'static, Piece>>;
pub(super) type Piece = Result<Frame<Bytes>, BoxError>;
pub(super) type Body = ZtBody<Frames>;

pub(super) fn frames(pieces: Vec<Piece>) -> Frames {
    use futures_util::StreamExt as _;
    StreamBody::new(futures_util::stream::iter(pieces).boxed())
}

pub(super) fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// Answers with a head that `change` has changed and these pieces.
pub(super) fn answers(
    change: impl Fn(&mut Response<Frames>) + Clone + Send + 'static,
    pieces: &'static [&'static str],
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(move |_: Request<()>| {
        let mut response = Response::new(frames(pieces.iter().map(|text| data(text)).collect()));
        change(&mut response);
        async move { Ok(response) }
    })
}

pub(super) fn hello()
-> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    answers(|_| {}, &["served"])
}

/// From alice.
pub(super) fn get(path: &str) -> Request<()> {
    Request::get(path)
        .header("x-user", "alice")
        .body(())
        .unwrap()
}

/// Boxed, so that it is seen to be `Send` in tasks of tests.
pub(super) fn read(
    response: Response<Body>,
) -> futures_util::future::BoxFuture<'static, Result<Bytes, BoxError>> {
    use futures_util::TryFutureExt as _;
    Box::pin(
        response
            .into_body()
            .collect()
            .map_ok(|body| body.to_bytes()),
    )
}

/// Reads one piece and drops the rest.
pub(super) fn read_one(response: Response<Body>) -> futures_util::future::BoxFuture<'static, ()> {
    let mut body = response.into_body();
    Box::pin(std::future::poll_fn(move |task| {
        let piece = http_body::Body::poll_frame(std::pin::Pin::new(&mut body), task);
        piece.map(drop)
    }))
}

#[track_caller]
pub(super) fn denial<B>(response: &Response<B>) -> Denial {
    let denial: Option<&Denial> = response.extensions().get();
    denial.expect("it was refused").clone()
}

#[track_caller]
pub(super) fn code<B>(response: &Response<B>) -> Code {
    denial(response).code()
}

/// Each principal pays `price` a request.
pub(super) fn fixed(bank: &Bank, price: &str) -> ChargeBudgetLayer<crate::limits::Hard, Cost> {
    ChargeBudgetLayer::hard(bank.limits.clone(), Who::by_principal(), usd(price)).unwrap()
}

pub(super) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets tasks that are under way go on until none can.
pub(super) async fn settle_down() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
