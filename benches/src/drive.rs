use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body::Body as _;
use tower::Service;

use crate::{BenchError, Template};

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A whole response.
    Response(StatusCode),
    /// The service was not ready, failed, or its body did.
    Failed,
    /// It went on waiting.
    Hangs,
}

/// More polls than any candidate needs; nothing here waits for a timer.
const POLLS: usize = 10_000_000;

/// One request, from `poll_ready` to the end of the response's body, which is polled no further
/// than a server would.
pub fn drive<S, R>(service: &mut S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes>,
{
    let mut task = Context::from_waker(Waker::noop());
    match service.poll_ready(&mut task) {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(_)) => return Answer::Failed,
        Poll::Pending => return Answer::Hangs,
    }
    let mut future = pin!(service.call(request));
    let mut polls = POLLS;
    let response = loop {
        match future.as_mut().poll(&mut task) {
            Poll::Ready(Ok(response)) => break response,
            Poll::Ready(Err(_)) => return Answer::Failed,
            Poll::Pending if polls == 0 => return Answer::Hangs,
            Poll::Pending => polls -= 1,
        }
    };
    let status = response.status();
    let mut body = pin!(response.into_body());
    while !body.is_end_stream() {
        match body.as_mut().poll_frame(&mut task) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) => return Answer::Failed,
            Poll::Ready(None) => break,
            Poll::Pending if polls == 0 => return Answer::Hangs,
            Poll::Pending => polls -= 1,
        }
    }
    Answer::Response(status)
}

/// Shows that `service` answers `template` with `status`.
///
/// # Errors
///
/// [`BenchError::Claim`] where it does not.
pub fn shows<S, R>(
    name: &str,
    service: &mut S,
    template: &Template,
    status: StatusCode,
) -> Result<(), BenchError>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes>,
{
    let found = drive(service, template.request());
    if found == Answer::Response(status) {
        return Ok(());
    }
    Err(BenchError::Claim {
        candidate: name.to_owned(),
        expected: status.to_string(),
        found: format!("{found:?}"),
    })
}

/// Shows that the answer of `service` to `template` carries `header`.
///
/// # Errors
///
/// [`BenchError::Claim`] where it does not.
pub fn carries<S, R>(
    name: &str,
    service: &mut S,
    template: &Template,
    header: &HeaderName,
) -> Result<(), BenchError>
where
    S: Service<Request<Body>, Response = Response<R>>,
{
    let mut task = Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(template.request()));
    let found = match future.as_mut().poll(&mut task) {
        Poll::Ready(Ok(response)) if response.headers().contains_key(header) => return Ok(()),
        Poll::Ready(Ok(_)) => "none",
        Poll::Ready(Err(_)) => "a failure",
        Poll::Pending => "nothing yet",
    };
    Err(BenchError::Claim {
        candidate: name.to_owned(),
        expected: header.to_string(),
        found: found.to_owned(),
    })
}
