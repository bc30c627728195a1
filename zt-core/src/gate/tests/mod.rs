//! What a gate promises, broken one promise at a time.

mod answers;
mod metering;
mod readiness;
mod settling;
mod sockets;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts, response};
use http_body_util::Full;

use super::{Check, End, FnCheck, Guard, Later, Settlement, Step};
use crate::{
    context::{HandlerRun, SecurityContext, Stage, Trail},
    decision::{Code, Denial},
};

/// What became of a request, as its guard saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) end: End,
    pub(super) handler: HandlerRun,
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) trailers: bool,
}

/// A check whose guard can hold the handler and the head, and notes what it sees.
#[derive(Debug, Clone, Default)]
pub(super) struct Spy(Arc<SpyState>);

#[derive(Debug, Default)]
struct SpyState {
    seen: Mutex<Vec<Seen>>,
    heads: AtomicUsize,
    hold_handler: Door,
    hold_head: Door,
    refuse_head: AtomicBool,
}

/// Open, or closed with somebody waiting.
#[derive(Debug, Default)]
pub(super) struct Door {
    closed: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Door {
    fn poll(&self, task: &mut Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap() = Some(task.waker().clone());
        if self.closed.load(Ordering::SeqCst) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

impl Spy {
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().clone()
    }

    /// The one settlement; more or fewer are a failure.
    #[track_caller]
    pub(super) fn once(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "settled {} times", seen.len());
        seen[0].clone()
    }

    pub(super) fn heads(&self) -> usize {
        self.0.heads.load(Ordering::SeqCst)
    }

    pub(super) fn handler_door(&self) -> &Door {
        &self.0.hold_handler
    }

    pub(super) fn head_door(&self) -> &Door {
        &self.0.hold_head
    }

    pub(super) fn refuse_head(&self) {
        self.0.refuse_head.store(true, Ordering::SeqCst);
    }
}

impl Check for Spy {
    type Guard = Self;

    const NAME: &'static str = "spy";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Self> {
        Step::pass(self.clone())
    }
}

impl Guard for Spy {
    fn holds_handler(&self) -> bool {
        self.0.hold_handler.closed.load(Ordering::SeqCst)
    }

    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.0.hold_handler.poll(task).map(Ok)
    }

    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        _: &response::Parts,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        let refuse = self.0.refuse_head.load(Ordering::SeqCst);
        self.0.hold_head.poll(task).map(|()| {
            if refuse {
                Err(Code::AuditUnavailable.into())
            } else {
                Ok(())
            }
        })
    }

    fn head(&mut self, head: &mut response::Parts, _: &Arc<Trail>) {
        self.0.heads.fetch_add(1, Ordering::SeqCst);
        head.headers.insert("x-spy", "saw".parse().unwrap());
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.0.seen.lock().unwrap().push(Seen {
            end: settlement.end,
            handler: settlement.handler,
            status: settlement.status,
            bytes: settlement.bytes,
            trailers: settlement.trailers.is_some(),
        });
    }
}

/// A check that waits once before it passes, or refuses.
#[derive(Debug, Clone)]
pub(super) struct Waits(pub(super) Option<Code>);

impl Check for Waits {
    type Guard = ();

    const NAME: &'static str = "waits";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        let answer = self.0;
        Step::Later(Later::then(
            tokio::task::yield_now(),
            move |(), parts, _| {
                parts.headers.insert("x-waited", "yes".parse().unwrap());
                answer.map_or(Ok(()), |code| Err(code.into()))
            },
        ))
    }
}

pub(super) fn refuses(code: Code) -> impl Check {
    FnCheck::new(move |_: &mut Parts, _: &mut SecurityContext| Err(code.into()))
}

pub(super) fn passes() -> impl Check {
    FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| Ok(()))
}

pub(super) fn request() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::new()))
}

pub(super) async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from("hello"))))
}
