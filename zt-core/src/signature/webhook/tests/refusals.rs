//! One condition broken at a time.

use super::*;

#[tokio::test]
async fn refuses_a_request_without_a_signature() {
    for (door, good) in all() {
        let name = door.layer.0.format.signature_header();
        let outcome = door.ask(without(good(), name.as_str())).await;
        assert_eq!(outcome.code(), Some(Code::CredentialMissing), "{name}");
        assert_eq!(outcome.status, 401);
        let challenge = outcome.challenge.unwrap();
        assert!(challenge.starts_with("Signature realm=\""), "{challenge}");
        assert!(!outcome.read && outcome.handled.is_none());
    }
}

#[tokio::test]
async fn refuses_githubs_sha1_where_it_stands_alone() {
    let door = Door::github();
    let request = request(
        &[(
            "x-hub-signature",
            "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6",
        )],
        BODY,
    );
    let outcome = door.ask(request).await;
    assert_eq!(outcome.code(), Some(Code::CredentialInvalid));
    assert!(!outcome.read && outcome.handled.is_none());
    let both = and(github(GITHUB, BODY), "x-hub-signature", "sha1=00");
    assert_eq!(door.ask(both).await.status, 200);
}

#[tokio::test]
async fn refuses_a_second_line_of_any_header_that_it_reads() {
    for (door, good, names) in [
        (
            Door::standard(),
            standard(NOW, BODY),
            &["webhook-id", "webhook-timestamp", "webhook-signature"][..],
        ),
        (
            Door::github(),
            github(GITHUB, BODY),
            &["x-hub-signature-256"],
        ),
        (Door::stripe(), stripe(NOW, BODY), &["stripe-signature"]),
    ] {
        for name in names {
            let mut twice = good.clone();
            let value = twice.headers()[*name].clone();
            twice.headers_mut().append(*name, value);
            let outcome = door.ask(twice).await;
            assert_eq!(outcome.code(), Some(Code::CredentialAmbiguous), "{name}");
            assert_eq!(outcome.status, 400);
            assert!(outcome.detail().contains(name), "{}", outcome.detail());
            assert!(!outcome.read && door.memory.len() == 0);
        }
        assert_eq!(door.ask(good).await.status, 200);
    }
}

#[tokio::test]
async fn refuses_a_standard_webhook_without_id_or_timestamp() {
    for name in ["webhook-id", "webhook-timestamp"] {
        let outcome = Door::standard()
            .ask(without(standard(NOW, BODY), name))
            .await;
        assert_eq!(outcome.code(), Some(Code::CredentialMalformed));
        assert_eq!(
            outcome.detail(),
            format!("webhook/standard/shop: `{name}` is not there")
        );
        assert!(!outcome.read);
    }
}

#[tokio::test]
async fn refuses_a_timestamp_outside_the_tolerance_before_it_reads_the_body() {
    let tolerance = 300;
    for (seconds, passes, why) in [
        (NOW - tolerance, true, ""),
        (NOW - tolerance - 1, false, "too old"),
        (NOW + tolerance, true, ""),
        (NOW + tolerance + 1, false, "in the future"),
        (1, false, "too old"),
        (99_999_999_999, false, "in the future"),
    ] {
        for (door, request) in [
            (Door::standard(), standard(seconds, BODY)),
            (Door::stripe(), stripe(seconds, BODY)),
        ] {
            let outcome = door.ask(request).await;
            assert_eq!(outcome.handled.is_some(), passes, "{seconds}");
            if !passes {
                assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
                assert!(outcome.detail().contains(why), "{}", outcome.detail());
                assert!(!outcome.read);
                assert!(outcome.challenge.is_some());
            }
        }
    }
}

#[tokio::test]
async fn refuses_outside_a_tolerance_of_ones_own() {
    let door = Door::new(|memory| {
        VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory)
            .tolerance(Duration::from_secs(10))
    });
    assert_eq!(door.ask(stripe(NOW - 10, BODY)).await.status, 200);
    let outcome = door.ask(stripe(NOW - 11, BODY)).await;
    assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
    let door = Door::new(|memory| {
        VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory)
            .future_skew(Duration::from_secs(5))
    });
    for sent in [NOW - 300, NOW + 5] {
        assert_eq!(door.ask(stripe(sent, BODY)).await.status, 200);
    }
    let outcome = door.ask(stripe(NOW + 6, BODY)).await;
    assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
}

#[tokio::test]
async fn refuses_another_body() {
    for (door, good) in all() {
        for body in [
            "",
            "{}",
            r#"{"test": 2432232315}"#,
            r#"{"test":2432232314}"#,
        ] {
            let outcome = door.ask(good().map(|_| body.into())).await;
            assert_eq!(outcome.code(), Some(Code::SignatureInvalid), "{body}");
            assert_eq!(outcome.status, 401);
            assert!(outcome.challenge.is_some());
            assert!(outcome.read && outcome.handled.is_none());
            assert_eq!(door.memory.len(), 0);
        }
        assert_eq!(door.ask(good()).await.status, 200);
    }
}

#[tokio::test]
async fn refuses_another_secret() {
    for (door, forged) in [
        (
            Door::standard(),
            standard_with(
                &standard_v1(OTHER_WHSEC, ID, NOW, BODY.as_bytes()),
                NOW,
                BODY,
            ),
        ),
        (Door::github(), github("another secret, just as long", BODY)),
        (
            Door::stripe(),
            stripe_with(
                &format!("t={NOW},v1={}", stripe_v1("whsec_other", NOW, BODY)),
                BODY,
            ),
        ),
    ] {
        let outcome = door.ask(forged).await;
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        assert!(outcome.handled.is_none());
        assert_eq!(door.memory.len(), 0);
    }
}

/// The id is in front of a full stop in what is signed.
#[tokio::test]
async fn refuses_an_id_that_could_move_the_body_into_the_timestamp() {
    let door = Door::standard();
    let body = format!("{NOW}.{BODY}");
    let signature = standard_v1(WHSEC, "msg_1", NOW, body.as_bytes());
    let moved = request(
        &[
            ("webhook-id", &format!("msg_1.{NOW}")),
            ("webhook-timestamp", &NOW.to_string()),
            ("webhook-signature", &signature),
        ],
        BODY,
    );
    // The very same bytes are signed.
    let outcome = door.ask(moved).await;
    assert_eq!(outcome.code(), Some(Code::CredentialMalformed));
    assert!(outcome.detail().contains("full stop"));
}

#[tokio::test]
async fn refuses_signatures_of_versions_that_it_has_no_key_for() {
    let digest = stripe_v1(STRIPE, NOW, BODY);
    let base64 = STANDARD.encode([7; 32]);
    for (door, request) in [
        (
            Door::standard(),
            standard_with(&format!("v2,{base64}"), NOW, BODY),
        ),
        (
            Door::standard(),
            standard_with(&format!("v1a,{}", STANDARD.encode([7; 64])), NOW, BODY),
        ),
        (
            Door::stripe(),
            stripe_with(&format!("t={NOW},v0={digest}"), BODY),
        ),
        (Door::stripe(), stripe_with(&format!("t={NOW}"), BODY)),
    ] {
        let outcome = door.ask(request).await;
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        assert!(outcome.detail().contains("no signature of a kind"));
        assert!(!outcome.read);
    }
}

#[tokio::test]
async fn refuses_a_body_over_the_cap_whatever_is_signed() {
    let door = Door::new(|memory| {
        VerifyWebhookLayer::github(&GITHUB.into(), "forge", memory).max_body(16)
    });
    assert_eq!(
        door.ask(github(GITHUB, "0123456789abcdef")).await.status,
        200
    );
    let outcome = door.ask(github(GITHUB, "0123456789abcdefg")).await;
    assert_eq!(outcome.code(), Some(Code::BodyTooLarge));
    assert_eq!(outcome.status, 413);
    assert!(outcome.handled.is_none());
    let default = "x".repeat(1024 * 1024 + 1);
    let outcome = Door::github().ask(github(GITHUB, &default)).await;
    assert_eq!(outcome.code(), Some(Code::BodyTooLarge));
}

#[tokio::test]
async fn refuses_a_body_that_does_not_arrive() {
    let door = Door::github();
    let (parts, _) = github(GITHUB, BODY).into_parts();
    let body = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<Frame<Bytes>, Infallible>,
    >());
    let service = door.layer.layer(Handler::default());
    let settings = Settings::default().with_clock(door.clock.clone());
    let service = OpenContextLayer::new(settings).layer(service);
    let answer = tokio::spawn(service.oneshot(Request::from_parts(parts, body)));
    tokio::task::yield_now().await;
    door.clock.advance(Duration::from_secs(10));
    let response = answer.await.unwrap().unwrap();
    let denial = response.extensions().get::<Denial>().unwrap();
    assert_eq!(denial.code(), Code::RequestTimeout);
}

/// What one door accepts, no other does, though the secret is the same.
#[tokio::test]
async fn refuses_what_was_signed_after_another_format() {
    let door = Door::new(|memory| VerifyWebhookLayer::github(&STRIPE.into(), "forge", memory));
    let signed = stripe_v1(STRIPE, NOW, BODY);
    let body = format!("{NOW}.{BODY}");
    let outcome = door.ask(stripe(NOW, BODY)).await;
    assert_eq!(outcome.code(), Some(Code::CredentialMissing));
    // GitHub's format says nothing of what a body is: who holds a secret for two holds both.
    let crossed = request(
        &[("x-hub-signature-256", &format!("sha256={signed}"))],
        body,
    );
    assert_eq!(door.ask(crossed).await.status, 200);
}
