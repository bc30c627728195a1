use super::*;

/// What `keys` keys on four instances spend, each request a millisecond after the other: requests
/// and trips.
async fn steady(requests: u64, keys: u64, with_rate: bool) -> (u64, u64) {
    let clock = noon();
    let wire = Wire::new(&clock);
    let shops: Vec<_> = (0..4)
        .map(|_| Instance::new(&wire, &clock, Leasing::among(4)))
        .collect();
    let key = day("key-day", 1_000_000);
    let team = budget("team-month", 2_000_000 * DOLLAR, Window::month());
    let org = budget("org-month", 4_000_000 * DOLLAR, Window::month());
    let rate = Arc::new(Limit::rate("key-rate", 120_000, MINUTE).unwrap());
    let at_once = Arc::new(Limit::concurrency("key-at-once", 1000).unwrap());
    let mut random = Random(3);
    let mut spent = 0;
    for request in 0..requests {
        let shop = &shops[usize::try_from(random.below(4)).unwrap()];
        let subject = format!("k{}", random.below(keys));
        let mut claims = vec![
            (&key, &*subject),
            (&team, "team"),
            (&org, "acme"),
            (&at_once, &*subject),
        ];
        if with_rate {
            claims.push((&rate, &*subject));
        }
        let cost = random.below(4 * CENT);
        let held = shop.reserve(&claims, cost).await.unwrap();
        let actual = random.below(cost + 1);
        shop.settle(held.hold, Settle::Charge(actual)).await;
        spent += actual;
        clock.advance(Duration::from_millis(1));
        if request % 8 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for shop in &shops {
        shop.leased.shutdown().await;
    }
    assert_eq!(shops[0].state(&org, "acme").await.spent, spent);
    assert_eq!(wire.store().live_holds(), 0);
    (requests, shops.iter().map(|shop| shop.wire.trips()).sum())
}

#[tokio::test]
async fn of_a_steady_load_at_least_99_per_cent_need_no_trip() {
    for (keys, with_rate) in [(1, true), (4, true), (10, false), (10, true)] {
        let (requests, trips) = steady(100_000, keys, with_rate).await;
        let each = 250 / keys;
        let rate = if with_rate { ", with a rate" } else { "" };
        println!("{requests} requests, {trips} trips: {each} a second on each path{rate}");
        assert!(trips * 100 <= requests, "{trips} trips");
    }
}
