use zt_core::context::RequestId;

use super::*;

#[test]
fn a_hold_and_its_settlement_name_all_that_is_needed_to_add_them_up() {
    let world = World::new(policy());
    let request = RequestId::from_u128(7);
    let ask = Ask::at_most(cost("2 USD")).request(request);
    let Outcome::Held(reservation) = world.reserve::<Hard>(&key(), ask) else {
        panic!("there is room")
    };
    let hold = reservation.hold();
    reservation.settle(cost("1 USD")).unwrap();
    let events = world.budget_events();
    for (event, action, nanos) in [
        (&events[0], "held", 2 * DOLLAR),
        (&events[1], "settled", DOLLAR),
    ] {
        assert_eq!((event.action, event.nanos), (action, nanos));
        assert_eq!(event.hold, Some(hold.0));
        assert_eq!(event.request, Some(request));
        assert_eq!(event.currency.as_deref(), Some("USD"));
        assert_eq!(&*event.root, "acme");
        let parts: Vec<_> = event
            .budgets
            .iter()
            .map(|part| (&*part.limit, &*part.subject, part.window.unwrap()))
            .collect();
        let (january, first) = (moment("2030-01-01T00:00:00Z"), HOUR * 24);
        assert_eq!(
            parts,
            [
                ("org-month", "acme", (january, january + first * 31)),
                ("key-day", "key-1", (january, january + first)),
            ]
        );
    }
}

#[test]
fn each_threshold_is_told_of_once_a_window() {
    let world = World::new(policy());
    let percents = |limit: &str| -> Vec<u32> {
        let mut events = world.told("threshold");
        events.retain(|event| &*event.budgets[0].limit == limit);
        events.iter().filter_map(|event| event.percent).collect()
    };
    world.spend(&key(), "2.4 USD");
    assert!(percents("key-day").is_empty());
    world.spend(&key(), "0.1 USD");
    assert_eq!(percents("key-day"), [50]);
    world.spend(&key(), "0.1 USD");
    assert_eq!(percents("key-day"), [50]);
    world.spend(&key(), "2.4 USD");
    assert_eq!(percents("key-day"), [50, 80, 100]);
    assert_eq!(percents("org-month"), [50]);
    let told = world.told("threshold");
    assert_eq!(told[0].nanos, 2_500_000_000);
    // Tomorrow is another day, and the same month.
    world.clock.advance(HOUR * 24);
    world.spend(&key(), "4 USD");
    assert_eq!(percents("key-day"), [50, 80, 100, 50, 80]);
    assert_eq!(percents("org-month"), [50, 80, 100]);
}

#[test]
fn without_a_recorder_nothing_is_kept_for_one() {
    let limits = Limits::builder(MemoryCounters::new())
        .clock(ManualClock::default())
        .build(policy())
        .unwrap();
    let now = Moment::of(&ManualClock::default()).unwrap();
    let ask = Ask::at_most(cost("2 USD"));
    let Outcome::Held(reservation) = at_once(limits.reserve::<Hard>(&key(), ask, now)) else {
        panic!("there is room")
    };
    assert!(!reservation.is_recorded());
    reservation.settle(cost("1 USD")).unwrap();
}

#[test]
fn a_recorder_that_cannot_write_keeps_no_money_held() {
    let limits = Limits::builder(MemoryCounters::new())
        .clock(ManualClock::default())
        .recorder(Broken)
        .build(policy())
        .unwrap();
    let now = Moment::of(&ManualClock::default()).unwrap();
    let ask = Ask::at_most(cost("5 USD"));
    for _ in 0..3 {
        // Requests are refused by who records their permit; what is reserved comes back.
        let outcome = at_once(limits.reserve::<Hard>(&key(), ask, now));
        assert!(matches!(outcome, Outcome::Held(_)));
    }
}
