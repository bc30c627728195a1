//! What waits for what.

use super::*;

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
