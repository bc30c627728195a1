//! What is said of a message: two of them with one base, targets and hosts.

use super::*;

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
