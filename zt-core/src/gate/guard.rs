use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, response};

use crate::{
    context::{HandlerRun, Trail},
    decision::Denial,
};

/// A check's second half: it lives in the gate's future, then in the response body, and settles
/// exactly once, whatever happens to the request.
///
/// On the way out guards are asked from the innermost to the outermost.
pub trait Guard: Send + 'static {
    /// Whether [`settle`](Self::settle) does anything. Where no guard of a stack settles, the
    /// response body carries nothing and nothing is allocated for it.
    const SETTLES: bool = true;

    /// Whether [`poll_frame`](Self::poll_frame) does anything. Where no guard of a stack meters,
    /// frames go out as they come. Where one does, a body that has no place in the answer (to
    /// HEAD, with 204 or 304) goes nowhere.
    const METERS: bool = false;

    /// Whether the handler must wait for [`poll_before_handler`](Self::poll_before_handler).
    fn holds_handler(&self) -> bool {
        false
    }

    /// Holds the handler; a denial keeps it from being called.
    fn poll_before_handler(
        &mut self,
        _task: &mut Context<'_>,
        _trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    /// Holds the head of the response; a denial takes its place. Not asked again once it was
    /// ready.
    fn poll_release(
        &mut self,
        _task: &mut Context<'_>,
        _head: &response::Parts,
        _trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    /// Sees the head that leaves, and may write headers. A denial is in
    /// [`Trail::denial`](crate::context::Trail::denial).
    fn head(&mut self, _head: &mut response::Parts, _trail: &Arc<Trail>) {}

    /// Sees each piece of the response's body before it goes out, and holds it for as long as it
    /// is not ready; not asked again about the same piece once it was. A denial cuts the answer
    /// off ([`End::Cut`]): neither this piece goes out nor anything behind it, trailers included.
    ///
    /// A refusal's own body, and what flows over an upgraded connection, is not seen.
    fn poll_frame(
        &mut self,
        _task: &mut Context<'_>,
        _data: &Bytes,
        _trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    /// The request is over. Called exactly once, perhaps in `Drop`, so it must not wait.
    fn settle(&mut self, _settlement: &Settlement<'_>) {}
}

impl Guard for () {
    const SETTLES: bool = false;
}

impl<G: Guard> Guard for Option<G> {
    const SETTLES: bool = G::SETTLES;
    const METERS: bool = G::METERS;

    fn holds_handler(&self) -> bool {
        self.as_ref().is_some_and(G::holds_handler)
    }

    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.as_mut().map_or(Poll::Ready(Ok(())), |guard| {
            guard.poll_before_handler(task, trail)
        })
    }

    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        head: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.as_mut().map_or(Poll::Ready(Ok(())), |guard| {
            guard.poll_release(task, head, trail)
        })
    }

    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        if let Some(guard) = self {
            guard.head(head, trail);
        }
    }

    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.as_mut().map_or(Poll::Ready(Ok(())), |guard| {
            guard.poll_frame(task, data, trail)
        })
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        if let Some(guard) = self {
            guard.settle(settlement);
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The whole response was handed to the server; not the same as delivered.
    Complete,
    /// The connection was upgraded (101, CONNECT); it goes on under a lease of its own.
    Upgraded,
    /// The response body failed.
    BodyError,
    /// The permit ended, a sanction struck, or a guard that meters had enough, while the response
    /// was going out.
    Cut,
    /// The caller went away, or a layer outside dropped the request. What the handler did so far
    /// may have had effects: see [`Settlement::handler`].
    Abandoned,
    /// The inner service answered with an error instead of a response.
    Failed,
}

impl End {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Upgraded => "upgraded",
            Self::BodyError => "body-error",
            Self::Cut => "cut",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
        }
    }
}

/// What is known when a request is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settlement<'a> {
    /// How it ended.
    pub end: End,
    /// How far the handler came.
    pub handler: HandlerRun,
    /// The response's status, where there was a response.
    pub status: Option<StatusCode>,
    /// How many bytes of body were handed on.
    pub bytes: u64,
    /// The response's trailers; a gRPC outcome stands there.
    pub trailers: Option<&'a HeaderMap>,
    /// From the opening of the context until now.
    pub elapsed: Duration,
    /// The facts.
    pub trail: &'a Arc<Trail>,
}
