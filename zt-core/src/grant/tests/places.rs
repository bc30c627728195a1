//! Bounds: what is refused when there is no place, and what is never forgotten.

use super::*;

#[tokio::test]
async fn refuses_more_open_requests_than_a_caller_may_have() {
    let world = World::with(config().max_open_requests(2)).await;
    let first = world.asked().await;
    world.asked().await;
    let request = |who: Principal| {
        let grants = world.grants.clone();
        async move { grants.request(&who, "refunds.write", "x", HOUR).await }
    };
    assert_eq!(request(ada()).await, Err(GrantError::TooManyOpen));
    request(person("carol", &[])).await.unwrap();
    world.grants.withdraw(&first.id, &ada()).await.unwrap();
    request(ada()).await.unwrap();
    assert_eq!(request(ada()).await, Err(GrantError::TooManyOpen));
    // What has lapsed is open no longer.
    world.clock.advance(HOUR * 8);
    request(ada()).await.unwrap();
}

#[tokio::test]
async fn refuses_more_broken_glass_than_others_have_reviewed() {
    let world = World::with(config().max_unreviewed(2)).await;
    let ada = person("ada", &["grant.break-glass"]);
    let take = || world.grants.break_glass(&ada, "database.admin", "down");
    let first = take().await.unwrap();
    take().await.unwrap();
    // Neither time nor revoking makes place, only somebody else.
    world.clock.advance(HOUR * 24 * 365);
    assert_eq!(take().await, Err(GrantError::Unreviewed));
    world
        .grants
        .review(&first.id, &officer(), "seen")
        .await
        .unwrap();
    take().await.unwrap();
}

#[tokio::test]
async fn whoever_acts_for_many_tenants_gets_no_more_for_it() {
    let world = World::with(config().max_unreviewed(1).max_open_requests(1)).await;
    let ada = |tenant: Option<&str>| {
        let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
            .issuer(ISSUER)
            .scopes(["grant.break-glass"]);
        match tenant {
            Some(tenant) => who.tenant(tenant).finish(),
            None => who.finish(),
        }
    };
    let take = async |tenant| {
        let (who, grants) = (ada(tenant), &world.grants);
        let glass = grants.break_glass(&who, "database.admin", "down").await;
        let asked = grants
            .request(&who, "refunds.write", "ticket 7", HOUR)
            .await;
        (glass.map(|_| ()), asked.map(|_| ()))
    };
    assert_eq!(take(Some("shop")).await, (Ok(()), Ok(())));
    for tenant in [Some("shop"), Some("bank"), None] {
        let refused = (Err(GrantError::Unreviewed), Err(GrantError::TooManyOpen));
        assert_eq!(take(tenant).await, refused, "{tenant:?}");
    }
}

#[tokio::test]
async fn refuses_more_grants_than_are_held_and_forgets_only_what_is_over() {
    let world = World::with(config().max_grants(5)).await;
    let ada = person("ada", &["grant.break-glass"]);
    let revoked = world.approved().await;
    // So that there is an oldest one.
    world.clock.advance(Duration::from_micros(1));
    let active = world.approved().await;
    let glass = world
        .grants
        .break_glass(&ada, "database.admin", "down")
        .await
        .unwrap();
    world
        .grants
        .revoke(&revoked.id, &ada, "done")
        .await
        .unwrap();
    let open = world.asked().await;
    let over = world.asked().await;
    let carol = person("carol", &[]);
    let request = || world.grants.request(&carol, "refunds.write", "x", HOUR);
    assert_eq!(request().await, Err(GrantError::Full));
    world.grants.withdraw(&over.id, &ada).await.unwrap();
    let made = request().await.unwrap();
    assert_eq!(world.grants.get(&over.id), Err(GrantError::Unknown));
    assert_eq!(request().await, Err(GrantError::Full));
    for (grant, state) in [
        (&active, GrantState::Approved),
        (&revoked, GrantState::Revoked),
        (&glass, GrantState::Approved),
        (&open, GrantState::Requested),
        (&made, GrantState::Requested),
    ] {
        assert_eq!(world.state(grant), state);
    }
    // When its time is over, so is its place.
    world.clock.advance(HOUR);
    request().await.unwrap();
    // Both were over at the same moment; one place was needed.
    let gone = [&active, &revoked].map(|grant| world.grants.get(&grant.id).is_err());
    assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
    assert!(world.grants.get(&glass.id).unwrap().is_unreviewed());
}

#[tokio::test]
async fn a_caller_who_asks_again_and_again_forgets_their_own_first() {
    let world = World::with(config().max_grants(4)).await;
    let others = world.asked().await;
    world.grants.withdraw(&others.id, &ada()).await.unwrap();
    let mallory = person("mallory", &[]);
    for _ in 0..20 {
        let asked = world
            .grants
            .request(&mallory, "refunds.write", "x", HOUR)
            .await
            .unwrap();
        world.grants.withdraw(&asked.id, &mallory).await.unwrap();
    }
    assert!(world.grants.len() <= 4);
    world.grants.get(&others.id).unwrap();
}

#[tokio::test]
async fn what_is_not_ours_in_the_store_grants_nothing() {
    let world = World::new().await;
    let grant = world.approved().await;
    let key = format!("grant/id/{}", grant.id);
    let found = world.store.get(&key).await.unwrap().unwrap();
    let text = String::from_utf8(found.value.to_vec()).unwrap();
    let other = "0123456789abcdef0123456789abcdef";
    for (key, value) in [
        (format!("grant/id/{other}"), text.clone()),
        (key.clone(), text.replace("\"format\":1", "\"format\":2")),
        (key.clone(), text.replace("\"hands\"", "\"feet\"")),
        (key.clone(), "{}".to_owned()),
    ] {
        let before = world.store.get(&key).await.unwrap();
        let expect = before.map_or(Expect::Absent, |it| Expect::Version(it.version));
        let put = world.store.put_if(&key, value.into(), None, expect).await;
        assert!(matches!(put, Ok(Swap::Done(_))));
        world.grants.refresh().await.unwrap();
        let held: Vec<_> = world.grants.scopes(&ada(), world.now()).unwrap();
        assert!(held.iter().all(|held| *held.id == *grant.id), "{held:?}");
        assert_eq!(world.grants.get(other), Err(GrantError::Unknown));
    }
    assert!(!world.holds(&ada()));
    let answer = world.grants.revoke(&grant.id, &ada(), "x").await;
    assert_eq!(answer, Err(GrantError::Unknown));
}

#[tokio::test]
async fn what_may_no_longer_be_asked_for_holds_no_longer() {
    let world = World::new().await;
    let grant = world.approved().await;
    let open = world.asked().await;
    let less = GrantConfig::new().scope("orders.write", GrantScope::new(HOUR));
    let next = opened(&world.store, &world.clock, &world.log, less, 2).await;
    assert_eq!(
        next.active(&ada(), "refunds.write", world.now()).unwrap(),
        None
    );
    assert_eq!(next.scopes(&ada(), world.now()).unwrap(), []);
    assert!(next.get(&grant.id).is_ok());
    let answer = next.approve(&open.id, &grace()).await;
    assert_eq!(answer, Err(GrantError::Unknown));
    // For a shorter time than was asked.
    let shorter = config().scope("refunds.write", GrantScope::new(HOUR / 2));
    let next = opened(&world.store, &world.clock, &world.log, shorter, 3).await;
    let answer = next.approve(&open.id, &grace()).await;
    assert!(matches!(
        answer,
        Err(GrantError::Invalid {
            field: "seconds",
            ..
        })
    ));
}

#[test]
fn configurations_that_cannot_be_used_are_refused() {
    let one = |scope: GrantScope| GrantConfig::new().scope("a", scope);
    let cases = [
        (GrantConfig::new(), ConfigError::NoScopes),
        (
            config().scope("A", GrantScope::new(HOUR)),
            ConfigError::Scope("A".into()),
        ),
        (
            config().scope("a..b", GrantScope::new(HOUR)),
            ConfigError::Scope("a..b".into()),
        ),
        (
            one(GrantScope::new(Duration::ZERO)),
            ConfigError::Duration("a".into()),
        ),
        (
            one(GrantScope::new(HOUR * 24 * 400)),
            ConfigError::Duration("a".into()),
        ),
        (
            one(GrantScope::new(HOUR).break_glass(HOUR * 2)),
            ConfigError::BreakGlass("a".into()),
        ),
        (
            one(GrantScope::new(HOUR).break_glass(Duration::ZERO)),
            ConfigError::BreakGlass("a".into()),
        ),
        (
            one(GrantScope::new(HOUR).approved_by(Right::named(""))),
            ConfigError::Right,
        ),
        (
            config().request_life(Duration::ZERO),
            ConfigError::RequestLife,
        ),
        (
            config().max_open_requests(0),
            ConfigError::Zero("max_open_requests"),
        ),
        (
            config().max_unreviewed(0),
            ConfigError::Zero("max_unreviewed"),
        ),
        (config().max_grants(0), ConfigError::Zero("max_grants")),
        (
            config().revoked_by(Right::Role("".into())),
            ConfigError::Right,
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(config.check(true), Err(expected));
    }
    assert_eq!(config().check(true), Ok(()));
    for text in [
        r#"{"scopes": {"a": {}}}"#,
        r#"{"scopes": {"a": {"longest_seconds": 1, "approvers": "x"}}}"#,
        r#"{"scopes": {"a": {"longest_seconds": 1, "approve": "x"}}}"#,
        r#"{"scopes": {"a": {"longest_seconds": 1}}, "scope": {}}"#,
    ] {
        assert!(serde_json::from_str::<GrantConfig>(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_show_what_one_may_see() {
    let world = World::with(config().max_open_requests(100)).await;
    for number in 0..7 {
        world.clock.advance(Duration::from_secs(1));
        let who = person(if number % 2 == 0 { "ada" } else { "carol" }, &[]);
        let asked = world.grants.request(&who, "refunds.write", "x", HOUR).await;
        asked.unwrap();
    }
    let mut seen = Vec::new();
    let mut filter = GrantFilter {
        limit: Some(3),
        ..GrantFilter::default()
    };
    loop {
        let page = world.grants.list_for(&officer(), &filter).unwrap();
        assert!(page.grants.len() <= 3);
        seen.extend(page.grants);
        match page.next {
            Some(next) => filter.after = Some(next.to_string()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by_key(|grant| grant.requested_at));
    let of = |who: &Principal, filter: &GrantFilter| {
        world
            .grants
            .list_for(who, filter)
            .map(|page| page.grants.len())
    };
    let all = GrantFilter::default();
    assert_eq!(of(&ada(), &all), Ok(4));
    assert_eq!(of(&grace(), &all), Ok(7));
    assert_eq!(of(&person("eve", &["orders:read"]), &all), Ok(0));
    assert_eq!(of(&Principal::anonymous(), &all), Err(GrantError::Nobody));
    // Where to go on is no way to ask what there is.
    let carols = seen
        .iter()
        .find(|it| &*it.holder.subject == "carol")
        .unwrap();
    let after = GrantFilter {
        after: Some(carols.id.to_string()),
        ..GrantFilter::default()
    };
    assert_eq!(of(&ada(), &after), Err(GrantError::Unknown));
    assert_eq!(
        world.grants.get_for(&ada(), &carols.id),
        Err(GrantError::Unknown)
    );
    let filters = [
        (
            GrantFilter {
                subject: Some("carol".into()),
                ..all.clone()
            },
            3,
        ),
        (
            GrantFilter {
                scope: Some("orders.write".into()),
                ..all.clone()
            },
            0,
        ),
        (
            GrantFilter {
                state: Some(GrantState::Requested),
                ..all.clone()
            },
            7,
        ),
        (
            GrantFilter {
                state: Some(GrantState::Lapsed),
                ..all.clone()
            },
            0,
        ),
        (
            GrantFilter {
                unreviewed: true,
                ..all.clone()
            },
            0,
        ),
        (
            GrantFilter {
                limit: Some(0),
                ..all.clone()
            },
            1,
        ),
    ];
    for (filter, expected) in filters {
        assert_eq!(of(&officer(), &filter), Ok(expected), "{filter:?}");
    }
}

#[test]
fn scopes_are_words() {
    for good in ["a", "refunds.write", "db:orders_1", "a-b", "a1.b2"] {
        assert!(text::is_scope(good), "{good}");
    }
    for bad in [
        "", ".", "a.", ".a", "a..b", "A", "a b", "a/b", "é", "1a", "-a", "a\0", "a,b", "a*",
    ] {
        assert!(!text::is_scope(bad), "{bad}");
    }
}

#[tokio::test]
async fn whoever_fills_the_table_with_requests_leaves_place_to_break_the_glass() {
    let world = World::with(config().max_grants(100).max_open_requests(10)).await;
    let mut made = 0;
    for who in (0..20).map(|number| person(&format!("mallory-{number}"), &[])) {
        for _ in 0..10 {
            let asked = world.grants.request(&who, "refunds.write", "x", HOUR).await;
            match asked {
                Ok(_) => made += 1,
                Err(error) => assert_eq!(error, GrantError::Full),
            }
        }
    }
    assert_eq!(made, 99);
    let gus = person("gus", &["grant.break-glass"]);
    world
        .grants
        .break_glass(&gus, "database.admin", "down")
        .await
        .unwrap();
}
