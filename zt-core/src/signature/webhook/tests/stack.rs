//! Webhooks that pass, and the layer among other authenticators.

use std::sync::LazyLock;

use http::request::Parts;

use super::*;
use crate::{
    authenticate::{Authenticate, Authenticated, Presented, all_of, any_of, with_body},
    decision::Challenge,
    gate::{GateLayer, Link, Replace, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
};

#[tokio::test]
async fn hands_the_body_on_as_it_came() {
    for body in ["", "{}", "{ \"a\" :\t1.0e0 }\r\n", "\u{feff}\u{0}é"] {
        for (door, request) in [
            (Door::standard(), standard(NOW, body)),
            (Door::github(), github(GITHUB, body)),
            (Door::stripe(), stripe(NOW, body)),
        ] {
            let outcome = door.ask(request).await;
            assert_eq!(outcome.status, 200);
            assert_eq!(outcome.handled.unwrap().0, body);
        }
    }
}

#[tokio::test]
async fn accepts_the_old_secret_and_the_new_while_both_are_there() {
    let (old, new) = (OTHER_WHSEC, WHSEC);
    let rotating = || {
        Door::new(|memory| {
            VerifyWebhookLayer::standard(&new.into(), "shop", memory).also(&old.into())
        })
    };
    let [by_old, by_new] = [old, new].map(|secret| standard_v1(secret, ID, NOW, BODY.as_bytes()));
    for signature in [&by_old, &by_new, &format!("{by_old} {by_new}")] {
        let outcome = rotating().ask(standard_with(signature, NOW, BODY)).await;
        assert_eq!(outcome.status, 200, "{signature}");
    }
    // And the old one no longer when it is gone.
    let outcome = Door::standard()
        .ask(standard_with(&by_old, NOW, BODY))
        .await;
    assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
}

#[tokio::test]
async fn accepts_one_good_signature_among_several() {
    let bad = hex(&[7; 32]);
    let good = stripe_v1(STRIPE, NOW, BODY);
    for (header, passes) in [
        (format!("t={NOW},v1={bad},v1={good}"), true),
        (format!("t={NOW},v1={good},v1={bad},v0={bad}"), true),
        (format!("v1={good},t={NOW}"), true),
        (format!("t={NOW},v1={bad},v1={bad}"), false),
        (format!("t={NOW},v1={bad},v0={good}"), false),
    ] {
        let outcome = Door::stripe().ask(stripe_with(&header, BODY)).await;
        assert_eq!(outcome.handled.is_some(), passes, "{header}");
    }
    let bad = format!("v1,{}", STANDARD.encode([7; 32]));
    let good = standard_v1(WHSEC, ID, NOW, BODY.as_bytes());
    for header in [
        format!("{bad} {good}"),
        format!("v2,x {good} {bad}"),
        format!("{good} v1a,{}", STANDARD.encode([7; 64])),
    ] {
        let outcome = Door::standard()
            .ask(standard_with(&header, NOW, BODY))
            .await;
        assert_eq!(outcome.status, 200, "{header}");
    }
}

#[tokio::test]
async fn accepts_a_short_secret_that_was_asked_for() {
    let door = Door::new(|memory| {
        VerifyWebhookLayer::github(&"hunter2".into(), "forge", memory).insecure_short_secret()
    });
    assert_eq!(door.ask(github("hunter2", BODY)).await.status, 200);
}

#[test]
fn names_the_sender_with_what_it_may_do() {
    let layer = VerifyWebhookLayer::github(&GITHUB.into(), "forge", Arc::new(Memory::default()))
        .scopes(["deploy"])
        .roles(["ci"])
        .build()
        .unwrap();
    let who = &layer.0.principal;
    assert_eq!(who.kind(), PrincipalKind::Service);
    assert_eq!(who.issuer(), Some("webhooks"));
    assert_eq!(who.key(), Some("webhook/github/forge"));
    assert!(who.proved_by(AuthMethod::Signature));
    assert!(who.has_scope("deploy") && who.has_role("ci"));
}

#[test]
fn names_nobody_at_the_head_and_hides_the_signature_from_debug() {
    let door = Door::github();
    let settings = Arc::new(Settings::default().with_clock(door.clock.clone()));
    let (mut parts, _) = github(GITHUB, BODY).into_parts();
    let mut cx = SecurityContext::open(&parts, &settings);
    let Step::Now(Ok(who)) = door.layer.authenticate(&mut parts, &mut cx) else {
        panic!("refused or waits");
    };
    assert!(who.is_anonymous());
    assert!(cx.owes_body());
    assert_eq!(door.memory.len(), 0);
    assert!(parts.headers["x-hub-signature-256"].is_sensitive());
}

/// Without what reads the body, the gate lets nothing pass.
#[tokio::test]
async fn refuses_where_nothing_reads_the_body() {
    let door = Door::github();
    let settings = Arc::new(Settings::default().with_clock(door.clock.clone()));
    let chain = Link::first(Authenticated::new(door.layer.clone()));
    let layer = GateLayer::<_, Replace>::with_mode(chain, settings);
    let outcome = ask(&layer, &door.clock, github(GITHUB, BODY)).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    assert!(outcome.handled.is_none());
}

/// Takes the header `x-name` for a proof.
#[derive(Debug, Clone)]
struct Named;

static SOMEBODY: LazyLock<Arc<Principal>> = LazyLock::new(|| {
    let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
    Arc::new(who.finish())
});

impl Authenticate for Named {
    const NAME: &'static str = "Named";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.contains_key("x-name") {
            true => Presented::Mine,
            false => Presented::Absent,
        }
    }

    fn authenticate(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        Step::pass(Arc::clone(&SOMEBODY))
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new("Named")]
    }
}

#[tokio::test]
async fn stands_beside_another_authenticator() {
    let door = Door::stripe();
    let either = with_body(any_of(Named, door.layer.clone()));
    let named = request(&[("x-name", "ada")], "");
    let outcome = ask(&either, &door.clock, named).await;
    assert_eq!(outcome.handled.unwrap().1, "ada");
    let outcome = ask(&either, &door.clock, stripe(NOW, BODY)).await;
    assert_eq!(outcome.handled.unwrap().1, "payments");
    // A webhook that is refused is not somebody else's to judge.
    let both = and(stripe(NOW, "[]"), "x-name", "ada");
    let outcome = ask(&either, &door.clock, both).await;
    assert_eq!(outcome.code(), Some(Code::CredentialAmbiguous));
}

#[tokio::test]
async fn adds_to_another_authenticator_in_either_order() {
    let door = Door::stripe();
    let first = with_body(all_of(Named, door.layer.clone()));
    let good = and(stripe(NOW, BODY), "x-name", "ada");
    let outcome = ask(&first, &door.clock, good).await;
    assert_eq!(outcome.handled.unwrap().1, "ada");
    // What is proved at the head is not lost where the webhook is proved after it.
    let last = with_body(all_of(door.layer.clone(), Named));
    let good = and(stripe(NOW + 1, BODY), "x-name", "ada");
    let outcome = ask(&last, &door.clock, good).await;
    assert_eq!(outcome.handled.unwrap().1, "ada");
    let bad = || and(stripe(NOW + 2, BODY), "x-name", "ada").map(|_| "[]".into());
    for outcome in [
        ask(&first, &door.clock, bad()).await,
        ask(&last, &door.clock, bad()).await,
    ] {
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        assert!(outcome.handled.is_none());
    }
}

#[tokio::test]
async fn an_optional_webhook_may_be_absent_and_not_wrong() {
    let door = Door::github();
    let optional = with_body(door.layer.clone().optional());
    let outcome = ask(&optional, &door.clock, request(&[], BODY)).await;
    assert_eq!(outcome.handled.unwrap().1, "anonymous");
    for wrong in [
        github(GITHUB, BODY).map(|_| Bytes::from("[]")),
        request(&[("x-hub-signature", "sha1=00")], BODY),
        request(&[("x-hub-signature-256", "")], BODY),
    ] {
        let outcome = ask(&optional, &door.clock, wrong).await;
        assert!(outcome.handled.is_none());
    }
}
