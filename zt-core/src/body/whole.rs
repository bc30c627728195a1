//! Reading the body of a request whole, for whoever has to see it before the handler.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, CollectLimits, CollectedBody, Reading, RequestBody, Unread};
use crate::{context::SecurityContext, decision::Denial};

pin_project_lite::pin_project! {
    /// A body that is read whole. Where that fails in a stack that only observes, it is put back as
    /// it would have come.
    pub(crate) struct WholeBody<B> {
        #[pin]
        reading: Reading<Source<B>>,
    }
}

impl<B> WholeBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: RequestBody<B>, limits: CollectLimits, cx: &SecurityContext) -> Self {
        let source = if cx.is_observing() {
            Source::Observed {
                body: Some(Box::pin(body)),
            }
        } else {
            Source::Enforced { body }
        };
        let clock = Arc::clone(cx.settings().clock());
        Self {
            reading: Reading::new(source, limits, clock),
        }
    }
}

impl<B> WholeBody<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Its content; or why there is none, and `body` as it would have come where the stack observes
    /// only. Without a task nothing is waited for.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        task: Option<&mut Context<'_>>,
        body: &mut RequestBody<B>,
    ) -> Poll<Result<CollectedBody, Denial>> {
        let mut reading = self.project().reading;
        match ready!(reading.as_mut().poll(task)) {
            Ok(content) => Poll::Ready(Ok(content)),
            Err(unread) => {
                let denial = unread.denial();
                if let Some(whole) = whole_again(reading, unread) {
                    *body = whole;
                }
                Poll::Ready(Err(denial))
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// Where a body is read from. Only a stack that observes may have to go on with a body that
    /// could not be read, and a body that was polled can be moved no more.
    #[project = SourceProj]
    enum Source<B> {
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
