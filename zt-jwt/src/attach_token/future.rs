use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    AttachError, AttachTokenLayer, Unavailable,
    tokens::{Picked, Shared},
};

pin_project! {
    /// The answer of [`AttachToken`](super::AttachToken).
    pub struct AttachFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future, S::Error>,
        used: Option<(Arc<Shared>, u64)>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, E> {
        Sent { #[pin] answer: F },
        Waiting { wait: Wait, held: Option<Box<(AttachTokenLayer, S, Request<B>)>> },
        Refused { error: Option<AttachError<E>> },
    }
}

type Wait = BoxFuture<'static, Result<Picked<HeaderValue>, Unavailable>>;

impl<S, B> AttachFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) const fn sent(answer: S::Future, used: Option<(Arc<Shared>, u64)>) -> Self {
        Self {
            state: State::Sent { answer },
            used,
        }
    }

    pub(super) fn waiting(layer: AttachTokenLayer, ready: S, request: Request<B>) -> Self {
        let wait = Arc::clone(&layer.tokens.0).wait(layer.pick);
        Self {
            state: State::Waiting {
                wait: Box::pin(wait),
                held: Some(Box::new((layer, ready, request))),
            },
            used: None,
        }
    }

    pub(super) const fn refused(error: AttachError<S::Error>) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
            used: None,
        }
    }
}

impl<S, B, R> Future for AttachFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<R>, AttachError<S::Error>>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Sent { answer } => {
                    let response = ready!(answer.poll(task)).map_err(AttachError::Inner)?;
                    if let Some((tokens, edition)) = this.used.take()
                        && is_rejection(response.status(), response.headers())
                    {
                        tokens.rejected(edition);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Waiting { wait, held } => {
                    let picked =
                        ready!(wait.as_mut().poll(task)).map_err(AttachError::Unavailable)?;
                    let Some((layer, mut ready, mut request)) = held.take().map(|held| *held)
                    else {
                        return Poll::Pending;
                    };
                    layer.attach(request.headers_mut(), picked.value)?;
                    *this.used = Some((layer.tokens.0, picked.edition));
                    let answer = ready.call(request);
                    this.state.set(State::Sent { answer });
                }
                StateProj::Refused { error } => {
                    return error
                        .take()
                        .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
            }
        }
    }
}

/// Whether the called service says that the token is not good: a 401 whose challenge has the error
/// `invalid_token` (RFC 6750 section 3.1), or gRPC's `UNAUTHENTICATED` in place of an answer.
///
/// What else a 401 says is between the caller and the service. All that comes of it is that the
/// source is asked a little earlier, so the challenge is searched rather than parsed.
fn is_rejection(status: StatusCode, headers: &HeaderMap) -> bool {
    const ERRORS: [&[u8]; 2] = [b"error=\"invalid_token\"", b"error=invalid_token"];
    if status == StatusCode::UNAUTHORIZED {
        let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
        return challenges.any(|challenge| {
            let challenge = challenge.as_bytes();
            ERRORS.iter().any(|error| {
                let mut windows = challenge.windows(error.len());
                windows.any(|window| window.eq_ignore_ascii_case(error))
            })
        });
    }
    headers
        .get("grpc-status")
        .is_some_and(|status| status == "16")
}

impl<S, B> fmt::Debug for AttachFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachFuture").finish_non_exhaustive()
    }
}
