use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use crate::{
    clock::Clock,
    decision::{Code, Denial},
};

/// A body that was read whole; a body of its own when it is handed on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CollectedBody {
    data: Bytes,
    trailers: Option<HeaderMap>,
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
    pub const fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
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
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Reads `body` to its end.
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
        let declared = body.size_hint().lower();
        if declared > limits.bytes as u64 {
            return Err(Code::BodyTooLarge.into());
        }
        let mut body = pin!(body);
        let mut deadline = clock.sleep(limits.deadline);
        // What was declared is a claim: no more is set aside than a small body needs.
        let mut data =
            BytesMut::with_capacity(usize::try_from(declared).unwrap_or(0).min(16 * 1024));
        let mut trailers = None;
        loop {
            let frame = std::future::poll_fn(|task| {
                if let Poll::Ready(frame) = body.as_mut().poll_frame(task) {
                    return Poll::Ready(Ok(frame));
                }
                deadline
                    .as_mut()
                    .poll(task)
                    .map(|()| Err(Denial::new(Code::RequestTimeout)))
            })
            .await?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| broken(&error.into()))?;
            match frame.into_data() {
                Ok(mut chunk) => {
                    if chunk.remaining() > limits.bytes - data.len() {
                        return Err(Code::BodyTooLarge.into());
                    }
                    data.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Self::new(data.freeze(), trailers))
    }
}

fn broken(error: &BoxError) -> Denial {
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
                .map(|trailers| Ok(Frame::trailers(trailers))),
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
