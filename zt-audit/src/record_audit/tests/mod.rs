mod bodies;
mod streams;

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
            return Denial::new(Code::PolicyDenied).detail("rule 7").into();
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

// Refusals.

#[tokio::test]
async fn refuses_to_commit_without_an_outer_half() {
    let (log, disk) = log();
    let calls = Calls::default();
    let record = RecordAuditLayer::new(log.clone());
    let service = Authorize::default().layer(record.commit().layer(calls.handler()));
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
    let denial = response.extensions().get::<Denial>().unwrap();
    let detail = denial.private_detail().unwrap();
    assert!(detail.contains("the audit record"), "{detail}");
    assert_eq!(calls.count(), 0);
    assert!(close(log, &disk).is_empty());
}

#[tokio::test]
async fn refuses_to_commit_without_authorization() {
    let (log, disk) = log();
    let calls = Calls::default();
    let record = RecordAuditLayer::new(log.clone());
    let service = record.layer(record.commit().layer(calls.handler()));
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
    drop(response);
    assert_eq!(calls.count(), 0);
    let (decision, _) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "deny");
    assert_eq!(decision["code"], "stack-misordered");
    assert_eq!(
        decision["detail"],
        "CommitAudit needs authorization before it, and there was none"
    );
}

#[tokio::test]
async fn refuses_to_commit_where_authorization_left_no_permit() {
    let (log, _disk) = log();
    let calls = Calls::default();
    let authorize = Authorize {
        forgets: true,
        ..Authorize::default()
    };
    let service = Gate::new(calls.handler(), chain(&log, authorize));
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
    assert_eq!(calls.count(), 0);
}

#[tokio::test]
async fn refuses_to_commit_twice() {
    let (log, disk) = log();
    let calls = Calls::default();
    let record = RecordAuditLayer::new(log.clone());
    let chain = chain(&log, Authorize::default()).then(record.commit());
    let response = Gate::new(calls.handler(), chain)
        .oneshot(get("/"))
        .await
        .unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
    drop(response);
    assert_eq!(calls.count(), 0);
    assert_eq!(close(log, &disk).len(), 2);
}

#[tokio::test]
async fn refuses_when_the_log_was_closed_and_does_not_run_the_handler() {
    for method in [Method::GET, Method::POST] {
        let (log, _disk) = log();
        let calls = Calls::default();
        log.close().unwrap();
        let response = gate(&log, calls.handler())
            .oneshot(request(method, "/"))
            .await
            .unwrap();
        assert_eq!(code(&response), Some(Code::AuditUnavailable));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(calls.count(), 0);
    }
}

#[tokio::test]
async fn refuses_when_the_queue_is_full_and_records_that() {
    let (log, disk) = log_with(Options::default().max_records(64));
    let calls = Calls::default();
    let service = gate(&log, calls.handler());
    disk.hold();
    let waiting: Vec<_> = (0..24)
        .map(|_| service.clone().call(request(Method::POST, "/")))
        .collect();
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!(code(&response), Some(Code::AuditUnavailable));
    read(response).await.unwrap();
    drop(waiting);
    assert_eq!(calls.count(), 0);
    disk.release();
    let records = close(log, &disk);
    let refused: Vec<_> = records.iter().filter(|r| r["decision"] == "deny").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["code"], "audit-unavailable");
    assert_eq!(refused[0]["detail"], "the audit queue is full");
}

#[tokio::test]
async fn refuses_an_unsafe_method_whose_permit_could_not_be_written() {
    let (log, disk) = log();
    let calls = Calls::default();
    disk.state().fail_sync = Some(EIO);
    let response = gate(&log, calls.handler())
        .oneshot(request(Method::POST, "/"))
        .await
        .unwrap();
    assert_eq!(code(&response), Some(Code::AuditUnavailable));
    assert_eq!(calls.count(), 0);
}

#[tokio::test]
async fn the_answer_of_a_safe_method_does_not_leave_when_its_permit_could_not_be_written() {
    let (log, disk) = log();
    let calls = Calls::default();
    disk.hold();
    let mut future = Box::pin(gate(&log, calls.handler()).oneshot(get("/")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    disk.wait_until_stalled();
    disk.state().fail_sync = Some(EIO);
    disk.release();
    let response = future.await.unwrap();
    assert_eq!(code(&response), Some(Code::AuditUnavailable));
    // It may have been refused before the handler began.
    assert!(calls.count() <= 1);
    let body = read(response).await.unwrap();
    assert!(!body.windows(4).any(|text| text == b"fine"));
}

// What waits for what.

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

#[tokio::test]
async fn the_handler_of_an_unsafe_method_runs_only_when_its_permit_is_durable() {
    let unsafe_methods = ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PURGE"];
    for method in unsafe_methods {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let held = held(request(method.clone(), "/"), Authorize::default()).await;
        assert_eq!(held, (0, StatusCode::OK), "{method}");
    }
}

#[tokio::test]
async fn the_handler_of_a_safe_method_runs_while_its_permit_is_written_and_its_answer_waits() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        let held = held(request(method.clone(), "/"), Authorize::default()).await;
        assert_eq!(held, (1, StatusCode::OK), "{method}");
    }
}

#[tokio::test]
async fn a_route_that_says_so_waits_whatever_the_method() {
    let rule = RouteRule::any("/charge").audit(AuditMode::BeforeHandler);
    let authorize = || Authorize {
        routes: Routes::builder().route(rule.clone()).build().unwrap(),
        ..Authorize::default()
    };
    assert_eq!(held(get("/charge"), authorize()).await.0, 0);
    assert_eq!(held(get("/other"), authorize()).await.0, 1);
}

#[tokio::test]
async fn a_request_that_charges_a_budget_waits_whatever_the_method() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let charges = Authorize {
            has_effects: true,
            ..Authorize::default()
        };
        let held = held(request(method.clone(), "/"), charges).await;
        assert_eq!(held, (0, StatusCode::OK), "{method}");
    }
}

#[tokio::test]
async fn a_check_behind_a_gate_of_its_own_tells_the_commit_point_of_effects() {
    let (log, disk) = log();
    let calls = Calls::default();
    let record = RecordAuditLayer::new(log.clone());
    let charges = Authorize {
        has_effects: true,
        ..Authorize::default()
    };
    let service = record.layer(charges.layer(record.commit().layer(calls.handler())));
    disk.hold();
    let mut future = Box::pin(service.oneshot(get("/")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    disk.wait_until_stalled();
    assert!(future.as_mut().poll(&mut task).is_pending());
    assert_eq!(calls.count(), 0);
    disk.release();
    assert_eq!(future.await.unwrap().status(), StatusCode::OK);
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_denial_does_not_wait() {
    let (log, disk) = log();
    let calls = Calls::default();
    disk.hold();
    let response = gate(&log, calls.handler())
        .oneshot(get("/forbidden"))
        .await
        .unwrap();
    assert_eq!(code(&response), Some(Code::PolicyDenied));
    read(response).await.unwrap();
    disk.release();
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "deny");
    assert_eq!(decision["ack"], serde_json::Value::Null);
    assert_eq!(decision["detail"], "rule 7");
    assert_eq!(outcome["handler"], "not-reached");
    assert_eq!(outcome["status"], 403);
    assert_eq!(outcome["end"], "complete");
}

/// To the outermost gate of such a stack the layers inside are its handler.
#[tokio::test]
async fn a_flood_of_denials_in_a_stack_by_hand_leaves_room_for_permits() {
    let (log, disk) = log_with(Options::default().max_records(64));
    let record = RecordAuditLayer::new(log.clone());
    let calls = Calls::default();
    let inner = Authorize::default().layer(record.commit().layer(calls.handler()));
    let service = record.layer(inner);
    disk.hold();
    for _ in 0..100 {
        let response = service.clone().oneshot(get("/forbidden")).await.unwrap();
        assert_eq!(code(&response), Some(Code::PolicyDenied));
    }
    let health = log.health();
    assert_eq!((health.rolled_up, health.lost), (192, 0));
    let permitted = tokio::spawn(service.oneshot(request(Method::POST, "/")));
    tokio::task::yield_now().await;
    disk.release();
    assert_eq!(permitted.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_for_when_its_permit_is_durable() {
    let (log, disk) = log();
    disk.hold();
    let service = gate(
        &log,
        tower::service_fn(|_: Request<String>| async {
            if true {
                panic!("as it is told")
            }
            answer()
        }),
    );
    let mut future = Box::pin(service.oneshot(get("/")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    disk.wait_until_stalled();
    assert!(future.as_mut().poll(&mut task).is_pending());
    disk.release();
    let response = future.await.unwrap();
    assert_eq!(code(&response), Some(Code::HandlerPanicked));
    read(response).await.unwrap();
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "permit");
    assert_eq!(outcome["handler"], "panicked");
    assert_eq!(outcome["status"], 500);
}

// One decision and one outcome.

#[tokio::test]
async fn a_request_that_passes_has_a_permit_and_an_outcome() {
    let (log, disk) = log();
    let response = gate(&log, Calls::default().handler())
        .oneshot(request(Method::POST, "/orders"))
        .await
        .unwrap();
    assert_eq!(read(response).await.unwrap(), "fine");
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "permit");
    assert_eq!(decision["ack"], "sync");
    assert_eq!(decision["rule"], "test");
    assert_eq!(decision["method"], "POST");
    assert_eq!(outcome["end"], "complete");
    assert_eq!(outcome["handler"], "reached");
    assert_eq!(outcome["bytes"], 4);
}

#[tokio::test]
async fn a_stack_of_layers_by_hand_records_the_same() {
    let (log, disk) = log();
    let clock = ManualClock::default();
    let now = clock.now().unwrap();
    let record = RecordAuditLayer::new(log.clone());
    let ticks = clock.clone();
    let handler = tower::service_fn(move |_: Request<String>| {
        ticks.advance(Duration::from_millis(7));
        async { answer() }
    });
    let service = OpenContextLayer::new(Settings::default().with_clock(clock))
        .layer(record.layer(Authorize::default().layer(record.commit().layer(handler))));
    let response = service
        .oneshot(request(Method::POST, "/orders"))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "permit");
    assert_eq!(decision["ts"], now.as_micros());
    assert_eq!(outcome["end"], "complete");
    assert_eq!(outcome["elapsed"], 7000);
    assert_eq!(outcome["ts"], now.as_micros() + 7000);
}

#[tokio::test]
async fn the_outer_half_alone_says_what_was_decided_and_that_nothing_waited() {
    let (log, disk) = log();
    let record = RecordAuditLayer::new(log.clone());
    let service = record.layer(Authorize::default().layer(Calls::default().handler()));
    let response = service.oneshot(request(Method::POST, "/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let service = record.layer(Calls::default().handler());
    let response = service.oneshot(request(Method::POST, "/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let records = close(log, &disk);
    let (decision, _) = one_each(&records[..2]);
    assert_eq!(decision["decision"], "permit");
    assert_eq!(decision["ack"], serde_json::Value::Null);
    let (decision, _) = one_each(&records[2..]);
    assert_eq!(decision["decision"], "undecided");
}

#[tokio::test]
async fn an_inner_service_that_fails_is_recorded() {
    let (log, disk) = log();
    let service = gate(
        &log,
        tower::service_fn(|_: Request<String>| async {
            Err::<Response<Full<Bytes>>, _>(std::io::Error::from_raw_os_error(EIO))
        }),
    );
    assert!(service.oneshot(request(Method::POST, "/")).await.is_err());
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "permit");
    assert_eq!(outcome["end"], "failed");
    assert!(outcome.get("status").is_none());
}

#[tokio::test]
async fn a_request_that_is_abandoned_is_recorded_with_how_far_it_came() {
    let (log, disk) = log();
    let calls = Calls::default();
    // While the permit is written.
    disk.hold();
    let mut service = gate(&log, calls.handler());
    let mut future = Box::pin(service.call(request(Method::POST, "/1")));
    let mut task = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    disk.release();
    // While the handler runs.
    let pending = tower::service_fn(|_: Request<String>| std::future::pending::<Answer>());
    let mut future = Box::pin(gate(&log, pending).call(get("/2")));
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    // While the body goes out.
    let response = service.call(request(Method::POST, "/3")).await.unwrap();
    drop(response);
    let records = close(log, &disk);
    let expected = [
        ("not-reached", Value::Null),
        ("reached", Value::Null),
        ("reached", 200.into()),
    ];
    assert_eq!(records.len(), 6);
    for (pair, (handler, status)) in records.chunks(2).zip(expected) {
        let (decision, outcome) = one_each(pair);
        assert_eq!(decision["decision"], "permit");
        assert_eq!(outcome["end"], "abandoned");
        assert_eq!(outcome["handler"], handler);
        assert_eq!(outcome["status"], status);
    }
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn an_upgrade_is_recorded() {
    let (log, disk) = log();
    let service = gate(
        &log,
        tower::service_fn(|_: Request<String>| async {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, Infallible>(response)
        }),
    );
    let mut request = get("/socket");
    request
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    drop(service.oneshot(request).await.unwrap());
    let (decision, outcome) = one_each(&close(log, &disk));
    assert_eq!(decision["decision"], "permit");
    assert_eq!(outcome["end"], "upgraded");
    assert_eq!(outcome["status"], 101);
}

#[tokio::test]
async fn a_grpc_outcome_comes_from_the_trailers_or_the_head() {
    for (in_head, grpc, expected) in [
        (false, true, Value::from(5)),
        (true, true, Value::from(5)),
        (false, false, Value::Null),
    ] {
        let (log, disk) = log();
        let service = gate(
            &log,
            tower::service_fn(move |_: Request<String>| async move {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("5"));
                let frames: Vec<Result<Frame<Bytes>, Infallible>> = if in_head {
                    Vec::new()
                } else {
                    vec![Ok(Frame::trailers(trailers.clone()))]
                };
                let body = StreamBody::new(futures_util::stream::iter(frames));
                let mut response = Response::new(body);
                if in_head {
                    *response.headers_mut() = trailers;
                }
                Ok::<_, Infallible>(response)
            }),
        );
        let mut request = request(Method::POST, "/shop.Orders/Get");
        if grpc {
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
        }
        read(service.oneshot(request).await.unwrap()).await.unwrap();
        let (_, outcome) = one_each(&close(log, &disk));
        assert_eq!(outcome["grpc_status"], expected);
    }
}

#[tokio::test]
async fn a_stack_that_only_observes_records_what_it_would_have_denied() {
    let (log, disk) = log();
    let clock = ManualClock::default();
    let settings = Settings::default()
        .with_clock(clock.clone())
        .insecure_observe_only(clock.now().unwrap() + Duration::from_secs(60));
    let authorize = Authorize {
        refuses: true,
        ..Authorize::default()
    };
    let layer: GateLayer<_> = GateLayer::new(chain(&log, authorize), Arc::new(settings));
    let calls = Calls::default();
    let service = layer.layer(calls.handler());
    let post = || request(Method::POST, "/");
    read(service.clone().oneshot(post()).await.unwrap())
        .await
        .unwrap();
    assert_eq!(calls.count(), 1);
    // From its date on it enforces.
    clock.advance(Duration::from_secs(60));
    let response = service.clone().oneshot(post()).await.unwrap();
    assert_eq!(code(&response), Some(Code::PolicyDenied));
    drop(response);
    clock.set_wall(clock.now().unwrap().saturating_sub(Duration::from_secs(60)));
    log.close().unwrap();
    // Observing is no reason to run anything without a record.
    let response = service.oneshot(post()).await.unwrap();
    assert_eq!(code(&response), Some(Code::AuditUnavailable));
    assert_eq!(calls.count(), 1);

    let records = disk.records();
    let (decision, _) = one_each(&records[..2]);
    assert_eq!(decision["decision"], "undecided");
    assert_eq!(decision["ack"], "sync");
    assert_eq!(decision["would_deny"], "policy-denied");
    assert_eq!(decision["would_deny_detail"], "rule 7");
    let (decision, _) = one_each(&records[2..]);
    assert_eq!(decision["decision"], "deny");
}

// Under any cancellation.

/// Small, fast and repeatable.
struct Chance(Cell<u64>);

impl Chance {
    fn below(&self, bound: u64) -> u64 {
        // Xorshift64*.
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Gives way a few times, then answers, fails or panics.
fn unreliable(
    path: &str,
) -> impl Future<Output = std::io::Result<Response<Full<Bytes>>>> + Send + use<> {
    let way: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
    async move {
        for _ in 0..way % 4 {
            tokio::task::yield_now().await;
        }
        match way / 4 % 8 {
            0 => panic!("as it is told"),
            1 => Err(std::io::Error::from_raw_os_error(EIO)),
            2 => Ok(Response::new(Full::new(Bytes::new()))),
            _ => Ok(answer().unwrap()),
        }
    }
}

async fn storm(options: Options, requests: u64) -> (Vec<Value>, crate::Health) {
    let (log, disk) = log_with(options);
    let service = Gate::new(
        tower::service_fn(|request: Request<String>| unreliable(request.uri().path())),
        chain(&log, Authorize::default()),
    );
    let workers = (1..=8).map(|seed| {
        let mut service = service.clone();
        tokio::spawn(async move {
            let chance = Chance(Cell::new(seed * 0x9E37_79B9));
            let mut left = Vec::new();
            for _ in 0..requests / 8 {
                let way = chance.below(64);
                let path = match chance.below(4) {
                    0 => "/forbidden".to_owned(),
                    _ => format!("/{way}"),
                };
                let method = match chance.below(2) {
                    0 => Method::GET,
                    _ => Method::POST,
                };
                let mut future = Box::pin(service.call(request(method, &path)));
                let patience = chance.below(8);
                let whole = chance.below(3) > 0;
                left.push(async move {
                    let mut polls = 0;
                    let outcome = std::future::poll_fn(|task| {
                        if !whole && polls == patience {
                            return Poll::Ready(None);
                        }
                        polls += 1;
                        future.as_mut().poll(task).map(Some)
                    })
                    .await;
                    // Dropped, or answered; an answer is read, or not.
                    if let Some(Ok(response)) = outcome
                        && patience > 2
                    {
                        let _ = read(response).await;
                    }
                });
                if left.len() == 64 {
                    futures_util::future::join_all(left.drain(..)).await;
                }
            }
            futures_util::future::join_all(left).await;
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    log.close().unwrap();
    (disk.records(), log.health())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_random_cancellation_every_request_has_one_decision_and_one_outcome() {
    const REQUESTS: u64 = 4000;
    std::panic::set_hook(Box::new(|_| {}));
    let (records, health) = storm(Options::default().denials_in_full(u32::MAX), REQUESTS).await;
    let _ = std::panic::take_hook();
    assert_eq!(records.len() as u64, REQUESTS * 2);
    assert_eq!((health.refused, health.rolled_up, health.lost), (0, 0, 0));
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &records {
        let kind = record["kind"].as_str().unwrap();
        seen.entry(record["request_id"].as_str().unwrap())
            .or_default()
            .push(kind);
        if let Some(end) = record["end"].as_str() {
            *ends.entry(end).or_default() += 1;
        }
    }
    assert_eq!(seen.len() as u64, REQUESTS);
    for (request, kinds) in seen {
        assert_eq!(kinds, ["decision", "outcome"], "{request}");
    }
    // The storm was one.
    for end in ["complete", "abandoned", "failed"] {
        assert!(ends[end] > 100, "{ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_has_no_place_in_a_storm_is_counted_exactly() {
    const REQUESTS: u64 = 4000;
    let (records, health) = storm(Options::default().max_records(64), REQUESTS).await;
    let mut counted = 0;
    for record in &records {
        if record["kind"] != "rolled-up" {
            counted += 1;
            continue;
        }
        for name in ["undecided", "outcomes", "lost_decisions", "lost_outcomes"] {
            counted += record[name].as_u64().unwrap();
        }
        let denied = record["denied"].as_object().unwrap().values();
        counted += denied.map(|count| count.as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!(counted, REQUESTS * 2);
    assert!(health.rolled_up > 0, "{health:?}");
}
