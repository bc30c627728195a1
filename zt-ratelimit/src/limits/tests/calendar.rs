use super::*;

fn berlin() -> Policy {
    let window = Window::day().zone("Europe/Berlin").unwrap();
    let day = Limit::budget("key-day", cost("5 USD"), window).unwrap();
    Policy::new([Level::new("key", [day])]).unwrap()
}

fn who() -> Subjects<'static> {
    Subjects::new(["key-1"])
}

#[test]
fn a_day_of_23_hours_ends_an_hour_earlier_and_one_of_25_later() {
    for (midnight, hours) in [
        ("2026-03-28T23:00:00Z", 23),
        ("2026-10-24T22:00:00Z", 25),
        ("2026-07-01T22:00:00Z", 24),
    ] {
        let world = World::at(at(midnight), berlin());
        world.spend(&who(), "5 USD");
        let overspent = world.refused(&who(), "1 USD");
        let (_, standing) = overspent.violated().next().unwrap();
        assert_eq!(standing.more_in, Some(HOUR * hours), "{midnight}");
        world.clock.advance(HOUR * hours - SECOND);
        world.refused(&who(), "1 USD");
        world.clock.advance(SECOND);
        world.spend(&who(), "5 USD");
        let windows: Vec<_> = world
            .told("settled")
            .iter()
            .map(|event| event.budgets[0].window.unwrap())
            .collect();
        assert_eq!(windows[0].1.since(windows[0].0), HOUR * hours);
        assert_eq!(windows[0].1, windows[1].0);
    }
}

#[test]
fn money_belongs_to_the_month_that_admitted_it() {
    let month = budget("key-month", "5 USD", "month");
    let policy = Policy::new([Level::new("key", [month])]).unwrap();
    let world = World::at(at("2026-02-28T23:59:59Z"), policy);
    let reservation = world.hold::<Hard>(&who(), "5 USD");
    world.refused(&who(), "1 USD");
    world.clock.advance(SECOND);
    // March has begun, and February's hold is none of its business.
    world.spend(&who(), "5 USD");
    reservation.settle(cost("4 USD")).unwrap();
    assert_eq!(world.spent(&who(), "key-month"), 5 * DOLLAR);
    let settled = world.told("settled");
    let february = (
        moment("2026-02-01T00:00:00Z"),
        moment("2026-03-01T00:00:00Z"),
    );
    assert_eq!(settled[0].budgets[0].window.unwrap().0, february.1);
    assert_eq!(settled[1].budgets[0].window.unwrap(), february);
    assert_eq!(settled[1].nanos, 4 * DOLLAR);
    // Both have said that all of it is spent: each in its own window.
    let full = |event: &&BudgetEvent| event.percent == Some(80);
    assert_eq!(world.told("threshold").iter().filter(full).count(), 2);
}
