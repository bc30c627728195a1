use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, response};
use http_body::Body;
use tower_service::Service;

use super::{
    Chain, End, Exchange, Progress, Settlement, Slots,
    service::{Shared, hand_over},
};
use crate::{
    body::{BoxError, Flow, Settle, Tail, ZtBody},
    context::{SecurityContext, Trail},
    decision::{Code, Denial},
    problem::{Asked, ProblemJson, Render},
};

pin_project_lite::pin_project! {
    /// The future of a [`Gate`](super::Gate).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, C, B, R>
    where
        C: Chain<B>,
        S: Service<Request<B>>,
    {
        carried: Carried<C::Slots>,
        asked: Verb,
        #[pin]
        state: State<S, C, B, S::Future, R>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProj]
    enum State<S, C, B, F, R> {
        /// Checks, guards or the inner service are waited for; `None` where all is over. Boxed,
        /// because few requests wait and every future would have to be large enough.
        Waiting { waiting: Option<Box<Waiting<S, C, B>>> },
        /// The inner service runs.
        Running { #[pin] future: F },
        /// A response is there, and guards hold its head.
        Holding { held: Option<Held<R>> },
    }
}

pub(super) struct Waiting<S, C, B> {
    pub(super) shared: Arc<Shared<C>>,
    pub(super) parts: http::request::Parts,
    pub(super) body: B,
    pub(super) inner: S,
    pub(super) inner_ready: bool,
    pub(super) passed: bool,
    pub(super) released: bool,
}

struct Held<R> {
    head: response::Parts,
    answer: Answer<R>,
}

enum Answer<R> {
    Inner(R),
    Denial(Bytes),
}

/// Methods whose answers end in a way of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Head,
    Connect,
    Other,
}

impl Verb {
    pub(super) fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// The guards while they are in the future; they settle as abandoned when it is dropped.
pub(super) struct Carried<S: Slots> {
    slots: Option<S>,
    pub(super) cx: SecurityContext,
}

impl<S: Slots> Carried<S> {
    pub(super) const fn new(slots: S, cx: SecurityContext) -> Self {
        Self {
            slots: Some(slots),
            cx,
        }
    }

    pub(super) fn holds_handler(&self) -> bool {
        self.slots.as_ref().is_some_and(Slots::holds_handler)
    }

    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        head: &response::Parts,
    ) -> Poll<Result<(), Denial>> {
        match self.slots.as_mut() {
            Some(slots) => slots.poll_release(task, head, self.cx.trail()),
            None => Poll::Ready(Ok(())),
        }
    }

    fn settle(&mut self, end: End, status: Option<StatusCode>) {
        // Guards that do not settle stay where they are: taking them out only moves them.
        if !S::SETTLES {
            return;
        }
        let Some(mut slots) = self.slots.take() else {
            return;
        };
        let trail = self.cx.trail();
        let now = self.cx.settings().clock().monotonic();
        slots.settle(&Settlement {
            end,
            handler: trail.handler(),
            status,
            bytes: 0,
            trailers: None,
            elapsed: now.saturating_sub(trail.opened_monotonic()),
            trail,
        });
    }
}

impl<S: Slots> Drop for Carried<S> {
    fn drop(&mut self) {
        self.settle(End::Abandoned, None);
    }
}

struct Settles<S>(S);

impl<S: Slots> Settle for Settles<S> {
    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.0.poll_frame(task, data, trail)
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.0.settle(settlement);
    }
}

impl<S, C, B, R> ResponseFuture<S, C, B, R>
where
    C: Chain<B>,
    S: Service<Request<B>>,
{
    pub(super) fn refused(carried: Carried<C::Slots>, asked: Verb, denial: &Denial) -> Self {
        let held = Some(refused_by_check(&carried.cx, denial));
        Self {
            carried,
            asked,
            state: State::Holding { held },
        }
    }

    pub(super) fn panicked(carried: Carried<C::Slots>, asked: Verb) -> Self {
        let held = Some(panicked(&carried.cx));
        Self {
            carried,
            asked,
            state: State::Holding { held },
        }
    }

    pub(super) const fn running(
        carried: Carried<C::Slots>,
        asked: Verb,
        future: S::Future,
    ) -> Self {
        Self {
            carried,
            asked,
            state: State::Running { future },
        }
    }

    pub(super) fn waiting(
        carried: Carried<C::Slots>,
        asked: Verb,
        waiting: Waiting<S, C, B>,
    ) -> Self {
        Self {
            carried,
            asked,
            state: State::Waiting {
                waiting: Some(Box::new(waiting)),
            },
        }
    }
}

/// The answer that `denial`, which came before the inner service was called, is. A gate further
/// out believed that it had reached the handler; it had reached this gate.
fn refused_by_check<R>(cx: &SecurityContext, denial: &Denial) -> Held<R> {
    cx.trail().turn_back(cx.outside());
    refusal(cx, denial)
}

/// The answer that `denial` is.
fn refusal<R>(cx: &SecurityContext, denial: &Denial) -> Held<R> {
    let trail = cx.trail();
    trail.deny(denial);
    if denial.code() == Code::StackMisordered {
        // Loud for whoever built the stack; the caller is told nothing.
        tracing::error!(request_id = %trail.request_id(), detail = denial.private_detail(), "stack misordered");
    }
    let asked = Asked::new(trail.request_id(), trail.is_grpc());
    // A renderer that fails must not turn a refusal into a connection that breaks off.
    let render = AssertUnwindSafe(|| cx.settings().render().render(denial, asked));
    let answer =
        catch_unwind(render).unwrap_or_else(|_| ProblemJson::default().render(denial, asked));
    let (mut head, body) = answer.into_parts();
    head.extensions.insert(denial.clone());
    Held {
        head,
        answer: Answer::Denial(body_bytes(body)),
    }
}

/// The bytes of a body that is there whole.
fn body_bytes(body: http_body_util::Full<Bytes>) -> Bytes {
    let mut body = std::pin::pin!(body);
    match body
        .as_mut()
        .poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

impl<S, C, B, R> Future for ResponseFuture<S, C, B, R>
where
    C: Chain<B>,
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ZtBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut held = loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    let Some(request) = waiting.as_mut() else {
                        return Poll::Ready(Ok(empty(StatusCode::INTERNAL_SERVER_ERROR)));
                    };
                    let step = catch_unwind(AssertUnwindSafe(|| request.poll(this.carried, task)));
                    match step {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(Ok(()))) => {}
                        Ok(Poll::Ready(Err(Stop::Denied(denial)))) => {
                            break refused_by_check(&this.carried.cx, &denial);
                        }
                        Ok(Poll::Ready(Err(Stop::Failed(error)))) => {
                            this.carried.settle(End::Failed, None);
                            return Poll::Ready(Err(error));
                        }
                        Err(_) => {
                            let denial = Code::HandlerPanicked.into();
                            break refused_by_check(&this.carried.cx, &denial);
                        }
                    }
                    let Some(request) = waiting.take() else {
                        continue;
                    };
                    let Waiting {
                        mut parts,
                        body,
                        mut inner,
                        ..
                    } = *request;
                    hand_over(&this.carried.cx, &mut parts.extensions, C::HANDS_ON);
                    let call = AssertUnwindSafe(|| inner.call(Request::from_parts(parts, body)));
                    match catch_unwind(call) {
                        Ok(future) => this.state.set(State::Running { future }),
                        Err(_) => break panicked(&this.carried.cx),
                    }
                }
                StateProj::Running { future } => {
                    match catch_unwind(AssertUnwindSafe(|| future.poll(task))) {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(Ok(response))) => {
                            let (head, body) = response.into_parts();
                            break Held {
                                head,
                                answer: Answer::Inner(body),
                            };
                        }
                        Ok(Poll::Ready(Err(error))) => {
                            this.carried.settle(End::Failed, None);
                            return Poll::Ready(Err(error));
                        }
                        Err(_) => break panicked(&this.carried.cx),
                    }
                }
                StateProj::Holding { held } => match held.take() {
                    Some(held) => break held,
                    None => return Poll::Ready(Ok(empty(StatusCode::INTERNAL_SERVER_ERROR))),
                },
            }
        };
        // The inner service is done with. Dropping a future that panicked may panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            this.state.set(State::Waiting { waiting: None });
        }));
        loop {
            match this.carried.poll_release(task, &held.head) {
                Poll::Ready(Ok(())) => {
                    return Poll::Ready(Ok(leave(held, this.carried, *this.asked)));
                }
                Poll::Ready(Err(denial)) => held = refusal(&this.carried.cx, &denial),
                Poll::Pending => {
                    this.state.set(State::Holding { held: Some(held) });
                    return Poll::Pending;
                }
            }
        }
    }
}

/// The answer to a request whose handler panicked.
#[cold]
fn panicked<R>(cx: &SecurityContext) -> Held<R> {
    cx.trail().panicked();
    refusal(cx, &Code::HandlerPanicked.into())
}

/// Why a request that waited does not go on.
enum Stop<E> {
    Denied(Denial),
    Failed(E),
}

impl<S, C, B> Waiting<S, C, B>
where
    C: Chain<B>,
    S: Service<Request<B>>,
{
    /// Ready when the inner service can be called.
    fn poll(
        &mut self,
        carried: &mut Carried<C::Slots>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Stop<S::Error>>> {
        let Carried { slots, cx } = carried;
        let Some(slots) = slots.as_mut() else {
            return Poll::Ready(Err(Stop::Denied(Denial::misordered(
                "a request was polled after it ended",
            ))));
        };
        if !self.passed {
            let mut exchange = Exchange {
                parts: &mut self.parts,
                body: &mut self.body,
                cx,
            };
            let progress = self.shared.chain.run(slots, &mut exchange, Some(task));
            let progress = progress.unless_owing(cx);
            cx.publish();
            match progress {
                Progress::Passed => self.passed = true,
                Progress::Waiting => return Poll::Pending,
                Progress::Refused(denial) => return Poll::Ready(Err(Stop::Denied(denial))),
            }
        }
        if !self.released {
            ready!(slots.poll_before_handler(task, cx.trail())).map_err(Stop::Denied)?;
            self.released = true;
        }
        if !self.inner_ready {
            ready!(self.inner.poll_ready(task)).map_err(Stop::Failed)?;
            self.inner_ready = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// The response leaves: guards see its head, and what settles rides on its body.
fn leave<S: Slots, R>(held: Held<R>, carried: &mut Carried<S>, asked: Verb) -> Response<ZtBody<R>>
where
    R: Body<Data = Bytes>,
{
    let Held {
        mut head,
        mut answer,
    } = held;
    if let Answer::Denial(bytes) = &mut answer {
        // RFC 9110 section 9.3.2: HEAD has the header fields of GET and no content, which a server
        // of HTTP/2 does not see to.
        if asked == Verb::Head && !bytes.is_empty() {
            let length = HeaderValue::from(bytes.len());
            head.headers.insert(header::CONTENT_LENGTH, length);
            *bytes = Bytes::new();
        }
    }
    if let Some(slots) = carried.slots.as_mut() {
        slots.head(&mut head, carried.cx.trail());
    }
    let (ends, length) = match &answer {
        Answer::Inner(body) => (body.is_end_stream(), body.size_hint().exact()),
        Answer::Denial(bytes) => (bytes.is_empty(), Some(bytes.len() as u64)),
    };
    let end = end_at_head(&head, asked, ends);
    if let Some(end) = end {
        carried.settle(end, Some(head.status));
    }
    let cx = &carried.cx;
    // What a body has behind the end that it told of, or where none belongs, was settled without
    // being metered: nothing of it goes out. Nor does its length: for want of data a client of
    // HTTP/2 would take the answer for a broken one. With HEAD the length is part of the answer.
    let unmetered = S::METERS && matches!(answer, Answer::Inner(_)) && end == Some(End::Complete);
    let nothing = unmetered && (ends || asked != Verb::Head);
    // One lease a request, whichever gate holds the permit first. A body where none belongs (an
    // answer to HEAD, a 204) is not settled any more, but a server of HTTP/2 sends it.
    let watch = match &answer {
        Answer::Inner(_) if !ends && !nothing && end != Some(End::Upgraded) => cx.watch(),
        _ => None,
    };
    let guards = if (S::SETTLES || S::METERS) && end.is_none() {
        carried.slots.take()
    } else {
        None
    };
    // An answer that streams may be made of a body that turns out to be another. Where that is
    // known already, this is what was answered in its place.
    let trail = cx.trail();
    let streams = !ends && !nothing && trail.streams_body() && trail.body_refused().is_none();
    let stray = unmetered && !nothing;
    let flow = match S::METERS {
        true if stray => Flow::Stray,
        true if end.is_none() => Flow::Metered,
        _ => Flow::Free,
    };
    let tail = match (guards, watch) {
        (None, None) if !streams && !stray => None,
        (guards, watch) => {
            let tail: Box<Tail<dyn Settle>> = Box::new(Tail {
                trail: Arc::clone(cx.trail()),
                status: head.status,
                watch,
                expected: declared_length(&head).or(length),
                bytes: 0,
                flow,
                held: None,
                // Where no guard settles, nothing does: the tail is there for the lease alone.
                settled: end.is_some() || !S::SETTLES,
                guards: Settles(guards.unwrap_or_default()),
            });
            Some(tail)
        }
    };
    Response::from_parts(
        head,
        match answer {
            Answer::Inner(_) if nothing => ZtBody::denial(Bytes::new(), tail),
            Answer::Inner(body) => ZtBody::inner(body, tail),
            Answer::Denial(bytes) => ZtBody::denial(bytes, tail),
        },
    )
}

/// How the request ended, where no body will follow the head.
fn end_at_head(head: &response::Parts, asked: Verb, ends: bool) -> Option<End> {
    let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS
        || (asked == Verb::Connect && head.status.is_success());
    if upgraded {
        return Some(End::Upgraded);
    }
    let bodiless = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    (ends || bodiless || asked == Verb::Head).then_some(End::Complete)
}

fn declared_length(head: &response::Parts) -> Option<u64> {
    head.headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// What a future that is polled after its end answers.
fn empty<R>(status: StatusCode) -> Response<ZtBody<R>> {
    let mut response = Response::new(ZtBody::denial(Bytes::new(), None));
    *response.status_mut() = status;
    response
}

impl<S, C, B, R> fmt::Debug for ResponseFuture<S, C, B, R>
where
    C: Chain<B>,
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
