//! When a grant holds, to the microsecond.

use super::*;

const TICK: Duration = Duration::from_micros(1);

#[tokio::test]
async fn holds_from_its_approval_and_not_at_its_end() {
    let world = World::new().await;
    let asked = world.asked().await;
    // The time counts from the approval, whenever it was asked for.
    world.clock.advance(HOUR * 3 + TICK * 7);
    let grant = world.grants.approve(&asked.id, &grace()).await.unwrap();
    let from = world.now();
    assert_eq!((grant.from, grant.until), (Some(from), Some(from + HOUR)));
    for (now, holds) in [
        (from.saturating_sub(TICK), false),
        (from, true),
        (from + HOUR.saturating_sub(TICK), true),
        (from + HOUR, false),
        (from + HOUR + TICK, false),
        (Timestamp::MAX, false),
    ] {
        let active = world.grants.active(&ada(), "refunds.write", now).unwrap();
        assert_eq!(active.is_some(), holds, "{now:?}");
        let all = world.grants.scopes(&ada(), now).unwrap();
        assert_eq!(all.len(), usize::from(holds), "{now:?}");
    }
}

#[tokio::test]
async fn a_request_lapses_at_its_moment() {
    for (after, approves) in [(HOUR * 8 - TICK, true), (HOUR * 8, false)] {
        let world = World::new().await;
        let asked = world.asked().await;
        world.clock.advance(after);
        let answer = world.grants.approve(&asked.id, &grace()).await;
        let state = GrantState::Lapsed;
        match approves {
            true => drop(answer.unwrap()),
            false => assert_eq!(answer, Err(GrantError::Decided { state })),
        }
    }
}

#[tokio::test]
async fn ends_are_noted_once() {
    let world = World::new().await;
    let grant = world.approved().await;
    let open = world.asked().await;
    assert_eq!(world.grants.sweep().await, Ok(0));
    world.clock.advance(HOUR * 8);
    assert_eq!(world.grants.sweep().await, Ok(2));
    assert_eq!(world.grants.sweep().await, Ok(0));
    assert_eq!(world.state(&grant), GrantState::Expired);
    assert_eq!(world.state(&open), GrantState::Lapsed);
    assert_eq!(
        (world.log.count("expired"), world.log.count("lapsed")),
        (1, 1)
    );
    // And then it is final, whatever a clock says later.
    world.clock.set_wall(grant.from.unwrap());
    assert!(!world.holds(&ada()));
    // In the end it is forgotten.
    world.clock.set_wall(world.now() + HOUR * 24 * 31);
    world.grants.sweep().await.unwrap();
    assert!(world.grants.is_empty());
}

#[tokio::test]
async fn ends_are_noted_by_whoever_follows() {
    let world = World::new().await;
    world.approved().await;
    let following = tokio::spawn(world.grants.clone().follow());
    settle().await;
    world.clock.advance(HOUR);
    settle().await;
    assert_eq!(world.log.count("expired"), 1);
    assert!(!following.is_finished());
    let World { grants, clock, .. } = world;
    drop(grants);
    clock.advance(HOUR);
    settle().await;
    assert!(following.is_finished());
}

#[tokio::test]
async fn a_clock_that_goes_back_revives_nothing_that_was_revoked() {
    let world = World::new().await;
    let grant = world.approved().await;
    world.clock.advance(HOUR / 2);
    world
        .grants
        .revoke(&grant.id, &ada(), "done")
        .await
        .unwrap();
    assert!(!world.holds(&ada()));
    for wall in [
        grant.from.unwrap(),
        grant.from.unwrap() + HOUR / 4,
        Timestamp::EPOCH,
    ] {
        world.clock.set_wall(wall);
        assert!(!world.holds(&ada()), "{wall:?}");
        let answer = world.grants.approve(&grant.id, &grace()).await;
        assert!(
            matches!(answer, Err(GrantError::Decided { .. })),
            "{answer:?}"
        );
        world.grants.refresh().await.unwrap();
        assert!(!world.holds(&ada()), "{wall:?}");
    }
}

#[tokio::test]
async fn a_clock_that_cannot_answer_decides_nothing() {
    let world = World::new().await;
    let asked = world.asked().await;
    world.clock.fail();
    let answer = world.grants.approve(&asked.id, &grace()).await;
    assert!(matches!(answer, Err(GrantError::Clock(_))), "{answer:?}");
    assert!(world.grants.list(&GrantFilter::default()).is_err());
    assert_eq!(world.log.count("approved"), 0);
}

#[tokio::test]
async fn of_several_the_one_that_ends_last_counts() {
    let world = World::new().await;
    for seconds in [60, 3600, 600] {
        let asked = world
            .grants
            .request(&ada(), "refunds.write", "x", Duration::from_secs(seconds))
            .await
            .unwrap();
        world.grants.approve(&asked.id, &grace()).await.unwrap();
    }
    let now = world.now();
    let active = world.grants.active(&ada(), "refunds.write", now).unwrap();
    assert_eq!(active.unwrap().until, now + HOUR);
    let all = world.grants.scopes(&ada(), now).unwrap();
    assert_eq!((all.len(), all[0].until), (1, now + HOUR));
}
