//! What somebody between client and server would try, and who has a key of their own.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    authenticate::{Authenticate, with_body},
    signature::{
        base::StructuredType,
        key::{KeyQuestion, KeyResolver, Purpose, Resolving},
    },
};

const PARAMS: &str = ";created=NOW;keyid=\"k1\";nonce=\"n1\"";

/// `request`, signed with the good key over whatever is claimed to be covered.
fn over(
    request: Request<Full<Bytes>>,
    lines: &[(&str, &str)],
    params: &str,
) -> Request<Full<Bytes>> {
    let all: Vec<_> = STRICT.iter().chain(lines).copied().collect();
    labelled(request, "sig1", &all, params)
}

fn labelled(
    mut request: Request<Full<Bytes>>,
    label: &str,
    lines: &[(&str, &str)],
    params: &str,
) -> Request<Full<Bytes>> {
    let params = params.replace("NOW", &now().to_string());
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let params = format!("({}){params}", names.join(" "));
    let mut base = String::new();
    for (name, value) in lines {
        base += &format!("{name}: {value}\n");
    }
    base += &format!("\"@signature-params\": {params}");
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let headers = request.headers_mut();
    let input = format!("{label}={params}").parse().unwrap();
    headers.append("signature-input", input);
    let signature = format!("{label}=:{signature}:").parse().unwrap();
    headers.append("signature", signature);
    request
}

/// What the strict policy asks of `Draft::default()`.
const STRICT: [(&str, &str); 4] = [
    ("\"@method\"", "GET"),
    ("\"@authority\"", "shop.example"),
    ("\"@path\"", "/orders/7"),
    ("\"@query\"", "?full=1"),
];

fn plain() -> Request<Full<Bytes>> {
    Draft::default().unsigned()
}

fn with_field(lines: &[&str]) -> Request<Full<Bytes>> {
    let mut request = plain();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        request.headers_mut().append("x-dict", value);
    }
    request
}

fn typed(kind: StructuredType) -> Server {
    let name = HeaderName::from_static("x-dict");
    server(SignaturePolicy::strict().structured(name, kind))
}

// Two messages, one base.

#[tokio::test]
async fn an_identity_field_that_nobody_strips_is_one_line_and_not_two() {
    let draft = Draft::default().header("x-user", "ada").cover("\"x-user\"");
    assert!(strict().ask(draft.signed()).await.passed());
    let twice = Draft::default()
        .header("x-user", "ada, ada")
        .cover("\"x-user\"");
    let mut request = twice.signed();
    request
        .headers_mut()
        .insert("x-user", HeaderValue::from_static("ada"));
    strict().ask(request).await.invalid("does not hold");
}

#[tokio::test]
async fn a_component_cannot_smuggle_a_line_into_the_base() {
    for name in [
        "\"x\\\": a\"",
        "\"x: y\"",
        "\"\"",
        "\"x \"",
        "\"x\\\\\"",
        "\"@method\\\"\"",
        "\"@Method\"",
        "\"@signature-params\"",
        "\"x\";name=\"a\"",
        "\"@path\";sf",
        "\"@query-param\";name=\"\\\": x\"",
    ] {
        let answer = strict().ask(over(plain(), &[(name, "")], PARAMS)).await;
        assert!(!answer.passed(), "{name}");
    }
}

#[tokio::test]
async fn a_field_may_not_carry_what_is_not_ascii() {
    let mut request = plain();
    let value = HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap();
    request.headers_mut().append("x-dict", value);
    let request = over(request, &[("\"x-dict\"", "caf\u{e9}")], PARAMS);
    strict().ask(request).await.invalid("ASCII");
}

#[tokio::test]
async fn lines_are_told_apart_where_they_are_covered_as_bytes() {
    let id = "\"x-dict\";bs";
    let one = over(with_field(&["a, b"]), &[(id, ":YSwgYg==:")], PARAMS);
    assert!(strict().ask(one.clone()).await.passed());
    let (mut parts, body) = one.into_parts();
    parts.headers.remove("x-dict");
    parts
        .headers
        .append("x-dict", HeaderValue::from_static("a"));
    parts
        .headers
        .append("x-dict", HeaderValue::from_static("b"));
    let split = Request::from_parts(parts, body);
    strict().ask(split).await.invalid("does not hold");
}

#[tokio::test]
async fn the_last_member_counts_and_the_earlier_one_is_not_what_was_signed() {
    let server = || typed(StructuredType::Dictionary);
    let id = "\"x-dict\";key=\"a\"";
    let request = over(with_field(&["a=1, a=2"]), &[(id, "1")], PARAMS);
    server().ask(request).await.invalid("does not hold");
    let request = over(with_field(&["a=1, a=2"]), &[(id, "2")], PARAMS);
    assert!(server().ask(request).await.passed());
    let request = over(with_field(&["a=(1 2);x, a"]), &[(id, "?1")], PARAMS);
    assert!(server().ask(request).await.passed());
    // A string and a token, bytes and a string, a number and a date are not alike.
    for (sent, signed) in [
        ("a=\"b\"", "b"),
        ("a=b", "\"b\""),
        ("a=:Yg==:", "\"Yg==\""),
        ("a=1", "1.0"),
        ("a=@1", "1"),
        ("a=%\"b\"", "\"b\""),
        ("a=?0", "0"),
        ("a", "1"),
        ("a=()", ""),
        ("a=1;x", "1"),
    ] {
        let request = over(with_field(&[sent]), &[(id, signed)], PARAMS);
        server().ask(request).await.invalid("does not hold");
    }
}

#[tokio::test]
async fn one_component_cannot_be_listed_under_two_spellings() {
    let server = || typed(StructuredType::Dictionary);
    for (one, other) in [
        ("\"x-dict\";sf;key=\"a\"", "\"x-dict\";key=\"a\";sf"),
        ("\"x-dict\";key=\"b\";key=\"a\"", "\"x-dict\";key=\"a\""),
        ("\"x-dict\";sf=?0;sf", "\"x-dict\";sf"),
    ] {
        let value = if one.contains("key") { "1" } else { "a=1" };
        let lines = [(one, value), (other, value)];
        let answer = server()
            .ask(over(with_field(&["a=1"]), &lines, PARAMS))
            .await;
        match one.contains(";key=\"b\"") || one.contains("?0") {
            true => answer.is(Code::CredentialMalformed, "occurs twice"),
            false => answer.invalid("twice"),
        }
    }
}

#[tokio::test]
async fn a_query_parameter_has_one_name_and_one_value_however_it_is_written() {
    let ask = async |query: &str, name: &str, value: &str| {
        let draft = Draft {
            target: format!("/orders/7?{query}"),
            ..Draft::default()
        };
        let id = format!("\"@query-param\";name=\"{name}\"");
        let query = format!("?{query}");
        let lines = [STRICT[0], STRICT[1], STRICT[2], ("\"@query\"", &query)];
        let all: Vec<_> = lines.into_iter().chain([(&*id, value)]).collect();
        let request = labelled(draft.unsigned(), "sig1", &all, PARAMS);
        strict().ask(request).await
    };
    assert!(ask("a=b+c", "a", "b%20c").await.passed());
    assert!(ask("%61=b%20c", "a", "b%20c").await.passed());
    for query in ["a=1&%61=2", "a=1&a", "a&a", "%61=1&a=1"] {
        ask(query, "a", "1").await.invalid("more than once");
    }
    ask("a=1", "%61", "1").await.invalid("no such parameter");
    ask("a%2fb=1", "a%2fb", "1").await.invalid("no such");
    assert!(ask("a%2fb=1", "a%2Fb", "1").await.passed());
    ask("a=%ff", "a", "%FF").await.invalid("UTF-8");
    ask("a=%fe", "a", "%EF%BF%BD").await.invalid("UTF-8");
    ask("a=1%00", "a", "1").await.invalid("does not hold");
    ask("a=1%0A", "a", "1").await.invalid("does not hold");
    assert!(ask("a=1%0A", "a", "1%0A").await.passed());
    // A name that is no UTF-8 reads as any other such name.
    ask("%FF=1&%FE=2", "%FF", "1").await.invalid("UTF-8");
    ask("%FF=2&%EF%BF%BD=1", "%EF%BF%BD", "1").await.invalid("");
}

// The target and the host.

#[tokio::test]
async fn hosts_that_only_look_alike_are_others() {
    for host in [
        "shop.example.",
        "shop.example:80",
        "shop.example:0443",
        "shop.example:443:443",
        "shop.example:",
        "shop.example,evil.example",
        "shop%2Eexample",
        "user@shop.example",
        "@shop.example",
        "shop.example\u{a0}",
        "\u{2003}shop.example",
        "shop.example/",
        "shop.example?",
        "shop.example#",
        "[shop.example]",
        "shop\u{3002}example",
        "",
    ] {
        let mut request = Draft::default().signed();
        let value = HeaderValue::from_bytes(host.as_bytes()).unwrap();
        request.headers_mut().insert("host", value);
        let answer = strict().ask(request).await;
        assert!(!answer.passed(), "{host:?}");
    }
    for host in ["SHOP.example", "shop.example:443", "Shop.Example:443"] {
        let mut request = Draft::default().signed();
        request.headers_mut().insert("host", host.parse().unwrap());
        assert!(strict().ask(request).await.passed(), "{host}");
    }
}

#[tokio::test]
async fn a_whole_target_with_another_host_or_a_user_is_refused() {
    for target in [
        "https://evil.example/orders/7?full=1",
        "https://shop.example@evil.example/orders/7?full=1",
        "https://user@shop.example/orders/7?full=1",
        "https://shop.example:8443/orders/7?full=1",
        "https://shop.example//orders/7?full=1",
        "https://shop.example/orders/7?full=1&",
        "https://shop.example/orders/%37?full=1",
        "https://shop.example/x/../orders/7?full=1",
    ] {
        for keeps_host in [true, false] {
            let mut request = Draft::default().signed();
            *request.uri_mut() = target.parse().unwrap();
            if !keeps_host {
                request.headers_mut().remove("host");
            }
            assert!(!strict().ask(request).await.passed(), "{target}");
        }
    }
}

#[tokio::test]
async fn targets_without_a_path_do_not_pass_for_the_root() {
    let root = Draft {
        target: "/".into(),
        ..Draft::default()
    };
    for (method, target) in [
        ("OPTIONS", "*"),
        ("GET", "*"),
        ("CONNECT", "shop.example"),
        ("GET", "shop.example"),
    ] {
        let mut request = Draft {
            method,
            ..root.clone()
        }
        .signed();
        *request.uri_mut() = target.parse().unwrap();
        strict().ask(request).await.invalid("");
    }
}

#[tokio::test]
async fn the_method_that_is_handled_is_the_one_that_was_signed() {
    // As a layer that reads `X-HTTP-Method-Override` would do.
    let handler = tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        assert_eq!(request.method(), "GET");
        let response = Response::builder().header("x-subject", "handled");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).unwrap())
    });
    let server = strict();
    let service = server.layer.layer(handler);
    let between = tower::service_fn(move |mut request: Request<Full<Bytes>>| {
        if let Some(method) = request.headers().get("x-http-method-override") {
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        }
        service.clone().oneshot(request)
    });
    let service = OpenContextLayer::new(server.settings.clone()).layer(between);
    let mut request = Draft::default().signed();
    request
        .headers_mut()
        .insert("x-http-method-override", "DELETE".parse().unwrap());
    let response = service.clone().oneshot(request).await.unwrap();
    answer(response).await.invalid("does not hold");
    let response = service.oneshot(Draft::default().signed()).await.unwrap();
    assert!(answer(response).await.passed());
}

proptest! {
    /// What is signed is what the router goes by, whatever the server's parser lets through.
    #[test]
    fn the_target_that_is_kept_is_the_one_that_came(
        target in "(/|//|\\*|\\?|https?://|h:|@)?[ -~é\u{80}]{0,24}",
        bytes in proptest::collection::vec(any::<u8>(), 0..24),
    ) {
        let path = [b"/", &bytes[..]].concat();
        for target in [target.into_bytes(), bytes, path] {
            let Ok(uri) = http::Uri::from_maybe_shared(Bytes::from(target)) else { continue };
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.uri = uri.clone();
            let cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
            prop_assert_eq!(cx.trail().uri(), &uri);
            prop_assert_eq!(cx.trail().uri().to_string(), uri.to_string());
            prop_assert_eq!(cx.trail().uri().query(), uri.query());
        }
    }
}

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
