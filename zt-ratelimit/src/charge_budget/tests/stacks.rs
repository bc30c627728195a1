use super::*;
use zt_core::gate::Later;

/// A check that waits for good.
#[derive(Clone)]
pub(super) struct Waits;

impl Check for Waits {
    type Guard = ();
    const NAME: &'static str = "waits";
    const STAGE: Stage = Stage::Commit;

    fn check(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        if parts.headers.contains_key("x-done") {
            return Step::pass(());
        }
        parts.headers.insert("x-done", "once".parse().unwrap());
        Step::Later(Later::new(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok(())
        }))
    }
}

#[tokio::test]
async fn two_layers_in_one_stack_both_charge_and_a_refusal_of_one_costs_nothing_at_the_other() {
    let (bank, other) = (Bank::daily("1"), Bank::daily("0.15"));
    let chain = Link::first(Names)
        .then(fixed(&bank, "0.3"))
        .then(fixed(&other, "0.1"));
    let service = bank.chain(chain, bank.settings(), hello());
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!((bank.spent(), other.spent()), (300_000, 100_000));
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    assert_eq!((bank.spent(), other.spent()), (300_000, 100_000));
}

#[tokio::test]
async fn it_stands_in_the_charge_slot_of_a_stack() {
    use zt_core::stack::ZeroTrust;

    let bank = Bank::daily("1");
    let all = Who::of_request(|_, _| Some(crate::limits::Subjects::new(["alice"])));
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), all, usd("0.4")).unwrap();
    let zt = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .any_authenticated()
        .charge(charge)
        .settings(bank.settings())
        .build()
        .unwrap();
    assert!(zt.to_string().contains("ChargeBudget"));
}

#[tokio::test]
async fn any_body_will_do() {
    let bank = Bank::daily("1");
    let all = Who::of_request(|_, _| Some(crate::limits::Subjects::new(["alice"])));
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), all, usd("0.4")).unwrap();
    let echo = service_fn(|request: Request<http_body_util::Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let service = tower::ServiceBuilder::new().layer(charge).service(echo);
    let request = Request::new(http_body_util::Full::from("echoed"));
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "echoed"
    );
}

#[tokio::test]
async fn a_route_that_charges_is_said_to_have_effects_and_a_free_one_is_not() {
    #[derive(Clone, Default)]
    struct Asks(Arc<std::sync::Mutex<Vec<bool>>>);

    impl Check for Asks {
        type Guard = ();
        const NAME: &'static str = "asks";
        const STAGE: Stage = Stage::Commit;

        fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
            self.0.lock().unwrap().push(cx.has_effects());
            Step::pass(())
        }
    }

    let bank = Bank::daily("1");
    let list = PriceList::new().price("/dear", usd("0.1"));
    let prices = Prices::new(list.free(Method::GET, "/cheap/{id}")).unwrap();
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), Who::by_principal(), prices).unwrap();
    let asks = Asks::default();
    let chain = Link::first(Resolves)
        .then(Names)
        .then(charge)
        .then(asks.clone());
    let service = bank.chain(chain, bank.settings(), hello());
    for path in ["/dear", "/cheap/7"] {
        assert_eq!(service.ask(get(path)).await.status(), 200);
    }
    assert_eq!(*asks.0.lock().unwrap(), [true, false]);
}

#[tokio::test]
async fn callers_come_under_the_limits_of_their_tier() {
    use crate::limits::Members;

    let day = |amount: &str| {
        [Level::new(
            "key",
            [Limit::budget("day", usd(amount), Window::day()).unwrap()],
        )]
    };
    let parallel = [Level::new(
        "key",
        [Limit::concurrency("parallel", 2).unwrap()],
    )];
    let policy = Policy::new(day("1"))
        .unwrap()
        .tier_for("gold", Members::none().tenant("gold"), day("2"))
        .unwrap()
        .tier_for("staff", Members::none().tenant("staff"), parallel)
        .unwrap();
    let bank = Bank::of(policy);
    let charge = fixed(&bank, "0.7").with_tab();
    let charge = charge.actual_from(HeaderName::from_static("x-cost"));
    let says = answers(
        |response| {
            drop(
                response
                    .headers_mut()
                    .insert("x-cost", "800000".parse().unwrap()),
            )
        },
        &["served"],
    );
    let plain = bank.stand(fixed(&bank, "0.7"), hello());
    let service = bank.stand(charge, says);
    let served = async |user: &str| {
        let mut count = 0;
        for _ in 0..4 {
            let request = Request::get("/dear")
                .header("x-user", user)
                .body(())
                .unwrap();
            count += u32::from(plain.ask(request).await.status() == 200);
        }
        count
    };
    assert_eq!(served("alice").await, 1);
    assert_eq!(served("gold/bob").await, 2);
    // A tier without budgets pays nothing, however much it was.
    assert_eq!(served("staff/carol").await, 4);
    let request = Request::get("/dear")
        .header("x-user", "staff/carol")
        .body(())
        .unwrap();
    assert_eq!(service.ask(request).await.status(), 200);
}
