mod bodies;
mod cancelled;
mod one_each;
mod policies;
mod refusals;
mod streams;
mod waits;

use std::{
    cell::Cell,
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt};
use zt_core::{
    body::{BoxError, ZtBody},
    clock::{Clock, ManualClock},
    context::{SecurityContext, Stage},
    decision::{Code, Denial, Permit},
    gate::{Check, Gate, GateLayer, Link, OpenContextLayer, Root, Settings, Step},
    stack::slots::Records,
    state::{AuditMode, RouteRule, Routes},
};

use super::*;
use crate::{
    AuditLog, Options,
    testing::{Disk, EIO, log, log_with},
};

/// Permits what its rule says; stands for `AuthorizeLayer`.
#[derive(Clone, Default)]
struct Authorize {
    refuses: bool,
    forgets: bool,
    /// As a check that charges a budget.
    has_effects: bool,
    routes: Routes,
}

impl Check for Authorize {
    type Guard = ();

    const NAME: &'static str = "Authorize";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Some(route) = self.routes.resolve(&parts.method, parts.uri.path()) {
            cx.set_route(route);
        }
        if self.refuses || parts.uri.path() == "/forbidden" {
            let denial = Denial::new(Code::PolicyDenied).detail("rule 7");
            return denial.by_rule("no-sevens").by_policy("shop", "8").into();
        }
        if self.forgets {
            return Step::pass(());
        }
        if self.has_effects {
            cx.set_effects();
        }
        cx.set_permit(Permit::assertion("test").finish()).into()
    }
}

zt_core::impl_layer!(Authorize);

type Chain = Link<Link<Link<Root, RecordAuditLayer>, Authorize>, CommitAuditLayer>;

fn chain(log: &AuditLog, authorize: Authorize) -> Chain {
    let (outer, commit) = RecordAuditLayer::new(log.clone()).split();
    Link::first(outer).then(authorize).then(commit)
}

fn gate<S>(log: &AuditLog, inner: S) -> Gate<S, Chain> {
    Gate::new(inner, chain(log, Authorize::default()))
}

fn request(method: Method, path: &str) -> Request<String> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(String::new())
        .unwrap()
}

fn get(path: &str) -> Request<String> {
    request(Method::GET, path)
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn answer() -> Answer {
    Ok(Response::new(Full::new(Bytes::from_static(b"fine"))))
}

/// A handler that counts its calls.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn handler(
        &self,
    ) -> impl Service<
        Request<String>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future = impl Future<Output = Answer> + Send + use<>,
    > + Clone
    + use<> {
        let calls = self.clone();
        tower::service_fn(move |_| {
            calls.0.fetch_add(1, Ordering::SeqCst);
            async { answer() }
        })
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn code<B>(response: &Response<B>) -> Option<Code> {
    response.extensions().get::<Denial>().map(Denial::code)
}

/// Reads the response to its end.
async fn read<B>(response: Response<ZtBody<B>>) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    Ok(response.into_body().collect().await?.to_bytes())
}

fn close(log: AuditLog, disk: &Disk) -> Vec<Value> {
    log.close().unwrap();
    disk.records()
}

fn one_each(records: &[Value]) -> (Value, Value) {
    let [decision, outcome] = records else {
        panic!("{} records", records.len())
    };
    assert_eq!(decision["kind"], "decision");
    assert_eq!(outcome["kind"], "outcome");
    assert_eq!(decision["request_id"], outcome["request_id"]);
    (decision.clone(), outcome.clone())
}

/// Polls a request to a gate over a log that does not come to its end.
async fn held(request: Request<String>, authorize: Authorize) -> (usize, StatusCode) {
    let (log, disk) = log();
    let calls = Calls::default();
    let service = Gate::new(calls.handler(), chain(&log, authorize));
    disk.hold();
    let mut future = Box::pin(service.oneshot(request));
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(future.as_mut().poll(&mut task).is_pending());
    }
    disk.wait_until_stalled();
    assert!(future.as_mut().poll(&mut task).is_pending());
    let before = calls.count();
    disk.release();
    let response = future.await.unwrap();
    assert_eq!(calls.count(), 1);
    (before, response.status())
}
