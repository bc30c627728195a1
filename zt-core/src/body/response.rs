use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use crate::{
    context::Trail,
    decision::Denial,
    gate::{End, Settlement, Watch},
};

pin_project_lite::pin_project! {
    /// The body of a gate's response: the inner service's own, with the stack's guards riding on
    /// it, or a denial's.
    ///
    /// Its error is boxed, so that a stream whose permit ended can say so.
    pub struct ZtBody<B> {
        #[pin]
        kind: Kind<B>,
        tail: Option<Box<Tail<dyn Settle>>>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Denial { bytes: Option<Bytes> },
    }
}

/// Meters and settles what rides on a body.
pub(crate) trait Settle: Send {
    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>>;

    fn settle(&mut self, settlement: &Settlement<'_>);
}

/// How a body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// As it comes.
    Free,
    /// Piece by piece, as guards let it.
    Metered,
    /// It has no place in the answer, which was settled without it: not at all.
    Stray,
    /// A guard has cut it off.
    Cut,
    /// It was metered, and settled: no more data goes out.
    Over,
}

/// What a response body carries: the guards, and the lease under which it flows.
pub(crate) struct Tail<G: Settle + ?Sized> {
    pub(crate) trail: Arc<Trail>,
    pub(crate) status: StatusCode,
    pub(crate) watch: Option<Watch>,
    /// Bytes after which hyper stops polling: the response's Content-Length.
    pub(crate) expected: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) flow: Flow,
    /// The piece that guards hold.
    pub(crate) held: Option<Bytes>,
    pub(crate) settled: bool,
    pub(crate) guards: G,
}

impl<G: Settle + ?Sized> Tail<G> {
    /// Asks the guards about the piece that is held, and hands it on when they let it go.
    fn poll_held(&mut self, task: &mut Context<'_>) -> Poll<Result<Bytes, Denial>> {
        let Some(data) = &self.held else {
            return Poll::Ready(Ok(Bytes::new()));
        };
        let metered = ready!(self.guards.poll_frame(task, data, &self.trail));
        if let Err(denial) = metered {
            self.flow = Flow::Cut;
            self.held = None;
            return Poll::Ready(Err(denial));
        }
        Poll::Ready(Ok(self.held.take().unwrap_or_default()))
    }

    /// Ready when the permit has ended.
    fn poll_ended(&mut self, task: &mut Context<'_>) -> Poll<Denial> {
        match self.watch.as_mut() {
            Some(watch) => watch.poll_ended(task),
            None => Poll::Pending,
        }
    }

    pub(crate) fn settle(&mut self, end: End, trailers: Option<&HeaderMap>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        if self.flow == Flow::Metered {
            self.flow = Flow::Over;
        }
        self.guards.settle(&Settlement {
            end,
            handler: self.trail.handler(),
            status: Some(self.status),
            bytes: self.bytes,
            trailers,
            elapsed: self
                .trail
                .settings()
                .clock()
                .monotonic()
                .saturating_sub(self.trail.opened_monotonic()),
            trail: &self.trail,
        });
    }
}

impl<G: Settle + ?Sized> Drop for Tail<G> {
    fn drop(&mut self) {
        if self.watch.is_some() {
            // The next answer to the same request, if a layer in between makes one, is watched.
            self.trail.release_watch();
        }
        // Polled to its end, or not: a body that nobody finished was abandoned.
        self.settle(End::Abandoned, None);
    }
}

impl<B> ZtBody<B> {
    pub(crate) const fn inner(body: B, tail: Option<Box<Tail<dyn Settle>>>) -> Self {
        Self {
            kind: Kind::Inner { body },
            tail,
        }
    }

    pub(crate) const fn denial(bytes: Bytes, tail: Option<Box<Tail<dyn Settle>>>) -> Self {
        Self {
            kind: Kind::Denial { bytes: Some(bytes) },
            tail,
        }
    }
}

impl<B> ZtBody<B> {
    /// The inner service's body, where nothing rides on it.
    ///
    /// # Errors
    ///
    /// Itself, where a guard or a lease does, or it is a denial's.
    pub fn try_into_inner(self) -> Result<B, Self> {
        match self {
            Self {
                kind: Kind::Inner { body },
                tail: None,
            } => Ok(body),
            other => Err(other),
        }
    }
}

/// An empty body that nothing rides on: layers around a gate that answer by themselves (tower-http's
/// CORS and timeout) make their answer of it.
impl<B> Default for ZtBody<B> {
    fn default() -> Self {
        Self::denial(Bytes::new(), None)
    }
}

impl<B> fmt::Debug for ZtBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Inner { .. } => "ZtBody(inner)",
            Kind::Denial { .. } => "ZtBody(denial)",
        })
    }
}

impl<B> Body for ZtBody<B>
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
        let this = self.project();
        let mut body = match this.kind.project() {
            KindProj::Denial { bytes } => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                if let Some(tail) = this.tail {
                    tail.bytes += bytes.as_ref().map_or(0, Bytes::len) as u64;
                    tail.settle(End::Complete, None);
                }
                return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
            }
            KindProj::Inner { body } => body,
        };
        let Some(tail) = this.tail else {
            return body.poll_frame(task).map_err(Into::into);
        };

        if let Some(Err(denial)) = tail.watch.as_mut().map(Watch::check) {
            tail.settle(End::Cut, None);
            return Poll::Ready(Some(Err(denial.into())));
        }
        if matches!(tail.flow, Flow::Cut | Flow::Stray) {
            return Poll::Ready(None);
        }
        let mut frame = None;
        if tail.held.is_none() {
            frame = match body.as_mut().poll_frame(task) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    // Also once it has settled: a body may go on past the length that it declared.
                    return tail.poll_ended(task).map(|denial| {
                        tail.settle(End::Cut, None);
                        Some(Err(denial.into()))
                    });
                }
            };
            if tail.flow == Flow::Metered
                && let Some(Ok(found)) = &mut frame
                && let Some(data) = found.data_mut()
            {
                tail.held = Some(std::mem::take(data));
            }
            // Behind its declared length, an error or its end: nobody is left to meter it.
            if tail.flow == Flow::Over
                && let Some(Ok(found)) = &frame
                && found.data_ref().is_some_and(|data| !data.is_empty())
            {
                frame = None;
            }
        }
        if tail.held.is_some() {
            match tail.poll_held(task) {
                Poll::Ready(Ok(data)) => frame = Some(Ok(Frame::data(data))),
                Poll::Ready(Err(denial)) => {
                    tail.settle(End::Cut, None);
                    return Poll::Ready(Some(Err(denial.into())));
                }
                Poll::Pending => {
                    return tail.poll_ended(task).map(|denial| {
                        tail.settle(End::Cut, None);
                        Some(Err(denial.into()))
                    });
                }
            }
        }
        // What was made of a request's body that nobody proved does not end as if it were good,
        // also where whoever made it swallowed the error.
        if !matches!(frame, Some(Err(_)))
            && let Some(denial) = tail.trail.body_refused()
        {
            let error = denial.clone().into();
            tail.settle(End::Cut, None);
            return Poll::Ready(Some(Err(error)));
        }
        match &frame {
            None => tail.settle(End::Complete, None),
            Some(Err(_)) => tail.settle(End::BodyError, None),
            Some(Ok(frame)) => {
                tail.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                // hyper polls no further once it has the trailers, all of Content-Length, or a
                // body that reports its end.
                if let Some(trailers) = frame.trailers_ref() {
                    tail.settle(End::Complete, Some(trailers));
                } else if tail.expected.is_some_and(|expected| tail.bytes >= expected)
                    || body.is_end_stream()
                {
                    tail.settle(End::Complete, None);
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match self.tail.as_deref() {
            Some(tail) if tail.flow == Flow::Cut => return true,
            Some(tail) if tail.held.is_some() => return false,
            _ => {}
        }
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Denial { bytes } => bytes.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = match self.tail.as_deref() {
            Some(tail) if tail.flow == Flow::Cut => return SizeHint::with_exact(0),
            Some(tail) => tail.held.as_ref().map_or(0, Bytes::len) as u64,
            None => 0,
        };
        match &self.kind {
            Kind::Inner { body } if held == 0 => body.size_hint(),
            Kind::Inner { body } => and_held(&body.size_hint(), held),
            Kind::Denial { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

/// What is still to come, and the piece that guards hold.
fn and_held(rest: &SizeHint, held: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    // The upper bound first: a hint's lower one may not be above it.
    if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
        hint.set_upper(upper);
        hint.set_lower(rest.lower().saturating_add(held).min(upper));
    } else {
        hint.set_lower(rest.lower().saturating_add(held));
    }
    hint
}
