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
    body::{BoxError, Settle, Tail, ZtBody},
    context::{HandlerRun, SecurityContext},
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
        shared: Arc<Shared<C>>,
        cx: SecurityContext,
        carried: Carried<C::Slots>,
        method: Method,
        #[pin]
        state: State<S, S::Future, B, R>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProj]
    #[project_replace = StateReplace]
    enum State<S, F, B, R> {
        /// Checks, guards or the inner service are waited for.
        Waiting { waiting: Option<Waiting<S, B>> },
        /// The inner service runs.
        Running { #[pin] future: F },
        /// A response is there; guards may hold its head.
        Holding { head: Option<response::Parts>, answer: Option<Answer<R>> },
    }
}

struct Waiting<S, B> {
    parts: http::request::Parts,
    body: B,
    inner: S,
    inner_ready: bool,
    passed: bool,
    released: bool,
}

enum Answer<R> {
    Inner(R),
    Denial(Bytes),
}

/// The guards while they are in the future; they settle as abandoned when it is dropped.
struct Carried<S: Slots> {
    slots: Option<S>,
    cx: SecurityContext,
}

impl<S: Slots> Carried<S> {
    fn settle(&mut self, end: End, status: Option<StatusCode>) {
        let Some(mut slots) = self.slots.take().filter(|_| S::SETTLES) else {
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
    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.0.settle(settlement);
    }
}

impl<S, C, B, R> ResponseFuture<S, C, B, R>
where
    C: Chain<B>,
    S: Service<Request<B>>,
{
    pub(super) fn new(shared: Arc<Shared<C>>, cx: SecurityContext, slots: C::Slots) -> Self {
        Self {
            shared,
            carried: Carried {
                slots: Some(slots),
                cx: cx.clone(),
            },
            cx,
            method: Method::GET,
            state: State::Waiting { waiting: None },
        }
    }

    pub(super) fn holds_handler(&self) -> bool {
        self.carried
            .slots
            .as_ref()
            .is_some_and(Slots::holds_handler)
    }

    pub(super) fn pass(&self, parts: &mut http::request::Parts) {
        hand_over(&self.cx, &mut parts.extensions, C::HANDS_ON);
    }

    pub(super) fn refused(mut self, denial: &Denial, method: &Method) -> Self {
        self.method = method.clone();
        self.state = refusal(&self.cx, denial);
        self
    }

    pub(super) fn panicked(mut self, method: &Method) -> Self {
        self.cx.trail().set_handler(HandlerRun::Panicked);
        self.method = method.clone();
        self.state = refusal(&self.cx, &Code::HandlerPanicked.into());
        self
    }

    pub(super) fn running(mut self, future: S::Future, method: Method) -> Self {
        self.method = method;
        self.state = State::Running { future };
        self
    }

    pub(super) fn waiting(
        mut self,
        request: Request<B>,
        inner: S,
        inner_ready: bool,
        passed: bool,
    ) -> Self {
        self.method = request.method().clone();
        let (parts, body) = request.into_parts();
        let waiting = Waiting {
            parts,
            body,
            inner,
            inner_ready,
            passed,
            released: false,
        };
        self.state = State::Waiting {
            waiting: Some(waiting),
        };
        self
    }
}

/// The state in which `denial` is the answer.
fn refusal<S, F, B, R>(cx: &SecurityContext, denial: &Denial) -> State<S, F, B, R> {
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
    let bytes = body_bytes(body);
    State::Holding {
        head: Some(head),
        answer: Some(Answer::Denial(bytes)),
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
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    let Some(request) = waiting.as_mut() else {
                        return Poll::Ready(Ok(empty(StatusCode::INTERNAL_SERVER_ERROR)));
                    };
                    let step = catch_unwind(AssertUnwindSafe(|| {
                        request.poll(&this.shared.chain, this.cx, this.carried, task)
                    }));
                    match step {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(Ok(()))) => {}
                        Ok(Poll::Ready(Err(Stop::Denied(denial)))) => {
                            this.state.set(refusal(this.cx, &denial));
                            continue;
                        }
                        Ok(Poll::Ready(Err(Stop::Failed(error)))) => {
                            this.carried.settle(End::Failed, None);
                            return Poll::Ready(Err(error));
                        }
                        Err(_) => {
                            this.state
                                .set(refusal(this.cx, &Code::HandlerPanicked.into()));
                            continue;
                        }
                    }
                    let Some(Waiting {
                        mut parts,
                        body,
                        mut inner,
                        ..
                    }) = waiting.take()
                    else {
                        continue;
                    };
                    hand_over(this.cx, &mut parts.extensions, C::HANDS_ON);
                    let call = AssertUnwindSafe(|| inner.call(Request::from_parts(parts, body)));
                    match catch_unwind(call) {
                        Ok(future) => State::Running { future },
                        Err(_) => {
                            this.cx.trail().set_handler(HandlerRun::Panicked);
                            refusal(this.cx, &Code::HandlerPanicked.into())
                        }
                    }
                }
                StateProj::Running { future } => {
                    match catch_unwind(AssertUnwindSafe(|| future.poll(task))) {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(Ok(response))) => {
                            let (head, body) = response.into_parts();
                            State::Holding {
                                head: Some(head),
                                answer: Some(Answer::Inner(body)),
                            }
                        }
                        Ok(Poll::Ready(Err(error))) => {
                            this.carried.settle(End::Failed, None);
                            return Poll::Ready(Err(error));
                        }
                        Err(_) => {
                            this.cx.trail().set_handler(HandlerRun::Panicked);
                            refusal(this.cx, &Code::HandlerPanicked.into())
                        }
                    }
                }
                StateProj::Holding { head, answer } => {
                    let Some(held) = head.as_ref() else {
                        return Poll::Ready(Ok(empty(StatusCode::INTERNAL_SERVER_ERROR)));
                    };
                    if let Some(slots) = this.carried.slots.as_mut() {
                        if let Err(denial) = ready!(slots.poll_release(task, held, this.cx.trail()))
                        {
                            this.state.set(refusal(this.cx, &denial));
                            continue;
                        }
                    }
                    let (Some(head), Some(answer)) = (head.take(), answer.take()) else {
                        continue;
                    };
                    return Poll::Ready(Ok(leave(
                        head,
                        answer,
                        this.carried,
                        this.cx,
                        this.method,
                    )));
                }
            };
            // Dropping a future that panicked may panic again.
            let _ = catch_unwind(AssertUnwindSafe(|| this.state.set(next)));
        }
    }
}

/// Why a request that waited does not go on.
enum Stop<E> {
    Denied(Denial),
    Failed(E),
}

impl<S, B> Waiting<S, B> {
    /// Ready when the inner service can be called.
    fn poll<C>(
        &mut self,
        chain: &C,
        cx: &mut SecurityContext,
        carried: &mut Carried<C::Slots>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Stop<S::Error>>>
    where
        C: Chain<B>,
        S: Service<Request<B>>,
    {
        let Some(slots) = carried.slots.as_mut() else {
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
            match chain.run(slots, &mut exchange, Some(task)) {
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
fn leave<S: Slots, R>(
    mut head: response::Parts,
    mut answer: Answer<R>,
    carried: &mut Carried<S>,
    cx: &SecurityContext,
    method: &Method,
) -> Response<ZtBody<R>>
where
    R: Body<Data = Bytes>,
{
    if let Answer::Denial(bytes) = &mut answer {
        // RFC 9110 section 9.3.2: HEAD has the header fields of GET and no content, which a server
        // of HTTP/2 does not see to.
        if method == Method::HEAD && !bytes.is_empty() {
            let length = HeaderValue::from(bytes.len());
            head.headers.insert(header::CONTENT_LENGTH, length);
            *bytes = Bytes::new();
        }
    }
    if let Some(slots) = carried.slots.as_mut() {
        slots.head(&mut head, cx.trail());
    }
    let (ends, length) = match &answer {
        Answer::Inner(body) => (body.is_end_stream(), body.size_hint().exact()),
        Answer::Denial(bytes) => (bytes.is_empty(), Some(bytes.len() as u64)),
    };
    let end = end_at_head(&head, method, ends);
    if let Some(end) = end {
        carried.settle(end, Some(head.status));
    }
    // One lease a request, whichever gate holds the permit first. A body where none belongs (an
    // answer to HEAD, a 204) is not settled any more, but a server of HTTP/2 sends it.
    let watch = match &answer {
        Answer::Inner(_) if !ends && end != Some(End::Upgraded) => cx.watch(),
        _ => None,
    };
    let guards = carried.slots.take().filter(|_| S::SETTLES && end.is_none());
    let tail = match (guards, watch) {
        (None, None) => None,
        (guards, watch) => {
            let tail: Box<Tail<dyn Settle>> = Box::new(Tail {
                trail: Arc::clone(cx.trail()),
                clock: Arc::clone(cx.settings().clock()),
                status: head.status,
                watch,
                expected: declared_length(&head).or(length),
                bytes: 0,
                settled: end.is_some(),
                guards: Settles(guards.unwrap_or_default()),
            });
            Some(tail)
        }
    };
    Response::from_parts(
        head,
        match answer {
            Answer::Inner(body) => ZtBody::inner(body, tail),
            Answer::Denial(bytes) => ZtBody::denial(bytes, tail),
        },
    )
}

/// How the request ended, where no body will follow the head.
fn end_at_head(head: &response::Parts, method: &Method, ends: bool) -> Option<End> {
    let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS
        || (method == Method::CONNECT && head.status.is_success());
    if upgraded {
        return Some(End::Upgraded);
    }
    let bodiless = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    (ends || bodiless || method == Method::HEAD).then_some(End::Complete)
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
