//! Policies that have to see the body: it is read right before they decide.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, request::Parts};
use http_body::Body;
use tower_layer::Layer;

use crate::{
    body::{BodyRoom, BoxError, CollectLimits, CollectedBody, RequestBody, TakenRoom, WholeBody},
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{BodyLink, CheckBody, Gate, Guard, Later, Replace, Resume, Root, Settings, Step},
    stack::slots::{Authorization, Authorizes, DecideByBody},
};

/// An authorizing layer, and around it what reads the body where its policy asks for it.
///
/// In a stack it is there already. By itself it is a layer whose service gets a
/// `Request<RequestBody<B>>`; see [`AuthorizeLayer::reading_bodies`](super::AuthorizeLayer::reading_bodies).
#[derive(Clone)]
pub struct ReadingBodies<Z>(Z);

/// The service that [`ReadingBodies`] makes.
pub type ReadBodies<S, Z> = Gate<S, BodyLink<Root, ReadingBodies<Z>>, Replace>;

impl<Z> ReadingBodies<Z> {
    pub(crate) const fn around(authorize: Z) -> Self {
        Self(authorize)
    }
}

impl<Z, B> CheckBody<B> for ReadingBodies<Z>
where
    Z: Authorizes,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Guard = Z::Guard;

    const NAME: &'static str = Z::NAME;
    const STAGE: Stage = Z::STAGE;
    const PRESENT: bool = Z::PRESENT;

    #[inline]
    fn check(
        &self,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Step<Z::Guard, RequestBody<B>> {
        match self.0.authorize(parts, cx) {
            Authorization::Decided(Step::Now(result)) => Step::Now(result),
            Authorization::Decided(Step::Later(later)) => Step::Later(Later::of(Decides(later))),
            Authorization::NeedsBody {
                limits,
                room,
                decide,
            } => by_body(limits, &room, decide, parts, body, cx),
        }
    }
}

/// Reads the body and has it decided by.
#[cold]
fn by_body<G, B>(
    limits: CollectLimits,
    room: &BodyRoom,
    decide: DecideByBody<G>,
    parts: &mut Parts,
    body: &mut RequestBody<B>,
    cx: &mut SecurityContext,
) -> Step<G, RequestBody<B>>
where
    G: Guard,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let read = match body.as_collected() {
        Some(content) if content.bytes().len() > limits.bytes => {
            Err(Denial::new(Code::BodyTooLarge))
        }
        // What was judged before, and not what a check further out has left of it.
        Some(content) => Ok(content.clone().unread()),
        // What follows the head of a CONNECT is no content (RFC 9110 section 9.3.6): it is the
        // tunnel, and has no end before the handler has opened it.
        None if parts.method == Method::CONNECT => Ok(CollectedBody::default()),
        None => match room.take(most(body, limits)) {
            None => Err(no_room()),
            Some(room) => {
                let reading = Reads {
                    body: Some(WholeBody::new(body.take(), limits, cx)),
                    room: Some(room),
                    decide: Some(decide),
                    decides: None,
                };
                let mut reading = Box::pin(reading);
                // Takes what is there already: a request whose body is need not be put aside.
                return match reading.as_mut().go_on(None, parts, body, cx) {
                    Poll::Ready(result) => Step::Now(result),
                    Poll::Pending => Step::Later(Later::boxed(reading)),
                };
            }
        },
    };
    match shown(read, decide, parts, cx) {
        Step::Now(result) => Step::Now(result),
        Step::Later(later) => Step::Later(Later::of(Decides(later))),
    }
}

/// How large the body may become.
fn most<B: Body>(body: &RequestBody<B>, limits: CollectLimits) -> usize {
    let said = body.upper_bound().map(usize::try_from);
    match said {
        Some(Ok(said)) => said.min(limits.bytes),
        _ => limits.bytes,
    }
}

/// Nothing was read, so that a stack which observes only hands the body on as it came.
#[cold]
fn no_room() -> Denial {
    Denial::new(Code::StoreUnavailable)
        .sentence("too many bodies are read at once")
        .detail("there is no room for another body that the policy has to see")
}

/// Decides by what was read. A body that is shown is shown until there is a decision, and no longer.
fn shown<G>(
    read: Result<CollectedBody, Denial>,
    decide: DecideByBody<G>,
    parts: &mut Parts,
    cx: &mut SecurityContext,
) -> Step<G> {
    let read = read.map(|content| cx.show_body(Some(content)));
    let step = decide(read, parts, cx);
    if matches!(step, Step::Now(_)) {
        cx.show_body(None);
    }
    step
}

pin_project_lite::pin_project! {
    /// A body that is read, then decided by.
    struct Reads<G, B> {
        // `None` where it is read.
        #[pin]
        body: Option<WholeBody<B>>,
        // Given back where the body is not read to its end, and held by its bytes otherwise.
        room: Option<TakenRoom>,
        decide: Option<DecideByBody<G>>,
        decides: Option<Decides<G>>,
    }
}

impl<G, B> Reads<G, B>
where
    G: Guard,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Without a task nothing is waited for.
    fn go_on(
        self: Pin<&mut Self>,
        mut task: Option<&mut Context<'_>>,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Poll<Result<G, Denial>> {
        let mut this = self.project();
        if let Some(reading) = this.body.as_mut().as_pin_mut() {
            let read = ready!(reading.poll(task.as_deref_mut(), body));
            this.body.set(None);
            let read = match read {
                Ok(content) => {
                    let content = match this.room.take() {
                        Some(room) => room.hold(content),
                        None => content,
                    };
                    *body = RequestBody::collected(content.clone());
                    Ok(content)
                }
                // One that is verified as it is read says itself why it is not the one that was
                // proved.
                Err(denial) => {
                    drop(this.room.take());
                    Err(cx.trail().body_refused().cloned().unwrap_or(denial))
                }
            };
            let Some(decide) = this.decide.take() else {
                return Poll::Ready(Err(twice()));
            };
            match shown(read, decide, parts, cx) {
                Step::Now(result) => return Poll::Ready(result),
                Step::Later(later) => *this.decides = Some(Decides(later)),
            }
        }
        match (this.decides, task) {
            (Some(decides), Some(task)) => decides.poll(task, parts, cx),
            (Some(_), None) => Poll::Pending,
            (None, _) => Poll::Ready(Err(twice())),
        }
    }
}

impl<G, B> Resume<G, RequestBody<B>> for Reads<G, B>
where
    G: Guard,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn resume(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Poll<Result<G, Denial>> {
        self.go_on(Some(task), parts, body, cx)
    }
}

/// A decision that is waited for.
struct Decides<G>(Later<G>);

impl<G: Guard> Decides<G> {
    fn poll(
        &mut self,
        task: &mut Context<'_>,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Poll<Result<G, Denial>> {
        let result = ready!(self.0.poll(task, parts, cx));
        cx.show_body(None);
        Poll::Ready(result)
    }
}

impl<G: Guard, X> Resume<G, X> for Decides<G> {
    fn resume(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        _: &mut X,
        cx: &mut SecurityContext,
    ) -> Poll<Result<G, Denial>> {
        self.get_mut().poll(task, parts, cx)
    }
}

#[cold]
fn twice() -> Denial {
    Denial::misordered("a check was polled after it had answered")
}

impl<S, Z: Clone> Layer<S> for ReadingBodies<Z> {
    type Service = ReadBodies<S, Z>;

    fn layer(&self, inner: S) -> Self::Service {
        let chain = BodyLink::new(Root, self.clone());
        Gate::with_settings(inner, chain, Settings::shared_default())
    }
}

impl<Z: fmt::Debug> fmt::Debug for ReadingBodies<Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadingBodies").field(&self.0).finish()
    }
}
