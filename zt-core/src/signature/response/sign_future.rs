use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Response, header::CONTENT_TYPE, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    asked::Asked,
    sign::{SignSettings, is_bodiless, without_content},
};
use crate::{
    body::{BoxError, CollectedBody},
    decision::Denial,
    signature::sign::{BodyError, content},
};

pin_project! {
    /// The answer of [`SignResponse`](super::SignResponse).
    pub struct SignResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Answering { #[pin] answer: F, held: Option<Box<(Arc<SignSettings>, Asked)>> },
        Reading { body: Reading, held: Option<Box<Held>> },
        Refused { response: Option<Box<Response<CollectedBody>>> },
    }
}

type Reading = BoxFuture<'static, Result<CollectedBody, Denial>>;

/// What waits for the body.
struct Held {
    settings: Arc<SignSettings>,
    asked: Asked,
    parts: response::Parts,
}

impl<F> SignResponseFuture<F> {
    pub(super) const fn answering(answer: F, held: Box<(Arc<SignSettings>, Asked)>) -> Self {
        Self {
            state: State::Answering {
                answer,
                held: Some(held),
            },
        }
    }

    pub(super) fn refused(response: Response<CollectedBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(Box::new(response)),
            },
        }
    }
}

impl<F, R, E> Future for SignResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<CollectedBody>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Answering { answer, held } => {
                    let response = ready!(answer.poll(task))?;
                    let Some((settings, asked)) = held.take().map(|held| *held) else {
                        return Poll::Pending;
                    };
                    let (mut parts, body) = response.into_parts();
                    if is_bodiless(asked.method(), parts.status) {
                        without_content(&mut parts, &body);
                        return Poll::Ready(Ok(settings.finish(&asked, parts, Ok(Bytes::new()))));
                    }
                    if is_event_stream(&parts.headers) {
                        let why = Err(BodyError::Stream);
                        return Poll::Ready(Ok(settings.finish(&asked, parts, why)));
                    }
                    let clock = Arc::clone(&settings.maker.clock);
                    let body = Box::pin(CollectedBody::read(body, settings.limits, clock));
                    let held = Box::new(Held {
                        settings,
                        asked,
                        parts,
                    });
                    this.state.set(State::Reading {
                        body,
                        held: Some(held),
                    });
                }
                StateProj::Reading { body, held } => {
                    let body = ready!(body.as_mut().poll(task));
                    let Some(held) = held.take() else {
                        return Poll::Pending;
                    };
                    let Held {
                        settings,
                        asked,
                        parts,
                    } = *held;
                    return Poll::Ready(Ok(settings.finish(&asked, parts, content(body))));
                }
                StateProj::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
                }
            }
        }
    }
}

/// Whether the body is a stream of events, which ends when somebody goes away.
fn is_event_stream(headers: &HeaderMap) -> bool {
    const NAME: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().get(..NAME.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(NAME))
    })
}

impl<F> fmt::Debug for SignResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignResponseFuture").finish_non_exhaustive()
    }
}
