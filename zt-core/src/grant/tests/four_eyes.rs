//! Nobody says yes to themselves, under whatever name that can be seen.

use super::*;

const APPROVE: &[&str] = &["grant.approve"];

/// Whether `approver` may approve what `requester` asked for.
async fn approve(requester: &Principal, approver: &Principal) -> Result<(), GrantError> {
    approve_with(config(), requester, approver).await
}

async fn approve_with(
    config: GrantConfig,
    requester: &Principal,
    approver: &Principal,
) -> Result<(), GrantError> {
    let world = World::with(config).await;
    let asked = world
        .grants
        .request(requester, "refunds.write", "ticket 7", HOUR)
        .await
        .unwrap();
    let answer = world.grants.approve(&asked.id, approver).await;
    // And what is told is so.
    let holds = world.holds(requester);
    assert_eq!(answer.is_ok(), holds);
    assert_eq!(world.log.count("approved"), usize::from(holds));
    answer.map(drop)
}

fn by(issuer: Option<&str>, subject: &str) -> Principal {
    let who = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt);
    let who = who.scopes(APPROVE.iter().copied());
    match issuer {
        Some(issuer) => who.issuer(issuer).finish(),
        None => who.finish(),
    }
}

#[tokio::test]
async fn refuses_the_requester_in_every_guise() {
    let with_gateway = |who: &Principal, name: &str| who.strengthened_by(&program(name, &[]));
    let two = |one: Principal, other: &str| one.strengthened_by(&person(other, &[]));
    let cases: Vec<(&str, Principal, Principal)> = vec![
        ("herself", ada(), by(Some(ISSUER), "ada")),
        (
            "of another issuer",
            ada(),
            by(Some("https://b.example"), "ada"),
        ),
        ("of no issuer", ada(), by(None, "ada")),
        (
            "asked without an issuer",
            by(None, "ada"),
            by(Some(ISSUER), "ada"),
        ),
        ("in capitals", ada(), by(Some(ISSUER), "ADA")),
        (
            "with another small letter",
            person("νίκος", &[]),
            by(Some(ISSUER), "ΝΊΚΟσ"),
        ),
        (
            "with a long s",
            person("bess", &[]),
            by(Some(ISSUER), "beſS"),
        ),
        (
            "by a token that somebody acts with",
            ada(),
            delegated("ada", r#"{"sub":"grace"}"#, APPROVE),
        ),
        (
            "acting for the approver",
            ada(),
            delegated("grace", r#"{"sub":"ada"}"#, APPROVE),
        ),
        (
            "acting for the approver, with the issuer named",
            ada(),
            delegated(
                "grace",
                r#"{"sub":"ada","iss":"https://id.example"}"#,
                APPROVE,
            ),
        ),
        (
            "deep in the chain",
            ada(),
            delegated(
                "grace",
                r#"{"sub":"web","act":{"sub":"batch","act":{"sub":"ada"}}}"#,
                APPROVE,
            ),
        ),
        (
            "having asked for somebody else",
            delegated("carol", r#"{"sub":"grace"}"#, &[]),
            grace(),
        ),
        (
            "acting for both",
            delegated("carol", r#"{"sub":"ada"}"#, &[]),
            delegated("grace", r#"{"sub":"ada"}"#, APPROVE),
        ),
        (
            "one program acting for both, which nobody has named as shared",
            delegated("ada", r#"{"sub":"web"}"#, &[]),
            delegated("grace", r#"{"sub":"web"}"#, APPROVE),
        ),
        ("with two proofs", ada(), two(grace(), "ada")),
        ("asked with two proofs", two(ada(), "grace"), grace()),
        (
            "a program whose connection the approver's token came over",
            program("bot", &[]),
            with_gateway(&grace(), "bot"),
        ),
        (
            "behind a further proof's chain",
            ada(),
            grace().strengthened_by(&delegated("x", r#"{"sub":"ada"}"#, &[])),
        ),
    ];
    for (case, requester, approver) in cases {
        let answer = approve(&requester, &approver).await;
        assert_eq!(answer, Err(GrantError::SamePerson), "{case}");
    }
}

#[tokio::test]
async fn refuses_whoever_is_not_to_be_told_apart() {
    let deep = (0..40).fold("null".to_owned(), |act, _| {
        format!(r#"{{"sub":"x","act":{act}}}"#)
    });
    for act in [
        r#"{"iss":"https://id.example"}"#,
        r#"{"sub":7}"#,
        r#""ada""#,
        "[]",
        r#"{"sub":""}"#,
        &deep,
    ] {
        let approver = delegated("grace", act, APPROVE);
        let answer = approve(&ada(), &approver).await;
        assert_eq!(answer, Err(GrantError::ActorsUnreadable), "{act}");
        // Nor may they ask: nobody could tell later who must not approve.
        let world = World::new().await;
        let asked = world
            .grants
            .request(&approver, "refunds.write", "x", HOUR)
            .await;
        assert_eq!(asked, Err(GrantError::ActorsUnreadable), "{act}");
        assert!(world.log.events().is_empty() && world.grants.is_empty());
    }
    // Twice there, once read: which of them?
    let twice = Principal::assertion(PrincipalKind::User, "grace", AuthMethod::Jwt)
        .scopes(APPROVE.iter().copied())
        .claims(r#"{"act":{"sub":"web"},"act":{"sub":"ada"}}"#)
        .finish();
    let answer = approve(&ada(), &twice).await;
    assert_eq!(answer, Err(GrantError::ActorsUnreadable));
}

#[tokio::test]
async fn refuses_programs_ended_credentials_and_those_without_the_right() {
    let now = ManualClock::default().now().unwrap();
    let until = |end| {
        Principal::assertion(PrincipalKind::User, "grace", AuthMethod::Jwt)
            .issuer(ISSUER)
            .scopes(APPROVE.iter().copied())
            .expires_at(end)
            .finish()
    };
    for (case, approver, expected) in [
        ("a program", program("bot", APPROVE), GrantError::NotPerson),
        ("nobody", Principal::anonymous(), GrantError::Nobody),
        ("ended", until(now), GrantError::CredentialEnded),
        (
            "a stranger",
            person("eve", &["orders:read"]),
            GrantError::Unknown,
        ),
        (
            "another right",
            person("eve", &["grant.list"]),
            GrantError::NotAllowed,
        ),
        (
            "almost the right",
            person("eve", &["grant.approve2"]),
            GrantError::Unknown,
        ),
    ] {
        assert_eq!(approve(&ada(), &approver).await, Err(expected), "{case}");
    }
    let almost = until(now + Duration::from_micros(1));
    assert_eq!(approve(&ada(), &almost).await, Ok(()));
}

#[tokio::test]
async fn others_approve_though_they_come_the_same_way() {
    let gateway = program("gateway", &[]);
    for (case, requester, approver) in [
        ("plainly", ada(), grace()),
        (
            "of another issuer",
            ada(),
            by(Some("https://b.example"), "grace"),
        ),
        (
            "through an actor of their own",
            ada(),
            delegated("grace", r#"{"sub":"web"}"#, APPROVE),
        ),
        (
            "through one gateway",
            ada().strengthened_by(&gateway),
            grace().strengthened_by(&gateway),
        ),
        ("with claims of their own", ada(), {
            Principal::assertion(PrincipalKind::User, "grace", AuthMethod::Jwt)
                .roles(["grant.approve"])
                .claims(r#"{"sub":"grace","email":"ada@example"}"#)
                .finish()
        }),
    ] {
        assert_eq!(approve(&requester, &approver).await, Ok(()), "{case}");
    }
}

#[tokio::test]
async fn a_shared_actor_has_to_be_named_and_may_still_not_approve_its_own() {
    let shared = || config().insecure_shared_actor("web");
    let (one, other) = (
        delegated("ada", r#"{"sub":"web"}"#, &[]),
        delegated("grace", r#"{"sub":"web"}"#, APPROVE),
    );
    assert_eq!(approve_with(shared(), &one, &other).await, Ok(()));
    for (requester, approver) in [
        // What the program asked for itself.
        (program("web", &[]), other.clone()),
        (one.clone(), delegated("ada", r#"{"sub":"web"}"#, APPROVE)),
        (
            one,
            delegated("grace", r#"{"sub":"web","act":{"sub":"ada"}}"#, APPROVE),
        ),
    ] {
        let answer = approve_with(shared(), &requester, &approver).await;
        assert_eq!(answer, Err(GrantError::SamePerson));
    }
}

#[tokio::test]
async fn people_of_other_issuers_are_nobody_where_issuers_are_named() {
    let named = || config().issuer_of_people(ISSUER);
    for issuer in [None, Some("https://b.example")] {
        let answer = approve_with(named(), &ada(), &by(issuer, "grace")).await;
        assert_eq!(answer, Err(GrantError::ForeignIssuer));
        let world = World::with(named()).await;
        let asked = world
            .grants
            .request(&by(issuer, "eve"), "refunds.write", "x", HOUR)
            .await;
        assert_eq!(asked, Err(GrantError::ForeignIssuer));
    }
    assert_eq!(approve_with(named(), &ada(), &grace()).await, Ok(()));
    // Programs have issuers of their own.
    let bot = Principal::assertion(PrincipalKind::Service, "bot", AuthMethod::ServiceToken);
    let bot = bot.issuer("service-tokens").finish();
    assert_eq!(approve_with(named(), &bot, &grace()).await, Ok(()));
}

/// A right is worth what the issuer is that gave it.
#[tokio::test]
async fn officers_of_a_foreign_issuer_see_review_and_revoke_nothing_of_others() {
    let rights = ["grant.revoke", "grant.review", "grant.list"];
    let of = |issuer: &str| {
        let who = Principal::assertion(PrincipalKind::User, "mallory", AuthMethod::Jwt);
        who.issuer(issuer).scopes(rights).finish()
    };
    let foreign = of("https://b.example");
    for named in [true, false] {
        let config = match named {
            true => config().issuer_of_people(ISSUER),
            false => config(),
        };
        let world = World::with(config).await;
        let grant = world.approved().await;
        let holder = person("oncall", &["grant.break-glass"]);
        let glass = world.grants.break_glass(&holder, "database.admin", "x");
        let glass = glass.await.unwrap();
        let filter = GrantFilter::default();
        let listed = |who| world.grants.list_for(who, &filter).unwrap().grants.len();
        let seen = world.grants.get_for(&foreign, &grant.id).is_ok();
        let revoked = world.grants.revoke(&grant.id, &foreign, "x").await;
        let reviewed = world.grants.review(&glass.id, &foreign, "x").await;
        if named {
            assert_eq!((listed(&foreign), seen), (0, false));
            assert_eq!(revoked, Err(GrantError::Unknown));
            assert_eq!(reviewed, Err(GrantError::ForeignIssuer));
            assert!(world.holds(&ada()));
            // Nor do they learn which ids there are.
            for id in [&*grant.id, "0123456789abcdef0123456789abcdef"] {
                for answer in [
                    world.grants.approve(id, &foreign).await,
                    world.grants.review(id, &foreign, "x").await,
                ] {
                    assert_eq!(answer, Err(GrantError::ForeignIssuer));
                }
            }
            let known = of(ISSUER);
            assert_eq!(listed(&known), 2);
            assert!(world.grants.revoke(&grant.id, &known, "x").await.is_ok());
        } else {
            // Where no issuer is named, each of them gives rights.
            assert_eq!((listed(&foreign), seen), (2, true));
            assert!(revoked.is_ok() && reviewed.is_ok());
        }
    }
}

#[tokio::test]
async fn what_is_held_is_held_by_exactly_one() {
    let world = World::new().await;
    world.approved().await;
    assert!(world.holds(&ada()));
    for other in [
        by(Some("https://b.example"), "ada"),
        by(None, "ada"),
        person("Ada", &[]),
        program("ada", &[]),
        grace(),
        Principal::anonymous(),
    ] {
        assert!(!world.holds(&other), "{other:?}");
        assert_eq!(world.grants.scopes(&other, world.now()).unwrap(), []);
    }
}

#[tokio::test]
async fn whoever_broke_the_glass_does_not_review_it() {
    let world = World::new().await;
    let alone = person("ada", &["grant.break-glass", "grant.review"]);
    let grant = world
        .grants
        .break_glass(&alone, "database.admin", "down")
        .await
        .unwrap();
    for (reviewer, expected) in [
        (alone.clone(), GrantError::SamePerson),
        (by(None, "ADA"), GrantError::Unknown),
        (
            delegated("officer", r#"{"sub":"ada"}"#, &["grant.review"]),
            GrantError::SamePerson,
        ),
        (program("bot", &["grant.review"]), GrantError::NotPerson),
        (person("eve", &["grant.list"]), GrantError::NotAllowed),
    ] {
        let answer = world.grants.review(&grant.id, &reviewer, "seen").await;
        assert_eq!(answer, Err(expected), "{reviewer:?}");
    }
    assert!(world.grants.get(&grant.id).unwrap().is_unreviewed());
    let reviewed = world
        .grants
        .review(&grant.id, &officer(), "it was down")
        .await;
    assert!(!reviewed.unwrap().is_unreviewed());
    let again = world.grants.review(&grant.id, &officer(), "again").await;
    assert_eq!(again, Err(GrantError::Reviewed));
    assert_eq!(world.log.count("reviewed"), 1);
}

#[tokio::test]
async fn people_of_other_issuers_revoke_nothing_but_their_own() {
    let world = World::with(config().issuer_of_people(ISSUER)).await;
    let grant = world.approved().await;
    let stranger = Principal::assertion(PrincipalKind::User, "eve", AuthMethod::Jwt)
        .issuer("https://b.example")
        .scopes(["grant.revoke"])
        .finish();
    let answer = world.grants.revoke(&grant.id, &stranger, "x").await;
    assert_eq!(answer, Err(GrantError::Unknown));
    assert!(world.holds(&ada()));
    // Programs have issuers of their own, and may.
    let detector = program("detector", &["grant.revoke"]);
    world
        .grants
        .revoke(&grant.id, &detector, "odd")
        .await
        .unwrap();
}

fn of_tenant(tenant: Option<&str>, subject: &str, scopes: &[&str]) -> Principal {
    let who = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
        .issuer(ISSUER)
        .scopes(scopes.iter().copied());
    match tenant {
        Some(tenant) => who.tenant(tenant).finish(),
        None => who.finish(),
    }
}

#[tokio::test]
async fn a_grant_for_one_tenant_is_not_held_with_a_credential_for_another() {
    let world = World::new().await;
    let ada = |tenant| of_tenant(tenant, "ada", &[]);
    let of_shop = ada(Some("shop"));
    let asked = world
        .grants
        .request(&of_shop, "refunds.write", "ticket 7", HOUR)
        .await
        .unwrap();
    let grace = of_tenant(Some("shop"), "grace", APPROVE);
    world.grants.approve(&asked.id, &grace).await.unwrap();
    let events = world.log.events();
    assert!(
        events
            .iter()
            .all(|event| event.tenant.as_deref() == Some("shop"))
    );
    assert!(world.holds(&ada(Some("shop"))));
    for other in [None, Some("bank"), Some("SHOP"), Some("")] {
        assert!(!world.holds(&ada(other)), "{other:?}");
        let scopes = world.grants.scopes(&ada(other), world.now()).unwrap();
        assert!(scopes.is_empty(), "{other:?}");
        let taken_back = world.grants.revoke(&asked.id, &ada(other), "mine").await;
        assert_eq!(taken_back, Err(GrantError::Unknown), "{other:?}");
    }
    // The store remembers for whom it was.
    world.grants.refresh().await.unwrap();
    assert!(world.holds(&ada(Some("shop"))) && !world.holds(&ada(Some("bank"))));
}

#[tokio::test]
async fn rights_of_one_tenant_reach_no_grant_of_another() {
    const ALL: &[&str] = &[
        "grant.approve",
        "grant.revoke",
        "grant.review",
        "grant.list",
    ];
    for holder in [None, Some("shop")] {
        let world = World::new().await;
        let ada = of_tenant(holder, "ada", &["grant.break-glass"]);
        let asked = world
            .grants
            .request(&ada, "refunds.write", "ticket 7", HOUR);
        let asked = asked.await.unwrap();
        let glass = world.grants.break_glass(&ada, "database.admin", "fire");
        let glass = glass.await.unwrap();
        let mallory = of_tenant(Some("bank"), "mallory", ALL);
        for answer in [
            world.grants.approve(&asked.id, &mallory).await,
            world.grants.reject(&asked.id, &mallory, "no").await,
            world.grants.revoke(&glass.id, &mallory, "no").await,
            world.grants.review(&glass.id, &mallory, "fine").await,
            world.grants.get_for(&mallory, &asked.id),
        ] {
            assert_eq!(answer, Err(GrantError::Unknown), "{holder:?}");
        }
        let seen = world.grants.list_for(&mallory, &GrantFilter::default());
        assert!(seen.unwrap().grants.is_empty(), "{holder:?}");
        // The operator's own people act for nobody, and so for all.
        let operator = of_tenant(None, "olga", ALL);
        world.grants.approve(&asked.id, &operator).await.unwrap();
        assert!(world.holds(&ada), "{holder:?}");
    }
}
