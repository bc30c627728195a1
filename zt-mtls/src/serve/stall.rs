//! Peers that do not take what they asked for, over HTTP/2.
//!
//! A stream has a window of its own, which the peer may leave closed while it answers all signs of life.
//! Its answer, and what the application holds for it, would wait for ever. So
//!
//! 1. an answer is given to HTTP/2 by small pieces, each when there is room for some of the one before;
//! 2. where a piece waits longer than the time-out, the stream is reset, and others are not.
//!
//! What is left of an answer, when all of it was given, is less than a piece and what the window had room
//! for: `idle_timeout` ends a connection that has nothing else. A peer that takes some of it now and then
//! is as slow as it likes.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use zt_core::clock::{Clock, Sleep};

tokio::task_local! {
    /// What the answer of this stream has given. Only streams of HTTP/2 have it.
    static GIVEN: Cell<Given>;
}

#[derive(Debug, Clone, Copy, Default)]
struct Given {
    pieces: u64,
    /// Whether the last of them waits; nobody asks for one more until it does not.
    waits: bool,
}

/// Runs the streams of a connection.
#[derive(Clone)]
pub(super) struct Streams {
    clock: Arc<dyn Clock>,
    limit: Duration,
}

impl Streams {
    pub(super) fn new(clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self { clock, limit }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stream = Stream {
            stream,
            streams: self.clone(),
            timer: None,
        };
        tokio::spawn(GIVEN.scope(Cell::default(), stream));
    }
}

pin_project! {
    /// A stream, which ends when its peer takes nothing for too long.
    struct Stream<F> {
        #[pin]
        stream: F,
        streams: Streams,
        // Of the piece that waits.
        timer: Option<(u64, Sleep)>,
    }
}

impl<F: Future> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Given { pieces, waits } = GIVEN.try_with(Cell::get).unwrap_or_default();
        if !waits {
            *this.timer = None;
            return Poll::Pending;
        }
        if !matches!(this.timer, Some((piece, _)) if *piece == pieces) {
            *this.timer = Some((pieces, this.streams.clock.sleep(this.streams.limit)));
        }
        let Some((_, timer)) = this.timer else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        tracing::debug!("a peer does not take an answer");
        // Dropped with something unsent, it is reset (CANCEL).
        Poll::Ready(())
    }
}

/// The next of `body`; data of HTTP/2 in pieces, of which what is `left` comes next.
pub(super) fn poll_piece<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    left: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
    let waits = |waits| {
        GIVEN.try_with(|given| {
            let pieces = given.get().pieces.wrapping_add(1);
            given.set(Given { pieces, waits });
        })
    };
    // Nothing waits now, or this would not be asked.
    if waits(false).is_err() {
        return body.poll_frame(cx);
    }
    let mut data = std::mem::take(left);
    if data.is_empty() {
        data = match ready!(body.poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            other => return Poll::Ready(other),
        };
    }
    if data.len() > PIECE {
        *left = data.split_off(PIECE);
    }
    let _ = waits(true);
    Poll::Ready(Some(Ok(Frame::data(data))))
}

pub(super) fn size_hint(body: &impl Body, left: &Bytes) -> SizeHint {
    let mut hint = body.size_hint();
    let left = u64::try_from(left.len()).unwrap_or(u64::MAX);
    if let Some(upper) = hint.upper() {
        hint.set_upper(upper.saturating_add(left));
    }
    hint.set_lower(hint.lower().saturating_add(left));
    hint
}

/// As long as a frame is by default (RFC 9113 section 4.2).
const PIECE: usize = 16 << 10;
