use super::*;

#[tokio::test]
async fn an_idle_lease_goes_back() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    shop.warm(&[(&limit, "k1")], CENT).await;
    for _ in 0..6 {
        shop.pass(seconds(2)).await;
    }
    let state = shop.state(&limit, "k1").await;
    assert_eq!((state.spent, state.leased), (2 * CENT, 0));
    assert_eq!((shop.leased.leases(), shop.leased.paths()), (0, 0));
}

#[tokio::test]
async fn surplus_of_another_path_is_given_back_before_a_request_is_denied() {
    let shop = Instance::alone();
    let (key, org) = (day("key-day", 100), day("org-day", 4));
    shop.warm(&[(&key, "k1"), (&org, "acme")], CENT).await;
    let leased = shop.state(&org, "acme").await.leased;
    assert!(leased > DOLLAR, "{leased}");
    let claims: &Claims<'_> = &[(&key, "k2"), (&org, "acme")];
    shop.reserve(claims, 4 * DOLLAR - 2 * CENT).await.unwrap();
    let state = shop.state(&org, "acme").await;
    assert_eq!((state.spent, state.leased), (2 * CENT, 0));
}

#[tokio::test]
async fn many_paths_take_bounded_room_and_the_ones_used_least_go_back() {
    let shop = Instance::with(Leasing::among(1).paths(8));
    let limit = day("key-day", 100);
    for key in 0..50 {
        let key = format!("k{key}");
        shop.spend(&[(&limit, &key)], CENT).await.unwrap();
        shop.spend(&[(&limit, &key)], CENT).await.unwrap();
        assert!(shop.leased.paths() <= 8);
        shop.pass(Duration::from_millis(1)).await;
    }
    assert!(shop.leased.leases() <= 8);
    for key in 0..50 {
        let state = shop.state(&limit, &format!("k{key}")).await;
        assert!(state.spent + state.leased >= 2 * CENT, "{state:?}");
    }
    shop.leased.shutdown().await;
    assert_eq!(shop.wire.store().live_holds(), 0);
    for key in 0..50 {
        assert_eq!(shop.state(&limit, &format!("k{key}")).await.spent, 2 * CENT);
    }
}

#[tokio::test]
async fn paths_in_use_are_not_pushed_out() {
    let shop = Instance::with(Leasing::among(1).paths(2));
    let limit = day("key-day", 100);
    let mut held = Vec::new();
    for key in ["k1", "k2"] {
        shop.warm(&[(&limit, key)], CENT).await;
        held.push(shop.reserve(&[(&limit, key)], CENT).await.unwrap().hold);
    }
    for _ in 0..3 {
        let (trips, _) = shop.trips(shop.spend(&[(&limit, "k3")], CENT)).await;
        assert_eq!(trips, 2, "there is no room for a third");
    }
    for hold in held {
        assert!(shop.settle(hold, Settle::ChargeHold).await.counted);
    }
}

#[tokio::test]
async fn a_crash_strands_a_chunk_until_it_is_charged() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    shop.warm(&[(&limit, "k1")], CENT).await;
    let stranded = shop.state(&limit, "k1").await.leased;
    let Instance {
        leased,
        wire,
        clock,
    } = shop;
    wire.cut();
    drop(leased);
    clock.advance(seconds(61));
    let other = Instance::new(&wire, &clock, Leasing::among(1));
    let state = other.state(&limit, "k1").await;
    assert_eq!((state.spent, state.leased), (CENT + stranded, 0));
}

#[tokio::test]
async fn shutdown_waits_for_requests_and_nothing_is_leased_after_it() {
    let shop = Instance::alone();
    let limit = day("key-day", 100);
    let claims: &Claims<'_> = &[(&limit, "k1")];
    shop.warm(claims, CENT).await;
    let held = shop.reserve(claims, CENT).await.unwrap();
    let leased = shop.leased.clone();
    let stop = tokio::spawn(async move { leased.shutdown().await });
    shop.rest().await;
    assert!(!stop.is_finished());
    shop.settle(held.hold, Settle::ChargeHold).await;
    stop.await.unwrap();
    for _ in 0..3 {
        let (trips, _) = shop.trips(shop.spend(claims, CENT)).await;
        assert_eq!(trips, 2);
    }
    assert_eq!(shop.state(&limit, "k1").await.spent, 6 * CENT);
}

#[tokio::test]
async fn a_burst_is_at_most_a_quarter_larger_than_the_limit_says() {
    let clock = noon();
    let wire = Wire::new(&clock);
    let rate = Arc::new(Limit::rate("r", 6000, MINUTE).unwrap());
    let shops: Vec<_> = (0..4)
        .map(|_| Instance::new(&wire, &clock, Leasing::among(4)))
        .collect();
    let mut random = Random(7);
    let mut used: Vec<(Duration, u64)> = Vec::new();
    let mut local = 0;
    // Quiet and busy times, over many keys which share the rate.
    for round in 0..400 {
        let busy = round % 40 == 39;
        for _ in 0..if busy { 300 } else { 3 } {
            let shop = &shops[usize::try_from(random.below(4)).unwrap()];
            let key = day("key-day", 1_000_000);
            let subject = format!("k{}", random.below(5));
            let before = shop.wire.trips();
            if shop
                .spend(&[(&key, &subject), (&rate, "acme")], CENT)
                .await
                .is_ok()
            {
                used.push((monotonic(&clock), 1));
            }
            local += u64::from(shop.wire.trips() == before);
        }
        shops[0].pass(Duration::from_millis(500)).await;
    }
    assert!(local > 500, "{local} of {} without a trip", used.len());
    // In any stretch: the burst, a quarter more, and what comes back meanwhile.
    for (place, (from, _)) in used.iter().enumerate() {
        let mut sum = 0;
        for (at, units) in &used[place..] {
            sum += units;
            let back = (*at - *from).as_millis() / 10;
            assert!(sum <= 6000 + 1500 + u64::try_from(back).unwrap());
        }
    }
}
