//! Nothing is in force that is not on record.

use super::*;

#[tokio::test]
async fn where_the_audit_log_cannot_write_nothing_happens() {
    let world = World::new().await;
    let glass = person("gus", &["grant.break-glass"]);
    world.log.set_down(true);
    let asked = world
        .grants
        .request(&ada(), "refunds.write", "x", HOUR)
        .await;
    assert!(matches!(asked, Err(GrantError::Record(_))), "{asked:?}");
    let taken = world
        .grants
        .break_glass(&glass, "database.admin", "x")
        .await;
    assert!(matches!(taken, Err(GrantError::Record(_))), "{taken:?}");
    assert!(world.grants.is_empty());

    world.log.set_down(false);
    let asked = world.asked().await;
    world.log.set_down(true);
    let answer = world.grants.approve(&asked.id, &grace()).await;
    assert!(matches!(answer, Err(GrantError::Record(_))), "{answer:?}");
    assert!(!world.holds(&ada()));
    world.grants.refresh().await.unwrap();
    assert_eq!(world.state(&asked), GrantState::Requested);

    // Nobody has to wait for a claim that was given up.
    world.log.set_down(false);
    world.grants.approve(&asked.id, &grace()).await.unwrap();
    world.log.set_down(true);
    let revoked = world.grants.revoke(&asked.id, &ada(), "x").await;
    assert!(matches!(revoked, Err(GrantError::Record(_))), "{revoked:?}");
    assert!(world.holds(&ada()), "as before");
    assert_eq!(world.log.actions(), ["requested", "approved"]);
}

#[tokio::test]
async fn an_approval_is_not_in_force_before_its_record_is_durable() {
    let world = World::new().await;
    let asked = world.asked().await;
    world.log.hold(true);
    let approving = tokio::spawn({
        let (grants, id) = (world.grants.clone(), Arc::clone(&asked.id));
        async move { grants.approve(&id, &grace()).await }
    });
    settle().await;
    assert_eq!(world.log.count("approved"), 1, "it is on its way");
    assert!(!approving.is_finished() && !world.holds(&ada()));
    world.grants.refresh().await.unwrap();
    assert!(!world.holds(&ada()), "nor in the store");
    world.log.hold(false);
    approving.await.unwrap().unwrap();
    assert!(world.holds(&ada()));
}

#[tokio::test]
async fn a_log_that_never_answers_is_not_waited_for_for_ever() {
    let world = World::new().await;
    let asked = world.asked().await;
    world.log.hold(true);
    let approving = tokio::spawn({
        let (grants, id) = (world.grants.clone(), Arc::clone(&asked.id));
        async move { grants.approve(&id, &grace()).await }
    });
    settle().await;
    world.clock.advance(Duration::from_secs(5));
    let answer = approving.await.unwrap();
    assert!(matches!(answer, Err(GrantError::Record(_))), "{answer:?}");
    assert!(!world.holds(&ada()));
}

/// The process is gone at any point of an approval: between claim, record and effect.
#[tokio::test]
async fn a_crash_leaves_no_grant_without_a_record() {
    for writes in 0..3 {
        let world = World::new().await;
        let asked = world.asked().await;
        world.store.down_after(writes);
        let answer = world.grants.approve(&asked.id, &grace()).await;
        world.store.down_after(usize::MAX);
        world.store.set_down(false);
        let next = opened(&world.store, &world.clock, &world.log, config(), 2).await;
        let active = next.active(&ada(), "refunds.write", world.now()).unwrap();
        assert_eq!(answer.is_ok(), writes == 2, "{writes}: {answer:?}");
        assert_eq!(active.is_some(), writes == 2);
        assert!(active.is_none() || world.log.count("approved") == 1);
        if writes == 1 {
            // The claim is still there: nobody takes a step until it ends.
            let waiting = tokio::spawn({
                let (next, id) = (next.clone(), Arc::clone(&asked.id));
                async move { next.approve(&id, &grace()).await }
            });
            settle().await;
            assert!(!waiting.is_finished());
            world.clock.advance(Duration::from_secs(10));
            waiting.await.unwrap().unwrap();
            assert!(
                next.active(&ada(), "refunds.write", world.now())
                    .unwrap()
                    .is_some()
            );
        }
    }
}

/// The store that fails in the middle of breaking glass leaves a record and no grant.
#[tokio::test]
async fn glass_that_could_not_be_broken_is_on_record_and_grants_nothing() {
    let world = World::new().await;
    world.store.down_after(0);
    let ada = person("ada", &["grant.break-glass"]);
    let taken = world.grants.break_glass(&ada, "database.admin", "x").await;
    assert!(matches!(taken, Err(GrantError::Store(_))), "{taken:?}");
    let active = world.grants.active(&ada, "database.admin", world.now());
    assert_eq!((active.unwrap(), world.log.count("break-glass")), (None, 1));
}

#[tokio::test]
async fn whoever_comes_too_late_is_told_and_it_is_on_record() {
    let world = World::new().await;
    let asked = world.asked().await;
    let other = opened(&world.store, &world.clock, &world.log, config(), 2).await;
    world.log.hold(true);
    let approving = tokio::spawn({
        let (grants, id) = (world.grants.clone(), Arc::clone(&asked.id));
        async move { grants.approve(&id, &grace()).await }
    });
    settle().await;
    // So slow that its claim has ended, and the other instance withdraws the request.
    let key = format!("grant/id/{}", asked.id);
    let found = world.store.get(&key).await.unwrap().unwrap();
    let mut stored = record::Stored::decode(&found.value).unwrap();
    let claim = stored.claim.as_mut().unwrap();
    claim.at = claim.at.saturating_sub(Duration::from_secs(11));
    let put = world
        .store
        .put_if(
            &key,
            stored.encode().unwrap(),
            None,
            Expect::Version(found.version),
        )
        .await;
    assert!(matches!(put, Ok(Swap::Done(_))));
    let withdrawing = tokio::spawn({
        let (other, id) = (other.clone(), Arc::clone(&asked.id));
        async move { other.withdraw(&id, &ada()).await }
    });
    settle().await;
    world.log.hold(false);
    withdrawing.await.unwrap().unwrap();
    let answer = approving.await.unwrap();
    assert_eq!(answer, Err(GrantError::Contended));
    assert!(!world.holds(&ada()));
    assert_eq!(
        world.log.actions(),
        ["requested", "approved", "withdrawn", "undone"]
    );
}

#[tokio::test]
async fn glass_needs_a_log_to_be_broken_into() {
    let clock = ManualClock::default();
    let store = Arc::new(Flaky::new(&clock)) as Arc<dyn Store>;
    let opened = Grants::open(store, clock, config()).await;
    let expected = ConfigError::Unrecorded("database.admin".to_owned());
    assert_eq!(opened.map(drop), Err(GrantError::Config(expected)));
}

/// The store does what it is told, and the answer is lost on the way.
#[tokio::test]
async fn a_revocation_whose_answer_was_lost_is_in_force() {
    let world = World::new().await;
    let grant = world.approved().await;
    world.store.lose_answer_of(2);
    let answer = world.grants.revoke(&grant.id, &ada(), "lost").await;
    assert!(matches!(answer, Err(GrantError::Store(_))), "{answer:?}");
    assert!(!world.holds(&ada()));
}

#[tokio::test]
async fn nobody_is_told_that_a_grant_is_revoked_that_still_holds_here() {
    let world = World::new().await;
    let other = opened(&world.store, &world.clock, &world.log, config(), 2).await;
    let grant = world.approved().await;
    other.revoke(&grant.id, &ada(), "lost").await.unwrap();
    assert!(world.holds(&ada()), "it has not heard of it");
    let answer = world.grants.revoke(&grant.id, &ada(), "lost").await;
    let state = GrantState::Revoked;
    assert_eq!(answer, Err(GrantError::Decided { state }));
    assert!(!world.holds(&ada()));

    let grant = world.approved().await;
    let key = format!("grant/id/{}", grant.id);
    let found = world.store.get(&key).await.unwrap().unwrap();
    let removed = world.store.remove(&key, found.version).await.unwrap();
    assert_ne!(removed, Swap::Conflict);
    let answer = world.grants.revoke(&grant.id, &ada(), "lost").await;
    assert_eq!(answer, Err(GrantError::Unknown));
    assert!(!world.holds(&ada()));
}

#[tokio::test]
async fn glass_of_which_nobody_could_be_told_is_on_record_as_not_broken() {
    let world = World::new().await;
    world.log.down_after(1);
    let gus = person("gus", &["grant.break-glass"]);
    let taken = world.grants.break_glass(&gus, "database.admin", "x").await;
    assert!(matches!(taken, Err(GrantError::Record(_))), "{taken:?}");
    assert!(world.grants.is_empty());
    assert_eq!(world.log.actions(), ["break-glass", "undone"]);
}
