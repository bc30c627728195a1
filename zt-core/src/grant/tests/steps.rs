//! Every step, by every kind of caller, in every state.

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Approve,
    Reject,
    Withdraw,
    Revoke,
    Review,
}

const STEPS: [Step; 5] = [
    Step::Approve,
    Step::Reject,
    Step::Withdraw,
    Step::Revoke,
    Step::Review,
];

async fn take(grants: &Grants, step: Step, id: &str, who: &Principal) -> Result<Grant, GrantError> {
    match step {
        Step::Approve => grants.approve(id, who).await,
        Step::Reject => grants.reject(id, who, "no").await,
        Step::Withdraw => grants.withdraw(id, who).await,
        Step::Revoke => grants.revoke(id, who, "over").await,
        Step::Review => grants.review(id, who, "seen").await,
    }
}

/// The states, and how to get there.
const STATES: [GrantState; 7] = [
    GrantState::Requested,
    GrantState::Approved,
    GrantState::Rejected,
    GrantState::Withdrawn,
    GrantState::Lapsed,
    GrantState::Revoked,
    GrantState::Expired,
];

async fn in_state(state: GrantState) -> (World, Grant) {
    let world = World::new().await;
    let grant = world.asked().await;
    let (grants, id) = (&world.grants, &grant.id);
    match state {
        GrantState::Requested => {}
        GrantState::Lapsed => world.clock.advance(HOUR * 8),
        GrantState::Rejected => drop(grants.reject(id, &grace(), "no").await.unwrap()),
        GrantState::Withdrawn => drop(grants.withdraw(id, &ada()).await.unwrap()),
        _ => drop(grants.approve(id, &grace()).await.unwrap()),
    }
    match state {
        GrantState::Revoked => drop(grants.revoke(id, &officer(), "no").await.unwrap()),
        GrantState::Expired => world.clock.advance(HOUR),
        _ => {}
    }
    assert_eq!(world.state(&grant), state);
    (world, grant)
}

fn callers() -> [(&'static str, Principal); 9] {
    let ended = Principal::assertion(PrincipalKind::User, "grace", AuthMethod::Jwt)
        .issuer(ISSUER)
        .scopes(["grant.approve", "grant.revoke", "grant.review"])
        .expires_at(Timestamp::EPOCH)
        .finish();
    let all = ["grant.approve", "grant.revoke", "grant.review"];
    [
        ("holder", ada()),
        ("holder with every right", person("ada", &all)),
        ("approver", grace()),
        ("officer", officer()),
        ("reader", person("rita", &["grant.list"])),
        ("stranger", person("eve", &["orders:read"])),
        ("program with every right", program("bot", &all)),
        ("nobody", Principal::anonymous()),
        ("ended", ended),
    ]
}

/// What a plain reading of the documentation says.
fn expected(step: Step, caller: &str, state: GrantState) -> Result<(), GrantError> {
    use GrantError as E;
    let decided = |fits: bool| match fits {
        true => Ok(()),
        false => Err(E::Decided { state }),
    };
    let open = decided(state == GrantState::Requested);
    let holds = decided(state == GrantState::Approved);
    match (caller, step) {
        ("nobody", _) => Err(E::Nobody),
        ("ended", _) => Err(E::CredentialEnded),
        ("stranger", _) => Err(E::Unknown),
        (_, Step::Approve | Step::Reject | Step::Review) if caller.starts_with("holder") => {
            Err(E::SamePerson)
        }
        ("program with every right", Step::Approve | Step::Reject | Step::Review) => {
            Err(E::NotPerson)
        }
        ("approver", Step::Approve | Step::Reject) => open,
        ("holder" | "holder with every right", Step::Withdraw) => open,
        (
            "holder" | "holder with every right" | "officer" | "program with every right",
            Step::Revoke,
        ) => holds,
        ("officer", Step::Review) => Err(E::Invalid {
            field: "id",
            reason: "it was not taken without approval",
        }),
        _ => Err(E::NotAllowed),
    }
}

#[tokio::test]
async fn every_step_by_everybody_in_every_state() {
    for state in STATES {
        for (name, caller) in callers() {
            for step in STEPS {
                let (world, grant) = in_state(state).await;
                let before = world.log.events().len();
                let answer = take(&world.grants, step, &grant.id, &caller).await;
                let case = format!("{step:?} by {name} of one that is {}", state.as_str());
                let expected = expected(step, name, state);
                assert_eq!(
                    answer.as_ref().map(drop).map_err(Clone::clone),
                    expected,
                    "{case}"
                );
                // What was refused has no trace; what was done has one, and shows.
                let after = world.log.events().len();
                assert_eq!(after - before, usize::from(answer.is_ok()), "{case}");
                let shown = world.state(&grant);
                assert_eq!(shown, answer.map_or(state, |it| it.state), "{case}");
                let active = shown == GrantState::Approved;
                assert_eq!(world.holds(&ada()), active, "{case}");
                world.grants.refresh().await.unwrap();
                assert_eq!(world.state(&grant), shown, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn refuses_requests_that_say_too_little_or_too_much() {
    let world = World::new().await;
    let long = "x".repeat(501);
    let scope = "y".repeat(101);
    for (scope, reason, duration, field) in [
        ("", "x", HOUR, "scope"),
        ("refunds", "x", HOUR, "scope"),
        ("refunds.write ", "x", HOUR, "scope"),
        ("Refunds.write", "x", HOUR, "scope"),
        (scope.as_str(), "x", HOUR, "scope"),
        ("refunds.write", "", HOUR, "reason"),
        ("refunds.write", " \u{a0}", HOUR, "reason"),
        ("refunds.write", "\u{3164}\u{2800} \u{115f}", HOUR, "reason"),
        ("refunds.write", "one\ntwo", HOUR, "reason"),
        ("refunds.write", "\u{1b}[2J", HOUR, "reason"),
        ("refunds.write", "for \u{202e}ada", HOUR, "reason"),
        ("refunds.write", "zero\u{200b}width", HOUR, "reason"),
        ("refunds.write", long.as_str(), HOUR, "reason"),
        ("refunds.write", "x", Duration::ZERO, "seconds"),
        ("refunds.write", "x", Duration::from_millis(999), "seconds"),
        (
            "refunds.write",
            "x",
            HOUR * 2 + Duration::from_secs(1),
            "seconds",
        ),
        ("refunds.write", "x", Duration::MAX, "seconds"),
    ] {
        let asked = world.grants.request(&ada(), scope, reason, duration).await;
        assert!(
            matches!(asked, Err(GrantError::Invalid { field: found, .. }) if found == field),
            "{scope:?} {reason:?} {duration:?}: {asked:?}"
        );
    }
    let nobody = world
        .grants
        .request(&Principal::anonymous(), "refunds.write", "x", HOUR)
        .await;
    assert_eq!(nobody, Err(GrantError::Nobody));
    assert!(world.grants.is_empty() && world.log.events().is_empty());
}

#[tokio::test]
async fn refuses_to_break_glass_where_it_may_not_be() {
    let world = World::new().await;
    let glass = ["grant.break-glass"];
    for (case, who, scope, expected) in [
        ("no right", ada(), "database.admin", GrantError::NotAllowed),
        (
            "an approver",
            grace(),
            "database.admin",
            GrantError::NotAllowed,
        ),
        (
            "a program",
            program("bot", &glass),
            "database.admin",
            GrantError::NotPerson,
        ),
        (
            "nobody",
            Principal::anonymous(),
            "database.admin",
            GrantError::Nobody,
        ),
        (
            "a scope without",
            person("ada", &glass),
            "refunds.write",
            GrantError::Invalid {
                field: "scope",
                reason: "it cannot be taken without approval",
            },
        ),
    ] {
        let taken = world.grants.break_glass(&who, scope, "down").await;
        assert_eq!(taken, Err(expected), "{case}");
    }
    assert!(world.log.events().is_empty() && world.grants.is_empty());
}

#[tokio::test]
async fn broken_glass_holds_at_once_and_loudly_and_not_for_long() {
    let world = World::new().await;
    let ada = person("ada", &["grant.break-glass"]);
    let grant = world
        .grants
        .break_glass(&ada, "database.admin", "the primary is down")
        .await
        .unwrap();
    let active = world.grants.active(&ada, "database.admin", world.now());
    assert_eq!(active.unwrap().unwrap().until, world.now() + HOUR / 4);
    assert!(grant.break_glass && grant.is_unreviewed());
    let events = world.log.inner.events();
    let [Event::Grant(event), Event::Alert(alert)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (event.action, &*event.grant),
        ("break-glass", "database.admin")
    );
    assert_eq!(event.reason.as_deref(), Some("the primary is down"));
    assert_eq!((alert.detector, alert.score), ("break-glass", 1000));
    let unreviewed = GrantFilter {
        unreviewed: true,
        ..GrantFilter::default()
    };
    assert_eq!(
        world.grants.list(&unreviewed).unwrap().grants,
        std::slice::from_ref(&grant)
    );
    // Also when it is over, and long after.
    world.clock.advance(HOUR * 24 * 365);
    world.grants.sweep().await.unwrap();
    world.grants.refresh().await.unwrap();
    assert_eq!(world.grants.list(&unreviewed).unwrap().grants.len(), 1);
    let active = world.grants.active(&ada, "database.admin", world.now());
    assert_eq!(active.unwrap(), None);
    world
        .grants
        .review(&grant.id, &officer(), "seen")
        .await
        .unwrap();
    assert_eq!(world.grants.list(&unreviewed).unwrap().grants, []);
}

#[tokio::test]
async fn events_say_who_what_why_and_until_when() {
    let world = World::new().await;
    let grant = world.approved().await;
    world
        .grants
        .revoke(&grant.id, &officer(), "left")
        .await
        .unwrap();
    let events = world.log.events();
    assert_eq!(world.log.actions(), ["requested", "approved", "revoked"]);
    for (event, author, reason) in [
        (&events[0], "ada", "ticket 7"),
        (&events[1], "grace", "ticket 7"),
        (&events[2], "officer", "left"),
    ] {
        assert_eq!(event.author.as_deref(), Some(author));
        assert_eq!(event.author_issuer.as_deref(), Some(ISSUER));
        assert_eq!(
            (&*event.subject, event.issuer.as_deref()),
            ("ada", Some(ISSUER))
        );
        assert_eq!(
            (&*event.grant, event.id.as_ref()),
            ("refunds.write", Some(&grant.id))
        );
        assert_eq!(event.reason.as_deref(), Some(reason));
    }
    assert_eq!(events[0].expires, Some(grant.lapses_at));
    assert_eq!(events[1].expires, grant.until);
}

/// Every step of a process waits for its turn. Whoever tries ids must not take it.
#[tokio::test]
async fn made_up_ids_keep_nobody_waiting_however_slow_the_store_is() {
    let world = World::new().await;
    let asked = world.asked().await;
    let made_up = "0123456789abcdef0123456789abcdef";
    let key = format!("grant/id/{made_up}");
    *world.store.stuck.lock().unwrap() = Some(key);
    let eve = person("eve", &["grant.approve", "grant.revoke"]);
    let (grants, id) = (world.grants.clone(), made_up.to_owned());
    let trial = tokio::spawn(async move {
        let approve = grants.approve(&id, &eve);
        let revoke = grants.revoke(&id, &eve, "x");
        tokio::join!(approve, revoke)
    });
    settle().await;
    assert!(!trial.is_finished());
    let approver = grace();
    let done = tokio::time::timeout(
        Duration::from_secs(10),
        world.grants.approve(&asked.id, &approver),
    );
    assert!(done.await.unwrap().is_ok() && world.holds(&ada()));
    trial.abort();
}

#[tokio::test]
async fn an_id_that_somebody_may_not_know_of_costs_them_no_turn_and_the_store_no_reading() {
    let world = World::new().await;
    let asked = world.asked().await;
    let reads = || world.store.reads.load(Ordering::SeqCst);
    let (before, stranger) = (reads(), person("eve", &[]));
    for id in [&*asked.id, "no id", "0123456789ABCDEF0123456789ABCDEF"] {
        assert_eq!(
            world.grants.approve(id, &stranger).await,
            Err(GrantError::Unknown)
        );
        let revoked = world.grants.revoke(id, &stranger, "x").await;
        assert_eq!(revoked, Err(GrantError::Unknown));
    }
    assert_eq!(reads(), before);
    // What another instance has made is found all the same.
    let other = opened(&world.store, &world.clock, &world.log, config(), 2).await;
    let later = world.asked().await;
    assert_eq!(other.get(&later.id), Err(GrantError::Unknown));
    assert!(other.approve(&later.id, &grace()).await.is_ok());
}
