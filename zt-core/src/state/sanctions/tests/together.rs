use super::*;

#[tokio::test]
async fn what_one_imposes_and_lifts_the_other_obeys() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.join().await, cluster.join().await);
    let before = two.generation();
    one.impose(revoke("t")).await.unwrap();
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    settle().await;
    assert_eq!(
        code(&two, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    assert!(two.generation() > before);

    let target = SanctionTarget::Token("t".into());
    two.lift(&target, "root", "a mistake").await.unwrap();
    settle().await;
    for sanctions in [&one, &two] {
        assert_eq!(code(sanctions, &holder("t"), &cluster.clock), None);
    }
    assert!(cluster.store.values.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_process_that_starts_later_loads_what_there_is() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    for token in ["a", "b", "c", "d", "e"] {
        one.impose(revoke(token)).await.unwrap();
    }
    let two = cluster.join().await;
    for token in ["a", "b", "c", "d", "e"] {
        assert_eq!(
            code(&two, &holder(token), &cluster.clock),
            Some(Code::CredentialRevoked)
        );
    }
    assert_eq!(two.list().len(), 5);
}

#[tokio::test]
async fn news_between_opening_and_following_is_not_missed() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let two = cluster.builder().open().await.unwrap();
    one.impose(revoke("t")).await.unwrap();
    assert_eq!(code(&two, &holder("t"), &cluster.clock), None);
    tokio::spawn(two.follow());
    settle().await;
    assert_eq!(
        code(&two, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
}

#[tokio::test]
async fn a_view_that_hears_nothing_for_five_seconds_refuses_until_it_does() {
    let cluster = Cluster::new();
    let readiness = Readiness::default();
    let one = cluster.join().await;
    one.register(&readiness, "sanctions");
    pass(&cluster.clock, Duration::from_secs(60)).await;
    assert_eq!(code(&one, &holder("t"), &cluster.clock), None);
    assert!(one.age() <= Duration::from_secs(1), "{:?}", one.age());

    cluster.feed.fail();
    pass(&cluster.clock, Duration::from_secs(4)).await;
    assert_eq!(code(&one, &holder("t"), &cluster.clock), None);
    assert!(readiness.status().ready);
    pass(&cluster.clock, Duration::from_millis(1100)).await;
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::StoreUnavailable)
    );
    assert!(!readiness.status().ready);
    // Nothing could strike these.
    assert_eq!(code(&one, &Principal::anonymous(), &cluster.clock), None);
    assert!(one.check(None, None, now(&cluster.clock)).is_ok());
    let peer = workload(ID);
    assert!(one.check(None, Some(&peer), now(&cluster.clock)).is_err());

    cluster.feed.heal();
    pass(&cluster.clock, Duration::from_millis(1100)).await;
    assert_eq!(code(&one, &holder("t"), &cluster.clock), None);
    assert!(readiness.status().ready);
}

#[tokio::test]
async fn a_view_that_nobody_follows_refuses_after_five_seconds() {
    let cluster = Cluster::new();
    let sanctions = cluster.builder().open().await.unwrap();
    assert_eq!(code(&sanctions, &holder("t"), &cluster.clock), None);
    cluster.clock.advance(MAX_VIEW_AGE);
    assert_eq!(code(&sanctions, &holder("t"), &cluster.clock), None);
    cluster.clock.advance(Duration::from_millis(1));
    assert_eq!(
        code(&sanctions, &holder("t"), &cluster.clock),
        Some(Code::StoreUnavailable)
    );
}

#[tokio::test]
async fn a_view_that_fell_behind_reads_the_store_again() {
    let cluster = Cluster::with_limits(FeedLimits {
        entries: 2,
        bytes: 10_000,
    });
    let one = cluster.join().await;
    let two = cluster.builder().open().await.unwrap();
    one.impose(revoke("lifted")).await.unwrap();
    let lifted = SanctionTarget::Token("lifted".into());
    one.lift(&lifted, "root", "a mistake").await.unwrap();
    for token in ["a", "b", "c", "d"] {
        one.impose(revoke(token)).await.unwrap();
    }
    tokio::spawn(two.follow());
    settle().await;
    pass(&cluster.clock, Duration::from_millis(200)).await;
    for token in ["a", "b", "c", "d"] {
        assert_eq!(
            code(&two, &holder(token), &cluster.clock),
            Some(Code::CredentialRevoked)
        );
    }
    assert_eq!(code(&two, &holder("lifted"), &cluster.clock), None);
}

#[tokio::test]
async fn a_store_that_fails_leaves_it_in_force_here_and_told_later() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.join().await, cluster.join().await);
    cluster.store.fail(true);
    let imposed = one.impose(revoke("t")).await;
    assert!(
        matches!(imposed, Err(SanctionError::LocalOnly(_))),
        "{imposed:?}"
    );
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    // Not even a second look at the store takes it away.
    cluster.feed.fail();
    settle().await;
    cluster.feed.heal();
    cluster.store.fail(false);
    pass(&cluster.clock, Duration::from_millis(300)).await;
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );

    pass(&cluster.clock, Duration::from_secs(2)).await;
    assert_eq!(
        code(&two, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    assert_eq!(cluster.store.values.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up_and_does_not_age_the_view() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    cluster.store.hangs.store(true, Ordering::SeqCst);
    let imposing = tokio::spawn({
        let one = one.clone();
        async move { one.impose(revoke("t")).await }
    });
    settle().await;
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    pass(&cluster.clock, Duration::from_millis(2100)).await;
    let imposed = imposing.await.unwrap();
    assert!(
        matches!(imposed, Err(SanctionError::LocalOnly(_))),
        "{imposed:?}"
    );
    for _ in 0..200 {
        pass(&cluster.clock, Duration::from_millis(100)).await;
        assert_eq!(code(&one, &holder("u"), &cluster.clock), None);
        assert_eq!(
            code(&one, &holder("t"), &cluster.clock),
            Some(Code::CredentialRevoked)
        );
    }
}

#[tokio::test]
async fn a_feed_that_fails_leaves_it_stored_and_told_later() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.join().await, cluster.join().await);
    cluster.feed.fail();
    let imposed = one.impose(revoke("t")).await;
    assert!(
        matches!(imposed, Err(SanctionError::LocalOnly(_))),
        "{imposed:?}"
    );
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    assert_eq!(code(&two, &holder("t"), &cluster.clock), None);
    cluster.feed.heal();
    pass(&cluster.clock, Duration::from_secs(2)).await;
    assert_eq!(
        code(&two, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
}

#[tokio::test]
async fn a_lift_that_the_store_does_not_take_changes_nothing_and_is_recorded_as_failed() {
    let cluster = Cluster::new();
    let recorder = Arc::new(MemoryRecorder::new(10));
    let builder = cluster.builder().recorder(recorder.clone());
    let one = builder.open().await.unwrap();
    one.impose(revoke("t")).await.unwrap();
    let target = SanctionTarget::Token("t".into());
    cluster.store.fail(true);
    let lifted = one.lift(&target, "root", "no").await;
    assert!(matches!(lifted, Err(SanctionError::Store(_))), "{lifted:?}");
    assert_eq!(recorder.events().len(), 1, "it was not even tried");
    cluster.store.fail(false);
    cluster.store.conflicts.store(100, Ordering::SeqCst);
    let lifted = one.lift(&target, "root", "no").await;
    assert!(
        matches!(lifted, Err(SanctionError::NotLifted(_))),
        "{lifted:?}"
    );
    assert_eq!(
        code(&one, &holder("t"), &cluster.clock),
        Some(Code::CredentialRevoked)
    );
    let Some(Event::Sanction(last)) = recorder.events().pop() else {
        panic!("an event")
    };
    assert_eq!((last.action, &*last.author), ("lift-failed", "root"));
}

#[tokio::test]
async fn others_who_write_the_same_place_are_outlasted_for_a_while() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    cluster.store.conflicts.store(7, Ordering::SeqCst);
    one.impose(revoke("t")).await.unwrap();
    cluster.store.conflicts.store(100, Ordering::SeqCst);
    let imposed = one.impose(revoke("u")).await;
    assert!(
        matches!(imposed, Err(SanctionError::LocalOnly(_))),
        "{imposed:?}"
    );
}

#[tokio::test]
async fn the_longer_end_holds_across_processes() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let two = cluster.builder().open().await.unwrap();
    one.impose(revoke("t")).await.unwrap();
    // The second has not heard of it yet.
    let short = Sanction {
        expires: Some(now(&cluster.clock) + Duration::from_secs(5)),
        ..revoke("t")
    };
    two.impose(short).await.unwrap();
    tokio::spawn(two.follow());
    settle().await;
    pass(&cluster.clock, Duration::from_secs(6)).await;
    for sanctions in [&one, &two] {
        assert_eq!(
            code(sanctions, &holder("t"), &cluster.clock),
            Some(Code::CredentialRevoked)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_the_store_is_not_passed_over() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let strange = types::key(&SanctionTarget::Token("t".into()), SanctionAction::Revoke);
    for value in [
        &b"{}"[..],
        b"not json",
        br#"{"target":{"device":"d"},"action":"revoke","reason":"","author":"","expires":null}"#,
        // A sanction, but not the one that belongs there.
        br#"{"target":{"token":"u"},"action":"revoke","reason":"","author":"","expires":null}"#,
    ] {
        cluster.store.put(&strange, value);
        let opened = cluster.builder().open().await.unwrap_err();
        assert_eq!(opened, SanctionError::Unreadable(strange.clone()));
    }
    let news = Bytes::copy_from_slice(strange.as_bytes());
    cluster.feed.publish("zt.sanctions", news).await.unwrap();
    settle().await;
    pass(&cluster.clock, Duration::from_millis(5100)).await;
    assert_eq!(
        code(&one, &holder("x"), &cluster.clock),
        Some(Code::StoreUnavailable)
    );
}

#[tokio::test]
async fn more_than_can_be_held_is_not_passed_over() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let small = cluster.builder().limit(1).open().await.unwrap();
    tokio::spawn(small.follow());
    for token in ["a", "b"] {
        one.impose(revoke(token)).await.unwrap();
    }
    assert_eq!(
        cluster.builder().limit(1).open().await.unwrap_err(),
        SanctionError::Full
    );
    settle().await;
    pass(&cluster.clock, Duration::from_millis(5100)).await;
    assert_eq!(
        code(&small, &holder("b"), &cluster.clock),
        Some(Code::StoreUnavailable)
    );
}

#[tokio::test]
async fn a_feed_needs_a_store() {
    let feed = Arc::new(MemoryFeed::new(clock()));
    let opened = Sanctions::builder(clock()).feed(feed).open().await;
    assert_eq!(opened.unwrap_err(), SanctionError::FeedWithoutStore);
}

#[tokio::test]
async fn what_does_not_answer_does_not_open() {
    let cluster = Cluster::new();
    cluster.feed.fail();
    let opened = cluster.builder().open().await.unwrap_err();
    assert!(matches!(
        opened,
        SanctionError::Feed(FeedError::Unavailable(_))
    ));
    cluster.feed.heal();
    cluster.store.fail(true);
    let opened = cluster.builder().open().await.unwrap_err();
    assert!(matches!(opened, SanctionError::Store(_)));
}

#[tokio::test]
async fn following_ends_with_the_last_handle() {
    let cluster = Cluster::new();
    let sanctions = cluster.builder().open().await.unwrap();
    let following = tokio::spawn(sanctions.follow());
    settle().await;
    assert!(!following.is_finished());
    drop(sanctions);
    pass(&cluster.clock, HEARTBEAT).await;
    assert!(following.is_finished());
    tokio::spawn(Sanctions::local(clock()).follow())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_alone_survives_a_restart_and_is_told_later() {
    let clock = clock();
    let store = Arc::new(TestStore::default());
    let open = async || {
        let builder = Sanctions::builder(clock.clone()).store(store.clone());
        builder.open().await.unwrap()
    };
    let one = open().await;
    tokio::spawn(one.follow());
    one.impose(revoke("a")).await.unwrap();
    store.fail(true);
    one.impose(revoke("b")).await.unwrap_err();
    store.fail(false);
    pass(&clock, Duration::from_secs(1)).await;
    clock.advance(Duration::from_secs(3600));
    let two = open().await;
    for token in ["a", "b"] {
        assert_eq!(
            code(&two, &holder(token), &clock),
            Some(Code::CredentialRevoked)
        );
    }
}

#[tokio::test]
async fn one_that_cannot_be_told_does_not_keep_others_from_it() {
    let cluster = Cluster::new();
    let (one, two) = (
        cluster.join().await,
        cluster.builder().open().await.unwrap(),
    );
    // Whatever stands there, it must not be written over.
    cluster.store.put(&revoke("strange").key(), b"strange");
    one.impose(revoke("strange")).await.unwrap_err();
    cluster.store.fail(true);
    for token in ["a", "b", "c", "d", "e"] {
        one.impose(revoke(token)).await.unwrap_err();
    }
    cluster.store.fail(false);
    pass(&cluster.clock, Duration::from_secs(5)).await;
    cluster
        .store
        .values
        .lock()
        .unwrap()
        .remove(&*revoke("strange").key());
    tokio::spawn(two.follow());
    pass(&cluster.clock, Duration::from_secs(2)).await;
    for token in ["a", "b", "c", "d", "e", "strange"] {
        assert_eq!(
            code(&two, &holder(token), &cluster.clock),
            Some(Code::CredentialRevoked),
            "{token}"
        );
    }
}

#[tokio::test]
async fn what_others_lifted_is_not_imposed_again_by_who_waited_for_its_turn() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.join().await, cluster.join().await);
    let turn = one.0.turns.lock().await;
    let imposing = tokio::spawn({
        let one = one.clone();
        async move { one.impose(revoke("t")).await }
    });
    settle().await;
    // Whoever has the turn tells of it.
    one.0.tell(&revoke("t").key()).await.unwrap();
    let target = SanctionTarget::Token("t".into());
    two.lift(&target, "root", "a mistake").await.unwrap();
    drop(turn);
    imposing.await.unwrap().unwrap();
    settle().await;
    for sanctions in [&one, &two] {
        assert_eq!(code(sanctions, &holder("t"), &cluster.clock), None);
    }
}
