use super::*;
use crate::counter::memory::{cell::Cell, holds::Holds};

fn ask<'a>(root: &'a str, claims: &'a [Claim<'a>], now: Moment) -> Reserve<'a> {
    Reserve {
        root,
        claims,
        cost: CENT,
        weight: 1,
        permits: 1,
        expires_in: Duration::from_secs(60),
        purpose: Purpose::Request,
        now,
    }
}

/// What the store really takes, added up from its parts.
fn measured(shop: &Shop) -> usize {
    let shards = shop
        .store
        .0
        .each(|shard| shard.bytes() + shard.holds.bytes());
    shards.iter().sum()
}

/// A name of 12 bytes, as it is allocated.
const NAME: usize = 24;

/// A million, where that does not take minutes.
const STRANGERS: u64 = if cfg!(debug_assertions) {
    150_000
} else {
    1_000_000
};

#[test]
fn a_cell_and_a_hold_are_small() {
    const {
        assert!(size_of::<Cell>() <= 120);
        assert!(Holds::BYTES <= 128);
    }
    // A hundred thousand keys under roots of their own, and under one.
    let now_ = Shop::new().now();
    let rate = Arc::new(Limit::rate("rate", 1, Duration::from_secs(60)).unwrap());
    for apart in [false, true] {
        let shop = Shop::new();
        for key in 0..100_000 {
            let subject = format!("key-{key:08}");
            let root = if apart { &*subject } else { "acme" };
            let claims = [Claim {
                limit: &rate,
                subject: &subject,
            }];
            let verdict = now(shop.store.reserve(&ask(root, &claims, now_))).unwrap();
            let Verdict::Held(held) = verdict else {
                panic!("it was refused");
            };
            let _ = now(shop.store.settle(held.hold, Settle::Release, now_));
        }
        let each = shop.store.bytes() / 100_000;
        let most = if apart { 170 } else { 130 };
        assert!(each <= most + NAME, "{each} bytes a key, apart: {apart}");
    }
}

#[test]
fn a_million_strangers_take_no_more_than_the_bound_and_free_nobody() {
    let bounds = MemoryBounds {
        bytes: 4 << 20,
        holds: 1000,
        grace: Duration::from_secs(600),
    };
    let shop = Shop::with(bounds);
    let rate = Arc::new(Limit::rate("rate", 1, Duration::from_secs(3600)).unwrap());
    let money = budget("money", "0.01 USD", Window::month());
    let ask_of = |subject: &str| {
        let claims = [&rate, &money].map(|limit| Claim { limit, subject });
        now(shop.store.reserve(&ask(subject, &claims, shop.now())))
    };
    // Throttled, and out of money.
    for victim in 0..100 {
        let Ok(Verdict::Held(held)) = ask_of(&format!("victim-{victim}")) else {
            panic!("it was refused");
        };
        let _ = now(shop.store.settle(held.hold, Settle::ChargeHold, shop.now())).unwrap();
    }
    let (mut full, mut largest) = (0, 0);
    for stranger in 0..STRANGERS {
        // They come and go: what a rate of theirs has counted is over after an hour.
        if stranger % 1000 == 0 {
            shop.pass(60);
        }
        let subject = format!(
            "{:032x}",
            u128::from(stranger).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        let claims = [Claim {
            limit: &rate,
            subject: &subject,
        }];
        match now(shop.store.reserve(&ask(&subject, &claims, shop.now()))) {
            Ok(Verdict::Held(held)) => {
                let _ = now(shop.store.settle(held.hold, Settle::Release, shop.now())).unwrap();
            }
            Err(CounterError::Full) => full += 1,
            other => panic!("{other:?}"),
        }
        if stranger % 10_000 == 0 {
            largest = largest.max(measured(&shop));
        }
    }
    assert!(largest <= bounds.bytes, "{largest} bytes");
    assert!(
        largest > bounds.bytes / 2,
        "{largest} bytes: it never filled"
    );
    assert!(
        full > 0 && full < STRANGERS,
        "{full} were refused for want of room"
    );
    for victim in 0..100 {
        let subject = format!("victim-{victim}");
        let Ok(Verdict::Refused(refused)) = ask_of(&subject) else {
            panic!("{subject} got out");
        };
        assert!(refused.violated.has(1), "its money is spent");
    }
}

#[test]
fn at_the_bound_of_holds_a_request_is_refused_and_an_ended_hold_gives_way() {
    let shop = Shop::with(MemoryBounds {
        holds: 3,
        ..MemoryBounds::default()
    });
    let money = budget("money", "1 USD", Window::day());
    let claims = [(&money, "k")];
    let holds = [(); 3].map(|()| shop.reserve(&claims, CENT).unwrap().hold);
    assert_eq!(shop.ask(&claims, CENT, |_| ()), Err(CounterError::Full));
    assert_eq!(shop.read(&money, "k").held, 3 * CENT, "nothing changed");
    assert!(shop.settle(holds[1], Settle::Release).counted);
    assert!(shop.reserve(&claims, CENT).is_ok());
    assert_eq!(shop.ask(&claims, CENT, |_| ()), Err(CounterError::Full));
    shop.pass(60);
    // Their money stays spent; that of the first can no longer be corrected.
    assert!(shop.reserve(&claims, CENT).is_ok());
    assert_eq!(shop.read(&money, "k").spent, 3 * CENT);
    let late = holds.map(|hold| shop.settle(hold, Settle::Release).counted);
    assert_eq!(late.iter().filter(|counted| **counted).count(), 1);
}

#[test]
fn a_shop_with_no_room_at_all_refuses_and_stays_empty() {
    let shop = Shop::with(MemoryBounds {
        bytes: 0,
        holds: 10,
        ..MemoryBounds::default()
    });
    let money = budget("money", "1 USD", Window::day());
    assert_eq!(
        shop.ask(&[(&money, "k")], 1, |_| ()),
        Err(CounterError::Full)
    );
    assert_eq!((shop.store.bytes(), shop.store.live_holds()), (0, 0));
}

#[test]
fn what_an_administrator_set_is_not_forgotten() {
    let bounds = MemoryBounds {
        bytes: 512 << 10,
        holds: 10,
        ..MemoryBounds::default()
    };
    let shop = Shop::with(bounds);
    let money = budget("money", "1 USD", Window::day());
    let set = Adjust::Override {
        limit: 0,
        until: None,
    };
    let _ = shop.adjust(&money, "blocked", &set).unwrap();
    for stranger in 0..10_000 {
        let subject = format!("stranger-{stranger}");
        if let Ok(Verdict::Held(held)) = shop.ask(&[(&money, &subject)], 1, |_| ()) {
            let _ = shop.settle(held.hold, Settle::Release);
        }
    }
    assert!(shop.store.bytes() <= bounds.bytes);
    assert!(shop.reserve(&[(&money, "blocked")], 1).is_err());
}
