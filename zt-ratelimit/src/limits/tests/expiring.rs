use super::*;

#[test]
fn what_is_forgotten_is_charged_when_its_time_is_over() {
    let world = World::new(policy());
    let reservation = world.hold::<Hard>(&key(), "3 USD");
    let hold = reservation.hold();
    std::mem::forget(reservation);
    world.clock.advance(SECOND * 59);
    assert_eq!(at_once(world.limits.expire(world.now())), 0);
    world.clock.advance(SECOND);
    assert_eq!(at_once(world.limits.expire(world.now())), 1);
    assert_eq!(at_once(world.limits.expire(world.now())), 0);
    assert_eq!(world.spent(&key(), "key-day"), 3 * DOLLAR);
    let [event] = &world.told("expired")[..] else {
        panic!("one hold ended")
    };
    assert_eq!((event.hold, event.nanos), (Some(hold.0), 3 * DOLLAR));
    assert_eq!((&*event.root, event.budgets.len()), ("acme", 2));
    assert_eq!(event.currency.as_deref(), Some("USD"));
    assert!(event.budgets.iter().all(|part| part.window.is_some()));
}

#[test]
fn a_settlement_that_comes_late_corrects_the_charge() {
    let world = World::new(policy());
    let reservation = world.hold::<Hard>(&key(), "3 USD");
    world.clock.advance(MINUTE);
    assert_eq!(at_once(world.limits.expire(world.now())), 1);
    assert_eq!(world.spent(&key(), "key-day"), 3 * DOLLAR);
    reservation.settle(cost("1 USD")).unwrap();
    assert_eq!(world.spent(&key(), "key-day"), DOLLAR);
    assert_eq!(world.told("settled").len(), 1);
}

#[test]
fn more_than_one_batch_ends_in_one_call() {
    let policy = Policy::new([Level::new("key", [budget("key-day", "5 USD", "day")])]).unwrap();
    let world = World::new(policy);
    for at in 0..1000 {
        let who = Subjects::new([format!("key-{at}")]);
        std::mem::forget(world.hold::<Hard>(&who, "1 USD"));
    }
    world.clock.advance(MINUTE);
    assert_eq!(at_once(world.limits.expire(world.now())), 1000);
    assert_eq!(world.told("expired").len(), 1000);
}

#[tokio::test]
async fn in_a_runtime_holds_end_each_second_and_the_task_ends_with_the_limits() {
    for slow in [false, true] {
        let clock = ManualClock::default();
        let world = match slow {
            true => {
                let store = Slow::new();
                store.let_through(100);
                World::with(clock, policy(), store)
            }
            false => World::at(clock, policy()),
        };
        let ask = Ask::at_most(cost("3 USD"));
        let answer = world.limits.reserve::<Hard>(&key(), ask, world.now());
        let Ok(Outcome::Held(reservation)) = answer.wait().await else {
            panic!("there is room")
        };
        std::mem::forget(reservation);
        tokio::task::yield_now().await;
        for _ in 0..60 {
            assert!(world.told("expired").is_empty());
            world.clock.advance(SECOND);
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(world.told("expired").len(), 1);
    }
}

#[tokio::test]
async fn the_task_ends_with_the_limits() {
    let world = World::new(policy());
    let clock = Arc::new(world.clock.clone());
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    assert_eq!(tasks(), 1);
    drop(world);
    tokio::task::yield_now().await;
    clock.advance(SECOND);
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), 0);
}

#[tokio::test]
async fn a_clock_that_fails_ends_nothing_and_later_goes_on() {
    let world = World::new(policy());
    std::mem::forget(world.hold::<Hard>(&key(), "3 USD"));
    let wall = world.now().wall;
    world.clock.fail();
    tokio::task::yield_now().await;
    world.clock.advance(MINUTE * 2);
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert!(world.told("expired").is_empty());
    world.clock.set_wall(wall + MINUTE * 2);
    world.clock.advance(SECOND);
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.told("expired").len(), 1);
}
