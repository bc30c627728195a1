use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

#[test]
fn dropped_before_dispatch_it_is_released() {
    let world = World::new(policy());
    drop(world.hold::<Hard>(&key(), "5 USD"));
    assert_eq!(world.held(&key(), "key-day"), 0);
    assert_eq!(world.spent(&key(), "key-day"), 0);
    assert_eq!(world.told("settled")[0].nanos, 0);
}

#[test]
fn dropped_after_dispatch_it_is_charged() {
    let world = World::new(policy());
    let mut reservation = world.hold::<Hard>(&key(), "5 USD");
    reservation.dispatch();
    drop(reservation);
    for limit in ["key-day", "org-month"] {
        assert_eq!(world.spent(&key(), limit), 5 * DOLLAR);
        assert_eq!(world.held(&key(), limit), 0);
    }
}

#[test]
fn a_panic_after_dispatch_charges_it() {
    let world = World::new(policy());
    let mut reservation = world.hold::<Bounded>(&key(), "2 USD");
    let result = catch_unwind(AssertUnwindSafe(|| {
        reservation.dispatch();
        let _owned = reservation;
        panic!("the handler");
    }));
    assert!(result.is_err());
    assert_eq!(world.spent(&key(), "key-day"), 2 * DOLLAR);
}

#[test]
fn what_was_not_spent_is_given_back() {
    let world = World::new(policy());
    let mut reservation = world.hold::<Hard>(&key(), "5 USD");
    reservation.dispatch();
    reservation.settle(cost("1.5 USD")).unwrap();
    assert_eq!(world.spent(&key(), "key-day"), 1_500_000_000);
    assert_eq!(world.held(&key(), "key-day"), 0);
    // Settled once: what is dropped afterwards says nothing more.
    assert_eq!(world.told("settled").len(), 1);
    world.hold::<Hard>(&key(), "1 USD").charge();
    world.hold::<Hard>(&key(), "1 USD").release();
    assert_eq!(world.spent(&key(), "key-day"), 2_500_000_000);
}

#[test]
fn more_than_was_promised_is_not_charged_where_it_is_hard() {
    let world = World::new(policy());
    let reservation = world.hold::<Hard>(&key(), "2 USD");
    let (actual, held) = (cost("3 USD"), cost("2 USD"));
    assert_eq!(
        reservation.settle(actual),
        Err(SettleError::AboveHold { actual, held })
    );
    assert_eq!(world.spent(&key(), "key-day"), 2 * DOLLAR);
    assert_eq!(world.told("settled")[0].nanos, 2 * DOLLAR);
    let overruns = world.told("overrun");
    assert_eq!((overruns.len(), overruns[0].nanos), (1, DOLLAR));
    assert!(overruns[0].detail.is_some());
}

#[test]
fn more_than_was_estimated_is_charged_and_recorded_where_it_is_bounded() {
    let world = World::new(policy());
    let reservation = world.hold::<Bounded>(&key(), "2 USD");
    reservation.settle(cost("6 USD")).unwrap();
    assert_eq!(world.spent(&key(), "key-day"), 6 * DOLLAR);
    let [overrun] = &world.told("overrun")[..] else {
        panic!("one overrun")
    };
    assert_eq!((overrun.nanos, overrun.budgets.len()), (4 * DOLLAR, 2));
    // While it is overrun nothing is admitted.
    world.refused(&key(), "0.000000001 USD");
}

#[test]
fn a_settlement_in_another_currency_charges_what_was_held() {
    let world = World::new(policy());
    for result in [
        world.hold::<Hard>(&key(), "1 USD").settle(cost("0.1 EUR")),
        world
            .hold::<Bounded>(&key(), "1 USD")
            .settle(cost("0.1 EUR")),
    ] {
        assert!(matches!(result, Err(SettleError::Mismatch(..))));
    }
    assert_eq!(world.spent(&key(), "key-day"), 2 * DOLLAR);
}

#[test]
fn an_extension_holds_more_or_nothing_more() {
    let world = World::new(policy());
    let mut reservation = world.hold::<Hard>(&key(), "2 USD");
    let answer = at_once(reservation.extend(cost("2 USD"), world.now()));
    reservation.extended(&answer);
    assert_eq!(reservation.held(), Some(cost("4 USD")));
    let answer = at_once(reservation.extend(cost("2 USD"), world.now()));
    assert!(matches!(answer, Extended::Refused(_)));
    reservation.extended(&answer);
    assert_eq!(reservation.held(), Some(cost("4 USD")));
    let extended = world.told("extended");
    assert_eq!((extended.len(), extended[0].nanos), (1, 4 * DOLLAR));
    reservation.settle(cost("3.5 USD")).unwrap();
    assert_eq!(world.spent(&key(), "org-month"), 3_500_000_000);
}

#[test]
fn a_clock_that_fails_does_not_keep_a_settlement_from_its_window() {
    let world = World::new(policy());
    let reservation = world.hold::<Hard>(&key(), "2 USD");
    let now = world.now().wall;
    world.clock.fail();
    reservation.settle(cost("1 USD")).unwrap();
    world.clock.set_wall(now);
    assert_eq!(world.spent(&key(), "key-day"), DOLLAR);
    assert_eq!(world.held(&key(), "key-day"), 0);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_is_given_back() {
    let store = Slow::new();
    let world = World::with(ManualClock::default(), policy(), store.clone());
    let ask = Ask::at_most(cost("5 USD"));
    let answer = world.limits.reserve::<Hard>(&key(), ask, world.now());
    // The client went away while the store was asked, and the store has reserved it.
    let mut waiting = Box::pin(answer.wait());
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(waiting);
    assert_eq!(world.held(&key(), "key-day"), 5 * DOLLAR);
    store.let_through(2);
    while world.told("settled").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.held(&key(), "key-day"), 0);
    assert_eq!(world.spent(&key(), "key-day"), 0);
}

#[tokio::test]
async fn a_settlement_is_recorded_when_its_answer_comes() {
    let store = Slow::new();
    let world = World::with(ManualClock::default(), policy(), store.clone());
    store.let_through(1);
    let ask = Ask::at_most(cost("5 USD"));
    let answer = world.limits.reserve::<Hard>(&key(), ask, world.now());
    let Ok(Outcome::Held(reservation)) = answer.wait().await else {
        panic!("there is room")
    };
    reservation.settle(cost("1 USD")).unwrap();
    // It counts at once, whenever the answer comes.
    assert_eq!(world.spent(&key(), "key-day"), DOLLAR);
    tokio::task::yield_now().await;
    assert!(world.told("settled").is_empty());
    store.let_through(1);
    while world.told("settled").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.told("settled")[0].nanos, DOLLAR);
}

#[tokio::test]
async fn a_store_that_is_down_is_no_room_and_no_refusal() {
    let store = Slow::new();
    let world = World::with(ManualClock::default(), policy(), store.clone());
    store.down.store(true, Ordering::Relaxed);
    store.let_through(1);
    let ask = Ask::at_most(cost("1 USD"));
    let answer = world.limits.reserve::<Hard>(&key(), ask, world.now());
    assert!(matches!(
        answer.wait().await,
        Err(CounterError::Unavailable(_))
    ));
}
