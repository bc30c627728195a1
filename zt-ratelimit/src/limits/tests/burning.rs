use super::{
    super::burn::{Burn, SETS, WAYS},
    *,
};
use crate::{counter::Charged, limit::Span};

fn day() -> Policy {
    Policy::new([Level::new("key", [budget("key-day", "50 USD", "day")])]).unwrap()
}

fn who() -> Subjects<'static> {
    Subjects::new(["key-1"])
}

/// Spends `amount` each minute, `minutes` times.
fn minutes(world: &World, minutes: u32, amount: &str) {
    for _ in 0..minutes {
        world.clock.advance(MINUTE);
        world.spend(&who(), amount);
    }
}

#[test]
fn what_lasts_for_the_day_is_not_told_of() {
    let world = World::new(day());
    // 0.03 USD a minute are 43.20 a day.
    minutes(&world, 24 * 60 - 1, "0.03 USD");
    assert!(world.told("burn").is_empty());
}

#[test]
fn a_caller_that_runs_away_is_told_of_once() {
    let world = World::new(day());
    minutes(&world, 8 * 60, "0.03 USD");
    assert!(world.told("burn").is_empty());
    // From now on ten times as much.
    minutes(&world, 60, "0.3 USD");
    let [event] = &world.told("burn")[..] else {
        panic!("once: {:?}", world.told("burn"))
    };
    // 14.40 are spent and 35.60 left for 16 hours: both rates have to be above 0.037 a minute.
    let late = event.at.since(moment("2030-01-01T08:00:00Z"));
    assert!(late <= MINUTE * 5, "{late:?}");
    assert!(event.percent.unwrap() >= 100);
    assert_eq!(&*event.budgets[0].limit, "key-day");
    assert!(event.nanos > 14 * DOLLAR);
}

#[test]
fn a_burst_that_is_over_is_not_told_of() {
    let world = World::new(day());
    // Much for five minutes, little for the hour: 50 dollars would last.
    minutes(&world, 1, "1.5 USD");
    minutes(&world, 60, "0.000001 USD");
    assert!(world.told("burn").is_empty(), "{:?}", world.told("burn"));
}

#[test]
fn the_next_window_is_told_of_again() {
    let world = World::new(day());
    minutes(&world, 60, "0.3 USD");
    assert_eq!(world.told("burn").len(), 1);
    world.clock.advance(HOUR * 24);
    minutes(&world, 60, "0.3 USD");
    assert_eq!(world.told("burn").len(), 2);
}

#[test]
fn a_budget_that_is_used_up_is_left_to_its_threshold() {
    let world = World::new(day());
    world.clock.advance(MINUTE);
    world.spend(&who(), "50 USD");
    assert!(world.told("burn").is_empty());
    assert_eq!(world.told("threshold").len(), 3);
}

#[test]
fn windows_without_an_end_do_not_burn() {
    for window in ["total", "6h"] {
        let limit = budget("key-budget", "50 USD", window);
        let world = World::new(Policy::new([Level::new("key", [limit])]).unwrap());
        minutes(&world, 60, "0.5 USD");
        assert!(world.told("burn").is_empty(), "{window}");
    }
}

fn span(day: u64) -> Span {
    let start = Timestamp::from_secs(1_893_456_000 + day * 86_400);
    Span {
        start,
        end: start + HOUR * 24,
    }
}

fn charged(spent: u64, day: u64) -> Charged {
    Charged {
        claim: 0,
        span: span(day),
        spent,
        limit: 50 * DOLLAR,
        crossed: 0,
    }
}

fn later(minutes: u32) -> Moment {
    Moment {
        wall: span(0).start + MINUTE * minutes,
        monotonic: HOUR * 24 + MINUTE * minutes,
    }
}

fn names(subject: &str) -> [Arc<str>; 3] {
    ["acme", "key-day", subject].map(Arc::from)
}

#[test]
fn what_other_instances_spend_is_seen() {
    let burn = Burn::default();
    let names = names("key-1");
    let mut told = 0;
    for minute in 0..60 {
        // Of 0.3 USD a minute, a nano-unit is of this instance.
        let spent = u64::from(minute) * (DOLLAR / 10 * 3) + 1;
        let note = burn.note(names.each_ref(), &charged(spent, 0), 1, later(minute));
        told += u32::from(note.is_some());
    }
    assert_eq!(told, 1);
}

#[test]
fn what_was_spent_before_it_was_watched_is_not_taken_for_a_rate() {
    let burn = Burn::default();
    let names = names("key-1");
    let note = burn.note(names.each_ref(), &charged(40 * DOLLAR, 0), 1, later(60));
    assert_eq!(note, None);
    let note = burn.note(names.each_ref(), &charged(40 * DOLLAR, 0), 1, later(61));
    assert_eq!(note, None);
}

#[test]
fn a_window_that_is_over_changes_nothing() {
    let burn = Burn::default();
    let names = names("key-1");
    let tomorrow = later(24 * 60 + 1);
    let note = |spent, day| burn.note(names.each_ref(), &charged(spent, day), DOLLAR, tomorrow);
    assert_eq!(note(DOLLAR, 1), None);
    assert_eq!(note(49 * DOLLAR, 0), None);
    assert_eq!(note(DOLLAR, 1), None);
}

#[test]
fn a_correction_and_a_reset_slow_it_down() {
    let burn = Burn::default();
    let names = names("key-1");
    let note =
        |spent, minute| burn.note(names.each_ref(), &charged(spent, 0), DOLLAR, later(minute));
    assert_eq!(note(DOLLAR, 1), None);
    // 30 were charged that nobody settled, and corrected: the rate is what it was.
    let seldom = note(31 * DOLLAR, 2);
    assert!(seldom.is_some());
    assert_eq!(note(DOLLAR, 3), None);
    assert_eq!(note(0, 4), None);
}

#[test]
fn callers_without_number_are_watched_in_bounded_memory() {
    let burn = Burn::default();
    for subject in 0..20_000 {
        let names = names(&subject.to_string());
        burn.note(names.each_ref(), &charged(1, 0), 1, later(1));
    }
    assert!(burn.len() <= SETS * WAYS);
    // The one that was used last is among them.
    let names = names("19999");
    assert!(burn.watches(names.each_ref()));
}
