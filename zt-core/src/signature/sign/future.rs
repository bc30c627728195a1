use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{BodyError, CannotSign, SignError, SignRequestLayer};
use crate::{
    body::{BoxError, CollectedBody},
    decision::Denial,
};

pin_project! {
    /// The answer of [`SignRequest`](super::SignRequest).
    pub struct SignFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Sent { #[pin] answer: F },
        Reading { body: Reading, held: Option<Box<Held<S>>> },
        Refused { why: Option<CannotSign> },
    }
}

type Reading = BoxFuture<'static, Result<CollectedBody, Denial>>;

/// What waits for the body.
struct Held<S> {
    layer: SignRequestLayer,
    ready: S,
    parts: request::Parts,
}

impl<S, B> SignFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) const fn sent(answer: S::Future) -> Self {
        Self {
            state: State::Sent { answer },
        }
    }

    pub(super) const fn refused(why: CannotSign) -> Self {
        Self {
            state: State::Refused { why: Some(why) },
        }
    }

    pub(super) fn reading(layer: SignRequestLayer, ready: S, parts: request::Parts, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let clock = Arc::clone(&layer.0.maker.clock);
        let body = Box::pin(CollectedBody::read(body, layer.0.limits, clock));
        let held = Box::new(Held {
            layer,
            ready,
            parts,
        });
        Self {
            state: State::Reading {
                body,
                held: Some(held),
            },
        }
    }
}

impl<S, B, R> Future for SignFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: From<Bytes>,
{
    type Output = Result<Response<R>, SignError<S::Error>>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Sent { answer } => {
                    return answer.poll(task).map_err(SignError::Inner);
                }
                StateProj::Reading { body, held } => {
                    let body = ready!(body.as_mut().poll(task));
                    let Some(held) = held.take() else {
                        return Poll::Pending;
                    };
                    let Held {
                        layer,
                        mut ready,
                        mut parts,
                    } = *held;
                    let body = whole(body)?;
                    layer.sign(&mut parts, Some(&body))?;
                    let answer = ready.call(Request::from_parts(parts, B::from(body)));
                    this.state.set(State::Sent { answer });
                }
                StateProj::Refused { why } => {
                    return why
                        .take()
                        .map_or(Poll::Pending, |why| Poll::Ready(Err(why.into())));
                }
            }
        }
    }
}

/// The content, where that is all there is.
fn whole(body: Result<CollectedBody, Denial>) -> Result<Bytes, CannotSign> {
    content(body).map_err(CannotSign::Body)
}

/// The content of a body that was read.
pub(in crate::signature) fn content(
    body: Result<CollectedBody, Denial>,
) -> Result<Bytes, BodyError> {
    let body = body?;
    // RFC 9530 section 2: the digest is of the content, which trailers are no part of.
    if body.trailers().is_some_and(|trailers| !trailers.is_empty()) {
        return Err(BodyError::Trailers);
    }
    Ok(body.bytes().clone())
}

impl<S, B> fmt::Debug for SignFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignFuture").finish_non_exhaustive()
    }
}
