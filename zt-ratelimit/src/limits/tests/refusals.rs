use super::*;

#[test]
fn refuses_a_path_that_is_not_as_long_as_the_tree() {
    let world = World::new(policy());
    for who in [
        Subjects::new(["acme"]),
        Subjects::new(["acme", "key-1", "more"]),
        Subjects::new(Vec::<&str>::new()),
    ] {
        let ask = Ask::at_most(cost("1 USD"));
        let answer = world.limits.reserve::<Hard>(&who, ask, world.now());
        assert!(
            matches!(answer, Answer::Now(Err(CounterError::Invalid(_)))),
            "{who:?}"
        );
    }
    assert!(world.budget_events().is_empty());
}

#[test]
fn refuses_names_that_nobody_can_have() {
    let world = World::new(policy());
    let long = "n".repeat(257);
    for name in ["", "a\nb", &long] {
        let who = Subjects::new(["acme", name]);
        let ask = Ask::at_most(cost("1 USD"));
        let answer = world.limits.reserve::<Hard>(&who, ask, world.now());
        assert!(matches!(answer, Answer::Now(Err(CounterError::Invalid(_)))));
    }
}

#[test]
fn refuses_a_tier_that_does_not_exist() {
    let world = World::new(policy());
    let ask = Ask::at_most(cost("1 USD"));
    let who = key().tier("platinum");
    let answer = world.limits.reserve::<Hard>(&who, ask, world.now());
    assert!(matches!(answer, Answer::Now(Err(CounterError::Invalid(_)))));
}

#[test]
fn refuses_a_cost_that_is_not_known_or_of_another_currency() {
    let world = World::new(policy());
    for ask in [Ask::free(), Ask::at_most(cost("1 EUR"))] {
        let answer = world.limits.reserve::<Hard>(&key(), ask, world.now());
        assert!(matches!(answer, Answer::Now(Err(CounterError::Invalid(_)))));
    }
    let mut reservation = world.hold::<Hard>(&key(), "1 USD");
    let answer = reservation.extend(cost("1 EUR"), world.now());
    assert!(matches!(answer, Answer::Now(Err(CounterError::Invalid(_)))));
    assert_eq!(reservation.held(), Some(cost("1 USD")));
}

#[test]
fn a_refusal_spends_nothing_anywhere() {
    let world = World::new(policy());
    world.refused(&key(), "6 USD");
    assert_eq!(world.held(&key(), "org-month"), 0);
    assert_eq!(world.held(&key(), "key-day"), 0);
    assert!(world.budget_events().is_empty());
    let _all = world.hold::<Hard>(&key(), "5 USD");
}

#[test]
fn the_narrowest_level_that_has_no_room_is_named() {
    let world = World::new(policy());
    let names = |overspent: &Overspent| -> Vec<String> {
        let violated = overspent.violated();
        violated
            .map(|(limit, _)| limit.name().to_string())
            .collect()
    };
    // Neither has room: a key is told of its own limit.
    assert_eq!(names(&world.refused(&key(), "10 USD")), ["key-day"]);
    let _held = world.hold::<Hard>(&key(), "5 USD");
    // Another key has room, and its organisation has not.
    let other = Subjects::new(["acme", "key-2"]);
    let overspent = world.refused(&other, "4.5 USD");
    assert_eq!(names(&overspent), ["org-month"]);
    let standings: Vec<u64> = overspent.standings().map(|(_, it)| it.remaining).collect();
    assert_eq!(standings, [4 * DOLLAR, 5 * DOLLAR]);
    // Another organisation has both.
    let _other = world.hold::<Hard>(&Subjects::new(["umbrella", "key-1"]), "5 USD");
}

#[test]
fn a_tier_without_budgets_needs_no_cost() {
    let parallel = || Limit::concurrency("key-parallel", 1).unwrap();
    let policy = Policy::new([Level::new("key", [budget("key-day", "5 USD", "day")])])
        .unwrap()
        .tier("inside", [Level::new("key", [parallel()])])
        .unwrap();
    let world = World::new(policy);
    let who = Subjects::new(["key-1"]).tier("inside");
    let Outcome::Held(reservation) = world.reserve::<Hard>(&who, Ask::free()) else {
        panic!("there is room")
    };
    assert_eq!(reservation.held(), None);
    assert!(matches!(
        world.reserve::<Hard>(&who, Ask::free()),
        Outcome::Refused(_)
    ));
    reservation.release();
    // Nobody has spent or held money.
    assert!(world.budget_events().is_empty());
}

#[test]
fn a_shadow_limit_refuses_nothing_and_is_recorded() {
    let minute = Limit::rate("key-minute", 1, MINUTE).unwrap().shadow();
    let day = budget("key-day", "1 USD", "day").shadow();
    let policy = Policy::new([Level::new("key", [day, minute])]).unwrap();
    let world = World::new(policy);
    let who = Subjects::new(["key-1"]);
    world.spend(&who, "1 USD");
    assert!(world.told("would-refuse").is_empty());
    world.spend(&who, "1 USD");
    let [event] = &world.told("would-refuse")[..] else {
        panic!("one request was above them")
    };
    let names: Vec<&str> = event.budgets.iter().map(|part| &*part.limit).collect();
    assert_eq!(names, ["key-day", "key-minute"]);
    assert!(event.budgets[0].window.is_some());
    assert_eq!(event.budgets[1].window, None);
    assert_eq!((event.nanos, &*event.root), (DOLLAR, "key-1"));
}
