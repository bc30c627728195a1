use super::*;

#[tokio::test]
async fn a_request_that_comes_once_takes_no_lease() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let (trips, _) = shop.trips(shop.spend(&[(&limit, "k1")], CENT)).await;
    assert_eq!((trips, shop.leased.leases()), (2, 0));
}

#[tokio::test]
async fn from_a_lease_requests_are_served_without_a_trip() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let before = shop.state(&limit, "k1").await;
    assert!(
        before.leased > 50 * CENT && before.spent == CENT,
        "{before:?}"
    );
    let (trips, ()) = shop
        .trips(async {
            for _ in 0..90 {
                shop.spend(claims, CENT).await.unwrap();
            }
        })
        .await;
    assert_eq!(trips, 0);
    shop.leased.shutdown().await;
    let after = shop.state(&limit, "k1").await;
    assert_eq!((after.spent, after.held, after.leased), (92 * CENT, 0, 0));
    assert_eq!(shop.wire.store().live_holds(), 0);
}

#[tokio::test]
async fn an_actual_above_its_hold_reaches_the_store_to_the_nano_unit() {
    let shop = Instance::alone();
    let limit = day("key-day", 1);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, CENT).await.unwrap();
    let settled = shop.settle(held.hold, Settle::Charge(3 * DOLLAR + 1)).await;
    assert_eq!((settled.held, settled.charged), (CENT, 3 * DOLLAR + 1));
    shop.rest().await;
    assert_eq!(
        shop.state(&limit, "k1").await.spent,
        3 * DOLLAR + 1 + 2 * CENT
    );
    assert!(shop.reserve(claims, CENT).await.is_err());
    assert_eq!(shop.wire.store().live_holds(), 0);
}

#[tokio::test]
async fn a_settlement_counts_once() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, 5 * CENT).await.unwrap();
    assert!(
        shop.settle(held.hold, Settle::Charge(4 * CENT))
            .await
            .counted
    );
    for how in [Settle::Release, Settle::ChargeHold, Settle::Charge(DOLLAR)] {
        let again = shop.settle(held.hold, how).await;
        assert!(!again.counted && again.charged == 0);
    }
    // Its place is used again; its name is not.
    let next = shop.reserve(claims, CENT).await.unwrap();
    assert_ne!(next.hold, held.hold);
    assert!(!shop.settle(held.hold, Settle::ChargeHold).await.counted);
    shop.settle(next.hold, Settle::Release).await;
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 6 * CENT);
}

#[tokio::test]
async fn a_local_hold_that_is_left_is_charged_and_can_be_corrected() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, 7 * CENT).await.unwrap();
    shop.pass(seconds(61)).await;
    let expired = shop.leased.expire(10, shop.now()).wait().await.unwrap();
    let mine = expired.iter().find(|it| it.hold == held.hold).unwrap();
    assert_eq!((mine.nanos, mine.budgets.len()), (7 * CENT, 1));
    let late = shop.settle(held.hold, Settle::Charge(2 * CENT)).await;
    assert!(late.counted && late.charged == 2 * CENT);
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 4 * CENT);

    shop.spend(claims, CENT).await.unwrap();
}

#[tokio::test]
async fn a_local_hold_that_nobody_settles_stays_charged_and_its_lease_goes_back() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, 7 * CENT).await.unwrap();
    for _ in 0..30 {
        shop.pass(seconds(5)).await;
    }
    assert_eq!(shop.leased.leases(), 0);
    assert_eq!(shop.state(&limit, "k1").await.spent, 9 * CENT);
    assert!(!shop.settle(held.hold, Settle::Release).await.counted);
    assert_eq!(shop.wire.store().live_holds(), 0);
}

#[tokio::test]
async fn a_request_may_outlive_the_life_of_a_lease() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let long = |ask: &mut Reserve<'_>| ask.expires_in = seconds(3600);
    let Ok(Verdict::Held(held)) = shop.ask(claims, DOLLAR / 2, long).await else {
        panic!("there is a lease");
    };
    for _ in 0..100 {
        shop.pass(seconds(10)).await;
    }
    let state = shop.state(&limit, "k1").await;
    assert!(
        state.leased >= DOLLAR / 2 && state.spent == CENT,
        "{state:?}"
    );
    shop.settle(held.hold, Settle::Charge(CENT)).await;
    shop.rest().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 3 * CENT);
    assert_eq!(shop.wire.store().live_holds(), 0);
}

#[tokio::test]
async fn a_local_hold_grows_from_its_lease_and_beyond_it_from_the_store() {
    let shop = Instance::alone();
    let limit = day("key-day", 10);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, CENT).await.unwrap();
    let (trips, grown) = shop.trips(shop.extend(held.hold, CENT)).await;
    assert_eq!((trips, grown), (0, Extended::Done { held: 2 * CENT }));
    let (trips, grown) = shop.trips(shop.extend(held.hold, 5 * DOLLAR)).await;
    assert_eq!(
        (trips, grown),
        (
            1,
            Extended::Done {
                held: 5 * DOLLAR + 2 * CENT
            }
        )
    );
    assert!(matches!(
        shop.extend(held.hold, 6 * DOLLAR).await,
        Extended::Refused(_)
    ));
    shop.settle(held.hold, Settle::ChargeHold).await;
    assert_eq!(shop.extend(held.hold, CENT).await, Extended::Gone);
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 5 * DOLLAR + 4 * CENT);
}

#[tokio::test]
async fn another_value_of_a_limit_is_another_lease() {
    let shop = Instance::alone();
    let (small, large) = (day("key-day", 10), day("key-day", 1000));
    shop.warm(&[(&small, "k1")], CENT).await;
    let (trips, _) = shop.trips(shop.reserve(&[(&large, "k1")], CENT)).await;
    assert_eq!(trips, 1);
    // The same value in another place is the same.
    let again = day("key-day", 10);
    let (trips, _) = shop.trips(shop.reserve(&[(&again, "k1")], CENT)).await;
    assert_eq!(trips, 0);
}

#[tokio::test]
async fn a_lowered_limit_holds_at_once() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let busy = shop.reserve(claims, CENT).await.unwrap();
    let lower = Adjust::Override {
        limit: CENT,
        until: None,
    };
    let state = shop.adjust(&limit, "k1", &lower).await;
    assert_eq!(state.limit, CENT);
    assert!(shop.reserve(claims, CENT).await.is_err());
    shop.settle(busy.hold, Settle::ChargeHold).await;
    shop.rest().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 3 * CENT);
    assert_eq!(shop.wire.store().live_holds(), 0);
}

#[tokio::test]
async fn a_reset_forgets_what_was_spent_from_a_lease() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    assert_eq!(shop.adjust(&limit, "k1", &Adjust::Reset).await.spent, 0);
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.spent, 0);
}

#[tokio::test]
async fn thresholds_are_told_once_when_the_lease_goes_back() {
    let clock = noon();
    let wire = Wire::new(&clock).another();
    let time = Arc::new(clock.clone());
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let leased = Leased::new(
        wire.clone(),
        Leasing::among(1),
        time,
        tokio::runtime::Handle::current(),
    )
    .unwrap()
    .on_settled(move |root, claims, settled| {
        let names: Vec<_> = claims
            .iter()
            .map(|claim| claim.limit.name().to_string())
            .collect();
        let crossed = settled
            .budgets
            .iter()
            .map(|budget| budget.crossed)
            .collect::<Vec<_>>();
        tell.lock().unwrap().push((root.to_owned(), names, crossed));
    });
    let shop = Instance {
        leased,
        wire,
        clock,
    };
    let limit = day("key-day", 4);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, CENT).await.unwrap();
    shop.settle(held.hold, Settle::Charge(3 * DOLLAR)).await;
    shop.rest().await;
    let told = told.lock().unwrap();
    assert_eq!(
        *told,
        [("acme".to_owned(), vec!["key-day".to_owned()], vec![1])]
    );
}

#[tokio::test]
async fn a_hold_is_settled_from_a_thread_without_a_runtime() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, CENT).await.unwrap();
    // The lease goes back with its last hold.
    shop.adjust(&limit, "k1", &Adjust::ClearOverride).await;
    let (leased, now) = (shop.leased.clone(), shop.now());
    std::thread::spawn(move || drop(leased.settle(held.hold, Settle::ChargeHold, now)))
        .join()
        .unwrap();
    shop.rest().await;
    assert_eq!(shop.leased.leases(), 0);
    assert_eq!(shop.state(&limit, "k1").await.spent, 3 * CENT);
}

#[tokio::test]
async fn permits_are_divided_and_come_back() {
    let shop = Instance::alone();
    let limit = Arc::new(Limit::concurrency("at-once", 20).unwrap());
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, 0).await;
    let (trips, _) = shop
        .trips(async {
            for _ in 0..50 {
                shop.spend(claims, 0).await.unwrap();
            }
        })
        .await;
    assert_eq!(trips, 0);
    let mut held = Vec::new();
    while let Ok(one) = shop.reserve(claims, 0).await {
        held.push(one.hold);
        assert!(held.len() <= 20, "more than twenty at once");
        shop.rest().await;
    }
    assert!(held.len() >= 10, "{}", held.len());
    for hold in held {
        shop.settle(hold, Settle::Release).await;
    }
    shop.leased.shutdown().await;
    assert_eq!(shop.state(&limit, "k1").await.held, 0);
}

#[tokio::test]
async fn names_of_local_holds_are_told_from_the_stores() {
    let ids = super::super::id::Ids::new(&zt_core::random::OsEntropy).unwrap();
    let place = super::super::id::Place {
        shard: 63,
        path: (1 << 22) - 1,
        slot: (1 << 20) - 1,
        serial: super::super::id::MAX_SERIAL,
    };
    assert_eq!(ids.place(ids.name(place)), Some(place));
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let direct = shop.reserve(&[(&limit, "k1")], CENT).await.unwrap();
    let local = shop.reserve(&[(&limit, "k1")], CENT).await.unwrap();
    assert_ne!(direct.hold.0 >> 88, local.hold.0 >> 88);
    assert!(shop.settle(direct.hold, Settle::Release).await.counted);
    assert!(shop.settle(local.hold, Settle::Release).await.counted);
}

#[tokio::test]
async fn a_local_hold_that_ended_is_told_of_also_while_the_store_is_down() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims = [(&limit, "k1")];
    shop.warm(&claims, CENT).await;
    let held = shop.reserve(&claims, CENT).await.unwrap();
    shop.wire.faults(|faults| faults.down = true);
    shop.clock.advance(2 * MINUTE);
    let expired = shop.leased.expire(10, shop.now()).wait().await.unwrap();
    assert!(expired.iter().any(|it| it.hold == held.hold), "{expired:?}");
    let none = shop.leased.expire(10, shop.now()).wait().await;
    assert!(
        matches!(none, Err(CounterError::Unavailable(_))),
        "{none:?}"
    );
}
