use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{ContentDigest, ContentHasher};
use crate::body::{BoxError, HOLLOW};

/// A body does not have its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content does not have its digest")]
pub struct DigestMismatch;

/// Why a body was not seen whole with its digest, for whoever is told of it.
pub(crate) enum Unproved<'a> {
    /// It is another.
    Mismatch,
    /// It broke off.
    Broken(&'a BoxError),
}

/// Is told that a body was not proved, and says with which error it fails; `None` stands for the
/// error that there is.
pub(crate) type OnUnproved = Box<dyn FnOnce(Unproved<'_>) -> Option<BoxError> + Send + Sync>;

pin_project_lite::pin_project! {
    /// A body that is hashed as it flows and whose last piece is withheld until the digest is seen
    /// to match; where it does not, the body fails and nothing more is handed on.
    ///
    /// Trailers are left out: the digest says nothing of them.
    ///
    /// Whoever acts on the pieces as they come acts on what nobody has verified yet. What it never
    /// sees is an end: only a body that was read to its end is the one that has the digest.
    pub struct DigestedBody<B> {
        #[pin]
        inner: B,
        state: State,
        // The last piece that is not empty, and what comes behind it.
        withheld: Option<Bytes>,
        trailers: Option<HeaderMap>,
        withholds: bool,
        on_unproved: Option<OnUnproved>,
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "a body spends its life in the large one, and lies on the heap already"
)]
enum State {
    Flowing(ContentHasher),
    /// The inner body has ended and what is withheld may go.
    Ended,
    Failed,
}

impl<B> DigestedBody<B> {
    /// `inner`, which fails with [`DigestMismatch`] where it does not have `digest`.
    pub fn new(inner: B, digest: &ContentDigest) -> Self {
        Self {
            inner,
            state: State::Flowing(digest.hasher()),
            withheld: None,
            trailers: None,
            withholds: true,
            on_unproved: None,
        }
    }

    /// Tells `on_unproved` where the body is not proved.
    pub(crate) fn or(mut self, on_unproved: OnUnproved) -> Self {
        self.on_unproved = Some(on_unproved);
        self
    }

    /// Only looks: nothing is withheld, and nothing fails that does not fail by itself.
    pub(crate) fn observing(mut self) -> Self {
        self.withholds = false;
        self
    }
}

impl<B> fmt::Debug for DigestedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Flowing(_) => "DigestedBody(flowing)",
            State::Ended => "DigestedBody(ended)",
            State::Failed => "DigestedBody(failed)",
        })
    }
}

impl<B> Body for DigestedBody<B>
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
        let mut this = self.project();
        let mut hollow = 0;
        loop {
            match this.state {
                State::Failed => return Poll::Ready(None),
                State::Ended => {
                    let data = this.withheld.take().map(Frame::data);
                    let frame = data.or_else(|| this.trailers.take().map(Frame::trailers));
                    return Poll::Ready(frame.map(Ok));
                }
                State::Flowing(hasher) => match ready!(this.inner.as_mut().poll_frame(task)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        // An empty piece behind the last one must not set the last one free.
                        Ok(data) if data.is_empty() => {
                            hollow += 1;
                            if hollow == HOLLOW {
                                // Others have their turn, the reader's own deadline among them.
                                task.waker().wake_by_ref();
                                return Poll::Pending;
                            }
                            continue;
                        }
                        Ok(data) => {
                            hasher.update(&data);
                            let next = if *this.withholds {
                                this.withheld.replace(data)
                            } else {
                                Some(data)
                            };
                            match next {
                                Some(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                                None => continue,
                            }
                        }
                        // Nothing follows trailers (RFC 9112 section 7.1.2).
                        // They are no part of the content, so the digest says nothing of them, and
                        // may be left out (RFC 9110 section 6.5.1).
                        Err(frame) if *this.withholds => drop(frame),
                        Err(frame) => *this.trailers = frame.into_trailers().ok(),
                    },
                    Some(Err(error)) => {
                        *this.state = State::Failed;
                        *this.withheld = None;
                        let error = error.into();
                        let told = this.on_unproved.take();
                        let other = told.and_then(|told| told(Unproved::Broken(&error)));
                        return Poll::Ready(Some(Err(other.unwrap_or(error))));
                    }
                    None => {}
                },
            }
            // The inner body has ended. Failed until it is known to be the one that was digested:
            // whoever is told of another may panic, and somebody poll again.
            let State::Flowing(hasher) = std::mem::replace(this.state, State::Failed) else {
                continue;
            };
            if hasher.finish() {
                *this.state = State::Ended;
                continue;
            }
            let told = this.on_unproved.take();
            let error = told.and_then(|told| told(Unproved::Mismatch));
            if *this.withholds {
                (*this.withheld, *this.trailers) = (None, None);
                let error = error.unwrap_or_else(|| DigestMismatch.into());
                return Poll::Ready(Some(Err(error)));
            }
            *this.state = State::Ended;
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            // Even where the inner body says that it ends, its digest is not compared yet.
            State::Flowing(_) => false,
            State::Ended => self.withheld.is_none() && self.trailers.is_none(),
            State::Failed => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let withheld = self.withheld.as_ref().map_or(0, Bytes::len) as u64;
        match self.state {
            State::Flowing(_) => {
                let inner = self.inner.size_hint();
                let mut hint = SizeHint::new();
                if let Some(upper) = inner.upper() {
                    hint.set_upper(upper.saturating_add(withheld));
                }
                hint.set_lower(inner.lower().saturating_add(withheld));
                hint
            }
            State::Ended => SizeHint::with_exact(withheld),
            State::Failed => SizeHint::with_exact(0),
        }
    }
}
