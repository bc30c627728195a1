use super::*;
use crate::counter::MemoryCounters;

/// 1,000 requests of 0.10 on 5.00, at once, over four instances.
async fn race(seed: u64, delay: u64) {
    let clock = noon();
    let wire = Wire::new(&clock);
    wire.faults(|faults| {
        faults.random = Random(seed);
        faults.delay = delay;
    });
    let shops: Vec<_> = (0..4)
        .map(|_| Arc::new(Instance::new(&wire, &clock, Leasing::among(4))))
        .collect();
    let limit = budget("prepaid", 5 * DOLLAR, Window::total());
    let requests: Vec<_> = (0..1000)
        .map(|request: usize| {
            let (shop, limit) = (Arc::clone(&shops[request % 4]), Arc::clone(&limit));
            tokio::spawn(async move {
                // A few come before the others.
                for _ in 0..request / 100 {
                    tokio::task::yield_now().await;
                }
                let held = shop.reserve(&[(&limit, "k1")], 10 * CENT).await;
                let state = shop.state(&limit, "k1").await;
                assert!(state.spent + state.held + state.leased <= 5 * DOLLAR);
                held.ok().map(|held| (request % 4, held.hold))
            })
        })
        .collect();
    let mut held = Vec::new();
    for request in requests {
        held.extend(request.await.unwrap());
    }
    shops[0].rest().await;
    let state = shops[0].state(&limit, "k1").await;
    let admitted = u64::try_from(held.len()).unwrap();
    // Whoever was denied was denied for money that somebody has.
    assert!(admitted <= 50);
    assert!(
        state.spent + state.held + state.leased + 10 * CENT > 5 * DOLLAR,
        "{admitted}: {state:?}"
    );
    for (shop, hold) in held {
        assert!(shops[shop].settle(hold, Settle::ChargeHold).await.counted);
    }
    for shop in &shops {
        shop.leased.shutdown().await;
    }
    shops[0].rest().await;
    let state = shops[0].state(&limit, "k1").await;
    assert_eq!(
        (state.spent, state.held, state.leased),
        (admitted * 10 * CENT, 0, 0)
    );
    assert_eq!(wire.store().live_holds(), 0);
    // And the rest is there for whoever comes.
    let left = 50 - admitted;
    for _ in 0..left {
        shops[1].clock.advance(seconds(1));
        shops[1].spend(&[(&limit, "k1")], 10 * CENT).await.unwrap();
    }
    let trips: u64 = shops.iter().map(|shop| shop.wire.trips()).sum();
    println!("seed {seed}: {admitted} of 50 at once, {left} after that, {trips} trips");
    assert!(
        shops[1]
            .reserve(&[(&limit, "k1")], 10 * CENT)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_thousand_at_once_on_one_thread_spend_five_dollars_and_no_more() {
    for seed in 0..20 {
        race(seed, seed % 7).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_on_four_threads_spend_five_dollars_and_no_more() {
    for seed in 0..20 {
        race(seed, seed % 7).await;
    }
}

#[tokio::test]
async fn a_store_in_this_process_can_be_leased_too() {
    let clock = noon();
    let runtime = tokio::runtime::Handle::current();
    let store = MemoryCounters::new();
    let leased = Leased::new(
        store.clone(),
        Leasing::among(1),
        Arc::new(clock.clone()),
        runtime,
    )
    .unwrap();
    let limit = day("key-day", 1);
    let claims = [Claim {
        limit: &limit,
        subject: "k1",
    }];
    for _ in 0..100 {
        let ask = Reserve {
            root: "acme",
            claims: &claims,
            cost: CENT,
            weight: 1,
            permits: 1,
            expires_in: MINUTE,
            purpose: Purpose::Request,
            now: Moment::of(&clock).unwrap(),
        };
        let Ok(Verdict::Held(held)) = leased.reserve(&ask).wait().await else {
            panic!("there is money");
        };
        let _ = leased
            .settle(held.hold, Settle::ChargeHold, ask.now)
            .wait()
            .await;
    }
    leased.shutdown().await;
    assert_eq!(store.live_holds(), 0);
}
