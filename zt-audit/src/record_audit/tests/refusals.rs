//! Refusals.

use super::*;

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
