//! What is said of signatures: several of them, their parameters, keys and bodies.

use super::*;

// Several signatures.

#[tokio::test]
async fn a_signature_does_not_hold_under_the_label_of_another() {
    let one = Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"a\"");
    let two = Draft {
        label: "sig2".into(),
        ..Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"b\"")
    };
    let mut request = one.unsigned();
    let headers = request.headers_mut();
    for draft in [&one, &two] {
        let input = format!("{}={}", draft.label, draft.signature_params());
        headers.append("signature-input", input.parse().unwrap());
    }
    let crossed = format!("sig1=:{}:, sig2=:{}:", two.signature(), one.signature());
    headers.insert("signature", crossed.parse().unwrap());
    strict().ask(request).await.invalid("does not hold");
}

#[tokio::test]
async fn signatures_for_others_do_not_use_up_the_tries_and_do_not_count() {
    let policy = || SignaturePolicy::strict().tag("orders");
    let lines = STRICT;
    let mut request = plain();
    for n in 0..6 {
        let params = format!("{PARAMS};tag=\"other\"");
        request = labelled(request, &format!("other{n}"), &lines, &params);
    }
    server(policy())
        .ask(request.clone())
        .await
        .is(Code::SignatureMissing, "");
    let params = format!("{PARAMS};tag=\"orders\"");
    let request = labelled(request, "ours", &lines, &params);
    assert!(server(policy()).ask(request).await.passed());
    let params = format!("{PARAMS};tag=\"orders\";tag=\"other\"");
    let request = labelled(plain(), "ours", &lines, &params);
    server(policy())
        .ask(request)
        .await
        .is(Code::CredentialMalformed, "occurs twice");
}

#[tokio::test]
async fn a_replay_is_not_saved_by_another_signature_beside_it() {
    let server = strict();
    let first = Draft::default().signed();
    assert!(server.ask(first.clone()).await.passed());
    let mut junk = Draft {
        label: "junk".into(),
        secret: vec![9; 32],
        ..Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n9\"")
    }
    .signed();
    for name in ["signature-input", "signature"] {
        let value = first.headers()[name].clone();
        junk.headers_mut().append(name, value);
    }
    server.ask(junk).await.is(Code::Replayed, "");
}

#[tokio::test]
async fn a_request_with_two_signatures_does_not_pass_once_for_each() {
    let params = |nonce: &str| format!(";created=NOW;keyid=\"k1\";nonce=\"{nonce}\"");
    let both = || {
        let one = labelled(plain(), "a", &STRICT, &params("a"));
        labelled(one, "b", &STRICT, &params("b"))
    };
    for server in [strict(), distant()] {
        assert!(server.ask(both()).await.passed());
        for (label, nonce) in [("a", "a"), ("b", "b")] {
            let alone = labelled(plain(), label, &STRICT, &params(nonce));
            server.ask(alone).await.is(Code::Replayed, "");
        }
        server.ask(both()).await.is(Code::Replayed, "");
        // One nonce under two labels is one message.
        let one = labelled(plain(), "a", &STRICT, &params("c"));
        let same = labelled(one, "b", &STRICT, &params("c"));
        assert!(server.ask(same).await.passed());
        // Also where the second one was seen alone.
        let alone = labelled(plain(), "b", &STRICT, &params("e"));
        assert!(server.ask(alone).await.passed());
        let one = labelled(plain(), "a", &STRICT, &params("d"));
        let mixed = labelled(one, "b", &STRICT, &params("e"));
        server.ask(mixed).await.is(Code::Replayed, "");
        assert_eq!(server.handled(), 3);
    }
}

/// Keys and memory somewhere else.
fn distant() -> Server {
    let clock = ManualClock::default();
    let store = Arc::new(crate::store::MemoryStore::new(clock.clone()));
    let replays = crate::signature::replay::SharedReplays::new(store, clock);
    let keys = crate::signature::key::from_fn(|id: String| async move {
        Ok(Some(entry("k1")).filter(|_| id == "k1"))
    });
    let policy = SignaturePolicy::strict();
    Server::new(VerifySignatureLayer::new(policy, keys, replays).unwrap())
}

// Parameters.

#[tokio::test]
async fn a_parameter_that_is_there_twice_has_two_readings() {
    let ask = async |sent: &str, signed: &str| {
        let mut request = over(plain(), &[], signed);
        let names: Vec<_> = STRICT.iter().map(|(name, _)| *name).collect();
        let sent = sent.replace("NOW", &now().to_string());
        let input = format!("sig1=({}){sent}", names.join(" "));
        request
            .headers_mut()
            .insert("signature-input", input.parse().unwrap());
        strict().ask(request).await
    };
    let rest = ";keyid=\"k1\";nonce=\"n1\"";
    let signed = format!(";created=NOW{rest}");
    assert!(ask(&signed, &signed).await.passed());
    // Whichever of the two was signed, and whatever they are.
    for sent in [
        format!(";created=0;created=NOW{rest}"),
        format!(";created=NOW;created=0{rest}"),
        format!("{signed};keyid=\"k2\""),
        format!("{signed};nonce=\"n2\""),
        format!("{signed};nonce=\"n1\""),
        format!("{signed};x=1;x=2"),
    ] {
        let answer = ask(&sent, &signed).await;
        answer.is(Code::CredentialMalformed, "occurs twice");
    }
}

#[tokio::test]
async fn numbers_at_the_end_of_their_range_are_refused_and_nothing_overflows() {
    let rest = ";keyid=\"k1\";nonce=\"n1\"";
    for (params, why) in [
        (";created=999999999999999", "in the future"),
        (";created=-999999999999999", "too old"),
        (";created=-0", "too old"),
        (";created=NOW;expires=-1", "expired"),
        (";created=NOW;expires=-999999999999999", "expired"),
        (";created=NOW;expires=NOW", "expired"),
    ] {
        let params = format!("{params}{rest}");
        strict().ask(over(plain(), &[], &params)).await.invalid(why);
    }
    let params = format!(";created=NOW;expires=999999999999999{rest}");
    assert!(strict().ask(over(plain(), &[], &params)).await.passed());
    for number in ["1000000000000000", "NOW.0", "@NOW", "\"NOW\"", "?1", "1e9"] {
        let params = format!(";created={number}{rest}");
        let request = over(plain(), &[], &params);
        strict()
            .ask(request)
            .await
            .is(Code::CredentialMalformed, "");
    }
    // The longest spans that can be said.
    let policy = SignaturePolicy::strict()
        .max_age(Duration::MAX)
        .future_skew(Duration::MAX);
    let params = format!(";created=999999999999999;expires=999999999999999{rest}");
    let _ = server(policy).ask(over(plain(), &[], &params)).await;
}

#[tokio::test]
async fn alg_has_no_say() {
    for alg in [
        "none",
        "",
        "HMAC-SHA256",
        "hmac-sha256 ",
        "hmac",
        "ed25519",
        "rsa-v1_5-sha256",
    ] {
        let params = format!("{PARAMS};alg=\"{alg}\"");
        let request = over(plain(), &[], &params);
        strict().ask(request).await.invalid("algorithm");
    }
    let request = over(
        plain(),
        &[],
        &format!("{PARAMS};alg=\"none\";alg=\"hmac-sha256\""),
    );
    let answer = strict().ask(request).await;
    answer.is(Code::CredentialMalformed, "occurs twice");
}

#[tokio::test]
async fn an_empty_or_a_shortened_signature_is_none() {
    for signature in ["", "AA==", "AAAA"] {
        let mut request = Draft::default().signed();
        let value = format!("sig1=:{signature}:").parse().unwrap();
        request.headers_mut().insert("signature", value);
        strict().ask(request).await.invalid("does not hold");
    }
    let whole = STANDARD.decode(Draft::default().signature()).unwrap();
    for end in [1, 16, 31] {
        let mut request = Draft::default().signed();
        let value = format!("sig1=:{}:", STANDARD.encode(&whole[..end]));
        request
            .headers_mut()
            .insert("signature", value.parse().unwrap());
        strict().ask(request).await.invalid("does not hold");
    }
}

// Keys.

/// Finds one key under whatever id, as a table whose collation knows no case.
#[derive(Debug)]
struct Careless(KeyEntry);

impl KeyResolver for Careless {
    fn resolve(&self, _: &KeyQuestion<'_>) -> Resolving {
        Resolving::Now(Ok(Some(self.0.clone())))
    }
}

#[tokio::test]
async fn a_key_under_another_id_than_the_message_says_is_not_its_key() {
    let policy = SignaturePolicy::strict();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let keys = Careless(entry("k1"));
    let server = Server::new(VerifySignatureLayer::new(policy, keys, replays).unwrap());
    let request = over(plain(), &[], ";created=NOW;keyid=\"K1\";nonce=\"n1\"");
    server.ask(request).await.invalid("not known");
    assert!(server.ask(over(plain(), &[], PARAMS)).await.passed());
}

#[tokio::test]
async fn what_a_stranger_is_told_does_not_depend_on_whether_a_key_is_known() {
    let told = async |keyid: &str, draft: &Draft| {
        let policy = SignaturePolicy::strict();
        let replays = MemoryReplays::for_new_keys(policy.replay_window());
        let entries = [
            entry("k1"),
            entry("late").not_before(crate::clock::Timestamp::MAX),
            entry("answers").purposes([Purpose::Responses]),
        ];
        let keys = KeyRing::new(entries).unwrap();
        let server = Server::new(VerifySignatureLayer::new(policy, keys, replays).unwrap());
        let params = PARAMS.replace("k1", keyid);
        let response = server
            .response(draft.clone().params(&params).signed())
            .await;
        let status = response.status();
        let headers = response.headers().clone();
        let denial = response.extensions().get::<Denial>().cloned().unwrap();
        let public = format!("{:?} {:?}", denial.code(), denial.public_sentence());
        (status, format!("{headers:?}"), public)
    };
    let stranger = Draft {
        secret: vec![9; 32],
        ..Draft::default()
    };
    for draft in [
        stranger.clone(),
        stranger.clone().cover("\"x-absent\""),
        stranger.clone().cover("\"@method\""),
        Draft {
            host: "user@shop.example".into(),
            ..stranger
        },
    ] {
        let unknown = told("nobody", &draft).await;
        for known in ["k1", "late", "answers"] {
            assert_eq!(told(known, &draft).await, unknown, "{known}");
        }
    }
}

#[tokio::test]
async fn id_and_nonce_do_not_run_into_one_another() {
    let policy = SignaturePolicy::strict();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let keys = KeyRing::new([entry("k1"), entry("k11")]).unwrap();
    let server = Server::new(VerifySignatureLayer::new(policy, keys, replays).unwrap());
    for (keyid, nonce) in [("k1", "1n"), ("k11", "n"), ("k1", "n"), ("k11", "1n")] {
        let params = format!(";created=NOW;keyid=\"{keyid}\";nonce=\"{nonce}\"");
        let request = over(plain(), &[], &params);
        assert!(server.ask(request.clone()).await.passed());
        server.ask(request).await.is(Code::Replayed, "");
    }
    // The nonce is what its string says, not how it is written.
    let params = ";created=NOW;keyid=\"k1\";nonce=\"a\\\"b\"";
    assert!(server.ask(over(plain(), &[], params)).await.passed());
    server
        .ask(over(plain(), &[], params))
        .await
        .is(Code::Replayed, "");
}

#[tokio::test]
async fn what_passed_by_the_current_key_is_seen_when_that_is_the_previous_one() {
    let policy = SignaturePolicy::strict();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let keys = KeyRing::new([entry("k1")]).unwrap();
    let server = Server::new(VerifySignatureLayer::new(policy, keys.clone(), replays).unwrap());
    assert!(server.ask(Draft::default().signed()).await.passed());
    let next = VerifyingKey::hmac_sha256(&Secret::new(vec![8; 32])).unwrap();
    let until = server.clock.now().unwrap() + Duration::from_secs(30);
    keys.rotate("k1", next, until).unwrap();
    server
        .ask(Draft::default().signed())
        .await
        .is(Code::Replayed, "");
    let other = Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n2\"");
    assert!(server.ask(other.signed()).await.passed());
    server.clock.advance(Duration::from_secs(30));
    let other = Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n3\"");
    server.ask(other.signed()).await.invalid("does not hold");
}

// The body.

#[tokio::test]
async fn a_digest_of_which_only_a_part_is_covered_does_not_bind_the_body() {
    for id in [
        "\"content-digest\";key=\"sha-256\"",
        "\"content-digest\";sf;key=\"sha-256\"",
    ] {
        let draft = Draft::post("42");
        let value = digest_of("42").replace("sha-256=", "");
        let lines = [
            ("\"@method\"", "POST"),
            STRICT[1],
            STRICT[2],
            STRICT[3],
            (id, &*value),
        ];
        let request = labelled(draft.unsigned(), "sig1", &lines, PARAMS);
        strict().ask(request).await.invalid("covers no digest");
    }
}

#[tokio::test]
async fn a_second_digest_beside_the_signed_one_is_refused() {
    let evil = digest_of("43");
    for append in [true, false] {
        let mut request = Draft::post("42").signed();
        *request.body_mut() = Full::from("43");
        let value: HeaderValue = evil.parse().unwrap();
        if append {
            request.headers_mut().append("content-digest", value);
        } else {
            request.headers_mut().insert("content-digest", value);
        }
        strict().ask(request).await.invalid("does not hold");
    }
    // Both covered, as one line or two: then neither counts.
    let both = format!("{}, {evil}", digest_of("42"));
    for (lines, body) in [(1, "42"), (1, "43"), (2, "42"), (2, "43")] {
        let mut draft = Draft::post(body);
        draft.headers.clear();
        if lines == 1 {
            draft = draft.header("content-digest", &both);
        } else {
            draft = draft
                .header("content-digest", &digest_of("42"))
                .header("content-digest", &evil);
        }
        strict().ask(draft.signed()).await.invalid("digest");
    }
}

// What one request leaves to the next.

#[tokio::test]
async fn nothing_of_one_request_is_read_in_the_next() {
    let good = |n: usize| {
        let params = format!(";created=NOW;keyid=\"k1\";nonce=\"{n}\"");
        Draft::default().params(&params).signed()
    };
    let server = strict();
    let huge = format!("sig1=({})", "\"x\";key=\"y\" ".repeat(60).trim_end());
    for (n, (input, signature)) in [
        (&*huge, "sig1=:AAAA:"),
        ("sig1=(\"@method\";sf;bs", "sig1=:AAAA:"),
        (
            "sig1=(\"@method\" \"x\";key=1);created=1;keyid=\"k1",
            "sig1=:AAAA:",
        ),
        ("sig1=(\"a\");keyid=\"k1\";created=\"x\"", "sig1=:AAAA:"),
        (
            "sig1=(\"a\");keyid=\"k1\", sig2=(\"b\")",
            "sig1=:AAAA:, sig2=:A",
        ),
        ("sig1=(\"a\"), sig1=(\"b\")", "sig1=:AAAA:"),
        ("sig1=(\"a\")", "sig1=:AAAA:, sig1=:AAAA:"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bad = plain();
        bad.headers_mut()
            .insert("signature-input", input.parse().unwrap());
        bad.headers_mut()
            .insert("signature", signature.parse().unwrap());
        assert!(!server.ask(bad).await.passed());
        assert!(server.ask(good(n)).await.passed(), "{input}");
        // A bare one does not get the parameters or the signature of the one before it.
        let bare = |text: &'static str| HeaderValue::from_static(text);
        let mut request = plain();
        let headers = request.headers_mut();
        headers.insert(
            "signature-input",
            bare("sig1=(\"@method\" \"@authority\" \"@path\" \"@query\")"),
        );
        headers.insert("signature", bare("sig1=::"));
        server.ask(request).await.invalid("no `keyid`");
    }
}

#[tokio::test]
async fn a_long_field_is_not_parsed_again_for_every_member_of_it() {
    let ask = async |name: &str, members: usize, covered: usize| {
        let field: Vec<_> = (0..members).map(|n| format!("k{n}")).collect();
        let mut request = plain();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let field = field.join(",").parse().unwrap();
        request.headers_mut().insert(&name, field);
        let ids = (0..covered).map(|n| format!("\"{name}\";key=\"k{n}\""));
        let ids: Vec<_> = ids.collect();
        let lines: Vec<_> = ids.iter().map(|id| (&**id, "?1")).collect();
        strict().ask(over(request, &lines, PARAMS)).await
    };
    assert!(ask("priority", 1_300, 8).await.passed());
    assert!(ask("priority", 60, 60).await.passed());
    ask("priority", 1_300, 60).await.invalid("too much");
    let query = vec!["a"; 4_000].join("&");
    let draft = Draft {
        target: format!("/?{query}"),
        ..Draft::default()
    };
    let ids: Vec<_> = (0..60)
        .map(|n| format!("\"@query-param\";name=\"{n}\""))
        .collect();
    let mut draft = ids.iter().fold(draft, |draft, id| draft.cover(id));
    draft.target += "&0&1&2&3&4&5&6&7&8&9";
    strict().ask(draft.signed()).await.invalid("too much");
}

// Public routes, options, observation.

#[tokio::test]
async fn an_option_is_for_those_who_sign_nothing() {
    let handler = tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        let who = request.extensions().get::<SecurityContext>().unwrap();
        let who = who.principal().unwrap().subject().to_owned();
        let response = Response::builder().header("x-subject", format!("<{who}>"));
        Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).unwrap())
    });
    let ask = async |request: Request<Full<Bytes>>, policy: SignaturePolicy| {
        let server = server(policy);
        let layer = with_body(server.layer.clone().optional());
        let service = OpenContextLayer::new(server.settings.clone()).layer(layer.layer(handler));
        answer(service.oneshot(request).await.unwrap()).await
    };
    let strict = SignaturePolicy::strict;
    assert!(ask(plain(), strict()).await.passed());
    let mut broken = Draft::default().signed();
    *broken.method_mut() = Method::DELETE;
    ask(broken, strict()).await.invalid("does not hold");
    let mut half = Draft::default().signed();
    half.headers_mut().remove("signature");
    ask(half, strict()).await.is(Code::CredentialMalformed, "");
    let mut half = Draft::default().signed();
    half.headers_mut().remove("signature-input");
    ask(half, strict()).await.is(Code::CredentialMalformed, "");
    let foreign = Draft::default().signed();
    ask(foreign, strict().tag("orders"))
        .await
        .is(Code::SignatureMissing, "");
    let mut changed = Draft::post("42").signed();
    *changed.body_mut() = Full::from("43");
    ask(changed, strict()).await.invalid("another digest");
}
