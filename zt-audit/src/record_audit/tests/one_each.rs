//! One decision and one outcome.

use super::*;

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
    assert_eq!(decision["would_deny_rule"], "no-sevens");
    assert_eq!(decision["would_deny_policy"], "shop");
    assert_eq!(decision["would_deny_version"], "8");
    let (decision, _) = one_each(&records[2..]);
    assert_eq!(decision["decision"], "deny");
    for (field, value) in [("rule", "no-sevens"), ("policy", "shop"), ("version", "8")] {
        assert_eq!(decision[field], value);
        assert_eq!(decision.get(format!("would_deny_{field}")), None);
    }
}
