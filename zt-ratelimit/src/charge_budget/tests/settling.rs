use super::*;
use zt_core::gate::FnCheck;

fn in_header(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<crate::limits::Hard, Cost> {
    fixed(bank, estimate).actual_from(HeaderName::from_static("x-cost"))
}

fn says(
    cost: &'static str,
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    answers(
        move |response| {
            response
                .headers_mut()
                .insert("x-cost", cost.parse().unwrap());
        },
        &["served"],
    )
}

#[tokio::test]
async fn what_the_response_says_is_charged_and_told_nobody() {
    for (said, spent) in [
        ("12300", 12_300),
        ("0.0123 USD", 12_300),
        ("0", 0),
        ("1000000", 1_000_000),
    ] {
        let bank = Bank::daily("5");
        let served = bank
            .stand(in_header(&bank, "1"), says(said))
            .ask(get("/dear"))
            .await;
        assert!(!served.headers().contains_key("x-cost"));
        assert_eq!(bank.held(), 1_000_000, "until the body has gone out");
        read(served).await.unwrap();
        assert_eq!(bank.spent(), spent, "{said}");
        assert_eq!(bank.told("unmetered"), 0);
    }
}

#[tokio::test]
async fn a_response_that_does_not_say_it_well_is_charged_what_was_held() {
    for said in [
        "",
        "-1",
        "1.5",
        "1e3",
        "0.0123 EUR",
        "1 usd",
        "99999999999999999999",
        "12300 ",
    ] {
        let bank = Bank::daily("5");
        let served = bank
            .stand(in_header(&bank, "1"), says(said))
            .ask(get("/dear"))
            .await;
        assert_eq!(served.status(), 200);
        assert!(!served.headers().contains_key("x-cost"));
        read(served).await.unwrap();
        assert_eq!(
            (bank.spent(), bank.told("unmetered")),
            (1_000_000, 1),
            "{said:?}"
        );
    }
    // Nor one that says nothing, or says it twice.
    let twice = answers(
        |response| {
            for cost in ["1", "2"] {
                response
                    .headers_mut()
                    .append("x-cost", cost.parse().unwrap());
            }
        },
        &["served"],
    );
    let bank = Bank::daily("5");
    let served = bank
        .stand(in_header(&bank, "1"), twice)
        .ask(get("/dear"))
        .await;
    assert!(!served.headers().contains_key("x-cost"));
    read(served).await.unwrap();
    read(
        bank.stand(in_header(&bank, "1"), hello())
            .ask(get("/dear"))
            .await,
    )
    .await
    .unwrap();
    assert_eq!((bank.spent(), bank.told("unmetered")), (2_000_000, 2));
}

#[tokio::test]
async fn a_hard_answer_that_says_more_than_was_held_does_not_leave() {
    let bank = Bank::daily("5");
    let service = bank.stand(in_header(&bank, "1"), says("1000001"));
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    assert!(!refused.headers().contains_key("x-cost"));
    let body = read(refused).await.unwrap();
    assert!(body.starts_with(b"{\"type\""), "{body:?}");
    assert_eq!((bank.spent(), bank.told("overrun")), (1_000_000, 1));
}

#[tokio::test]
async fn a_bounded_answer_that_says_more_is_charged_more_and_nothing_more_is_admitted() {
    let bank = Bank::daily("2");
    let charge = ChargeBudgetLayer::bounded(bank.limits.clone(), Who::by_principal(), usd("1"));
    let charge = charge
        .unwrap()
        .actual_from(HeaderName::from_static("x-cost"));
    let service = bank.stand(charge, says("2500000"));
    assert_eq!(
        read(service.ask(get("/dear")).await).await.unwrap(),
        "served"
    );
    assert_eq!(bank.spent(), 2_500_000);
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::BudgetExhausted
    );
}

#[tokio::test]
async fn a_request_that_a_later_check_refuses_costs_nothing() {
    let bank = Bank::daily("5");
    let refuses =
        FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| Err(Code::AuditUnavailable.into()));
    let chain = Link::first(Names)
        .then(fixed(&bank, "1"))
        .then(refuses.clone());
    let refused = bank
        .chain(chain, bank.settings(), hello())
        .ask(get("/dear"))
        .await;
    assert_eq!(code(&refused), Code::AuditUnavailable);
    // Already before its body is read.
    assert_eq!(bank.spent(), 0);
    // Also one behind a gate of its own.
    let inner = GateLayer::new(Link::first(refuses), Arc::new(bank.settings())).layer(hello());
    let chain = Link::first(Names).then(fixed(&bank, "1"));
    let service = GateLayer::new(chain, Arc::new(bank.settings())).layer(inner);
    let refused = service.oneshot(get("/dear")).await.unwrap();
    assert_eq!(code(&refused), Code::AuditUnavailable);
    drop(refused);
    assert_eq!(bank.spent(), 0);
}

#[tokio::test]
async fn a_request_that_failed_is_charged_as_was_said() {
    let fails = || {
        answers(
            |response| *response.status_mut() = http::StatusCode::BAD_GATEWAY,
            &["oh"],
        )
    };
    for (failure, spent) in [
        (Failure::ChargeMetered, 1_000_000),
        (Failure::ChargeHold, 1_000_000),
        (Failure::Release, 0),
    ] {
        let bank = Bank::daily("5");
        let charge = fixed(&bank, "1").on_failure(failure);
        read(bank.stand(charge.clone(), fails()).ask(get("/dear")).await)
            .await
            .unwrap();
        assert_eq!(bank.spent(), spent, "{failure:?}");
        // One that panics has failed.
        let panics = service_fn(|_: Request<()>| async { panic!("no") });
        let answer = bank.stand(charge, panics).ask(get("/dear")).await;
        assert_eq!(code(&answer), Code::HandlerPanicked);
        drop(answer);
        assert_eq!(bank.spent(), 2 * spent, "{failure:?}");
    }
    // What was said about it counts, unless the hold or nothing was asked for.
    for (failure, spent) in [
        (Failure::ChargeMetered, 10),
        (Failure::ChargeHold, 1_000_000),
        (Failure::Release, 0),
    ] {
        let bank = Bank::daily("5");
        let fails = answers(
            |response| {
                *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                response
                    .headers_mut()
                    .insert("x-cost", "10".parse().unwrap());
            },
            &["oh"],
        );
        let charge = in_header(&bank, "1").on_failure(failure);
        read(bank.stand(charge, fails).ask(get("/dear")).await)
            .await
            .unwrap();
        assert_eq!(bank.spent(), spent, "{failure:?}");
    }
}

#[tokio::test]
async fn an_error_instead_of_an_answer_is_a_failure() {
    for (failure, spent) in [(Failure::ChargeMetered, 1_000_000), (Failure::Release, 0)] {
        let bank = Bank::daily("5");
        let chain = Link::first(Names).then(fixed(&bank, "1").on_failure(failure));
        let errs = service_fn(|_: Request<()>| async { Err::<Response<Frames>, _>("broken") });
        let service = GateLayer::new(chain, Arc::new(bank.settings())).layer(errs);
        assert!(service.oneshot(get("/dear")).await.is_err());
        assert_eq!(bank.spent(), spent);
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_pays_even_where_failures_are_free() {
    let bank = Bank::daily("5");
    let charge = fixed(&bank, "1").on_failure(Failure::Release);
    // While the handler runs.
    let hangs = service_fn(|_: Request<()>| std::future::pending());
    let service = bank.stand(charge.clone(), hangs);
    let mut asked = Box::pin(service.ask(get("/dear")));
    assert!(poll(&mut asked).is_pending());
    assert_eq!(bank.held(), 1_000_000);
    drop(asked);
    assert_eq!(bank.spent(), 1_000_000);
    // While the answer goes out, and before.
    drop(bank.stand(charge.clone(), hello()).ask(get("/dear")).await);
    assert_eq!(bank.spent(), 2_000_000);
    let mut body = bank
        .stand(charge, hello())
        .ask(get("/dear"))
        .await
        .into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(bank.spent(), 3_000_000);
}

#[tokio::test]
async fn a_caller_who_goes_away_before_the_handler_was_called_pays_nothing() {
    let bank = Bank::daily("5");
    bank.store.slow();
    // While the store has not answered.
    let service = bank.stand(fixed(&bank, "1"), hello());
    let mut asked = Box::pin(service.ask(get("/dear")));
    assert!(poll(&mut asked).is_pending());
    drop(asked);
    assert_eq!(bank.held(), 1_000_000, "the store has it already");
    bank.store.answer();
    settle_down().await;
    assert_eq!(bank.spent(), 0);
    // When it has, and another check waits.
    let waits = crate::charge_budget::tests::stacks::Waits;
    let chain = Link::first(Names).then(fixed(&bank, "1")).then(waits);
    let service = bank.chain(chain, bank.settings(), hello());
    let mut asked = Box::pin(service.ask(get("/dear")));
    assert!(poll(&mut asked).is_pending());
    bank.store.answer();
    settle_down().await;
    assert!(poll(&mut asked).is_pending());
    assert_eq!(bank.held(), 1_000_000);
    drop(asked);
    assert_eq!(bank.spent(), 0);
    // And it is served where nobody goes away.
    bank.store.answer();
    let served = service.ask(get("/dear")).await;
    assert_eq!(read(served).await.unwrap(), "served");
    assert_eq!(bank.spent(), 1_000_000);
}

#[tokio::test]
async fn what_is_settled_after_midnight_belongs_to_the_day_that_admitted_it() {
    let bank = Bank::daily("1");
    let service = bank.stand(fixed(&bank, "0.6"), hello());
    let open = service.ask(get("/dear")).await;
    let day = bank.limits.policy().find(None).unwrap().slots()[0]
        .limit
        .clone();
    let window = day
        .as_budget()
        .unwrap()
        .window()
        .span_at(bank.now().wall)
        .unwrap();
    bank.clock.advance(window.end.since(bank.now().wall));
    read(open).await.unwrap();
    assert_eq!(bank.spent(), 0, "nothing of today");
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 600_000);
}

#[tokio::test]
async fn heads_without_bodies_are_charged_at_once() {
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200)] {
        let bank = Bank::daily("5");
        let handler = answers(
            move |response| *response.status_mut() = status.try_into().unwrap(),
            &["stray"],
        );
        let mut request = get("/dear");
        *request.method_mut() = method.parse().unwrap();
        let answer = bank.stand(fixed(&bank, "1"), handler).ask(request).await;
        assert_eq!(bank.spent(), 1_000_000, "{method} {status}");
        // What has no place in the answer does not go out behind it.
        assert_eq!(read(answer).await.unwrap(), "");
    }
}
