use std::{
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    Chain, Exchange, Progress, ResponseFuture, Settings,
    future::{Carried, Verb, Waiting},
};
use crate::{
    body::{BoxError, RequestBody, ZtBody},
    context::SecurityContext,
    decision::Code,
};

/// Which body the inner service of a gate gets.
pub trait BodyMode<B> {
    /// The body that the chain hands on.
    type Out;

    /// What the body that came becomes.
    fn enter(body: B) -> Self::Out;
}

/// The inner service gets the body that came.
#[derive(Debug, Clone, Copy)]
pub struct Keep;

/// The inner service gets a [`RequestBody`]; for chains with checks that look at bodies.
#[derive(Debug, Clone, Copy)]
pub struct Replace;

impl<B> BodyMode<B> for Keep {
    type Out = B;

    fn enter(body: B) -> B {
        body
    }
}

impl<B> BodyMode<B> for Replace {
    type Out = RequestBody<B>;

    fn enter(body: B) -> RequestBody<B> {
        RequestBody::new(body)
    }
}

pub(super) struct Shared<C> {
    pub(super) chain: C,
    pub(super) settings: Arc<Settings>,
    /// Whether it is a whole stack, which opens the context itself.
    pub(super) is_stack: bool,
}

impl<C> Shared<C> {
    /// The context of a request: the one that a gate further out has opened, whose settings hold,
    /// or a new one.
    fn context(&self, parts: &Parts, hands_on: bool) -> SecurityContext {
        let Some(cx) = parts.extensions.get::<SecurityContext>() else {
            return if hands_on {
                SecurityContext::open(parts, &self.settings)
            } else {
                SecurityContext::open_briefly(parts, &self.settings)
            };
        };
        let foreign = self.is_stack && !Arc::ptr_eq(cx.settings(), &self.settings);
        if foreign && !cx.has_begun() {
            // Other settings would hold than those that the stack was built with.
            return SecurityContext::open_misplaced(parts, &self.settings);
        }
        cx.clone()
    }
}

/// A service behind a chain of checks; see the [module](super).
pub struct Gate<S, C, M = Keep> {
    inner: S,
    shared: Arc<Shared<C>>,
    mode: PhantomData<fn() -> M>,
}

impl<S, C> Gate<S, C> {
    /// `inner` behind `chain`, with the default settings.
    pub fn new(inner: S, chain: C) -> Self {
        Self::with_settings(inner, chain, Settings::shared_default())
    }
}

impl<S, C, M> Gate<S, C, M> {
    /// `inner` behind `chain`.
    pub fn with_settings(inner: S, chain: C, settings: Arc<Settings>) -> Self {
        Self {
            inner,
            shared: Arc::new(Shared {
                chain,
                settings,
                is_stack: false,
            }),
            mode: PhantomData,
        }
    }

    pub(super) const fn from_shared(inner: S, shared: Arc<Shared<C>>) -> Self {
        Self {
            inner,
            shared,
            mode: PhantomData,
        }
    }

    /// The service behind the gate.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Clone, C, M> Clone for Gate<S, C, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            mode: PhantomData,
        }
    }
}

impl<S: fmt::Debug, C, M> fmt::Debug for Gate<S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, C, M, B, R> Service<Request<B>> for Gate<S, C, M>
where
    M: BodyMode<B>,
    C: Chain<M::Out>,
    S: Service<Request<M::Out>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ZtBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, M::Out, R>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.shared.settings.is_ready_early() {
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let mut body = M::enter(body);
        let mut cx = self.shared.context(&parts, C::HANDS_ON);
        let mut slots = C::Slots::default();
        let mut exchange = Exchange {
            parts: &mut parts,
            body: &mut body,
            cx: &mut cx,
        };
        let progress = catch_unwind(AssertUnwindSafe(|| {
            self.shared.chain.run(&mut slots, &mut exchange, None)
        }))
        .unwrap_or_else(|_| Progress::Refused(Code::HandlerPanicked.into()))
        .unless_owing(&cx);
        cx.publish();

        let asked = Verb::of(&parts.method);
        let carried = Carried::new(slots, cx);
        let early = self.shared.settings.is_ready_early();
        match progress {
            Progress::Refused(denial) => ResponseFuture::refused(carried, asked, &denial),
            Progress::Passed if !early && !carried.holds_handler() => {
                hand_over(&carried.cx, &mut parts.extensions, C::HANDS_ON);
                let call = AssertUnwindSafe(|| self.inner.call(Request::from_parts(parts, body)));
                match catch_unwind(call) {
                    Ok(future) => ResponseFuture::running(carried, asked, future),
                    Err(_) => ResponseFuture::panicked(carried, asked),
                }
            }
            progress => {
                // The service that is ready goes with the request; tower's contract.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let waiting = Waiting {
                    shared: Arc::clone(&self.shared),
                    parts,
                    body,
                    inner,
                    inner_ready: !early,
                    passed: matches!(progress, Progress::Passed),
                    released: false,
                };
                ResponseFuture::waiting(carried, asked, waiting)
            }
        }
    }
}

/// Hands the context to the inner service where it is of use there, and says that it was reached.
pub(super) fn hand_over(cx: &SecurityContext, extensions: &mut http::Extensions, hands_on: bool) {
    cx.trail().reach(cx.outside());
    match extensions.get_mut::<SecurityContext>() {
        Some(place) => *place = cx.handed_on(),
        None if hands_on => drop(extensions.insert(cx.handed_on())),
        None => {}
    }
}
