use std::{future::Ready, future::ready};

use tower::{Service, ServiceExt, service_fn};

use super::*;
use crate::gate::{Gate, Link, Settings};

/// A service with tower's contract: calling a clone that was not asked for readiness panics.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        // Outside the promise: a panic here would be answered by the gate, so it is counted.
        assert!(std::mem::take(&mut self.ready), "called unready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::default()))
    }
}

async fn ready_gate<S>(gate: &mut S) -> &mut S
where
    S: Service<Request<Full<Bytes>>>,
    S::Error: std::fmt::Debug,
{
    gate.ready().await.unwrap()
}

#[tokio::test]
async fn the_inner_service_is_only_called_when_it_was_ready() {
    let inner = Strict::default();
    let calls = Arc::clone(&inner.calls);
    let spy = Spy::default();
    for settings in [Settings::default(), Settings::default().ready_early()] {
        let settings = Arc::new(settings);
        let sync: Gate<_, _> =
            Gate::with_settings(inner.clone(), Link::first(passes()), Arc::clone(&settings));
        let late: Gate<_, _> = Gate::with_settings(
            inner.clone(),
            Link::first(Waits(None)),
            Arc::clone(&settings),
        );
        let held: Gate<_, _> =
            Gate::with_settings(inner.clone(), Link::first(spy.clone()), settings);
        // The same gate several times over, and clones of it.
        let (mut sync, mut late, mut held) = (sync, late, held);
        for _ in 0..3 {
            assert_eq!(
                ready_gate(&mut sync)
                    .await
                    .call(request())
                    .await
                    .unwrap()
                    .status(),
                200
            );
            assert_eq!(
                ready_gate(&mut late)
                    .await
                    .call(request())
                    .await
                    .unwrap()
                    .status(),
                200
            );
            assert_eq!(late.clone().oneshot(request()).await.unwrap().status(), 200);
            spy.handler_door().close();
            let waiting = ready_gate(&mut held).await.call(request());
            spy.handler_door().open();
            assert_eq!(waiting.await.unwrap().status(), 200);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 24);
}

#[tokio::test]
async fn refusals_leave_the_readiness_of_the_inner_service_alone() {
    let inner = Strict::default();
    let calls = Arc::clone(&inner.calls);
    let mut gate = Gate::new(
        inner,
        Link::first(FnCheck::new(
            |parts: &mut Parts, _: &mut SecurityContext| {
                if parts.method == "PUT" {
                    Ok(())
                } else {
                    Err(Code::PolicyDenied.into())
                }
            },
        )),
    );
    let refused = ready_gate(&mut gate).await.call(request()).await.unwrap();
    assert_eq!(refused.status(), 403);
    let mut put = request();
    *put.method_mut() = http::Method::PUT;
    assert_eq!(
        ready_gate(&mut gate)
            .await
            .call(put)
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Never ready.
#[derive(Debug, Clone)]
struct Full0;

impl<B> Service<Request<B>> for Full0 {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Err("called"))
    }
}

#[tokio::test]
async fn a_gate_that_is_ready_early_refuses_before_a_full_service() {
    let settings = Arc::new(Settings::default().ready_early());
    let gate: Gate<_, _> = Gate::with_settings(
        Full0,
        Link::first(refuses(Code::RateLimited)),
        Arc::clone(&settings),
    );
    assert_eq!(gate.oneshot(request()).await.unwrap().status(), 429);

    let mut waits: Gate<_, _> = Gate::with_settings(Full0, Link::first(passes()), settings);
    let mut future = Box::pin(ready_gate(&mut waits).await.call(request()));
    let mut task = Context::from_waker(Waker::noop());
    assert!(
        future.as_mut().poll(&mut task).is_pending(),
        "a permitted request waits"
    );

    let mut through = Gate::new(Full0, Link::first(refuses(Code::RateLimited)));
    assert!(
        <Gate<_, _> as Service<Request<Full<Bytes>>>>::poll_ready(&mut through, &mut task)
            .is_pending(),
        "by default readiness passes through"
    );
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_and_settles_as_failed() {
    let spy = Spy::default();
    let service =
        service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>("no") });
    let error = Gate::new(service, Link::first(spy.clone()))
        .oneshot(request())
        .await
        .unwrap_err();
    assert_eq!(error, "no");
    assert_eq!(spy.once().end, End::Failed);
}

use std::future::Future as _;
