use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use crate::{
    clock::{Clock, Sleep},
    decision::{Code, Denial},
};

/// A body that was read whole; a body of its own when it is handed on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CollectedBody {
    data: Bytes,
    /// Boxed, because few bodies have any and every body is moved about.
    trailers: Option<Box<HeaderMap>>,
    data_sent: bool,
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct CollectLimits {
    /// The most bytes that are kept.
    pub bytes: usize,
    /// How long the whole body may take to arrive.
    pub deadline: Duration,
}

impl CollectedBody {
    /// From bytes at hand.
    #[must_use]
    pub fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self::boxed(data, trailers.map(Box::new))
    }

    const fn boxed(data: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        Self {
            data,
            trailers,
            data_sent: false,
        }
    }

    /// The bytes; a clone shares them.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// The trailers.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// From its beginning, without the trailers.
    #[must_use]
    pub(crate) fn without_trailers(self) -> Self {
        Self::boxed(self.data, None)
    }

    /// With bytes that are the same, and are kept otherwise.
    pub(crate) fn map_bytes(self, keep: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self {
            data: keep(self.data),
            ..self
        }
    }

    /// From its beginning, whoever has read of it before.
    #[must_use]
    pub(crate) fn unread(self) -> Self {
        Self::boxed(self.data, self.trailers)
    }

    /// Reads `body` to its end.
    ///
    /// A body of one frame is kept as that frame and not copied. A frame may be a slice of the
    /// server's read buffer, which then lives as long as this; it is meant to live no longer than
    /// the request. What is kept longer is copied.
    ///
    /// # Errors
    ///
    /// `body-too-large` past the limit, `request-timeout` past the deadline, `request-malformed`
    /// when the body breaks off.
    pub async fn read<B>(
        body: B,
        limits: CollectLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Denial>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut reading = pin!(Reading::new(body, limits, clock));
        poll_fn(|task| reading.as_mut().poll(Some(task)))
            .await
            .map_err(|broken| broken.denial())
    }
}

pin_project_lite::pin_project! {
    /// A body on its way to be collected.
    pub(crate) struct Reading<B> {
        #[pin]
        body: B,
        limits: CollectLimits,
        clock: Arc<dyn Clock>,
        // Made when the body is first waited for: one that is there needs none.
        deadline: Option<Sleep>,
        pieces: Pieces,
        trailers: Option<Box<HeaderMap>>,
    }
}

/// What was read: one frame as it came, or several put together.
enum Pieces {
    One(Bytes),
    Many(BytesMut),
}

/// Why a body could not be read whole.
pub(crate) enum Unread {
    /// It goes on past the limit, with this piece where it was read already.
    TooLarge(Option<Bytes>),
    /// It took too long.
    TimedOut,
    /// It broke off.
    Broken(BoxError),
}

impl<B> Reading<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) const fn new(body: B, limits: CollectLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            body,
            limits,
            clock,
            deadline: None,
            pieces: Pieces::One(Bytes::new()),
            trailers: None,
        }
    }

    /// The body itself, to go on with it where it can be moved.
    pub(crate) fn body(self: Pin<&mut Self>) -> Pin<&mut B> {
        self.project().body
    }

    /// What was read so far, taken out.
    pub(crate) fn take(self: Pin<&mut Self>) -> (Bytes, Option<HeaderMap>) {
        let this = self.project();
        let trailers = this.trailers.take();
        (this.pieces.take(), trailers.map(|trailers| *trailers))
    }

    /// Reads on. Without a task it takes what is there, and neither waits nor counts the time.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        task: Option<&mut Context<'_>>,
    ) -> Poll<Result<CollectedBody, Unread>> {
        let waits = task.is_some();
        // Whoever waits later asks again, with a waker of its own.
        let nobody = &mut Context::from_waker(Waker::noop());
        let task = task.unwrap_or(nobody);
        let mut this = self.project();
        let mut hollow = 0;
        loop {
            let read = this.pieces.as_ref().len();
            let left = this.limits.bytes.saturating_sub(read);
            let declared = this.body.size_hint().lower();
            if declared > left as u64 {
                return Poll::Ready(Err(Unread::TooLarge(None)));
            }
            // Neither the limit nor the deadline would end pieces without content that never have
            // to be waited for.
            let next = if hollow < HOLLOW {
                this.body.as_mut().poll_frame(task)
            } else {
                task.waker().wake_by_ref();
                Poll::Pending
            };
            let frame = match next {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Unread::Broken(error.into())));
                }
                Poll::Ready(None) => {
                    return Poll::Ready(Ok(CollectedBody::boxed(
                        this.pieces.take(),
                        this.trailers.take(),
                    )));
                }
                Poll::Pending if !waits => return Poll::Pending,
                Poll::Pending => {
                    let (clock, span) = (&*this.clock, this.limits.deadline);
                    let deadline = this.deadline.get_or_insert_with(|| clock.sleep(span));
                    ready!(deadline.as_mut().poll(task));
                    return Poll::Ready(Err(Unread::TimedOut));
                }
            };
            match frame.into_data() {
                Ok(mut data) => {
                    // A `Bytes` gives itself away here; nothing is copied.
                    let data = data.copy_to_bytes(data.remaining());
                    hollow += u32::from(data.is_empty());
                    if data.len() > left {
                        return Poll::Ready(Err(Unread::TooLarge(Some(data))));
                    }
                    // What is declared is a claim: no more is set aside than a small body needs.
                    let declared = usize::try_from(declared).unwrap_or(0);
                    this.pieces
                        .add(data, read.saturating_add(declared).min(16 * 1024));
                }
                Err(frame) => {
                    hollow += 1;
                    *this.trailers = frame.into_trailers().ok().map(Box::new);
                }
            }
        }
    }
}

/// How many pieces without content are taken in one go, before others have their turn.
pub(crate) const HOLLOW: u32 = 32;

impl Pieces {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::One(piece) => piece,
            Self::Many(pieces) => pieces,
        }
    }

    /// Adds `piece`; in all there will be some `total` bytes.
    fn add(&mut self, piece: Bytes, total: usize) {
        match self {
            Self::One(first) if first.is_empty() => *first = piece,
            Self::One(_) if piece.is_empty() => {}
            Self::One(first) => {
                let least = first.len() + piece.len();
                let mut pieces = BytesMut::with_capacity(least.max(total));
                pieces.extend_from_slice(first);
                pieces.extend_from_slice(&piece);
                *self = Self::Many(pieces);
            }
            Self::Many(pieces) => pieces.extend_from_slice(&piece),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::One(Bytes::new())) {
            Self::One(piece) => piece,
            Self::Many(pieces) => pieces.freeze(),
        }
    }
}

impl Unread {
    pub(crate) fn denial(&self) -> Denial {
        match self {
            Self::TooLarge(_) => Code::BodyTooLarge.into(),
            Self::TimedOut => Code::RequestTimeout.into(),
            Self::Broken(error) => broken(error),
        }
    }
}

/// What a body that broke off is answered.
pub(crate) fn broken(error: &BoxError) -> Denial {
    let too_large = error
        .downcast_ref::<Denial>()
        .filter(|denial| denial.code() == Code::BodyTooLarge);
    too_large.cloned().unwrap_or_else(|| {
        Denial::new(Code::RequestMalformed).detail(format!("the body broke off: {error}"))
    })
}

impl Body for CollectedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data_sent {
            self.data_sent = true;
            if !self.data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.data.clone()))));
            }
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(*trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        (self.data_sent || self.data.is_empty()) && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.data_sent {
            0
        } else {
            self.data.len() as u64
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;
    use crate::clock::ManualClock;

    const LIMITS: CollectLimits = CollectLimits {
        bytes: 8,
        deadline: Duration::from_secs(5),
    };

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::default())
    }

    #[tokio::test]
    async fn reads_data_and_trailers_and_gives_them_back() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = vec![
            Frame::data(Bytes::from("abcd")),
            Frame::data(Bytes::from("efgh")),
            Frame::trailers(trailers),
        ];
        let body = StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, BoxError>)));
        let body = CollectedBody::read(body, LIMITS, clock()).await.unwrap();
        assert_eq!(body.bytes(), "abcdefgh");
        let again = body.collect().await.unwrap();
        assert_eq!(again.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(again.to_bytes(), "abcdefgh");
    }

    #[tokio::test]
    async fn a_body_past_the_limit_is_too_large_declared_or_not() {
        let declared =
            CollectedBody::read(Full::new(Bytes::from("123456789")), LIMITS, clock()).await;
        assert_eq!(declared.unwrap_err().code(), Code::BodyTooLarge);
        let frames =
            ["12345", "6789"].map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from(chunk))));
        let streamed =
            CollectedBody::read(StreamBody::new(stream::iter(frames)), LIMITS, clock()).await;
        assert_eq!(streamed.unwrap_err().code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_drips_times_out() {
        let clock = ManualClock::default();
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let read = tokio::spawn(CollectedBody::read(body, LIMITS, Arc::new(clock.clone())));
        tokio::task::yield_now().await;
        clock.advance(LIMITS.deadline);
        assert_eq!(
            read.await.unwrap().unwrap_err().code(),
            Code::RequestTimeout
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let frames = [
            Ok(Frame::data(Bytes::from("1"))),
            Err(BoxError::from("reset")),
        ];
        let read =
            CollectedBody::read(StreamBody::new(stream::iter(frames)), LIMITS, clock()).await;
        assert_eq!(read.unwrap_err().code(), Code::RequestMalformed);
    }
}
