use std::sync::Arc;

use http::StatusCode;

use super::*;
use crate::limits::LimitsError;

#[tokio::test]
async fn a_request_that_fits_is_served_and_the_next_one_is_refused() {
    let bank = Bank::daily("1");
    let service = bank.stand(fixed(&bank, "0.6"), hello());
    let served = service.ask(get("/dear")).await;
    assert_eq!(read(served).await.unwrap(), "served");
    assert_eq!(bank.spent(), 600_000);

    let refused = service.ask(get("/dear")).await;
    let denial = denial(&refused);
    assert_eq!(denial.code(), Code::BudgetExhausted);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    // Until midnight.
    assert!(denial.retry_after_secs().is_some());
    assert_eq!(denial.violated_policies(), [Arc::<str>::from("day")]);
    assert_eq!(bank.spent(), 600_000);
    let problem = read(refused).await.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
}

#[tokio::test]
async fn one_request_above_the_whole_limit_is_402_and_no_wait_is_named() {
    let bank = Bank::daily("1");
    let service = bank.stand(fixed(&bank, "1.000000001"), hello());
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(!refused.headers().contains_key("retry-after"));
    // Not even what no store could count.
    let service = bank.stand(fixed(&bank, "18446744073"), hello());
    let refused = service.ask(get("/dear")).await;
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(bank.spent(), 0);
}

#[tokio::test]
async fn prepaid_money_that_is_spent_is_402() {
    let prepaid = Limit::budget("day", usd("1"), Window::total()).unwrap();
    let bank = Bank::of(Policy::new([Level::new("key", [prepaid])]).unwrap());
    let service = bank.stand(fixed(&bank, "0.6"), hello());
    read(service.ask(get("/dear")).await).await.unwrap();
    let refused = service.ask(get("/dear")).await;
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(!refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn what_is_waited_for_longest_at_the_narrowest_level_names_the_refusal() {
    let policy = || {
        Policy::new([
            Level::new(
                "tenant",
                [Limit::budget("tenant", usd("1"), Window::month()).unwrap()],
            ),
            Level::new(
                "key",
                [
                    Limit::budget("key", usd("100"), Window::day()).unwrap(),
                    Limit::rate("minute", 1, Duration::from_secs(30)).unwrap(),
                    Limit::concurrency("parallel", 1).unwrap(),
                ],
            ),
        ])
        .unwrap()
    };
    let ask = |bank: &Bank, price: &str, user: &str| {
        let charge = ChargeBudgetLayer::hard(
            bank.limits.clone(),
            Who::by_tenant_and_principal(),
            usd(price),
        )
        .unwrap();
        let request = Request::get("/dear")
            .header("x-user", user)
            .body(())
            .unwrap();
        let service = bank.stand(charge, hello());
        async move { service.ask(request).await }
    };
    let names = |denial: &Denial| denial.violated_policies().to_vec();

    let bank = Bank::of(policy());
    // One is under way: it has the one permit, and the one request a minute.
    let open = ask(&bank, "0.5", "acme/alice").await;
    let refused = ask(&bank, "0.6", "acme/alice").await;
    let told = denial(&refused);
    assert_eq!(told.code(), Code::RateLimited, "30 s against 1 s");
    assert_eq!(
        names(&told),
        ["minute", "parallel"].map(Arc::<str>::from),
        "not the tenant's"
    );
    assert_eq!(told.retry_after_secs(), Some(30));
    bank.clock.advance(Duration::from_secs(30));
    let refused = ask(&bank, "0.5", "acme/alice").await;
    assert_eq!(code(&refused), Code::ConcurrencyLimited);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denial(&refused).retry_after_secs(), Some(1));
    drop(open);
    // A neighbour who has spent nothing comes under the tenant's limit.
    let refused = ask(&bank, "0.6", "acme/bob").await;
    let told = denial(&refused);
    assert_eq!(
        (told.code(), names(&told)),
        (Code::BudgetExhausted, vec!["tenant".into()])
    );
    // Of another tenant, nobody is concerned.
    let served = ask(&bank, "0.6", "other/bob").await;
    assert_eq!(served.status(), 200);
}

#[tokio::test]
async fn a_store_that_is_down_or_full_refuses() {
    let bank = Bank::daily("1");
    let service = bank.stand(fixed(&bank, "0.1"), hello());
    bank.store.down(true);
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::StoreUnavailable);
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    bank.store.down(false);
    bank.store.full();
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::StoreUnavailable);
}

#[tokio::test]
async fn a_request_of_which_nobody_knows_who_pays_is_refused() {
    let bank = Bank::daily("1");
    let by = |who: Who| {
        let charge = ChargeBudgetLayer::hard(bank.limits.clone(), who, usd("0.1")).unwrap();
        bank.stand(charge, hello())
    };
    let nobody = || Request::get("/dear").body(()).unwrap();
    let refused = by(Who::by_principal()).ask(nobody()).await;
    assert_eq!(code(&refused), Code::CredentialMissing);
    // Alice is of no tenant.
    let refused = by(Who::by_tenant_and_principal()).ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::PolicyDenied);
    // Names that do not fit the tree, or no store could keep, are a fault of configuration.
    let two = Who::new(|_, _| Some(crate::limits::Subjects::new(["one", "two"])));
    assert_eq!(
        code(&by(two).ask(get("/dear")).await),
        Code::StackMisordered
    );
    let long = Who::new(|_, _| Some(crate::limits::Subjects::new(["x".repeat(300)])));
    assert_eq!(
        code(&by(long).ask(get("/dear")).await),
        Code::StackMisordered
    );
    let tier = Who::by_principal().tier(|_, _| Some("platinum"));
    assert_eq!(
        code(&by(tier).ask(get("/dear")).await),
        Code::StackMisordered
    );
    assert_eq!(bank.store.counters.live_holds(), 0);
}

#[tokio::test]
async fn without_authentication_before_it_the_stack_is_misordered() {
    let bank = Bank::daily("1");
    let charge = fixed(&bank, "0.1");
    let service = bank.chain(Link::first(charge.clone()), bank.settings(), hello());
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::StackMisordered);
    // Nor behind it, in the wrong order.
    let chain = Link::first(charge).then(Names);
    let service = bank.chain(chain, bank.settings(), hello());
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::StackMisordered
    );
    // Who needs nobody's name stands alone.
    let all = Who::of_request(|_, _| Some(crate::limits::Subjects::new(["alice"])));
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), all, usd("0.1")).unwrap();
    let service = bank.chain(Link::first(charge), bank.settings(), hello());
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 100_000);
}

#[tokio::test]
async fn money_on_a_public_route_is_not_free_unless_that_is_said() {
    let bank = Bank::daily("1");
    let charge = fixed(&bank, "0.1");
    let refused = bank
        .stand(charge.clone(), hello())
        .ask(get("/health"))
        .await;
    assert_eq!(code(&refused), Code::StackMisordered);
    let served = bank
        .stand(charge.public_is_free(), hello())
        .ask(get("/health"))
        .await;
    assert_eq!(served.status(), 200);
    let list = PriceList::new().free(Method::GET, "/health");
    let prices = Prices::new(list.otherwise(usd("0.1"))).unwrap();
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), Who::by_principal(), prices);
    let service = bank.stand(charge.unwrap(), hello());
    assert_eq!(service.ask(get("/health")).await.status(), 200);
    assert_eq!(bank.spent(), 0);
}

#[tokio::test]
async fn a_cost_that_is_not_known_is_a_refusal() {
    let bank = Bank::daily("1");
    let pricing = PriceBy::new(|parts: &Parts, _: &SecurityContext| {
        let price = parts
            .headers
            .get("x-price")
            .and_then(|value| value.to_str().ok());
        price
            .and_then(|price| price.parse().ok())
            .ok_or_else(|| Code::RequestMalformed.into())
    });
    let charge =
        ChargeBudgetLayer::hard(bank.limits.clone(), Who::by_principal(), pricing).unwrap();
    let service = bank.stand(charge, hello());
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::RequestMalformed);
    let priced = |price: &str| {
        let mut request = get("/dear");
        request
            .headers_mut()
            .insert("x-price", price.parse().unwrap());
        request
    };
    // Of another currency than the budgets.
    let refused = service.ask(priced("0.2 EUR")).await;
    assert_eq!(code(&refused), Code::StackMisordered);
    read(service.ask(priced("0.2 USD")).await).await.unwrap();
    assert_eq!(bank.spent(), 200_000);
}

#[tokio::test]
async fn a_route_without_a_price_is_refused_and_prices_can_be_swapped() {
    let bank = Bank::daily("1");
    let list = PriceList::new()
        .price("/cheap/{id}", usd("0.01"))
        .method_price(Method::POST, "/cheap/{id}", usd("0.02"))
        .method_price(Method::GET, "/cheap/{id}", usd("0.03"));
    let prices = Prices::new(list.clone()).unwrap();
    let charge =
        ChargeBudgetLayer::hard(bank.limits.clone(), Who::by_principal(), prices.clone()).unwrap();
    let service = bank.stand(charge, hello());
    for path in ["/dear", "/nowhere", "/cheap"] {
        assert_eq!(
            code(&service.ask(get(path)).await),
            Code::PolicyDenied,
            "{path}"
        );
    }
    for (method, spent) in [
        ("PUT", 10_000),
        ("POST", 30_000),
        ("GET", 60_000),
        ("HEAD", 90_000),
    ] {
        let mut request = get("/cheap/7");
        *request.method_mut() = method.parse().unwrap();
        read(service.ask(request).await).await.unwrap();
        assert_eq!(bank.spent(), spent, "{method}");
    }
    // Prices that cannot be leave the old ones.
    assert!(
        prices
            .swap(list.clone().price("/cheap/{id}", usd("1")))
            .is_err()
    );
    assert!(
        prices
            .swap(list.otherwise("1 EUR".parse().unwrap()))
            .is_err()
    );
    read(service.ask(get("/cheap/7")).await).await.unwrap();
    assert_eq!(bank.spent(), 120_000);
    prices.swap(PriceList::new().otherwise(usd("0.5"))).unwrap();
    read(service.ask(get("/nowhere")).await).await.unwrap();
    assert_eq!(bank.spent(), 620_000);
}

#[tokio::test]
async fn a_layer_that_could_not_count_is_not_made() {
    let bank = Bank::daily("1");
    let euro: Cost = "1 EUR".parse().unwrap();
    let limits = || bank.limits.clone();
    let mismatch = ChargeError::Currency {
        price: euro.currency(),
        budgets: usd("1").currency(),
    };
    let made = ChargeBudgetLayer::hard(limits(), Who::by_principal(), euro);
    assert_eq!(made.unwrap_err(), mismatch);
    let made = ChargeBudgetLayer::bounded(limits(), Who::by_principal(), euro);
    assert_eq!(made.unwrap_err(), mismatch);
    let metered = fixed(&bank, "1").metered(Price::per_million(euro), |_| 1);
    assert_eq!(metered.unwrap_err(), mismatch);
    let rate = Limit::rate("minute", 1, Duration::from_secs(60)).unwrap();
    let rates = Bank::of(Policy::new([Level::new("key", [rate])]).unwrap());
    let made = ChargeBudgetLayer::hard(rates.limits, Who::by_principal(), usd("1"));
    assert_eq!(made.unwrap_err(), ChargeError::NoBudgets);
    let empty: Result<Policy, LimitsError> = Policy::new([]);
    assert!(empty.is_err());
}

#[tokio::test]
async fn a_shadow_limit_refuses_nobody() {
    let day = Limit::budget("day", usd("1"), Window::day())
        .unwrap()
        .shadow();
    let bank = Bank::of(Policy::new([Level::new("key", [day])]).unwrap());
    let service = bank.stand(fixed(&bank, "0.6"), hello());
    for spent in [600_000, 1_200_000, 1_800_000] {
        read(service.ask(get("/dear")).await).await.unwrap();
        assert_eq!(bank.spent(), spent);
    }
}

#[tokio::test]
async fn grpc_callers_are_told_in_their_own_way() {
    let bank = Bank::daily("1");
    let service = bank.stand(fixed(&bank, "2"), hello());
    let mut request = get("/dear");
    let grpc = "application/grpc+proto".parse().unwrap();
    request.headers_mut().insert("content-type", grpc);
    let refused = service.ask(request).await;
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.headers()["grpc-status"], "8");
    assert_eq!(refused.headers()["zt-code"], "budget-exhausted");
}

#[tokio::test]
async fn answers_say_where_the_caller_stands_only_where_that_was_asked_for() {
    let policy = Policy::new([
        Level::new(
            "tenant",
            [Limit::budget("tenant", usd("100"), Window::month()).unwrap()],
        ),
        Level::new(
            "key",
            [
                Limit::budget("day", usd("1"), Window::day()).unwrap(),
                Limit::rate("minute", 2, Duration::from_secs(60)).unwrap(),
                Limit::concurrency("parallel", 3).unwrap(),
            ],
        ),
    ]);
    let bank = Bank::of(policy.unwrap());
    let price = Cost::from_nanos(600_000_001, usd("1").currency());
    let who = Who::by_tenant_and_principal;
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), who(), price).unwrap();
    let request = || {
        Request::get("/dear")
            .header("x-user", "acme/alice")
            .body(())
            .unwrap()
    };
    let fields = |response: &Response<Body>, name: &str| -> Vec<String> {
        let values = response.headers().get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    };
    let silent = bank.stand(charge.clone(), hello()).ask(request()).await;
    assert!(fields(&silent, "ratelimit").is_empty());
    drop(silent);
    bank.clock.advance(Duration::from_secs(90_000));

    let service = bank.stand(charge.with_headers(), hello());
    let served = service.ask(request()).await;
    assert_eq!(
        fields(&served, "ratelimit-policy"),
        [
            r#""day";q=1000000;qu="zt-micro-usd""#,
            r#""minute";q=2;w=60"#,
            r#""parallel";q=3;qu="concurrent-requests""#
        ]
    );
    let limits = fields(&served, "ratelimit");
    // 0.399999999 is left, and rounded down.
    assert!(limits[0].starts_with(r#""day";r=399999;t="#), "{limits:?}");
    assert!(limits[1].starts_with(r#""minute";r=1;t="#), "{limits:?}");
    assert!(limits[2].starts_with(r#""parallel";r=2"#), "{limits:?}");
    let refused = service.ask(request()).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    let limits = fields(&refused, "ratelimit");
    assert_eq!(limits.len(), 3, "not the tenant's");
    let retry: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        limits[0].ends_with(&format!(";t={retry}")),
        "{limits:?} {retry}"
    );
}

#[tokio::test]
async fn a_stack_that_observes_serves_what_it_would_refuse_and_charges_what_it_admits() {
    let bank = Bank::daily("1");
    let until = bank.clock.now().unwrap() + Duration::from_secs(3600);
    let settings = bank.settings().insecure_observe_only(until);
    let chain = Link::first(Resolves).then(Names).then(fixed(&bank, "0.6"));
    let service = bank.chain(chain, settings, hello());
    for _ in 0..3 {
        let served = service.ask(get("/dear")).await;
        assert_eq!(read(served).await.unwrap(), "served");
    }
    assert_eq!(bank.spent(), 600_000);
    bank.clock.advance(Duration::from_secs(3600));
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::BudgetExhausted
    );
}
