//! Reading a body whole, and judging it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Plans, Verified};
use crate::{
    authenticate::add,
    body::{BoxError, CollectLimits, CollectedBody, Reading, RequestBody, Unread},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{Later, Resume, Step},
    identity::Principal,
};

pin_project_lite::pin_project! {
    /// A body that is read, then judged. All that a waiting request needs is in here, so that it
    /// is one allocation.
    pub(super) struct Collecting<B> {
        // `None` where it is read.
        #[pin]
        reading: Option<Reading<Source<B>>>,
        judging: Judging,
    }
}

impl<B> Collecting<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn read(
        body: RequestBody<B>,
        limits: CollectLimits,
        plans: Plans,
        cx: &SecurityContext,
    ) -> Self {
        let source = if cx.is_observing() {
            Source::Observed {
                body: Some(Box::pin(body)),
            }
        } else {
            Source::Enforced { body }
        };
        let clock = Arc::clone(cx.settings().clock());
        Self {
            reading: Some(Reading::new(source, limits, clock)),
            judging: Judging::new(CollectedBody::default(), plans),
        }
    }

    pub(super) const fn judge(judging: Judging) -> Self {
        Self {
            reading: None,
            judging,
        }
    }
}

impl<B> Collecting<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes what is there already: a request whose body is need not be put aside.
    pub(super) fn start(
        self,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Step<Option<Verified>, RequestBody<B>> {
        let mut this = Box::pin(self);
        match this.as_mut().go_on(None, parts, body, cx) {
            Poll::Ready(result) => Step::Now(result),
            Poll::Pending => Step::Later(Later::boxed(this)),
        }
    }

    /// Without a task nothing is waited for.
    fn go_on(
        self: Pin<&mut Self>,
        mut task: Option<&mut Context<'_>>,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Poll<Result<Option<Verified>, Denial>> {
        let mut this = self.project();
        if let Some(mut reading) = this.reading.as_mut().as_pin_mut() {
            match ready!(reading.as_mut().poll(task.as_deref_mut())) {
                Ok(content) => this.judging.content = content,
                Err(unread) => {
                    let denial = unread.denial();
                    if let Some(whole) = whole_again(reading, unread) {
                        *body = whole;
                    }
                    return Poll::Ready(Err(denial));
                }
            }
            this.reading.set(None);
        }
        let result = ready!(this.judging.poll(task, parts, cx));
        // Also where it is refused: a stack that only observes goes on.
        *body = RequestBody::collected(this.judging.handed_on(cx));
        Poll::Ready(result.map(|()| None))
    }
}

impl<B> Resume<Option<Verified>, RequestBody<B>> for Collecting<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn resume(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Poll<Result<Option<Verified>, Denial>> {
        self.go_on(Some(task), parts, body, cx)
    }
}

/// A body that is there whole, and what is still to be said of it.
pub(super) struct Judging {
    content: CollectedBody,
    plans: Plans,
    compared: bool,
    /// The comparison that runs elsewhere.
    hash: Option<JoinHandle<Option<Denial>>>,
    /// How many proofs have finished, and what the one at hand waits for.
    finished: usize,
    later: Option<Later<Option<Arc<Principal>>>>,
    /// Whom they named. Nobody is named before all have finished.
    found: [Option<Arc<Principal>>; 2],
}

impl Judging {
    pub(super) fn new(content: CollectedBody, plans: Plans) -> Self {
        Self {
            content,
            plans,
            compared: false,
            hash: None,
            finished: 0,
            later: None,
            found: [None, None],
        }
    }

    /// What the handler gets, at the end. Trailers are no part of the content, so nothing has
    /// proved them, and they may be left out (RFC 9110 section 6.5.1); a stack that only observes
    /// leaves out nothing.
    pub(super) fn handed_on(&mut self, cx: &SecurityContext) -> CollectedBody {
        let content = std::mem::take(&mut self.content);
        // What was judged, and not what a check further out has left of it.
        if cx.is_observing() {
            content.unread()
        } else {
            content.without_trailers()
        }
    }

    /// Without a task nothing is waited for.
    pub(super) fn poll(
        &mut self,
        mut task: Option<&mut Context<'_>>,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Poll<Result<(), Denial>> {
        if !self.compared {
            let mismatch = ready!(self.compare(task.as_deref_mut()));
            self.compared = true;
            if let Some(denial) = mismatch {
                return Poll::Ready(Err(denial));
            }
        }
        let Self {
            content,
            plans,
            finished,
            later,
            found,
            ..
        } = self;
        let proofs = plans.proofs.iter().flatten().zip(found.iter_mut());
        for (proof, found) in proofs.skip(*finished) {
            if later.is_none() && proof.finishes {
                *later = match proof.by.finish(content, parts, cx) {
                    Step::Now(proved) => {
                        *found = proved?;
                        None
                    }
                    Step::Later(later) => Some(later),
                };
            }
            if let Some(waits) = later {
                let Some(task) = task.as_deref_mut() else {
                    return Poll::Pending;
                };
                *found = ready!(waits.poll(task, parts, cx))?;
                *later = None;
            }
            *finished += 1;
        }
        Poll::Ready(name(&self.found, cx))
    }

    /// Compares the digests, elsewhere where that takes long.
    fn compare(&mut self, task: Option<&mut Context<'_>>) -> Poll<Option<Denial>> {
        let content = self.content.bytes();
        if content.len() <= self.plans.at_once() {
            return Poll::Ready(self.plans.mismatch(content));
        }
        let hash = match &mut self.hash {
            Some(hash) => hash,
            None => {
                // A small application may have no runtime of tokio's; then it waits here.
                let Ok(runtime) = Handle::try_current() else {
                    return Poll::Ready(self.plans.mismatch(content));
                };
                if task.is_none() {
                    return Poll::Pending;
                }
                let (plans, content) = (self.plans.clone(), content.clone());
                let hash = runtime.spawn_blocking(move || plans.mismatch(&content));
                self.hash.insert(hash)
            }
        };
        let Some(task) = task else {
            return Poll::Pending;
        };
        match ready!(Pin::new(hash).poll(task)) {
            Ok(mismatch) => Poll::Ready(mismatch),
            // The runtime is on its way down, or what says the denial panicked.
            Err(_) => Poll::Ready(self.plans.mismatch(self.content.bytes())),
        }
    }
}

/// Adds those who were named; a proof that has ended names nobody.
fn name(found: &[Option<Arc<Principal>>], cx: &mut SecurityContext) -> Result<(), Denial> {
    let ended = |who: &Arc<Principal>| who.expires_at().is_some_and(|end| end <= cx.now());
    if found.iter().flatten().any(ended) {
        return Err(Denial::new(Code::CredentialExpired)
            .detail("the body proved a credential that has ended"));
    }
    for who in found.iter().flatten() {
        add(who, cx);
    }
    Ok(())
}

pin_project_lite::pin_project! {
    /// Where a body is read from. Only a stack that observes may have to go on with a body that
    /// could not be read, and a body that was polled can be moved no more.
    #[project = SourceProj]
    pub(super) enum Source<B> {
        Enforced { #[pin] body: RequestBody<B> },
        Observed { body: Option<Pin<Box<RequestBody<B>>>> },
    }
}

impl<B> Body for Source<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            SourceProj::Enforced { body } => body.poll_frame(task),
            SourceProj::Observed { body: Some(body) } => body.as_mut().poll_frame(task),
            SourceProj::Observed { body: None } => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Enforced { body } => body.size_hint(),
            Self::Observed { body: Some(body) } => body.size_hint(),
            Self::Observed { body: None } => SizeHint::with_exact(0),
        }
    }
}

/// The body as it would have come, where it could not be read and the stack only observes.
fn whole_again<B>(
    mut reading: Pin<&mut Reading<Source<B>>>,
    unread: Unread,
) -> Option<RequestBody<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let rest = match reading.as_mut().body().project() {
        SourceProj::Enforced { .. } => return None,
        SourceProj::Observed { body } => body.take(),
    };
    let (pieces, trailers) = reading.take();
    let (piece, error) = match unread {
        Unread::TooLarge(piece) => (piece, None),
        Unread::TimedOut => (None, None),
        Unread::Broken(error) => (None, Some(error)),
    };
    let data = [Some(pieces), piece].into_iter().flatten();
    let data = data.filter(|data| !data.is_empty()).map(Frame::data);
    let front: Vec<_> = data
        .chain(trailers.map(Frame::trailers))
        .map(Ok)
        .chain(error.map(Err))
        .collect();
    Some(RequestBody::stream(Again {
        front: front.into_iter(),
        rest,
    }))
}

/// What was read of a body, then the rest of it.
struct Again<B> {
    front: std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Pin<Box<RequestBody<B>>>>,
}

impl<B> Body for Again<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.front.next() {
            Some(frame) => Some(frame),
            None => match &mut self.rest {
                Some(rest) => ready!(rest.as_mut().poll_frame(task)),
                None => None,
            },
        };
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.rest.as_ref();
        self.front.as_slice().is_empty() && rest.is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let front = self.front.as_slice().iter().flatten();
        let front = front.filter_map(Frame::data_ref).map(Bytes::len);
        let front = front.sum::<usize>() as u64;
        let rest = self.rest.as_ref().map(|rest| rest.size_hint());
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(front));
        }
        hint.set_lower(rest.lower().saturating_add(front));
        hint
    }
}
