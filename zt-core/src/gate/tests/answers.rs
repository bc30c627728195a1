use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    gate::{Gate, GateLayer, Link, OpenContextLayer, Settings},
};

#[tokio::test]
async fn a_permitted_request_reaches_the_handler_with_its_context() {
    let service = service_fn(|request: Request<Full<Bytes>>| async move {
        let cx = request
            .extensions()
            .get::<SecurityContext>()
            .expect("the context");
        assert_eq!(cx.trail().handler(), HandlerRun::Reached);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    });
    let response = Gate::new(service, Link::first(passes()))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_handler() {
    let reached = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&reached);
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        flag.store(true, Ordering::SeqCst);
        hello(request())
    });
    let spy = Spy::default();
    let chain = Link::first(spy.clone())
        .then(refuses(Code::PolicyDenied))
        .then(passes());
    let response = Gate::new(service, chain).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(
        response.extensions().get::<Denial>().unwrap().code(),
        Code::PolicyDenied
    );
    assert_eq!(
        response.headers()["x-spy"],
        "saw",
        "outer guards see refusals"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "policy-denied");
    assert!(!reached.load(Ordering::SeqCst));
    let seen = spy.once();
    assert_eq!(
        (seen.end, seen.handler),
        (End::Complete, HandlerRun::NotReached)
    );
    assert_eq!(seen.bytes, body.len() as u64);
}

#[tokio::test]
async fn a_check_that_waits_is_waited_for_and_the_chain_goes_on_behind_it() {
    let service = service_fn(|request: Request<Full<Bytes>>| async move {
        assert_eq!(request.headers()["x-waited"], "yes");
        hello(request).await
    });
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |word: &'static str| {
        let order = Arc::clone(&order);
        FnCheck::new(move |_: &mut Parts, _: &mut SecurityContext| {
            order.lock().unwrap().push(word);
            Ok(())
        })
    };
    let chain = Link::first(note("first"))
        .then(Waits(None))
        .then(note("second"))
        .then(Waits(None));
    let response = Gate::new(service, chain).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*order.lock().unwrap(), ["first", "second"], "each ran once");
}

#[tokio::test]
async fn a_check_that_refuses_after_waiting_refuses() {
    let spy = Spy::default();
    let chain = Link::first(spy.clone()).then(Waits(Some(Code::StoreUnavailable)));
    let response = Gate::new(service_fn(hello), chain)
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    drop(response);
    assert_eq!(spy.once().handler, HandlerRun::NotReached);
}

#[tokio::test]
async fn grpc_requests_are_answered_in_grpc() {
    let mut request = request();
    request
        .headers_mut()
        .insert("content-type", "application/grpc+proto".parse().unwrap());
    let chain = Link::first(refuses(Code::RateLimited));
    let response = Gate::new(service_fn(hello), chain)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "8");
    assert_eq!(response.headers()["zt-code"], "rate-limited");
}

#[tokio::test]
async fn a_panic_in_the_handler_is_an_answer() {
    let when_called = service_fn(|_: Request<Full<Bytes>>| -> std::future::Ready<_> {
        if true {
            panic!("at once");
        }
        std::future::ready(Ok::<Response<Full<Bytes>>, Infallible>(Response::default()))
    });
    let when_polled = service_fn(|_: Request<Full<Bytes>>| async {
        tokio::task::yield_now().await;
        if true {
            panic!("later");
        }
        Ok::<Response<Full<Bytes>>, Infallible>(Response::default())
    });
    let spy = Spy::default();
    let chain = Link::first(spy.clone());
    let response = Gate::new(when_called, chain.clone())
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(
        response.extensions().get::<Denial>().unwrap().code(),
        Code::HandlerPanicked
    );
    drop(response);
    let response = Gate::new(when_polled, chain)
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
    drop(response);
    for seen in spy.seen() {
        assert_eq!(seen.handler, HandlerRun::Panicked);
    }
    assert_eq!(spy.seen().len(), 2);
}

#[tokio::test]
async fn a_panic_in_a_check_refuses() {
    let explodes = FnCheck::new(|parts: &mut Parts, _: &mut SecurityContext| {
        assert_eq!(parts.method, "POST", "a bug in a check");
        Ok(())
    });
    let spy = Spy::default();
    let chain = Link::first(spy.clone()).then(explodes);
    let response = Gate::new(service_fn(hello), chain)
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
    drop(response);
    assert_eq!(spy.once().handler, HandlerRun::NotReached);
}

#[tokio::test]
async fn a_guard_holds_the_handler_until_it_lets_go() {
    let reached = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&reached);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        flag.store(true, Ordering::SeqCst);
        hello(request)
    });
    let spy = Spy::default();
    spy.handler_door().close();
    let task = tokio::spawn(Gate::new(service, Link::first(spy.clone())).oneshot(request()));
    tokio::task::yield_now().await;
    assert!(!reached.load(Ordering::SeqCst), "the handler waits");
    spy.handler_door().open();
    assert_eq!(task.await.unwrap().unwrap().status(), 200);
    assert!(reached.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_guard_holds_the_head_and_can_take_its_place() {
    let spy = Spy::default();
    spy.head_door().close();
    spy.refuse_head();
    let outer = Spy::default();
    let chain = Link::first(outer.clone()).then(spy.clone());
    let task = tokio::spawn(Gate::new(service_fn(hello), chain).oneshot(request()));
    tokio::task::yield_now().await;
    assert_eq!(spy.heads(), 0, "the head waits");
    spy.head_door().open();
    let response = task.await.unwrap().unwrap();
    assert_eq!(
        response.extensions().get::<Denial>().unwrap().code(),
        Code::AuditUnavailable
    );
    assert_eq!((spy.heads(), outer.heads()), (1, 1));
    drop(response);
    assert_eq!(outer.once().handler, HandlerRun::Reached);
}

#[tokio::test]
async fn a_panicking_handler_s_answer_waits_for_the_guard_too() {
    let spy = Spy::default();
    spy.head_door().close();
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        if true {
            panic!("boom");
        }
        Ok::<Response<Full<Bytes>>, Infallible>(Response::default())
    });
    let task = tokio::spawn(Gate::new(service, Link::first(spy.clone())).oneshot(request()));
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished());
    spy.head_door().open();
    assert_eq!(task.await.unwrap().unwrap().status(), 500);
}

#[tokio::test]
async fn two_gates_share_one_context() {
    let trail = Arc::new(Mutex::new(Vec::new()));
    let note = || {
        let trail = Arc::clone(&trail);
        Link::first(FnCheck::new(
            move |_: &mut Parts, cx: &mut SecurityContext| {
                trail.lock().unwrap().push((cx.request_id(), cx.now()));
                Ok(())
            },
        ))
    };
    let clock = ManualClock::default();
    let service = tower::ServiceBuilder::new()
        .layer(OpenContextLayer::new(
            Settings::default().with_clock(clock.clone()),
        ))
        .layer(GateLayer::new(note(), Settings::shared_default()))
        .layer(GateLayer::new(note(), Settings::shared_default()))
        .service_fn(hello);
    service.oneshot(request()).await.unwrap();
    let trail = trail.lock().unwrap();
    assert_eq!(trail[0], trail[1]);
    assert_eq!(trail[0].1, clock.now().unwrap());
}

#[tokio::test]
async fn a_gate_whose_checks_hand_nothing_on_keeps_its_context_unless_one_is_open() {
    #[derive(Clone)]
    struct Quiet;

    impl Check for Quiet {
        type Guard = ();

        const NAME: &'static str = "quiet";
        const STAGE: Stage = Stage::Headers;
        const HANDS_ON: bool = false;

        fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
            Step::pass(())
        }
    }

    let seen = service_fn(|request: Request<Full<Bytes>>| async move {
        let has = request.extensions().get::<SecurityContext>().is_some();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(has.to_string()))))
    });
    let alone = Gate::new(seen, Link::first(Quiet));
    let inside = tower::ServiceBuilder::new()
        .layer(OpenContextLayer::new(Settings::default()))
        .service(alone.clone());
    let response = alone.oneshot(request()).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "false"
    );
    let response = inside.oneshot(request()).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "true"
    );
}

#[tokio::test]
async fn an_inner_gate_s_denial_is_seen_by_the_outer_gate_s_guards() {
    let spy = Spy::default();
    let inner = Gate::new(
        service_fn(hello),
        Link::first(refuses(Code::CredentialMissing)),
    );
    let response = Gate::new(inner, Link::first(spy.clone()))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(spy.heads(), 1);
    drop(response);
    assert_eq!(
        spy.once().handler,
        HandlerRun::NotReached,
        "the inner gate stood before it"
    );
}

#[tokio::test]
async fn a_renderer_that_panics_still_refuses() {
    #[derive(Debug)]
    struct Broken;

    impl crate::problem::Render for Broken {
        fn render(&self, _: &Denial, _: crate::problem::Asked) -> Response<Full<Bytes>> {
            panic!("no template")
        }
    }

    let spy = Spy::default();
    let settings = Arc::new(Settings::default().with_render(Broken));
    let chain = Link::first(spy.clone()).then(refuses(Code::PolicyDenied));
    let gate: Gate<_, _> = Gate::with_settings(service_fn(hello), chain, settings);
    let response = gate.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-spy"], "saw");
    assert_eq!(
        response.extensions().get::<Denial>().unwrap().code(),
        Code::PolicyDenied
    );
    response.into_body().collect().await.unwrap();
    assert_eq!(spy.once().status, Some(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn a_stack_that_observes_lets_denials_pass_until_its_date() {
    let clock = ManualClock::default();
    let until = clock.now().unwrap() + std::time::Duration::from_secs(60);
    let settings = Settings::default()
        .with_clock(clock.clone())
        .insecure_observe_only(until);
    let chain = Link::first(refuses(Code::PolicyDenied)).then(Waits(Some(Code::StoreUnavailable)));
    let gate = Gate::<_, _>::with_settings(service_fn(hello), chain, Arc::new(settings));
    let gate: Gate<_, _, crate::gate::Keep> = gate;
    assert_eq!(gate.clone().oneshot(request()).await.unwrap().status(), 200);
    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(gate.oneshot(request()).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_broken_clock_refuses() {
    let clock = ManualClock::default();
    clock.fail();
    let settings = Arc::new(Settings::default().with_clock(clock));
    let gate: Gate<_, _> = Gate::with_settings(service_fn(hello), Link::first(passes()), settings);
    let response = gate.oneshot(request()).await.unwrap();
    assert_eq!(
        response.extensions().get::<Denial>().unwrap().code(),
        Code::ClockUnavailable
    );
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn checks_are_timed_only_when_asked() {
    let measured = |settings: Settings| async {
        let timings = Arc::new(Mutex::new(0));
        let count = Arc::clone(&timings);
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            let cx = request.extensions().get::<SecurityContext>().unwrap();
            *count.lock().unwrap() = cx.trail().timings().len();
            hello(request)
        });
        let chain = Link::first(passes()).then(passes());
        let gate: Gate<_, _> = Gate::with_settings(service, chain, Arc::new(settings));
        gate.oneshot(request()).await.unwrap();
        *timings.lock().unwrap()
    };
    assert_eq!(measured(Settings::default()).await, 0);
    assert_eq!(measured(Settings::default().measuring()).await, 2);
}
