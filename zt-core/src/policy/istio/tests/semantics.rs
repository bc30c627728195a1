//! What policies decide, where Istio's vectors do not say it.

use serde_json::json;

use super::{Ask, IstioOptions, httpbin, load, load_as, named, policy};
use crate::{
    decision::Code,
    policy::{CompiledPolicy, IstioPaths},
};

const DENIED: Result<String, Code> = Err(Code::PolicyDenied);

fn allowed(rule: &str) -> Result<String, Code> {
    Ok(rule.to_owned())
}

fn warnings(policy: &CompiledPolicy) -> Vec<String> {
    policy.warnings().map(ToString::to_string).collect()
}

#[test]
fn without_an_allow_policy_nothing_is_allowed_unless_that_is_said() {
    let deny = policy("  action: DENY\n  rules:\n  - to: [operation: {paths: [\"/secret\"]}]");
    let strict = load(&deny).unwrap();
    assert_eq!(Ask::of("/").put_to(&strict), DENIED);
    let as_istio = load_as(&deny, &httpbin().insecure_allow_without_policy()).unwrap();
    assert_eq!(Ask::of("/secret").put_to(&as_istio), DENIED);
    assert!(Ask::of("/").put_to(&as_istio).is_ok());
    assert!(warnings(&as_istio)[0].contains("everything is allowed that is not denied"));
    assert!(format!("{as_istio:?}").contains("otherwise: Allow"));
}

#[test]
fn an_allow_policy_without_rules_allows_nothing_whatever_is_said() {
    for spec in ["  {}", "  rules: []", "  action: ALLOW"] {
        let options = httpbin().insecure_allow_without_policy();
        let policy = load_as(&policy(spec), &options).unwrap();
        assert_eq!(Ask::of("/").put_to(&policy), DENIED);
    }
}

#[test]
fn an_empty_rule_is_for_every_request() {
    let policy = load(&policy("  rules:\n  - {}")).unwrap();
    assert_eq!(Ask::of("/").put_to(&policy), allowed("foo/p[0]"));
}

#[test]
fn deny_comes_first() {
    let allow = named("a", "  rules: [{}]");
    let deny = named(
        "d",
        "  action: DENY\n  rules:\n  - to: [operation: {paths: [\"/allow/admin\"]}]",
    );
    let policy = load(&format!("{allow}---\n{deny}")).unwrap();
    assert_eq!(Ask::of("/allow/admin").put_to(&policy), DENIED);
    assert_eq!(Ask::of("/allow").put_to(&policy), allowed("foo/a[0]"));
}

#[test]
fn a_policy_for_another_workload_is_left_out_and_told() {
    let other = |namespace: &str, selector: &str| {
        policy(&format!("{selector}  rules: [{{}}]"))
            .replace("namespace: foo", &format!("namespace: {namespace}"))
    };
    for (text, told) in [
        (
            other("bar", ""),
            "it is for the namespace `bar`, not for `foo`",
        ),
        (
            other(
                "foo",
                "  selector: {matchLabels: {app: httpbin, version: v2}}\n",
            ),
            "the workload has no label `version: v2`",
        ),
        (
            other(
                "istio-system",
                "  selector: {matchLabels: {istio: gateway}}\n",
            ),
            "the workload has no label `istio: gateway`",
        ),
        (
            policy("  action: AUDIT\n  rules: [{}]"),
            "AUDIT decides nothing",
        ),
    ] {
        let policy = load(&text).unwrap();
        assert!(
            warnings(&policy)
                .iter()
                .any(|warning| warning.contains(told)),
            "{text}"
        );
        assert_eq!(Ask::of("/").put_to(&policy), DENIED);
    }
    for text in [
        other("istio-system", ""),
        other("foo", "  selector: {}\n"),
        other("foo", "  selector: {matchLabels: {app: httpbin}}\n"),
    ] {
        assert!(Ask::of("/").put_to(&load(&text).unwrap()).is_ok(), "{text}");
    }
}

#[test]
fn a_dry_run_decides_nothing() {
    let dry = named("dry", "  action: DENY\n  rules: [{}]").replace(
        "metadata:\n",
        "metadata:\n  annotations: {\"istio.io/dry-run\": \"true\"}\n",
    );
    let policy = load(&format!("{dry}---\n{}", named("a", "  rules: [{}]"))).unwrap();
    assert_eq!(Ask::of("/").put_to(&policy), allowed("foo/a[0]"));
}

/// A list of values of one rule, a request, and whether an ALLOW policy with that rule allows it.
#[test]
fn values_match_as_they_do_in_istio() {
    let id = |id: &str| Ask::of("/").peer(id);
    let token = |payload: serde_json::Value| Ask::of("/").token(payload);
    let host = |host: &str| Ask::of("/").host(host);
    for (rule, ask, allows) in [
        // The scheme is not part of what ends so.
        (
            "from: [source: {principals: [\"*/ns/a/sa/b\"]}]",
            id("spiffe://td/ns/a/sa/b"),
            true,
        ),
        (
            "from: [source: {principals: [\"*/ns/a/sa/b\"]}]",
            id("spiffe://ns/a/sa/b"),
            false,
        ),
        // `cluster.local` is the mesh's own trust domain.
        (
            "from: [source: {principals: [\"cluster.local/ns/a/sa/b\"]}]",
            id("spiffe://mesh/ns/a/sa/b"),
            true,
        ),
        (
            "from: [source: {principals: [\"cluster.local/ns/a/sa/b\"]}]",
            id("spiffe://cluster.local/ns/a/sa/b"),
            false,
        ),
        (
            "from: [source: {principals: [\"cluster.local/ns/a/sa/b\"]}]",
            id("spiffe://other/ns/a/sa/b"),
            false,
        ),
        (
            // Istio's expression is `.*/ns/a/.*`, and this is what it says.
            "from: [source: {namespaces: [a]}]",
            id("spiffe://ns/a/b"),
            true,
        ),
        (
            "from: [source: {namespaces: [a]}]",
            id("spiffe://td/ns/a/sa/b"),
            true,
        ),
        (
            "from: [source: {namespaces: [a]}]",
            id("spiffe://td/ns/ab/sa/b"),
            false,
        ),
        ("from: [source: {namespaces: [a]}]", Ask::of("/"), false),
        (
            "from: [source: {serviceAccounts: [b]}]",
            id("spiffe://td/ns/foo/sa/b"),
            true,
        ),
        (
            "from: [source: {serviceAccounts: [b]}]",
            id("spiffe://td/ns/bar/sa/b"),
            false,
        ),
        (
            "from: [source: {trustDomains: [mesh]}]",
            id("spiffe://mesh/x"),
            true,
        ),
        (
            "from: [source: {trustDomains: [mesh]}]",
            id("spiffe://mesh2/x"),
            false,
        ),
        // The subject stands behind the last slash.
        (
            "from: [source: {requestPrincipals: [\"a/b/c\"]}]",
            token(json!({"iss": "a/b", "sub": "c"})),
            true,
        ),
        (
            "from: [source: {requestPrincipals: [\"a/b/c\"]}]",
            token(json!({"iss": "a", "sub": "b/c"})),
            false,
        ),
        (
            "from: [source: {requestPrincipals: [\"*\"]}]",
            token(json!({"iss": "a", "sub": "c"})),
            true,
        ),
        (
            "from: [source: {requestPrincipals: [\"*\"]}]",
            token(json!({"sub": "c"})),
            false,
        ),
        (
            "from: [source: {requestPrincipals: [\"*\"]}]",
            Ask::of("/"),
            false,
        ),
        (
            "when: [{key: \"request.auth.claims[groups]\", values: [g]}]",
            token(json!({"sub": "", "groups": ["f", "g"]})),
            true,
        ),
        (
            "when: [{key: \"request.auth.claims[groups]\", values: [\"5\"]}]",
            token(json!({"sub": "", "groups": 5})),
            false,
        ),
        (
            "when: [{key: \"request.auth.claims[scope]\", values: [read]}]",
            token(json!({"sub": "", "scope": "write read"})),
            true,
        ),
        (
            "when: [{key: \"request.auth.claims[scope]\", values: [\"write read\"]}]",
            token(json!({"sub": "", "scope": "write read"})),
            false,
        ),
        // Without its port, whatever the case.
        (
            "to: [operation: {hosts: [\"a.example\"]}]",
            host("A.example:8080"),
            true,
        ),
        (
            "to: [operation: {hosts: [\"a.example:*\"]}]",
            host("a.example"),
            true,
        ),
        (
            "to: [operation: {hosts: [\"*.example\"]}]",
            host("a.EXAMPLE"),
            true,
        ),
        (
            "to: [operation: {notHosts: [\"a.example\"]}]",
            host("a.example:8080"),
            false,
        ),
        // Joined with commas; an empty one is there.
        (
            "when: [{key: \"request.headers[X-A]\", values: [\"1,2\"]}]",
            Ask::of("/").header("x-a", "1").header("x-a", "2"),
            true,
        ),
        (
            "when: [{key: \"request.headers[x-a]\", values: [\"1\"]}]",
            Ask::of("/").header("x-a", "1").header("x-a", "2"),
            false,
        ),
        (
            "when: [{key: \"request.headers[x-a]\", values: [\"*\"]}]",
            Ask::of("/").header("x-a", ""),
            true,
        ),
        (
            "when: [{key: \"request.headers[x-a]\", notValues: [\"*\"]}]",
            Ask::of("/").header("x-a", "1").header("x-a", "2"),
            false,
        ),
        (
            "to: [operation: {ports: [\"8080\", \"80\"]}]",
            Ask::of("/"),
            true,
        ),
        ("to: [operation: {notPorts: [\"80\"]}]", Ask::of("/"), false),
        ("to: [operation: {paths: [\"/a/*\"]}]", Ask::of("/a/"), true),
        ("to: [operation: {paths: [\"/a/*\"]}]", Ask::of("/a"), false),
        (
            "to: [operation: {paths: [\"/a*\"]}]",
            Ask::of("/ab/c"),
            true,
        ),
        ("to: [operation: {paths: [\"/*\"]}]", Ask::of("/ab/c"), true),
        ("to: [operation: {paths: [\"*\"]}]", Ask::of("/"), true),
        ("to: [operation: {paths: [\"/a/\"]}]", Ask::of("/a/"), true),
        ("to: [operation: {paths: [\"/a/\"]}]", Ask::of("/a"), false),
        // In an ALLOW policy a template matches no more than Envoy's.
        (
            "to: [operation: {paths: [\"/{*}\"]}]",
            Ask::of("/a=b"),
            false,
        ),
        (
            "to: [operation: {notPaths: [\"/{*}\"]}]",
            Ask::of("/a=b"),
            false,
        ),
    ] {
        let options = httpbin().port(80).trust_domain("mesh");
        let policy = load_as(&policy(&format!("  rules:\n  - {rule}")), &options).unwrap();
        assert_eq!(ask.put_to(&policy).is_ok(), allows, "{rule} {ask:?}");
    }
}

#[test]
fn a_template_that_denies_matches_any_character() {
    let text = policy("  action: DENY\n  rules:\n  - to: [operation: {paths: [\"/admin/{*}\"]}]");
    let policy = load_as(&text, &httpbin().insecure_allow_without_policy()).unwrap();
    assert_eq!(Ask::of("/admin/a=b").put_to(&policy), DENIED);
    assert!(Ask::of("/admin/a/b").put_to(&policy).is_ok());
}

#[test]
fn what_denies_get_denies_head_and_what_allows_get_does_not_allow_it() {
    let asks = |spec: &str, method: &str| {
        let policy = load_as(&policy(spec), &httpbin().insecure_allow_without_policy()).unwrap();
        let ask = Ask {
            method: method.into(),
            ..Ask::default()
        };
        ask.put_to(&policy).is_ok()
    };
    for (spec, head, post) in [
        (
            "  action: DENY\n  rules: [{to: [operation: {methods: [GET]}]}]",
            false,
            true,
        ),
        (
            "  action: DENY\n  rules: [{to: [operation: {notMethods: [GET]}]}]",
            false,
            false,
        ),
        (
            "  rules: [{to: [operation: {methods: [GET]}]}]",
            false,
            false,
        ),
        (
            "  rules: [{to: [operation: {notMethods: [GET]}]}]",
            false,
            true,
        ),
    ] {
        assert_eq!(asks(spec, "HEAD"), head, "{spec}");
        assert_eq!(asks(spec, "POST"), post, "{spec}");
    }
}

#[test]
fn rules_that_say_less_than_they_seem_to_are_told() {
    for (spec, told) in [
        (
            "  action: DENY\n  rules: [{when: [{key: \"request.auth.claims[a]\", values: [b]}]}]",
            Some("denies nobody who has no token"),
        ),
        (
            "  action: DENY\n  rules: [{from: [source: {requestPrincipals: [\"a/*\"]}]}]",
            Some("denies nobody who has no token"),
        ),
        (
            "  action: DENY\n  rules: [{from: [source: {namespaces: [b]}]}]",
            Some("denies nobody who has no identity"),
        ),
        (
            "  rules: [{from: [source: {notRequestPrincipals: [\"a/*\"]}]}]",
            Some("allows callers without a token"),
        ),
        (
            "  rules: [{from: [source: {notNamespaces: [b]}]}]",
            Some("allows callers without an identity"),
        ),
        (
            "  rules: [{from: [source: {principals: [\"*\"], notNamespaces: [b]}]}]",
            None,
        ),
        ("  rules: [{from: [source: {namespaces: [b]}]}]", None),
    ] {
        let policy = load_as(&policy(spec), &httpbin().insecure_allow_without_policy()).unwrap();
        let found = warnings(&policy);
        let found: Vec<&String> = found
            .iter()
            .filter(|text| text.contains("`foo/p[0]`"))
            .collect();
        match told {
            Some(told) => assert!(found[0].contains(told), "{spec} {found:?}"),
            None => assert!(found.is_empty(), "{spec} {found:?}"),
        }
    }
}

/// Istio's own table, for a policy that allows `/public` (its integration test of path
/// normalisation).
#[test]
fn paths_are_normalised_as_istio_does_where_that_is_said() {
    let text = policy("  rules:\n  - to: [operation: {paths: [\"/public\"]}]");
    let base = load_as(&text, &httpbin().insecure_normalise_paths(IstioPaths::Base)).unwrap();
    let strict = load(&text).unwrap();
    for (path, allows) in [
        ("/public", true),
        ("/public/../public", true),
        ("/private", false),
        ("/public/../private", false),
        ("/public/./../private", false),
        ("/public/.././private", false),
        ("/public/%2E%2E/private", false),
        ("/public/%2e%2e/private", false),
        ("/public/%2E/%2E%2E/private", false),
        ("/public/%2e/%2e%2e/private", false),
        ("/public/%2E%2E/%2E/private", false),
        ("/public/%2e%2e/%2e/private", false),
    ] {
        assert_eq!(Ask::of(path).put_to(&base).is_ok(), allows, "{path}");
        let strictly = Ask::of(path).put_to(&strict);
        if path.contains("/.") || path.contains('%') {
            assert_eq!(strictly, Err(Code::RequestMalformed), "{path}");
        } else {
            assert_eq!(strictly.is_ok(), allows, "{path}");
        }
    }
    assert_eq!(
        Ask::of("/public/%00").put_to(&base),
        Err(Code::RequestMalformed)
    );
    assert!(warnings(&base)[0].contains("paths are normalised before rules read them"));
}

#[test]
fn what_a_rule_compares_is_normal_in_the_way_that_is_chosen() {
    let text = policy("  rules:\n  - to: [operation: {paths: [\"/store//cart\"]}]");
    let with = |paths| {
        load_as(
            &text,
            &IstioOptions::new("foo").insecure_normalise_paths(paths),
        )
    };
    assert!(with(IstioPaths::Base).is_ok());
    assert!(with(IstioPaths::MergeSlashes).is_err());
    assert!(with(IstioPaths::Canonical).is_err());
}

#[test]
fn another_spelling_of_a_path_does_not_slip_by_a_deny_policy() {
    let deny = |paths: &str| {
        let deny = format!("  action: DENY\n  rules:\n  - to: [operation: {{paths: [{paths}]}}]");
        format!("{}---\n{}", named("a", "  rules: [{}]"), named("d", &deny))
    };
    let policy = load(&deny(
        r#""/users/@me", "/caf%C3%A9/*", "*:purge", "/x:y/{*}""#,
    ))
    .unwrap();
    for path in [
        "/users/@me",
        "/users/%40me",
        "/caf%c3%a9/1",
        "/things%3apurge",
        "/x%3Ay/1",
    ] {
        assert_eq!(Ask::of(path).put_to(&policy), DENIED, "{path}");
    }
    assert_eq!(
        Ask::of("/users/%2540me").put_to(&policy),
        allowed("foo/a[0]")
    );
    for path in ["/users/%40me", "/caf%c3%a9/*", "*%3apurge", "/x%3Ay/{*}"] {
        let errors = load(&deny(&format!("\"{path}\""))).unwrap_err().to_string();
        assert!(errors.contains("usual spelling"), "{errors}");
    }
}

#[test]
fn a_beginning_or_an_end_of_get_denies_head_too() {
    for method in ["GET", "G*", "GE*", "*ET"] {
        let deny =
            format!("  action: DENY\n  rules:\n  - to: [operation: {{methods: [\"{method}\"]}}]");
        let policy = format!("{}---\n{}", named("a", "  rules: [{}]"), named("d", &deny));
        let policy = load(&policy).unwrap();
        let ask = |method: &str| Ask {
            method: method.into(),
            ..Ask::of("/")
        };
        assert_eq!(ask("GET").put_to(&policy), DENIED, "{method}");
        assert_eq!(ask("HEAD").put_to(&policy), DENIED, "{method}");
        assert_eq!(ask("PUT").put_to(&policy), allowed("foo/a[0]"), "{method}");
    }
}

#[test]
fn a_rule_that_multiplies_without_bounds_is_refused() {
    let from = "    - source: {principals: [\"a/ns/b/sa/c\"]}\n".repeat(5_000);
    let to = "    - operation: {paths: [\"/a\"]}\n".repeat(5_000);
    let text = policy(&format!("  rules:\n  - from:\n{from}    to:\n{to}"));
    let errors = load(&text).unwrap_err().to_string();
    assert!(errors.contains("too much for one rule"), "{errors}");
}

#[test]
fn a_server_that_puts_no_address_on_requests_does_not_open_what_addresses_are_denied() {
    let source = |list: &str| format!("from: [source: {{{list}: [\"203.0.113.0/24\"]}}]");
    let when =
        |key: &str, list: &str| format!("when: [{{key: {key}, {list}: [\"203.0.113.0/24\"]}}]");
    let inside = [203, 0, 113, 9];
    let outside = [198, 51, 100, 9];
    for (said, excludes) in [
        (source("ipBlocks"), false),
        (source("remoteIpBlocks"), false),
        (when("source.ip", "values"), false),
        (when("remote.ip", "values"), false),
        (source("notIpBlocks"), true),
        (source("notRemoteIpBlocks"), true),
        (when("source.ip", "notValues"), true),
        (when("remote.ip", "notValues"), true),
    ] {
        let rules = |action: &str| format!("  action: {action}\n  rules:\n  - {said}");
        let deny = named("d", &rules("DENY"));
        let denies = load(&format!("{}---\n{deny}", named("a", "  rules: [{}]"))).unwrap();
        let allows = load(&policy(&rules("ALLOW"))).unwrap();
        let from = |address: Option<[u8; 4]>| Ask {
            direct: address.map(Into::into),
            remote: address.unwrap_or(outside).into(),
            ..Ask::of("/")
        };
        for (address, matches) in [(inside, !excludes), (outside, excludes)] {
            let ask = from(Some(address));
            assert_eq!(ask.put_to(&denies).is_err(), matches, "{said}");
            assert_eq!(ask.put_to(&allows).is_ok(), matches, "{said}");
        }
        assert_eq!(from(None).put_to(&denies), DENIED, "{said}");
        assert_eq!(from(None).put_to(&allows), DENIED, "{said}");
    }
}

#[test]
fn a_method_in_small_letters_that_one_rule_names_opens_no_other() {
    let deny = named(
        "d",
        "  action: DENY\n  rules:\n  - to: [operation: {methods: [\"DELETE\", \"get\"]}]",
    );
    let policy = load(&format!("{}---\n{deny}", named("a", "  rules: [{}]"))).unwrap();
    for (method, passes) in [
        ("PUT", true),
        ("DELETE", false),
        ("get", false),
        ("delete", false),
        ("put", false),
    ] {
        let ask = Ask {
            method: method.to_owned(),
            ..Ask::of("/")
        };
        assert_eq!(ask.put_to(&policy).is_ok(), passes, "{method}");
    }
}
