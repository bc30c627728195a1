use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, CollectedBody};
use crate::{
    context::Trail,
    decision::{Code, Denial},
};

pin_project_lite::pin_project! {
    /// The body of a request in a stack that looks at bodies: as it came, bounded, collected, or
    /// a stream that is verified as it flows.
    pub struct RequestBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProj]
    #[project_replace = KindReplace]
    enum Kind<B> {
        AsItCame { #[pin] body: B },
        Limited { #[pin] body: B, left: u64, trail: Arc<Trail> },
        Collected { body: CollectedBody },
        Stream { body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>> },
        Taken,
    }
}

impl<B> RequestBody<B> {
    /// The body as it came.
    pub const fn new(body: B) -> Self {
        Self {
            kind: Kind::AsItCame { body },
        }
    }

    /// A body that was read whole.
    #[must_use]
    pub const fn collected(body: CollectedBody) -> Self {
        Self {
            kind: Kind::Collected { body },
        }
    }

    /// A body that is verified, or otherwise changed, as it flows.
    pub fn stream(body: impl Body<Data = Bytes, Error = BoxError> + Send + 'static) -> Self {
        Self {
            kind: Kind::Stream {
                body: Box::pin(body),
            },
        }
    }

    /// Takes the body out; an empty one stays until it is put back.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self { kind: Kind::Taken })
    }

    /// The collected body, where an earlier check has read it: a body is buffered at most once.
    #[must_use]
    pub const fn as_collected(&self) -> Option<&CollectedBody> {
        if let Kind::Collected { body } = &self.kind {
            Some(body)
        } else {
            None
        }
    }

    /// The body as it came, where nothing had to be done to it.
    ///
    /// # Errors
    ///
    /// Itself, where something had.
    pub fn try_into_inner(self) -> Result<B, Self> {
        match self.kind {
            Kind::AsItCame { body } => Ok(body),
            kind => Err(Self { kind }),
        }
    }
}

impl<B: Body> RequestBody<B> {
    /// Lets at most `limit` bytes through. Past it the body fails, the handler's answer is
    /// replaced by `body-too-large`, and nothing more is read.
    ///
    /// A body whose own size hint stays within the limit is left as it came: the hint is what
    /// the server has counted, not what a header claims.
    pub(crate) fn limit(&mut self, limit: u64, trail: &Arc<Trail>) {
        let within = self.upper_bound().is_some_and(|upper| upper <= limit);
        if within {
            return;
        }
        self.kind = match std::mem::replace(&mut self.kind, Kind::Taken) {
            Kind::AsItCame { body } => Kind::Limited {
                body,
                left: limit,
                trail: Arc::clone(trail),
            },
            Kind::Limited { body, left, trail } => Kind::Limited {
                body,
                left: left.min(limit),
                trail,
            },
            // Whoever read or wrapped it has bounded it.
            kind => kind,
        };
    }

    /// How many bytes are to come at least, as the server has counted them.
    pub(crate) fn lower_bound(&self) -> u64 {
        match &self.kind {
            Kind::AsItCame { body } | Kind::Limited { body, .. } => body.size_hint().lower(),
            Kind::Collected { body } => body.size_hint().lower(),
            Kind::Stream { body } => body.size_hint().lower(),
            Kind::Taken => 0,
        }
    }

    /// Whether nobody knows how long it will be.
    pub(crate) fn is_endless(&self) -> bool {
        self.upper_bound().is_none()
    }

    /// How many bytes are to come at most, where that is known.
    pub(crate) fn upper_bound(&self) -> Option<u64> {
        match &self.kind {
            Kind::AsItCame { body } | Kind::Limited { body, .. } => body.size_hint().upper(),
            Kind::Collected { body } => body.size_hint().upper(),
            Kind::Stream { body } => body.size_hint().upper(),
            Kind::Taken => Some(0),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::AsItCame { .. } => "RequestBody(as it came)",
            Kind::Limited { .. } => "RequestBody(limited)",
            Kind::Collected { .. } => "RequestBody(collected)",
            Kind::Stream { .. } => "RequestBody(stream)",
            Kind::Taken => "RequestBody(taken)",
        })
    }
}

impl<B> Default for RequestBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Taken }
    }
}

impl<B> Body for RequestBody<B>
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
        match self.project().kind.project() {
            KindProj::AsItCame { body } => body.poll_frame(task).map_err(Into::into),
            KindProj::Collected { body } => Pin::new(body).poll_frame(task),
            KindProj::Stream { body } => body.as_mut().poll_frame(task),
            KindProj::Taken => Poll::Ready(None),
            KindProj::Limited { body, left, trail } => {
                let Some(frame) = ready!(body.poll_frame(task)) else {
                    return Poll::Ready(None);
                };
                let frame = frame.map_err(Into::into)?;
                let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(len) {
                    Some(rest) => {
                        *left = rest;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => {
                        *left = 0;
                        trail.body_exceeded();
                        Poll::Ready(Some(Err(Denial::new(Code::BodyTooLarge).into())))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::AsItCame { body } | Kind::Limited { body, .. } => body.is_end_stream(),
            Kind::Collected { body } => body.is_end_stream(),
            Kind::Stream { body } => body.is_end_stream(),
            Kind::Taken => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::AsItCame { body } => body.size_hint(),
            Kind::Limited { body, .. } => {
                let mut hint = SizeHint::new();
                hint.set_lower(body.size_hint().lower());
                hint
            }
            Kind::Collected { body } => body.size_hint(),
            Kind::Stream { body } => body.size_hint(),
            Kind::Taken => SizeHint::with_exact(0),
        }
    }
}
