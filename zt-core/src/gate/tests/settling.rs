use std::pin::Pin;

use futures_util::stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    body::{BoxError, ZtBody},
    gate::{Gate, Link},
};

type Frames = Vec<Result<Frame<Bytes>, BoxError>>;
type Stream = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>>>;

fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn answered(spy: &Spy, response: Response<()>, frames: Frames) -> Response<ZtBody<Stream>> {
    answered_to(request(), spy, response, frames).await
}

async fn answered_to(
    request: Request<Full<Bytes>>,
    spy: &Spy,
    response: Response<()>,
    frames: Frames,
) -> Response<ZtBody<Stream>> {
    let frames = Mutex::new(Some((response, frames)));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let (response, frames) = frames.lock().unwrap().take().unwrap();
        let response = response.map(|()| StreamBody::new(stream::iter(frames)));
        async move { Ok::<_, Infallible>(response) }
    });
    // Not cloned: the service is called in place.
    let mut gate = Gate::new(
        Arc::new(Mutex::new(service)).into_service(),
        Link::first(spy.clone()),
    );
    tower::Service::call(gate.ready().await.unwrap(), request)
        .await
        .unwrap()
}

/// A shared service, since a gate asks for `Clone`.
trait IntoShared<S> {
    fn into_service(self) -> Shared<S>;
}

impl<S> IntoShared<S> for Arc<Mutex<S>> {
    fn into_service(self) -> Shared<S> {
        Shared(self)
    }
}

struct Shared<S>(Arc<Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: tower::Service<R>, R> tower::Service<R> for Shared<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.lock().unwrap().poll_ready(task)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.lock().unwrap().call(request)
    }
}

async fn next(body: &mut ZtBody<Stream>) -> Option<Result<Frame<Bytes>, BoxError>> {
    std::future::poll_fn(|task| Pin::new(&mut *body).poll_frame(task)).await
}

#[tokio::test]
async fn a_body_that_was_polled_to_its_end_is_complete() {
    let spy = Spy::default();
    let response = answered(&spy, Response::default(), vec![data("ab"), data("c")]).await;
    assert!(spy.seen().is_empty(), "the body is still to come");
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "abc"
    );
    let seen = spy.once();
    assert_eq!(
        (seen.end, seen.bytes, seen.status),
        (End::Complete, 3, Some(StatusCode::OK))
    );
}

#[tokio::test]
async fn trailers_end_a_body_and_are_shown() {
    let spy = Spy::default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "7".parse().unwrap());
    let response = answered(
        &spy,
        Response::default(),
        vec![data("x"), Ok(Frame::trailers(trailers))],
    )
    .await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    next(&mut body).await.unwrap().unwrap();
    // hyper drops the body here, without polling it to `None`.
    drop(body);
    let seen = spy.once();
    assert_eq!((seen.end, seen.trailers), (End::Complete, true));
}

#[tokio::test]
async fn a_body_whose_content_length_is_reached_is_complete() {
    let spy = Spy::default();
    let head = Response::builder()
        .header("content-length", "3")
        .body(())
        .unwrap();
    let mut body = answered(&spy, head, vec![data("abc"), data("")])
        .await
        .into_body();
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    assert_eq!(spy.once().end, End::Complete);
}

#[tokio::test]
async fn a_body_that_nobody_finished_is_abandoned() {
    let spy = Spy::default();
    let mut body = answered(&spy, Response::default(), vec![data("ab"), data("c")])
        .await
        .into_body();
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    let seen = spy.once();
    assert_eq!(
        (seen.end, seen.handler, seen.bytes),
        (End::Abandoned, HandlerRun::Reached, 2)
    );
}

#[tokio::test]
async fn a_body_that_fails_is_a_body_error() {
    let spy = Spy::default();
    let frames = vec![data("ab"), Err("broken pipe".into())];
    let body = answered(&spy, Response::default(), frames)
        .await
        .into_body();
    assert!(body.collect().await.is_err());
    assert_eq!(spy.once().end, End::BodyError);
}

#[tokio::test]
async fn responses_without_a_body_settle_at_their_head() {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        let spy = Spy::default();
        let head = Response::builder().status(status).body(()).unwrap();
        let _response = answered(&spy, head, vec![data("never sent")]).await;
        assert_eq!(spy.once().end, End::Complete, "{status}");
    }
    let spy = Spy::default();
    let mut head = request();
    *head.method_mut() = http::Method::HEAD;
    let _response = answered_to(head, &spy, Response::default(), vec![data("never sent")]).await;
    assert_eq!(spy.once().end, End::Complete);

    let spy = Spy::default();
    let response = Gate::new(
        service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }),
        Link::first(spy.clone()),
    )
    .oneshot(request())
    .await
    .unwrap();
    assert!(response.body().is_end_stream());
    assert_eq!(spy.once().end, End::Complete);
}

#[tokio::test]
async fn an_upgrade_settles_at_its_head() {
    let spy = Spy::default();
    let head = Response::builder().status(101).body(()).unwrap();
    let _response = answered(&spy, head, vec![]).await;
    assert_eq!(spy.once().end, End::Upgraded);

    let spy = Spy::default();
    let mut connect = request();
    *connect.method_mut() = http::Method::CONNECT;
    let _response = answered_to(connect, &spy, Response::default(), vec![]).await;
    assert_eq!(spy.once().end, End::Upgraded);
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_answer_is_abandoned() {
    // While the handler runs.
    let spy = Spy::default();
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let mut future = Box::pin(Gate::new(hangs, Link::first(spy.clone())).oneshot(request()));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    let seen = spy.once();
    assert_eq!(
        (seen.end, seen.handler, seen.status),
        (End::Abandoned, HandlerRun::Reached, None)
    );

    // While a check waits: no effect can have happened.
    let spy = Spy::default();
    let chain = Link::first(spy.clone()).then(Waits(None));
    let mut future = Box::pin(Gate::new(hangs, chain).oneshot(request()));
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    assert_eq!(spy.once().handler, HandlerRun::NotReached);

    // While a guard holds the head.
    let spy = Spy::default();
    spy.head_door().close();
    let mut future =
        Box::pin(Gate::new(service_fn(hello), Link::first(spy.clone())).oneshot(request()));
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    assert_eq!(spy.once().end, End::Abandoned);
}

#[tokio::test]
async fn an_answer_that_is_dropped_unread_is_abandoned() {
    let spy = Spy::default();
    drop(answered(&spy, Response::default(), vec![data("ab")]).await);
    assert_eq!(spy.once().end, End::Abandoned);
}

/// A guard that panics wherever it is asked to.
#[derive(Clone)]
struct Explodes;

impl Check for Explodes {
    type Guard = Self;

    const NAME: &'static str = "explodes";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Self> {
        Step::pass(Self)
    }
}

impl Guard for Explodes {
    fn settle(&mut self, _: &Settlement<'_>) {
        panic!("settling failed");
    }
}

#[tokio::test]
async fn a_guard_that_panics_while_it_settles_does_not_keep_the_others_from_settling() {
    // In the body, at the head, and in a future that is dropped.
    for status in [StatusCode::OK, StatusCode::NO_CONTENT] {
        let spy = Spy::default();
        let chain = Link::first(spy.clone()).then(Explodes);
        let answers = service_fn(move |request: Request<Full<Bytes>>| async move {
            let mut response = hello(request).await?;
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        });
        let response = Gate::new(answers, chain).oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(spy.once().end, End::Complete, "{status}");
    }
    let spy = Spy::default();
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let chain = Link::first(spy.clone()).then(Explodes);
    let mut future = Box::pin(Gate::new(hangs, chain).oneshot(request()));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    assert_eq!(spy.once().end, End::Abandoned);
}

use std::future::Future as _;
