//! One test for each condition of the module's list, broken alone.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_request_that_is_signed_as_the_policy_wants_passes() {
    let answer = strict().ask(Draft::default().signed()).await;
    assert_eq!(answer, Answer::Passed("order-service".into(), "".into()));
    let answer = strict().ask(Draft::post("42").signed()).await;
    assert_eq!(answer, Answer::Passed("order-service".into(), "42".into()));
}

// 1

#[tokio::test]
async fn refuses_a_request_without_a_signature_and_says_what_is_asked_for() {
    let response = strict().response(Draft::default().unsigned()).await;
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()["accept-signature"],
        r#"sig1=("@method" "@authority" "@path" "@query" "content-digest");created"#
    );
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Signature realm="api""#
    );
    answer(response).await.is(Code::SignatureMissing, "");
}

#[tokio::test]
async fn refuses_fields_that_cannot_be_read() {
    let good = Draft::default().signed();
    let (input, signature) = (
        good.headers()["signature-input"].clone(),
        good.headers()["signature"].clone(),
    );
    let other = HeaderValue::from_static("sig2=:AAAA:");
    let many = (0..40)
        .map(|n| format!("s{n}=();created=1"))
        .collect::<Vec<_>>();
    let cases: &[(&str, Vec<HeaderValue>, Vec<HeaderValue>)] = &[
        ("no signature", vec![input.clone()], vec![]),
        ("no input", vec![], vec![signature.clone()]),
        ("other label", vec![input.clone()], vec![other]),
        (
            "not a dictionary",
            vec!["sig1=(".parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "not a list",
            vec!["sig1=1".parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "not bytes",
            vec![input.clone()],
            vec!["sig1=\"AAAA\"".parse().unwrap()],
        ),
        (
            "not a string",
            vec!["sig1=(a)".parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "a label twice",
            vec![input.clone(), input.clone()],
            vec![signature.clone()],
        ),
        (
            "a signature twice",
            vec![input.clone()],
            vec![signature.clone(), signature.clone()],
        ),
        (
            "created is text",
            vec!["sig1=();created=\"1\"".parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "keyid is a token",
            vec!["sig1=();keyid=k1".parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "too many",
            vec![many.join(", ").parse().unwrap()],
            vec![signature.clone()],
        ),
        (
            "too long",
            vec![
                format!("sig1=(\"{}\")", "x".repeat(20_000))
                    .parse()
                    .unwrap(),
            ],
            vec![signature.clone()],
        ),
        (
            "not ascii",
            vec![HeaderValue::from_bytes(b"sig1=(\"\xff\")").unwrap()],
            vec![signature],
        ),
    ];
    for (name, inputs, signatures) in cases {
        let server = strict();
        let mut request = Draft::default().unsigned();
        for value in inputs {
            request
                .headers_mut()
                .append("signature-input", value.clone());
        }
        for value in signatures {
            request.headers_mut().append("signature", value.clone());
        }
        match server.ask(request).await {
            Answer::Denied(Code::CredentialMalformed, _) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(server.handled(), 0);
    }
}

// 2

#[tokio::test]
async fn refuses_signatures_with_another_tag() {
    let server = server(SignaturePolicy::strict().tag("orders"));
    let params = ";created=NOW;keyid=\"k1\";nonce=\"n1\"";
    for tag in ["", ";tag=\"payments\"", ";tag=\"Orders\""] {
        let draft = Draft::default().params(&format!("{params}{tag}"));
        server
            .ask(draft.signed())
            .await
            .is(Code::SignatureMissing, "");
    }
    let draft = Draft::default().params(&format!("{params};tag=\"orders\""));
    assert!(server.ask(draft.signed()).await.passed());
}

#[tokio::test]
async fn one_good_signature_among_others_is_enough_and_five_are_too_many() {
    let with_junk = |junk: usize| {
        let good = Draft::default();
        let mut request = good.unsigned();
        for n in 0..junk {
            let junk = Draft {
                label: format!("junk{n}"),
                secret: vec![9; 32],
                ..Draft::default()
            };
            let signed = junk.signed();
            for name in ["signature-input", "signature"] {
                request
                    .headers_mut()
                    .append(name, signed.headers()[name].clone());
            }
        }
        for name in ["signature-input", "signature"] {
            request
                .headers_mut()
                .append(name, good.signed().headers()[name].clone());
        }
        request
    };
    assert!(strict().ask(with_junk(1)).await.passed());
    assert!(strict().ask(with_junk(3)).await.passed());
    strict().ask(with_junk(4)).await.invalid("more than four");
}

// 3

#[tokio::test]
async fn refuses_a_signature_that_lacks_a_parameter() {
    for (params, lacks) in [
        (";keyid=\"k1\";nonce=\"n\"", "no `created`"),
        (";created=NOW;keyid=\"k1\"", "no `nonce`"),
        (";created=NOW;keyid=\"k1\";nonce=\"\"", "no `nonce`"),
        (";created=NOW;nonce=\"n\"", "no `keyid`"),
    ] {
        let answer = strict().ask(Draft::default().params(params).signed()).await;
        answer.invalid(lacks);
    }
    let expiring = server(SignaturePolicy::strict().expiring());
    expiring
        .ask(Draft::default().signed())
        .await
        .invalid("no `expires`");
}

// 4

#[tokio::test]
async fn refuses_what_is_too_old_from_the_future_or_expired() {
    let at = |created: u64, more: &str| {
        let params = format!(";created={created};keyid=\"k1\";nonce=\"n{created}\"{more}");
        Draft::default().params(&params).signed()
    };
    let server = strict();
    assert!(server.ask(at(now() - 60, "")).await.passed());
    server.ask(at(now() - 61, "")).await.invalid("too old");
    server.ask(at(0, "")).await.invalid("too old");
    assert!(server.ask(at(now() + 5, "")).await.passed());
    server.ask(at(now() + 6, "")).await.invalid("in the future");
    server
        .ask(at(999_999_999_999_999, ""))
        .await
        .invalid("in the future");
    let expires = |at_: u64| format!(";expires={at_}");
    assert!(
        server
            .ask(at(now() - 1, &expires(now() + 1)))
            .await
            .passed()
    );
    server
        .ask(at(now() - 2, &expires(now())))
        .await
        .invalid("expired");
    let negative = Draft::default().params(";created=-1;keyid=\"k1\";nonce=\"n\"");
    server.ask(negative.signed()).await.invalid("too old");
    server.clock.advance(Duration::from_secs(61));
    server.ask(at(now(), "")).await.invalid("too old");
}

// 5

#[tokio::test]
async fn refuses_a_signature_that_does_not_cover_what_it_has_to() {
    for name in ["@method", "@authority", "@path", "@query"] {
        let id = format!("\"{name}\"");
        let draft = Draft::default().without(&id);
        strict()
            .ask(draft.signed())
            .await
            .invalid(&format!("does not cover {id}"));
    }
    let mut nothing = Draft::default();
    nothing.components.clear();
    strict()
        .ask(nothing.signed())
        .await
        .invalid("covers nothing");
    // The request's `@target-uri` says it all, and is not what was asked for.
    let other = Draft {
        components: vec!["\"@method\"".into(), "\"@target-uri\"".into()],
        ..Draft::default()
    };
    strict()
        .ask(other.signed())
        .await
        .invalid("does not cover \"@authority\"");
}

#[tokio::test]
async fn refuses_a_component_of_the_policy_with_other_parameters() {
    let policy = || SignaturePolicy::strict().covering("\"x-dict\"".parse().unwrap());
    let draft = Draft::default()
        .header("x-dict", "a=1, b=2")
        .cover("\"x-dict\"");
    assert!(server(policy()).ask(draft.signed()).await.passed());
    let draft = draft.without("\"x-dict\"").cover("\"x-dict\";bs");
    server(policy())
        .ask(draft.signed())
        .await
        .invalid("does not cover \"x-dict\"");
}

// 6, 7: keys.rs

// 8

#[tokio::test]
async fn refuses_a_signature_over_what_the_message_has_not() {
    for (component, why) in [
        ("\"x-absent\"", ""),
        ("\"@status\"", ""),
        ("\"@method\"", "twice"),
        ("\"@nonsense\"", ""),
        ("\"host\";tr", "trailers"),
        ("\"@query-param\";name=\"absent\"", ""),
        ("\"@method\";req", ""),
        ("\"host\";zz", ""),
        ("\"Host\"", ""),
        ("\"@signature-params\"", ""),
    ] {
        let answer = strict()
            .ask(Draft::default().cover(component).signed())
            .await;
        answer.invalid(why);
        assert!(matches!(answer, Answer::Denied(..)), "{component}");
    }
}

#[tokio::test]
async fn an_absent_field_is_not_an_empty_one() {
    let draft = Draft::default().cover("\"x-empty\"");
    strict().ask(draft.signed()).await.invalid("");
    let draft = draft.header("x-empty", "");
    assert!(strict().ask(draft.signed()).await.passed());
}

#[tokio::test]
async fn refuses_a_query_parameter_that_the_query_repeats() {
    let draft = Draft {
        target: "/p?a=1&a=2".into(),
        ..Draft::default()
    };
    let draft = draft.cover("\"@query-param\";name=\"a\"");
    strict().ask(draft.signed()).await.invalid("");
}

// 9: places.rs

// 10: tampering.rs

// 11

#[tokio::test]
async fn refuses_what_was_seen_before_until_it_is_too_old_anyway() {
    let server = strict();
    let request = Draft::default().signed();
    assert!(server.ask(request.clone()).await.passed());
    for seconds in [0, 1, 30, 29] {
        server.clock.advance(Duration::from_secs(seconds));
        server.ask(request.clone()).await.is(Code::Replayed, "");
    }
    server.clock.advance(Duration::from_secs(1));
    server.ask(request).await.invalid("too old");
    assert_eq!(server.handled(), 1);
}

#[tokio::test]
async fn a_forged_request_does_not_use_up_the_nonce_of_a_good_one() {
    let server = strict();
    let forged = Draft {
        secret: vec![8; 32],
        ..Draft::default()
    };
    server.ask(forged.signed()).await.invalid("does not hold");
    assert!(server.ask(Draft::default().signed()).await.passed());
}

#[tokio::test]
async fn without_a_nonce_what_is_covered_is_what_comes_once() {
    let policy = SignaturePolicy::strict().insecure_without_nonce();
    let server = server(policy);
    let params = ";created=NOW;keyid=\"k1\"";
    let draft = Draft::default().params(params);
    assert!(server.ask(draft.signed()).await.passed());
    server.ask(draft.signed()).await.is(Code::Replayed, "");
    let other = Draft {
        target: "/orders/8".into(),
        ..draft
    };
    assert!(server.ask(other.signed()).await.passed());
}

#[tokio::test]
async fn a_memory_that_knows_nothing_of_the_time_before_it_refuses_what_is_from_then() {
    let clock = ManualClock::default();
    let policy = SignaturePolicy::strict();
    let replays = memory_since_start(&policy, &clock);
    let ring = KeyRing::new([entry("k1")]).unwrap();
    let mut server = Server::new(VerifySignatureLayer::new(policy, ring, replays).unwrap());
    server.settings = Settings::default().with_clock(clock.clone());
    server
        .ask(Draft::default().signed())
        .await
        .is(Code::ReplayUnavailable, "");
    clock.advance(Duration::from_secs(20));
    let later = format!(";created={};keyid=\"k1\";nonce=\"n2\"", now() + 20);
    assert!(
        server
            .ask(Draft::default().params(&later).signed())
            .await
            .passed()
    );
}

fn memory_since_start(policy: &SignaturePolicy, clock: &ManualClock) -> MemoryReplays {
    MemoryReplays::new(
        policy.replay_window(),
        policy.future_skew,
        clock.now().unwrap(),
    )
}

#[test]
fn a_memory_that_forgets_before_the_policy_does_is_an_error() {
    let policy = SignaturePolicy::strict();
    let short = MemoryReplays::for_new_keys(policy.replay_window() - Duration::from_secs(1));
    let ring = KeyRing::new([entry("k1")]).unwrap();
    let error = VerifySignatureLayer::new(policy, ring, short).unwrap_err();
    assert!(
        matches!(error, ConfigError::MemoryTooShort { .. }),
        "{error}"
    );
}
