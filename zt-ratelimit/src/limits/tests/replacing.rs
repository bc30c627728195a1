use super::*;

fn one(limit: Limit) -> Policy {
    Policy::new([Level::new("key", [limit])]).unwrap()
}

fn who() -> Subjects<'static> {
    Subjects::new(["key-1"])
}

#[test]
fn refuses_what_changes_what_was_counted() {
    let world = World::new(one(budget("key-day", "5 USD", "day")));
    let levels = Policy::new([Level::new("team", [budget("key-day", "5 USD", "day")])]).unwrap();
    let euro = one(budget("key-day", "5 EUR", "day"));
    let rate = one(Limit::rate("key-day", 5, MINUTE).unwrap());
    for (policy, expected) in [(levels, "levels"), (euro, "EUR"), (rate, "kind")] {
        let error = ready(world.limits.replace(policy)).unwrap_err();
        assert!(matches!(error, ReplaceError::Policy(_)));
        assert!(error.to_string().contains(expected), "{error}");
    }
    let refused: Vec<_> = configs(&world);
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|(action, _)| *action == "refused"));
    world.spend(&who(), "5 USD");
    // Nor by way of a policy without money.
    let none = one(Limit::rate("key-minute", 5, MINUTE).unwrap());
    ready(world.limits.replace(none)).unwrap();
    let euro = one(budget("key-week", "5 EUR", "week"));
    assert!(ready(world.limits.replace(euro)).is_err());
}

fn configs(world: &World) -> Vec<(&'static str, String)> {
    let events = world.recorder.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Config(event) => {
                assert_eq!(event.part, "limits");
                Some((event.action, event.version.to_string()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn what_cannot_be_recorded_is_not_replaced() {
    let limits = Limits::builder(MemoryCounters::new())
        .clock(ManualClock::default())
        .recorder(Broken)
        .build(one(budget("key-day", "5 USD", "day")))
        .unwrap();
    let more = one(budget("key-day", "50 USD", "day"));
    assert!(matches!(
        ready(limits.replace(more)),
        Err(ReplaceError::Record(_))
    ));
    let policy = limits.policy();
    let amount = policy.find(None).unwrap().limits().next().unwrap().0;
    assert_eq!(amount.as_budget().unwrap().amount(), cost("5 USD"));
}

#[test]
fn a_lowered_limit_admits_nothing_until_usage_is_below_it() {
    let world = World::new(one(budget("key-day", "5 USD", "day")));
    world.spend(&who(), "3 USD");
    ready(world.limits.replace(one(budget("key-day", "2 USD", "day")))).unwrap();
    assert_eq!(configs(&world), [("loaded", "2".to_owned())]);
    let overspent = world.refused(&who(), "0.000000001 USD");
    let (limit, standing) = overspent.violated().next().unwrap();
    assert_eq!(limit.as_budget().unwrap().amount(), cost("2 USD"));
    assert_eq!((standing.limit, standing.remaining), (2 * DOLLAR, 0));
    ready(world.limits.replace(one(budget("key-day", "4 USD", "day")))).unwrap();
    world.spend(&who(), "1 USD");
    world.refused(&who(), "0.000000001 USD");
}

#[test]
fn a_reservation_keeps_the_limits_that_it_was_made_with() {
    let world = World::new(one(budget("key-day", "5 USD", "day")));
    let mut reservation = world.hold::<Hard>(&who(), "2 USD");
    let none = one(Limit::rate("key-minute", 5, MINUTE).unwrap());
    ready(world.limits.replace(none)).unwrap();
    assert_eq!(reservation.held(), Some(cost("2 USD")));
    let (limit, _) = reservation.standings().next().unwrap();
    assert_eq!(&**limit.name(), "key-day");
    let answer = at_once(reservation.extend(cost("1 USD"), world.now()));
    reservation.extended(&answer);
    reservation.settle(cost("2.5 USD")).unwrap();
    let settled = world.told("settled");
    assert_eq!(settled[0].currency.as_deref(), Some("USD"));
    assert_eq!(&*settled[0].budgets[0].limit, "key-day");
    ready(world.limits.replace(one(budget("key-day", "5 USD", "day")))).unwrap();
    assert_eq!(world.spent(&who(), "key-day"), 2_500_000_000);
}

#[test]
fn one_name_means_one_limit_in_all_tiers() {
    let policy = || one(budget("key-day", "5 USD", "day"));
    let level = |name: &'static str, limit| [Level::new(name, [limit])];
    for (levels, expected) in [
        (level("key", budget("key-day", "5 USD", "week")), "window"),
        (
            level("key", Limit::concurrency("key-day", 5).unwrap()),
            "kind",
        ),
        (level("team", budget("key-day", "5 USD", "day")), "levels"),
        (level("key", budget("key-week", "5 EUR", "week")), "EUR"),
    ] {
        let error = policy().tier("gold", levels).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let gold = || level("key", budget("key-day", "50 USD", "day"));
    let policy = policy().tier("gold", gold()).unwrap();
    assert!(matches!(
        policy.clone().tier("gold", gold()),
        Err(LimitsError::Twice(_))
    ));
    let world = World::new(policy);
    world.spend(&who(), "5 USD");
    world.refused(&who(), "1 USD");
    // What was spent in one tier is spent in the other.
    world.spend(&who().tier("gold"), "45 USD");
    world.refused(&who().tier("gold"), "1 USD");
}
