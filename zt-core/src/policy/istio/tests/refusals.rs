//! What is not loaded: by file, line, column and name.

use super::{IstioOptions, httpbin, load, load_as, named, policy};

/// The errors of a text, one a line.
fn errors(text: &str) -> String {
    match load(text) {
        Ok(policy) => panic!("loaded: {policy:?}\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// A policy whose third line of `spec` (line 9) is this; `source`, `operation` and `when` follow.
fn rule(lines: &str) -> String {
    policy(&format!("  action: ALLOW\n  rules:\n  - {lines}"))
}

#[test]
fn a_rule_that_is_not_understood_is_refused_with_its_line() {
    for (lines, refusal) in [
        // keys
        (
            "form: []",
            "9:5: `rules` has no key `form` that is read here",
        ),
        ("from: []", "9:5: `from` is an empty list"),
        ("from: [source: {}]", "9:20: `source` says nothing"),
        ("from: [{}]", "9:12: `from` has to have `source`"),
        (
            "from: [source: {principal: [a]}]",
            "9:21: `source` has no key `principal`",
        ),
        (
            "from: [source: {principals: []}]",
            "9:21: `principals` is an empty list",
        ),
        (
            "from: [source: {principals: a}]",
            "9:33: `principals` has to be a list",
        ),
        (
            "from: [source: {principals: [[a]]}]",
            "9:34: `principals` has to be a text",
        ),
        (
            "from: [source: {principals: [\"\"]}]",
            "9:34: `principals` has an empty text",
        ),
        ("to: [operation: {}]", "9:21: `operation` says nothing"),
        (
            "to: [operation: {method: [GET]}]",
            "9:22: `operation` has no key `method`",
        ),
        ("when: [values: [a]]", "9:12: `when` has to have a `key`"),
        (
            "when: [{key: source.ip}]",
            "9:12: a condition needs `values` or `notValues`",
        ),
        (
            "when: [{key: source.ip, value: [a]}]",
            "`when` has no key `value`",
        ),
        // texts that are none
        (
            "to: [operation: {ports: [80]}]",
            "9:30: `ports` has to be a text, not a number (write \"80\")",
        ),
        (
            "to: [operation: {methods: [on]}]",
            "9:32: `methods` has to be a text, not a truth value",
        ),
        (
            "to: [operation: {methods: [~]}]",
            "9:32: `methods` has to be a text, not nothing",
        ),
        // values
        (
            "from: [source: {principals: [\"spiffe://a/b\"]}]",
            "principals have no `spiffe://`",
        ),
        (
            "from: [source: {principals: [\"a*b\"]}]",
            "9:34: `a*b`: a `*` stands alone",
        ),
        (
            "from: [source: {principals: [\"*a*\"]}]",
            "9:34: `*a*`: a `*` stands alone",
        ),
        (
            "from: [source: {requestPrincipals: [\"*/*\"]}]",
            "`*/*`: a `*` stands alone",
        ),
        (
            "from: [source: {namespaces: [\"a*b\"]}]",
            "`a*b`: a `*` stands alone",
        ),
        (
            "from: [source: {trustDomains: [\"a/b\"]}]",
            "`a/b` is no trust domain",
        ),
        (
            "from: [source: {serviceAccounts: [\"a/b/c\"]}]",
            "`a/b/c`: a service account is",
        ),
        (
            "from: [source: {serviceAccounts: [\"a*\"]}]",
            "`a*`: a service account is",
        ),
        (
            "from: [source: {serviceAccounts: [a], namespaces: [b]}]",
            "9:20: `serviceAccounts` stand alone",
        ),
        (
            "from: [source: {ipBlocks: [\"1.2.3\"]}]",
            "9:32: `1.2.3` is no address and no network",
        ),
        (
            "from: [source: {ipBlocks: [\"1.2.3.4/33\"]}]",
            "is no address and no network",
        ),
        (
            "from: [source: {notIpBlocks: [\"::ffff:1.2.3.4\"]}]",
            "write the IPv4 address itself",
        ),
        (
            "to: [operation: {hosts: [\"a.example:8080\"]}]",
            "9:30: `a.example:8080`: ports of hosts",
        ),
        (
            "to: [operation: {ports: [\"http\"]}]",
            "9:30: `http` is no port",
        ),
        (
            "to: [operation: {ports: [\"+80\"]}]",
            "9:30: `+80` is no port",
        ),
        (
            "to: [operation: {ports: [\"80\"]}]",
            "9:30: `ports` cannot be read: say at which port",
        ),
        (
            "to: [operation: {paths: [\"a\"]}]",
            "9:30: `a` begins no path",
        ),
        (
            "to: [operation: {paths: [\"a*\"]}]",
            "9:30: `a` begins no path",
        ),
        (
            "to: [operation: {paths: [\"/a/*/b\"]}]",
            "9:30: `/a/*/b`: a `*` stands alone",
        ),
        (
            "to: [operation: {paths: [\"/a/../b\"]}]",
            "9:30: `/a/../b` is no path that rules",
        ),
        (
            "to: [operation: {paths: [\"/a//b\"]}]",
            "9:30: `/a//b` is no path that rules",
        ),
        (
            "to: [operation: {paths: [\"/a?b\"]}]",
            "9:30: `/a?b`: a path has no",
        ),
        (
            "to: [operation: {paths: [\"/{id}\"]}]",
            "9:30: `/{id}`: a path has no",
        ),
        (
            "to: [operation: {paths: [\"/{id}/{*}\"]}]",
            "9:30: `/{id}/{*}`: beside",
        ),
        (
            "to: [operation: {paths: [\"/{*}/*\"]}]",
            "9:30: `/{*}/*`: beside",
        ),
        (
            "to: [operation: {paths: [\"/a{*}\"]}]",
            "9:30: `/a{*}`: beside",
        ),
        (
            "to: [operation: {paths: [\"/{**}/{*}\"]}]",
            "no operator may follow `{**}`",
        ),
        (
            "to: [operation: {paths: [\"/{*}x/y\"]}]",
            "may follow an operator only at the end",
        ),
        (
            "to: [operation: {paths: [\"{*}/y\"]}]",
            "a template begins with a slash",
        ),
        // conditions
        (
            "when: [{key: \"request.headers\", values: [a]}]",
            "9:18: `request.headers`: a header is",
        ),
        (
            "when: [{key: \"request.headers[:path]\", values: [a]}]",
            "none of `:method`",
        ),
        (
            "when: [{key: \"request.headers[host]\", values: [a]}]",
            "none of `:method` or `host`",
        ),
        (
            "when: [{key: \"request.auth.claims[]\", values: [a]}]",
            "a claim is `request.auth.claims",
        ),
        (
            "when: [{key: \"request.auth.claims[a][b\", values: [a]}]",
            "a claim is",
        ),
        (
            "when: [{key: connection.sni, values: [a]}]",
            "`connection.sni` is not known here",
        ),
        (
            "when: [{key: destination.ip, values: [\"10.0.0.1\"]}]",
            "`destination.ip` is not known here",
        ),
        (
            "when: [{key: destination.port, values: [\"80\"]}]",
            "`destination.port` cannot be read",
        ),
        (
            "when: [{key: \"experimental.envoy.filters.a[b]\", values: [a]}]",
            "is experimental",
        ),
        (
            "when: [{key: destination.labels, values: [a]}]",
            "9:18: `destination.labels` is not a key",
        ),
    ] {
        let found = errors(&rule(lines));
        assert!(found.contains(refusal), "{lines}\n{found}");
        assert!(found.starts_with("test.yaml:9:"), "{lines}\n{found}");
    }
}

#[test]
fn a_policy_that_is_not_understood_is_refused_with_its_line() {
    let whole = policy("  rules: [{}]");
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replace(from, to)
    };
    for (text, refusal) in [
        (
            "a".to_owned(),
            "test.yaml:1:1: `AuthorizationPolicy` has to be a map",
        ),
        (
            with("security.istio.io/v1", "v1"),
            "1:13: `apiVersion` has to be",
        ),
        (
            with("kind: AuthorizationPolicy", "kind: Service"),
            "2:7: `kind` has to be `AuthorizationPolicy`, not `Service`",
        ),
        (
            with("kind: AuthorizationPolicy\n", ""),
            "a policy needs `kind`",
        ),
        (
            with("  namespace: foo\n", ""),
            "needs `metadata` with `name` and `namespace`",
        ),
        (
            with("  name: p\n", "  name: \"a b\"\n"),
            "4:9: `a b` is no name of Kubernetes",
        ),
        (
            with("  name: p\n", "  name: p\n  label: {}\n"),
            "5:3: `metadata` has no key `label`",
        ),
        (
            with("spec:\n  rules: [{}]\n", ""),
            "a policy needs a `spec` (`spec: {}` allows nothing)",
        ),
        (
            with("spec:", "spec: {}\nspecs:"),
            "7:1: `AuthorizationPolicy` has no key `specs`",
        ),
        (
            policy("  action: allow\n  rules: [{}]"),
            "7:11: `allow` is no action",
        ),
        (
            policy("  action: DENY"),
            "a DENY policy without rules denies nothing",
        ),
        (
            policy("  action: DENY\n  rules: []"),
            "a DENY policy without rules denies nothing",
        ),
        (
            policy("  action: CUSTOM\n  rules: [{}]"),
            "7:11: the action CUSTOM needs a `provider`",
        ),
        (
            policy("  action: CUSTOM\n  provider: {name: x}\n  rules: [{}]"),
            "8:20: the action CUSTOM asks `x`",
        ),
        (
            policy("  provider: {name: x}\n  rules: [{}]"),
            "7:3: `provider` is for the action CUSTOM",
        ),
        (
            policy("  targetRefs: []"),
            "7:3: `targetRefs` is not supported",
        ),
        (
            policy("  targetRef: {kind: Gateway}"),
            "7:3: `targetRef` is not supported",
        ),
        (policy("  rule: [{}]"), "7:3: `spec` has no key `rule`"),
        (policy("  rules: {}"), "7:10: `rules` has to be a list"),
        (policy("  rules: [~]"), "7:11: `rules` has to be a map"),
        (
            policy("  selector: {labels: {a: b}}"),
            "7:14: `selector` has no key `labels`",
        ),
        (
            policy("  selector: {matchLabels: {version: 1}}"),
            "`version` has to be a text, not a number",
        ),
        (
            policy("  selector: {matchLabels: {app: \"*\"}}"),
            "labels have no `*`",
        ),
        (
            with(
                "  namespace: foo\n",
                "  namespace: foo\n  annotations: {istio.io/dry-run: \"yes\"}\n",
            ),
            "6:35: `istio.io/dry-run` is \"true\" or \"false\"",
        ),
        (
            with(
                "  namespace: foo\n",
                "  namespace: foo\n  annotations: {istio.io/dry-run: \"true\"}\n",
            ),
            "all policies for this workload are dry runs",
        ),
        (
            format!("{whole}---\n{whole}"),
            "9:1: the policy `foo/p` stands twice (also in test.yaml:1)",
        ),
    ] {
        let found = errors(&text);
        assert!(found.contains(refusal), "{text}\n{found}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let one = named(
        "one",
        "  rules:\n  - to: [operation: {paths: [a, \"/b?\"]}]\n    whom: []",
    );
    let two = named("two", "  action: NO");
    let found = errors(&format!("{one}---\n{two}"));
    let places: Vec<&str> = found
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "test.yaml:8:30",
            "test.yaml:8:33",
            "test.yaml:9:5",
            "test.yaml:17:11"
        ]
    );
}

#[test]
fn refuses_yaml_that_reads_in_two_ways() {
    for (text, refusal) in [
        ("a: 1\nb: 2\na: 3", "3:1: the key `a` stands twice"),
        ("a: &x b", "anchors are not read"),
        ("a: *x", "this is not YAML"),
        ("a: &x [1]\nb: *x", "anchors are not read"),
        ("a: !!str b", "tags are not read"),
        ("a: !x {}", "tags are not read"),
        ("a: {b: c}\n<<: {d: e}", "2:1: merge keys are not read"),
        ("? [a]\n: b", "1:3: a key is a text"),
        ("? {a: b}\n: b", "a key is a text"),
        ("80: b", "1:1: a key is a text, not a number"),
        ("true: b", "1:1: a key is a text, not a truth value"),
        ("~: b", "1:1: a key is a text, not nothing"),
        ("a: [", "this is not YAML"),
        ("a: b\n c: d", "this is not YAML"),
        ("a:\n\tx: y", "this is not YAML"),
    ] {
        let found = errors(text);
        assert!(found.contains(refusal), "{text}\n{found}");
    }
}

#[test]
fn refuses_what_is_larger_or_deeper_than_a_policy() {
    let large = format!("# {}", "x".repeat(1 << 20));
    assert!(errors(&large).contains("larger than 1048576 bytes"));
    let deep = format!("a: {}", "[".repeat(40));
    assert!(errors(&deep).contains("deeper than 32 levels"));
    let wide = format!("a: [{}]", "x,".repeat(100_001));
    assert!(errors(&wide).contains("more than 100000 values"));
    let keys: String = (0..1_001).map(|key| format!("k{key}: x\n")).collect();
    assert!(errors(&keys).contains("more than 1000 keys"));
    let from = "{source: {principals: [a]}},".repeat(80);
    let to = "{operation: {methods: [GET]}},".repeat(80);
    let rule = format!("  - from: [{from}]\n    to: [{to}]\n");
    let many = errors(&policy(&format!("  rules:\n{rule}{rule}")));
    assert!(many.contains("more than 10000 rules"), "{many}");
}

#[test]
fn refuses_options_that_are_none() {
    for (option, value, refusal) in [
        ("port", "http", "`port`: `http` is no port"),
        ("address", "x", "`address`: `x` is no address"),
        ("label", "app", "`label`: `app` is no `KEY=VALUE`"),
        (
            "insecure-normalise-paths",
            "NONE",
            "`NONE` is not a way to read paths",
        ),
        ("namespace", "", "`namespace` needs a value"),
        ("colour", "red", "there is no option `colour`"),
    ] {
        let found = IstioOptions::new("foo").set(option, value).unwrap_err();
        assert_eq!(found, refusal);
    }
    let text = policy(
        "  selector: {matchLabels: {app: a}}\n  rules:\n  - to: [operation: {ports: [\"80\"]}]",
    );
    let set = IstioOptions::new("elsewhere")
        .set("namespace", "foo")
        .and_then(|options| options.set("label", "app=a"))
        .and_then(|options| options.set("port", "80"))
        .unwrap();
    assert_eq!(load_as(&text, &set).unwrap().warnings().count(), 0);
    assert!(load_as(&text, &httpbin()).unwrap().warnings().count() > 0);
}
