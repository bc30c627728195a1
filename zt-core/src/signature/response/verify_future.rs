use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{NotVerified, VerifyResponseError, asked::Asked, check, verify::VerifySettings};
use crate::{
    body::{BoxError, CollectedBody},
    signature::sign::TargetError,
};

pin_project! {
    /// The answer of [`VerifyResponse`](super::VerifyResponse).
    pub struct VerifyResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Asking { #[pin] answer: F, held: Option<Box<(Arc<VerifySettings>, Asked)>> },
        Checking { check: Checking },
        NotSent { why: Option<TargetError> },
    }
}

type Checking = BoxFuture<'static, Result<Response<CollectedBody>, NotVerified>>;

impl<F> VerifyResponseFuture<F> {
    pub(super) const fn asking(answer: F, held: Box<(Arc<VerifySettings>, Asked)>) -> Self {
        Self {
            state: State::Asking {
                answer,
                held: Some(held),
            },
        }
    }

    pub(super) const fn not_sent(why: TargetError) -> Self {
        Self {
            state: State::NotSent { why: Some(why) },
        }
    }
}

impl<F, R, E> Future for VerifyResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<CollectedBody>, VerifyResponseError<E>>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Asking { answer, held } => {
                    let response = ready!(answer.poll(task)).map_err(VerifyResponseError::Inner)?;
                    let Some((settings, asked)) = held.take().map(|held| *held) else {
                        return Poll::Pending;
                    };
                    let check = Box::pin(check::verify(settings, asked, response));
                    this.state.set(State::Checking { check });
                }
                StateProj::Checking { check } => {
                    return check.as_mut().poll(task).map_err(Into::into);
                }
                StateProj::NotSent { why } => {
                    return why.take().map_or(Poll::Pending, |why| {
                        Poll::Ready(Err(VerifyResponseError::NotSent(why)))
                    });
                }
            }
        }
    }
}

impl<F> fmt::Debug for VerifyResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyResponseFuture")
            .finish_non_exhaustive()
    }
}
