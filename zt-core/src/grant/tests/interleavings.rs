//! Whatever several people do in whatever order: nothing is in force without somebody else's yes, or
//! broken glass, on record.

use std::future::Future;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Deed {
    Request(usize, u64),
    Break(usize),
    Approve(usize, usize),
    Reject(usize, usize),
    Withdraw(usize, usize),
    Revoke(usize, usize),
    Review(usize, usize),
    Pass(u64),
    Back(u64),
    Sweep,
    Refresh,
    LogDown(bool),
    StoreDown(bool),
    DownAfter(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = || 0..6_usize;
    let which = || 0..6_usize;
    prop_oneof![
        4 => (who(), 1..7200_u64).prop_map(|(who, seconds)| Deed::Request(who, seconds)),
        1 => who().prop_map(Deed::Break),
        6 => (which(), who()).prop_map(|(which, who)| Deed::Approve(which, who)),
        1 => (which(), who()).prop_map(|(which, who)| Deed::Reject(which, who)),
        1 => (which(), who()).prop_map(|(which, who)| Deed::Withdraw(which, who)),
        2 => (which(), who()).prop_map(|(which, who)| Deed::Revoke(which, who)),
        1 => (which(), who()).prop_map(|(which, who)| Deed::Review(which, who)),
        2 => (0..4000_u64).prop_map(Deed::Pass),
        1 => (0..4000_u64).prop_map(Deed::Back),
        1 => Just(Deed::Sweep),
        1 => Just(Deed::Refresh),
        1 => any::<bool>().prop_map(Deed::LogDown),
        1 => any::<bool>().prop_map(Deed::StoreDown),
        1 => (0..3_usize).prop_map(Deed::DownAfter),
    ]
}

/// Everybody has every right, so that only four eyes stand between them and a grant.
fn people() -> Vec<Principal> {
    let all = [
        "grant.approve",
        "grant.revoke",
        "grant.review",
        "grant.break-glass",
    ];
    vec![
        person("ada", &all),
        person("grace", &all),
        delegated("carol", r#"{"sub":"ada"}"#, &all),
        delegated("ada", r#"{"sub":"web"}"#, &all),
        program("bot", &all),
        Principal::assertion(PrincipalKind::User, "GRACE", AuthMethod::Jwt)
            .issuer("https://b.example")
            .scopes(all)
            .finish(),
    ]
}

/// Who stands behind each of [`people`], by a plain reading.
const BEHIND: [&[&str]; 6] = [
    &["ada"],
    &["grace"],
    &["carol", "ada"],
    &["ada", "web"],
    &["bot"],
    &["grace"],
];

/// Lets time pass for whoever waits for a claim that nobody holds any more.
async fn driven<T>(clock: &ManualClock, act: impl Future<Output = T>) -> T {
    let mut act = std::pin::pin!(act);
    loop {
        tokio::select! {
            biased;
            done = &mut act => return done,
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(25)),
        }
    }
}

async fn play(deeds: Vec<Deed>) {
    let mut config = config().max_open_requests(50).max_unreviewed(50);
    for name in ["refunds.write", "database.admin"] {
        let scope = GrantScope::new(HOUR * 2).break_glass(HOUR / 4);
        config = config.scope(name, scope);
    }
    let world = World::with(config.clone()).await;
    let people = people();
    let mut made: Vec<(Arc<str>, usize)> = Vec::new();
    let mut revoked = std::collections::HashSet::new();
    for deed in deeds {
        let (grants, clock) = (&world.grants, &world.clock);
        let at = |which: usize| made.get(which).map_or("", |(id, _)| &**id).to_owned();
        match deed {
            Deed::Request(who, seconds) => {
                let span = Duration::from_secs(seconds);
                let asked = driven(
                    clock,
                    grants.request(&people[who], "refunds.write", "x", span),
                )
                .await;
                made.extend(asked.map(|grant| (grant.id, who)));
            }
            Deed::Break(who) => {
                let taken = driven(
                    clock,
                    grants.break_glass(&people[who], "database.admin", "x"),
                )
                .await;
                assert!(taken.is_err() || who != 4, "a program broke the glass");
                made.extend(taken.map(|grant| (grant.id, who)));
            }
            Deed::Approve(which, who) => {
                if driven(clock, grants.approve(&at(which), &people[who]))
                    .await
                    .is_ok()
                {
                    let requester = BEHIND[made[which].1];
                    assert!(BEHIND[who].iter().all(|name| !requester.contains(name)));
                    assert_ne!(who, 4, "a program approved");
                }
            }
            Deed::Reject(which, who) => {
                drop(driven(clock, grants.reject(&at(which), &people[who], "x")).await)
            }
            Deed::Withdraw(which, who) => {
                drop(driven(clock, grants.withdraw(&at(which), &people[who])).await)
            }
            Deed::Revoke(which, who) => {
                if driven(clock, grants.revoke(&at(which), &people[who], "x"))
                    .await
                    .is_ok()
                {
                    revoked.insert(at(which));
                }
            }
            Deed::Review(which, who) => {
                drop(driven(clock, grants.review(&at(which), &people[who], "x")).await)
            }
            Deed::Pass(seconds) => world.clock.advance(Duration::from_secs(seconds)),
            Deed::Back(seconds) => {
                let back = world.now().saturating_sub(Duration::from_secs(seconds));
                world.clock.set_wall(back);
            }
            Deed::Sweep => drop(driven(clock, grants.sweep()).await),
            Deed::Refresh => drop(driven(clock, grants.refresh()).await),
            Deed::LogDown(down) => world.log.set_down(down),
            Deed::StoreDown(down) => {
                world.store.down_after(usize::MAX);
                world.store.set_down(down);
            }
            Deed::DownAfter(writes) => world.store.down_after(writes),
        }
        check(&world, grants, &people, &revoked);
    }
    // And what rests says the same to whoever starts anew.
    world.store.down_after(usize::MAX);
    world.store.set_down(false);
    let next = opened(&world.store, &world.clock, &world.log, config, 9).await;
    check(&world, &next, &people, &revoked);
}

fn check(
    world: &World,
    grants: &Grants,
    people: &[Principal],
    revoked: &std::collections::HashSet<String>,
) {
    let events = world.log.events();
    for who in people {
        for active in grants.scopes(who, world.now()).unwrap() {
            assert!(!revoked.contains(&*active.id), "it was revoked");
            let on_record = events.iter().any(|event| {
                let other = event.author.as_deref().map(str::to_lowercase)
                    != Some(event.subject.to_lowercase());
                event.id.as_ref() == Some(&active.id)
                    && *event.subject == *who.subject()
                    && event.expires == Some(active.until)
                    && (event.action == "approved" && other || event.action == "break-glass")
            });
            assert!(on_record, "{active:?} holds, and nothing says why");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_in_force_without_a_yes_on_record(
        deeds in proptest::collection::vec(deed(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(deeds));
    }
}
