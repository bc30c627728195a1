use super::*;

#[tokio::test]
async fn refuses_what_the_store_refuses() {
    let shop = Instance::alone();
    let limit = day("key-day", 1);
    let refused = shop
        .reserve(&[(&limit, "k1")], 2 * DOLLAR)
        .await
        .unwrap_err();
    assert!(refused.violated.has(0));
    shop.warm(&[(&limit, "k1")], CENT).await;
    let refused = shop
        .reserve(&[(&limit, "k1")], 2 * DOLLAR)
        .await
        .unwrap_err();
    assert!(refused.violated.has(0));
}

#[tokio::test]
async fn refuses_what_breaks_the_rules_of_the_trait() {
    let shop = Instance::alone();
    let limit = day("key-day", 1);
    let answers = [
        shop.ask(&[], CENT, |_| ()).await,
        shop.ask(&[(&limit, "k1"), (&limit, "k1")], CENT, |_| ())
            .await,
        shop.ask(&[(&limit, "k\n1")], CENT, |_| ()).await,
        shop.ask(&[(&limit, "k1")], u64::MAX, |_| ()).await,
    ];
    for answer in answers {
        assert!(
            matches!(answer, Err(CounterError::Invalid(_))),
            "{answer:?}"
        );
    }
    assert_eq!(shop.wire.trips(), 0);
    shop.warm(&[(&limit, "k1")], CENT).await;
    let answer = shop.ask(&[(&limit, "k1")], u64::MAX, |_| ()).await;
    assert!(
        matches!(answer, Err(CounterError::Invalid(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn refuses_where_the_clock_cannot_answer_though_there_is_a_lease() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    shop.warm(&[(&limit, "k1")], CENT).await;
    let now = shop.now();
    let claims = [Claim {
        limit: &limit,
        subject: "k1",
    }];
    let ask = Reserve {
        root: "acme",
        claims: &claims,
        cost: CENT,
        weight: 1,
        permits: 1,
        expires_in: MINUTE,
        purpose: Purpose::Request,
        now,
    };
    let held = shop.reserve(&[(&limit, "k1")], CENT).await.unwrap();
    shop.clock.fail();
    let answer = shop.leased.reserve(&ask).wait().await;
    assert!(
        matches!(answer, Err(CounterError::Unavailable(_))),
        "{answer:?}"
    );
    // What was served can be settled all the same.
    let settled = shop
        .leased
        .settle(held.hold, Settle::ChargeHold, now)
        .wait()
        .await;
    assert!(settled.unwrap().counted);
}

#[tokio::test]
async fn a_store_that_is_down_refuses_when_the_lease_ends_and_not_before() {
    let shop = Instance::alone();
    let limit = day("key-day", 1000);
    shop.warm(&[(&limit, "k1")], CENT).await;
    shop.wire.faults(|faults| faults.down = true);
    // Used now and then, so that it is not idle.
    for _ in 0..10 {
        shop.pass(seconds(5)).await;
        shop.spend(&[(&limit, "k1")], CENT).await.unwrap();
    }
    shop.pass(seconds(5)).await;
    let answer = shop.ask(&[(&limit, "k1")], CENT, |_| ()).await;
    assert!(
        matches!(answer, Err(CounterError::Unavailable(_))),
        "{answer:?}"
    );
    // 54 of its 60 seconds were served; the store charges all of it at its end.
    shop.pass(seconds(60)).await;
    shop.wire.faults(|faults| faults.down = false);
    shop.pass(seconds(10)).await;
    shop.pass(seconds(10)).await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 12 * CENT);
    assert_eq!(shop.leased.leases(), 0);
}

#[tokio::test]
async fn nothing_is_served_from_a_lease_when_its_window_has_ended() {
    let clock = ManualClock::default();
    clock.advance(seconds(86_400 - 20));
    let shop = Instance::new(&Wire::new(&clock), &clock, Leasing::among(1));
    let limit = day("key-day", 10);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    shop.pass(seconds(5)).await;
    let (trips, _) = shop.trips(shop.spend(claims, CENT)).await;
    assert_eq!(trips, 0);
    // Within a second of midnight the store decides alone.
    shop.pass(Duration::from_millis(14_200)).await;
    let (trips, held) = shop.trips(shop.reserve(claims, CENT)).await;
    assert_eq!(trips, 1);
    shop.settle(held.unwrap().hold, Settle::ChargeHold).await;
    shop.pass(Duration::from_millis(1_500)).await;
    let (trips, _) = shop.trips(shop.spend(claims, CENT)).await;
    assert!(trips > 0, "yesterday's lease serves nothing");
    shop.pass(seconds(2)).await;
    shop.warm(claims, CENT).await;
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 3 * CENT);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_ends_a_lease() {
    let shop = Instance::alone();
    let limit = day("key-day", 10);
    shop.warm(&[(&limit, "k1")], CENT).await;
    let yesterday = shop.now().wall.saturating_sub(seconds(86_400));
    shop.clock.set_wall(yesterday);
    let (trips, _) = shop.trips(shop.reserve(&[(&limit, "k1")], CENT)).await;
    assert!(trips > 0);
}

#[tokio::test]
async fn a_refusal_is_repeated_for_a_quarter_of_a_second_without_a_trip() {
    let shop = Instance::alone();
    let limit = budget("prepaid", DOLLAR, Window::total());
    let claims: &Claims<'_> = &[(&limit, "k1")];
    let held = shop.reserve(claims, 80 * CENT).await.unwrap();
    assert!(shop.reserve(claims, 30 * CENT).await.is_err());
    let (trips, refused) = shop.trips(shop.reserve(claims, 30 * CENT)).await;
    assert!(trips == 0 && refused.unwrap_err().violated.has(0));
    let (trips, refused) = shop.trips(shop.reserve(claims, 90 * CENT)).await;
    assert!(trips == 0 && refused.is_err());
    // What is cheaper was not refused by anybody.
    let (trips, cheaper) = shop.trips(shop.reserve(claims, 20 * CENT)).await;
    assert!(trips == 1 && cheaper.is_ok());
    shop.pass(Duration::from_millis(250)).await;
    let (trips, refused) = shop.trips(shop.reserve(claims, 30 * CENT)).await;
    assert!(trips > 0 && refused.is_err());
    // Money that comes back is not overlooked.
    shop.settle(held.hold, Settle::Release).await;
    assert!(shop.reserve(claims, 30 * CENT).await.is_ok());
}

#[tokio::test]
async fn a_refusal_is_not_repeated_for_longer_than_the_store_said() {
    let shop = Instance::with(Leasing::among(1).ahead(0));
    let limit = Arc::new(Limit::rate("r", 100, seconds(1)).unwrap().burst(1).unwrap());
    let claims: &Claims<'_> = &[(&limit, "k1")];
    assert!(shop.reserve(claims, 0).await.is_ok());
    assert!(shop.reserve(claims, 0).await.is_err());
    assert_eq!(shop.trips(shop.reserve(claims, 0)).await.0, 0);
    shop.pass(Duration::from_millis(10)).await;
    assert!(shop.reserve(claims, 0).await.is_ok());
}

#[tokio::test]
async fn what_comes_back_on_another_path_clears_a_refusal() {
    let shop = Instance::alone();
    let (key, org) = (day("key-day", 100), day("org-day", 1));
    let first: &Claims<'_> = &[(&key, "k1"), (&org, "acme")];
    let second: &Claims<'_> = &[(&key, "k2"), (&org, "acme")];
    let held = shop.reserve(first, DOLLAR).await.unwrap();
    assert!(shop.reserve(second, 50 * CENT).await.is_err());
    assert_eq!(shop.trips(shop.reserve(second, 50 * CENT)).await.0, 0);
    shop.settle(held.hold, Settle::Charge(10 * CENT)).await;
    assert!(shop.reserve(second, 50 * CENT).await.is_ok());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let good = Leasing::among(4);
    let cases = [
        Leasing::among(0),
        good.paths(0),
        good.paths(u32::MAX),
        good.ahead(101),
        good.lives(Duration::ZERO),
        good.lives(seconds(7200)),
        good.idle(Duration::ZERO),
        good.chunk(Duration::ZERO, 1),
        good.denials(Duration::from_millis(251)),
    ];
    for leasing in cases {
        assert!(leasing.check().is_err(), "{leasing:?}");
    }
    assert!(good.check().is_ok());
}
