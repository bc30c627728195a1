use super::*;
use crate::limit::LimitError;

fn spent_held(shop: &Shop, limit: &Arc<Limit>, subject: &str) -> (u64, u64) {
    let state = shop.read(limit, subject);
    (state.spent / CENT, state.held / CENT)
}

#[test]
fn refuses_what_does_not_fit_at_any_level_and_changes_nothing() {
    let shop = Shop::new();
    let key = budget("key", "5 USD", Window::day());
    let team = budget("team", "1 USD", Window::month());
    let claims = [(&key, "k1"), (&team, "t1")];
    let held = shop.reserve(&claims, 60 * CENT).unwrap();
    assert_eq!(held.standings[0].remaining, 440 * CENT);
    assert_eq!(held.standings[1].remaining, 40 * CENT);
    let refused = shop.reserve(&claims, 50 * CENT).unwrap_err();
    assert_eq!(refused.violated.places().collect::<Vec<_>>(), [1]);
    assert_eq!(refused.standings[0].remaining, 440 * CENT);
    assert!(refused.standings[1].more_in.is_some());
    assert_eq!(spent_held(&shop, &key, "k1"), (0, 60));
    assert_eq!(spent_held(&shop, &team, "t1"), (0, 60));
    let never = shop.reserve(&claims, 101 * CENT).unwrap_err();
    assert_eq!(never.standings[1].more_in, None);
}

#[test]
fn a_settlement_charges_what_was_spent_and_counts_once() {
    let shop = Shop::new();
    let key = budget("key", "1 USD", Window::day());
    let hold = shop.reserve(&[(&key, "k")], 60 * CENT).unwrap().hold;
    let settled = shop.settle(hold, Settle::Charge(55 * CENT));
    assert!(settled.counted);
    assert_eq!((settled.held, settled.charged), (60 * CENT, 55 * CENT));
    assert_eq!(settled.budgets.len(), 1);
    assert_eq!(settled.budgets[0].crossed, 0b001);
    assert_eq!(spent_held(&shop, &key, "k"), (55, 0));
    for how in [Settle::Release, Settle::ChargeHold, Settle::Charge(1)] {
        let again = shop.settle(hold, how);
        assert!(!again.counted);
    }
    assert_eq!(spent_held(&shop, &key, "k"), (55, 0));
    let other = shop.reserve(&[(&key, "k")], 40 * CENT).unwrap().hold;
    assert!(!shop.settle(hold, Settle::Release).counted);
    let settled = shop.settle(other, Settle::Charge(45 * CENT));
    assert_eq!(settled.budgets[0].crossed, 0b110, "each is told of once");
    assert_eq!(spent_held(&shop, &key, "k"), (100, 0));
    assert!(!shop.settle(HoldId(7), Settle::ChargeHold).counted);
}

#[test]
fn a_hold_that_ends_is_charged_and_can_be_corrected_within_the_grace() {
    let shop = Shop::new();
    let key = budget("key", "1 USD", Window::day());
    let seats = Arc::new(Limit::concurrency("seats", 1).unwrap());
    let claims = [(&key, "k"), (&seats, "k")];
    let hold = shop.reserve(&claims, 30 * CENT).unwrap().hold;
    shop.pass(59);
    let refused = shop.reserve(&claims, 1).unwrap_err();
    assert_eq!(refused.violated.places().collect::<Vec<_>>(), [1]);
    assert_eq!(refused.standings[1].more_in, Some(Duration::from_secs(1)));
    shop.pass(1);
    let second = shop.reserve(&claims, 10 * CENT).unwrap().hold;
    assert_eq!(spent_held(&shop, &key, "k"), (30, 10));
    let expired = now(shop.store.expire(10, shop.now())).unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].hold, expired[0].nanos), (hold, 30 * CENT));
    assert_eq!(now(shop.store.expire(10, shop.now())).unwrap(), []);
    let settled = shop.settle(hold, Settle::Charge(5 * CENT));
    assert!(settled.counted);
    assert_eq!(spent_held(&shop, &key, "k"), (5, 10));
    assert_eq!(shop.read(&seats, "k").held, 1);
    shop.pass(60 + 600);
    let late = shop.settle(second, Settle::Release);
    assert!(!late.counted);
    assert_eq!(spent_held(&shop, &key, "k"), (15, 0));
    let _ = now(shop.store.expire(10, shop.now())).unwrap();
    assert_eq!(shop.read(&seats, "k").held, 0);
    assert_eq!(now(shop.store.expire(10, shop.now())).unwrap(), []);
}

#[test]
fn money_belongs_to_the_window_that_admitted_it() {
    let shop = Shop::new();
    let key = budget("key", "1 USD", Window::day());
    shop.pass(86_399);
    let hold = shop.reserve(&[(&key, "k")], 80 * CENT).unwrap().hold;
    shop.pass(1);
    assert_eq!(spent_held(&shop, &key, "k"), (0, 0));
    let next = shop.reserve(&[(&key, "k")], 80 * CENT).unwrap().hold;
    assert!(matches!(
        shop.extend(hold, 30 * CENT, 60),
        Extended::Refused(_)
    ));
    assert!(matches!(
        shop.extend(hold, 20 * CENT, 60),
        Extended::Done { held } if held == 100 * CENT
    ));
    let settled = shop.settle(hold, Settle::ChargeHold);
    assert_eq!(settled.budgets[0].spent, 100 * CENT);
    assert_eq!(settled.budgets[0].crossed, 0b111);
    assert_eq!(
        settled.budgets[0].span.end,
        shop.read(&key, "k").span.unwrap().start
    );
    assert_eq!(spent_held(&shop, &key, "k"), (0, 80));
    assert!(shop.settle(next, Settle::Release).counted);
}

#[test]
fn a_wall_clock_that_goes_back_opens_no_earlier_window() {
    let shop = Shop::new();
    let key = budget("key", "1 USD", Window::day());
    let midnight = shop.wall();
    shop.pass(86_400);
    assert!(shop.reserve(&[(&key, "k")], 100 * CENT).is_ok());
    shop.clock.set_wall(midnight);
    assert!(shop.reserve(&[(&key, "k")], CENT).is_err());
}

#[test]
fn a_rolling_window_gives_money_back_slot_by_slot() {
    let shop = Shop::new();
    let key = budget(
        "key",
        "1 USD",
        Window::rolling(Duration::from_secs(24)).unwrap(),
    );
    let first = shop.reserve(&[(&key, "k")], 60 * CENT).unwrap().hold;
    let _ = shop.settle(first, Settle::ChargeHold);
    shop.pass(2);
    let second = shop.reserve(&[(&key, "k")], 40 * CENT).unwrap().hold;
    let _ = shop.settle(second, Settle::ChargeHold);
    let refused = shop.reserve(&[(&key, "k")], 60 * CENT).unwrap_err();
    assert_eq!(refused.standings[0].more_in, Some(Duration::from_secs(23)));
    let refused = shop.reserve(&[(&key, "k")], 61 * CENT).unwrap_err();
    assert_eq!(refused.standings[0].more_in, Some(Duration::from_secs(25)));
    shop.pass(22);
    assert!(shop.reserve(&[(&key, "k")], 1).is_err());
    shop.pass(1);
    assert!(shop.reserve(&[(&key, "k")], 60 * CENT).is_ok());
    assert!(shop.reserve(&[(&key, "k")], 1).is_err());
}

#[test]
fn a_wall_clock_that_leaps_from_1970_leaves_nothing_held_in_a_rolling_window() {
    let shop = Shop::new();
    let second = Window::rolling(Duration::from_secs(1)).unwrap();
    let key = budget("key", "1 USD", second);
    let hold = shop.reserve(&[(&key, "k")], 60 * CENT).unwrap().hold;
    let ended = shop.reserve(&[(&key, "k")], 30 * CENT).unwrap().hold;
    shop.clock
        .set_wall(shop.wall() + Duration::from_secs(56 * 366 * 86_400));
    assert_eq!(spent_held(&shop, &key, "k"), (0, 90));
    assert!(shop.settle(hold, Settle::Charge(CENT)).counted);
    assert_eq!(spent_held(&shop, &key, "k"), (0, 30));
    shop.pass(60);
    assert_eq!(spent_held(&shop, &key, "k"), (0, 0));
    assert!(shop.settle(ended, Settle::Release).counted);
    shop.reserve(&[(&key, "k")], 100 * CENT).unwrap();
}

#[test]
fn rates_and_permits_are_taken_all_or_nothing() -> Result<(), LimitError> {
    let shop = Shop::new();
    let rate = Arc::new(Limit::rate("burst", 2, Duration::from_secs(2))?);
    let seats = Arc::new(Limit::concurrency("seats", 1)?);
    let claims = [(&rate, "k"), (&seats, "k")];
    let hold = shop.reserve(&claims, 0).unwrap().hold;
    assert!(shop.reserve(&claims, 0).is_err(), "no seat");
    let _ = shop.settle(hold, Settle::Release);
    let hold = shop.reserve(&claims, 0).unwrap().hold;
    let _ = shop.settle(hold, Settle::Release);
    let refused = shop.reserve(&claims, 0).unwrap_err();
    assert_eq!(refused.violated.places().collect::<Vec<_>>(), [0]);
    assert_eq!(refused.standings[0].more_in, Some(Duration::from_secs(1)));
    assert_eq!(shop.read(&seats, "k").held, 0);
    Ok(())
}

#[test]
fn a_limit_of_another_kind_or_currency_is_invalid() {
    let shop = Shop::new();
    let dollars = budget("key", "1 USD", Window::day());
    let euros = budget("key", "1 EUR", Window::day());
    let seats = Arc::new(Limit::concurrency("key", 1).unwrap());
    assert!(shop.reserve(&[(&dollars, "k")], 1).is_ok());
    for other in [euros, seats] {
        let invalid = shop.ask(&[(&other, "k")], 1, |_| ());
        assert!(matches!(invalid, Err(CounterError::Invalid(_))));
    }
    assert!(shop.reserve(&[(&dollars, "k")], 1).is_ok());
}

#[test]
fn what_an_administrator_sets_holds_until_its_time() {
    let shop = Shop::new();
    let key = budget("key", "1 USD", Window::month());
    let until = shop.wall() + Duration::from_secs(60);
    let grant = Adjust::Grant {
        name: "gift".into(),
        amount: 50 * CENT,
        until,
    };
    assert_eq!(shop.adjust(&key, "k", &grant).unwrap().limit, 150 * CENT);
    let lower = Adjust::Override {
        limit: 10 * CENT,
        until: Some(until),
    };
    let hold = shop.reserve(&[(&key, "k")], 80 * CENT).unwrap().hold;
    assert_eq!(shop.adjust(&key, "k", &lower).unwrap().limit, 60 * CENT);
    assert!(shop.reserve(&[(&key, "k")], 0).is_err(), "usage is above");
    shop.pass(60);
    assert_eq!(shop.read(&key, "k").limit, 100 * CENT);
    assert_eq!(shop.read(&key, "k").grants, []);
    let _ = now(shop.store.expire(9, shop.now()));
    let reset = shop.adjust(&key, "k", &Adjust::Reset).unwrap();
    assert_eq!((reset.spent, reset.held), (0, 0));
    let charge = Adjust::Charge { nanos: 30 * CENT };
    assert_eq!(shop.adjust(&key, "k", &charge).unwrap().spent, 30 * CENT);
    // What was charged before the reset is not given back twice.
    assert!(shop.settle(hold, Settle::Charge(85 * CENT)).counted);
    assert_eq!(shop.read(&key, "k").spent, 35 * CENT);
}

#[test]
fn a_request_that_claims_rates_alone_leaves_nothing_to_settle() {
    let shop = Shop::new();
    let two = Arc::new(Limit::rate("two", 2, Duration::from_secs(60)).unwrap());
    let held = shop.reserve(&[(&two, "k")], 0).unwrap();
    assert_eq!(held.hold, HoldId::NONE);
    assert_eq!(
        (held.standings[0].remaining, shop.store.live_holds()),
        (1, 0)
    );
    assert!(!shop.settle(held.hold, Settle::Release).counted);
    assert_eq!(shop.extend(held.hold, 0, 60), Extended::Gone);
    shop.reserve(&[(&two, "k")], 0).unwrap();
    shop.reserve(&[(&two, "k")], 0).unwrap_err();
    let lease = shop.ask(&[(&two, "l")], 0, |ask| ask.purpose = Purpose::Lease);
    assert!(matches!(lease, Ok(Verdict::Held(held)) if held.hold != HoldId::NONE));
}
