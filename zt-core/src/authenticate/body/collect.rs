//! Reading a body whole, and judging it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Plans, Verified};
use crate::{
    authenticate::add,
    body::{BoxError, CollectLimits, CollectedBody, RequestBody, WholeBody},
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
        reading: Option<WholeBody<B>>,
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
        Self {
            reading: Some(WholeBody::new(body, limits, cx)),
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
        if let Some(reading) = this.reading.as_mut().as_pin_mut() {
            this.judging.content = ready!(reading.poll(task.as_deref_mut(), body))?;
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
