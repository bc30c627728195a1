use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::request::Parts;

use super::Guard;
use crate::{
    body::RequestBody,
    context::{SecurityContext, Stage},
    decision::Denial,
};

/// One step of a request's way in: it looks at the head of the request and lets it go on, with a
/// guard for the way out, or refuses it.
///
/// A check is shared by all requests, so it is cheap to clone and has its settings behind an
/// `Arc`. It is a plain function in most cases; one that has to wait answers [`Step::Later`], and
/// only then is anything allocated.
pub trait Check: Clone + Send + Sync + 'static {
    /// The check's second half; `()` where it has none.
    type Guard: Guard;

    /// What it is called in the stack's `Display` and in details.
    const NAME: &'static str;

    /// Where it stands; the gate refuses with `stack-misordered` where it stands elsewhere.
    const STAGE: Stage;

    /// Whether the check does anything; `false` is for the empty slots of a stack.
    const PRESENT: bool = true;

    /// Whether what the check finds is of use to layers further in, or to the handler. Where no
    /// check of a gate says so, and no gate further out has opened the context, the gate keeps the
    /// context to itself, which saves the insert into the extensions.
    const HANDS_ON: bool = true;

    /// Decides.
    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Self::Guard>;
}

/// A check that reads or replaces the body; its stack hands on `Request<RequestBody<B>>`.
pub trait CheckBody<B>: Clone + Send + Sync + 'static {
    /// The check's second half; `()` where it has none.
    type Guard: Guard;

    /// As [`Check::NAME`].
    const NAME: &'static str;

    /// As [`Check::STAGE`].
    const STAGE: Stage;

    /// As [`Check::PRESENT`].
    const PRESENT: bool = true;

    /// Decides. A check that waits for the body takes it out with [`RequestBody::take`] and puts
    /// it back in [`Later::then`].
    fn check(
        &self,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Step<Self::Guard, RequestBody<B>>;
}

/// A check's answer: at once, or later.
#[must_use]
pub enum Step<T, X = ()> {
    /// The answer.
    Now(Result<T, Denial>),
    /// The answer has to be waited for.
    Later(Later<T, X>),
}

impl<T> Step<T> {
    /// The request goes on.
    pub const fn pass(value: T) -> Self {
        Self::Now(Ok(value))
    }

    /// Changes the value when it is there; `change` may still refuse.
    pub fn and_then<U, F>(self, parts: &mut Parts, cx: &mut SecurityContext, change: F) -> Step<U>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnOnce(T, &mut Parts, &mut SecurityContext) -> Result<U, Denial> + Send + 'static,
    {
        match self {
            Self::Now(result) => Step::Now(result.and_then(|value| change(value, parts, cx))),
            Self::Later(later) => Step::Later(later.and_then(change)),
        }
    }
}

impl<T, X> From<Result<T, Denial>> for Step<T, X> {
    fn from(result: Result<T, Denial>) -> Self {
        Self::Now(result)
    }
}

impl<T, X> From<Denial> for Step<T, X> {
    fn from(denial: Denial) -> Self {
        Self::Now(Err(denial))
    }
}

impl<T: fmt::Debug, X> fmt::Debug for Step<T, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(later) => later.fmt(f),
        }
    }
}

/// An answer that has to be waited for.
///
/// The waiting itself is an ordinary `'static` future; what it found is then applied to the
/// request by a closure, which gets the request's head and context back. So nothing borrows from
/// the request while it waits.
#[must_use]
pub struct Later<T, X = ()>(Pin<Box<dyn Resume<T, X> + Send>>);

impl<T: Send + 'static, X: 'static> Later<T, X> {
    /// Waits for `future`.
    pub fn new<F>(future: F) -> Self
    where
        F: Future<Output = Result<T, Denial>> + Send + 'static,
    {
        Self::then_with(future, |result, _, _, _| result)
    }

    /// Waits for `future`, then applies `finish` to what it gave and the request's head, body
    /// (`()` for a check that has none) and context.
    pub fn then_with<F, N>(future: F, finish: N) -> Self
    where
        F: Future + Send + 'static,
        N: FnOnce(F::Output, &mut Parts, &mut X, &mut SecurityContext) -> Result<T, Denial>
            + Send
            + 'static,
    {
        Self(Box::pin(Then {
            future,
            finish: Some(finish),
        }))
    }

    pub(super) fn resume(
        &mut self,
        task: &mut Context<'_>,
        parts: &mut Parts,
        body: &mut X,
        cx: &mut SecurityContext,
    ) -> Poll<Result<T, Denial>> {
        self.0.as_mut().resume(task, parts, body, cx)
    }
}

impl<T, X> Later<T, X> {
    /// A wait of its own kind, for checks that need the task, the body and the context at once.
    pub(crate) fn of(wait: impl Resume<T, X> + Send + 'static) -> Self {
        Self(Box::pin(wait))
    }

    /// As [`of`](Self::of), of one that stays where it is.
    pub(crate) fn boxed(wait: Pin<Box<dyn Resume<T, X> + Send>>) -> Self {
        Self(wait)
    }
}

impl<T: Send + 'static> Later<T> {
    /// Waits for `future`, then applies `finish`.
    pub fn then<F, N>(future: F, finish: N) -> Self
    where
        F: Future + Send + 'static,
        N: FnOnce(F::Output, &mut Parts, &mut SecurityContext) -> Result<T, Denial>
            + Send
            + 'static,
    {
        Self::then_with(future, |output, parts, (), cx| finish(output, parts, cx))
    }

    /// Changes the value when it is there.
    pub fn and_then<U, F>(self, change: F) -> Later<U>
    where
        U: Send + 'static,
        F: FnOnce(T, &mut Parts, &mut SecurityContext) -> Result<U, Denial> + Send + 'static,
    {
        Later(Box::pin(AndThen {
            first: self,
            change: Some(change),
        }))
    }

    /// Drives the wait with a request at hand; for combinators of authenticators.
    pub fn poll(
        &mut self,
        task: &mut Context<'_>,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Poll<Result<T, Denial>> {
        self.resume(task, parts, &mut (), cx)
    }

    /// A wait that is driven by `step`, which gets the request at each poll; for combinators.
    pub fn poll_fn<F>(step: F) -> Self
    where
        F: FnMut(&mut Context<'_>, &mut Parts, &mut SecurityContext) -> Poll<Result<T, Denial>>
            + Send
            + 'static,
    {
        Self(Box::pin(PollFn(step)))
    }
}

impl<T, X> fmt::Debug for Later<T, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later(..)")
    }
}

/// What is polled with the request at hand.
pub(crate) trait Resume<T, X> {
    fn resume(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        body: &mut X,
        cx: &mut SecurityContext,
    ) -> Poll<Result<T, Denial>>;
}

pin_project_lite::pin_project! {
    struct Then<F, N> {
        #[pin]
        future: F,
        finish: Option<N>,
    }
}

impl<T, X, F, N> Resume<T, X> for Then<F, N>
where
    F: Future,
    N: FnOnce(F::Output, &mut Parts, &mut X, &mut SecurityContext) -> Result<T, Denial>,
{
    fn resume(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        body: &mut X,
        cx: &mut SecurityContext,
    ) -> Poll<Result<T, Denial>> {
        let this = self.project();
        let output = ready!(this.future.poll(task));
        Poll::Ready(match this.finish.take() {
            Some(finish) => finish(output, parts, body, cx),
            None => Err(Denial::misordered(
                "a check was polled after it had answered",
            )),
        })
    }
}

struct AndThen<T, F> {
    first: Later<T>,
    change: Option<F>,
}

impl<T, F> Unpin for AndThen<T, F> {}

impl<T, U, F> Resume<U, ()> for AndThen<T, F>
where
    T: Send + 'static,
    F: FnOnce(T, &mut Parts, &mut SecurityContext) -> Result<U, Denial>,
{
    fn resume(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        (): &mut (),
        cx: &mut SecurityContext,
    ) -> Poll<Result<U, Denial>> {
        let value = ready!(self.first.resume(task, parts, &mut (), cx));
        Poll::Ready(match (value, self.change.take()) {
            (Ok(value), Some(change)) => change(value, parts, cx),
            (Err(denial), _) => Err(denial),
            (Ok(_), None) => Err(Denial::misordered(
                "a check was polled after it had answered",
            )),
        })
    }
}

struct PollFn<F>(F);

impl<F> Unpin for PollFn<F> {}

impl<T, F> Resume<T, ()> for PollFn<F>
where
    F: FnMut(&mut Context<'_>, &mut Parts, &mut SecurityContext) -> Poll<Result<T, Denial>>,
{
    fn resume(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        (): &mut (),
        cx: &mut SecurityContext,
    ) -> Poll<Result<T, Denial>> {
        (self.0)(task, parts, cx)
    }
}

/// A check from a plain function of the request's head and context.
///
/// ```
/// use zt_core::{decision::Code, gate::{FnCheck, Gate, Link}};
///
/// let no_traces = FnCheck::new(|parts: &mut http::request::Parts, _cx| match parts.method {
///     http::Method::TRACE => Err(Code::RequestMalformed.into()),
///     _ => Ok(()),
/// });
/// let service = tower::service_fn(|_request: http::Request<String>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
/// });
/// let gate = Gate::new(service, Link::first(no_traces));
/// # let _ = gate;
/// ```
#[derive(Clone)]
pub struct FnCheck<F>(F);

impl<F> FnCheck<F>
where
    F: Fn(&mut Parts, &mut SecurityContext) -> Result<(), Denial> + Clone + Send + Sync + 'static,
{
    /// It may stand anywhere: a function has no evidence to give.
    pub const fn new(decide: F) -> Self {
        Self(decide)
    }
}

impl<F> fmt::Debug for FnCheck<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnCheck")
    }
}

impl<F> Check for FnCheck<F>
where
    F: Fn(&mut Parts, &mut SecurityContext) -> Result<(), Denial> + Clone + Send + Sync + 'static,
{
    type Guard = ();

    const NAME: &'static str = "function";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        Step::Now((self.0)(parts, cx))
    }
}
