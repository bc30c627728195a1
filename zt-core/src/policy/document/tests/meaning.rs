//! What files mean, asked of the rules that they become.

use http::{HeaderMap, Method};

use super::*;
use crate::{
    clock::Timestamp,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::{
        facts::Facts,
        model::{FieldKind, Rule},
    },
};

#[derive(Default)]
struct Asked {
    peer: Option<&'static str>,
    issuer: Option<&'static str>,
    roles: &'static [&'static str],
    claims: &'static str,
    client: Option<&'static str>,
    host: Option<&'static str>,
}

impl Asked {
    /// Whether the unconditional rules let it pass.
    fn passes(&self, rules: &[Rule], method: &str, path: &str) -> bool {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let peer = self.peer.map(|id| {
            PeerIdentity::assertion([0; 32], Timestamp::from_secs(1), PeerSource::Tls)
                .spiffe_id(id)
                .finish()
        });
        let mut who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
            .roles(self.roles.iter().copied());
        if let Some(issuer) = self.issuer {
            who = who.issuer(issuer);
        }
        if !self.claims.is_empty() {
            who = who.claims(self.claims);
        }
        let who = who.finish();
        let named = self.issuer.is_some() || !self.roles.is_empty() || !self.claims.is_empty();
        let facts = Facts {
            method: &method,
            path,
            usual: None,
            host: self.host,
            headers: &HeaderMap::new(),
            principal: named.then_some(&who),
            peer: peer.as_ref(),
            client: self.client.map(|address| address.parse().unwrap()),
            connection: None,
            claims: None,
        };
        let matching = |effect| {
            rules.iter().any(|rule| {
                rule.effect == effect
                    && rule.is_unconditional()
                    && rule.clauses.iter().all(|clause| clause.holds(&facts))
            })
        };
        matching(Effect::Allow) && !matching(Effect::Deny)
    }
}

fn rules_in(environment: &str, text: &str) -> Vec<Rule> {
    let options = PolicyOptions::new().environment(environment);
    read_toml(text, &options)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .rules
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let documented = include_str!("../../mod.rs");
    let documented = documented.split("//! ```toml\n").nth(1).unwrap();
    let documented = documented.split("//! ```").next().unwrap();
    let lines = documented
        .lines()
        .map(|line| line.trim_start_matches("//!"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    assert_eq!(
        lines.join("\n") + "\n",
        EXAMPLE,
        "the documentation and the file differ"
    );

    let options = PolicyOptions::new().environment("production");
    let document = read_toml(EXAMPLE, &options).unwrap();
    assert_eq!((&*document.name, &*document.version), ("shop", "7"));
    let mut ids: Vec<&str> = document.rules.iter().map(|rule| &*rule.id).collect();
    ids.dedup();
    let expected = [
        "role clerk: orders.read",
        "role owner: orders.read",
        "role owner: orders.write",
        "orders-charge",
        "refunds",
        "no-strangers",
    ];
    assert_eq!(ids, expected);
    let when = document
        .rules
        .iter()
        .find_map(|rule| rule.when.as_ref())
        .unwrap();
    assert_eq!(
        &*when.text,
        "context.body.amount > 0 && context.body.amount < 10000"
    );
    assert_eq!(when.body.fields.len(), 2);
    let line = EXAMPLE.lines().nth(when.origin.line - 1).unwrap();
    let written = line.get(when.origin.column - 1..).unwrap();
    assert!(written.starts_with("context.body"), "{written}");
}

const TWO: &str = r#"
[environments.production]
trust_domains = ["shop.example"]
issuers = ["https://id.shop.example"]
[environments.staging]
trust_domains = ["staging.example"]
[environments.edge]
issuers = ["https://edge.example"]

[[rule]]
id = "own"
effect = "allow"
path = "/own"
[[rule]]
id = "staging"
effect = "allow"
path = "/staging"
caller = { environment = "staging" }
[[rule]]
id = "anywhere"
effect = "allow"
path = "/anywhere"
caller = { environment = "*" }
[[rule]]
id = "not-staging"
effect = "deny"
path = "/anywhere"
caller = { environment = "staging" }
[[rule]]
id = "only-in-staging"
effect = "allow"
path = "/trial"
environment = "staging"
"#;

#[test]
fn a_caller_is_of_an_environment_where_all_that_is_known_of_it_is() {
    const OURS: &str = "spiffe://shop.example/orders";
    const THEIRS: &str = "spiffe://staging.example/orders";
    const PARTNER: &str = "spiffe://partner.example/x";
    const ISSUER: &str = "https://id.shop.example";
    // Peer, issuer; own in production, own in staging, own in edge.
    let cases = [
        (Some(OURS), None, [true, false, false]),
        (None, Some(ISSUER), [true, false, false]),
        (Some(OURS), Some(ISSUER), [true, false, false]),
        // A workload that is the principal too: its issuer is its trust domain.
        (Some(OURS), Some("shop.example"), [true, false, false]),
        (None, Some("shop.example"), [true, false, false]),
        (Some(THEIRS), Some("staging.example"), [false, true, false]),
        // A token of production over a workload of staging, and the other way round.
        (Some(THEIRS), Some(ISSUER), [false, false, false]),
        (Some(OURS), Some("staging.example"), [false, false, false]),
        (
            Some(OURS),
            Some("https://edge.example"),
            [false, false, false],
        ),
        // Nobody's workload, nobody's token.
        (Some(PARTNER), None, [false, false, false]),
        (Some(PARTNER), Some(ISSUER), [false, false, false]),
        (
            Some(OURS),
            Some("https://unknown.example"),
            [false, false, false],
        ),
        (None, Some("https://unknown.example"), [false, false, false]),
        // Staging names no issuers: any that is not another's will do. Edge names no workloads.
        (
            Some(THEIRS),
            Some("https://unknown.example"),
            [false, true, false],
        ),
        (None, Some("https://edge.example"), [false, false, true]),
        (
            Some(PARTNER),
            Some("https://edge.example"),
            [false, false, true],
        ),
        (
            Some(THEIRS),
            Some("https://edge.example"),
            [false, false, false],
        ),
        (None, None, [false, false, false]),
    ];
    for (place, environment) in ["production", "staging", "edge"].iter().enumerate() {
        let rules = rules_in(environment, TWO);
        for (peer, issuer, expected) in cases {
            let asked = Asked {
                peer,
                issuer,
                ..Asked::default()
            };
            let label = format!("{peer:?} {issuer:?} in {environment}");
            assert_eq!(
                asked.passes(&rules, "GET", "/own"),
                expected[place],
                "own: {label}"
            );
            assert_eq!(
                asked.passes(&rules, "GET", "/staging"),
                expected[1],
                "staging: {label}"
            );
            // Anybody, but those of whom anything is of staging.
            let touched = peer == Some(THEIRS) || issuer == Some("staging.example");
            assert_eq!(
                asked.passes(&rules, "GET", "/anywhere"),
                !touched,
                "anywhere: {label}"
            );
            let trial = *environment == "staging" && expected[1];
            assert_eq!(
                asked.passes(&rules, "GET", "/trial"),
                trial,
                "trial: {label}"
            );
        }
    }
}

#[test]
fn what_is_allowed_for_an_operation_is_not_for_a_closer_one() {
    let rules = rules_in("", include_str!("permit_closer_operations.toml"));
    let one: Vec<Rule> = rules
        .iter()
        .filter(|rule| &*rule.id == "one")
        .cloned()
        .collect();
    let rest: Vec<Rule> = rules
        .iter()
        .filter(|rule| &*rule.id == "rest")
        .cloned()
        .collect();
    // Method, path; as `order`, as `anything`.
    let cases = [
        ("GET", "/orders/7", true, false),
        ("DELETE", "/orders/7", true, false),
        ("GET", "/orders/export", false, false),
        ("DELETE", "/orders/export", true, false),
        ("HEAD", "/orders/7", false, false),
        ("PUT", "/orders/7", false, true),
        ("POST", "/charge", false, false),
        ("GET", "/charge", false, true),
        ("GET", "/orders/7/items", false, true),
    ];
    for (method, path, as_order, as_anything) in cases {
        let asked = Asked::default();
        assert_eq!(
            asked.passes(&one, method, path),
            as_order,
            "order: {method} {path}"
        );
        assert_eq!(
            asked.passes(&rest, method, path),
            as_anything,
            "anything: {method} {path}"
        );
    }
}

#[test]
fn fields_of_a_body_are_named_from_the_outside_in() {
    let options = PolicyOptions::new();
    let text = include_str!("permit_closer_operations.toml");
    let document = read_toml(text, &options).unwrap();
    let charge = document
        .operations
        .iter()
        .find(|one| &*one.id == "charge")
        .unwrap();
    assert_eq!(charge.body.max_bytes, Some(1024));
    let fields: Vec<_> = charge
        .body
        .fields
        .iter()
        .map(|field| (field.path.join("/"), field.kind, field.optional))
        .collect();
    let expected = [
        ("order/amount".to_owned(), FieldKind::Integer, false),
        ("note".to_owned(), FieldKind::Text, true),
        ("deep/at".to_owned(), FieldKind::Time, false),
    ];
    assert_eq!(fields, expected);
    let when = document
        .rules
        .iter()
        .find_map(|rule| rule.when.as_ref())
        .unwrap();
    let line = text.lines().nth(when.origin.line - 1).unwrap();
    assert_eq!(
        (line, when.origin.column),
        ("context.body.order.amount < 10", 1)
    );
}

#[test]
fn callers_are_compared_as_the_file_says() {
    let rule = |caller: &str| {
        let text = format!(
            "[roles.clerk]\n[roles.team-a]\n[[rule]]\nid = \"all roles\"\neffect = \"allow\"\n\
             path = \"/roles\"\ncaller = {{ roles = \"*\" }}\n[[rule]]\nid = \"a\"\n\
             effect = \"allow\"\npath = \"/a\"\ncaller = {{ {caller} }}\n"
        );
        rules_in("", &text)
    };
    let ada = |roles, claims| Asked {
        roles,
        claims,
        ..Asked::default()
    };
    let at = |client| Asked {
        client: Some(client),
        ..Asked::default()
    };
    let over = |peer| Asked {
        peer: Some(peer),
        ..Asked::default()
    };
    let cases: [(&str, Asked, bool); 22] = [
        (
            r#"roles = { all = ["clerk", "team-*"] }"#,
            ada(&["clerk", "team-b"], ""),
            true,
        ),
        (
            r#"roles = { all = ["clerk", "team-*"] }"#,
            ada(&["clerk"], ""),
            false,
        ),
        (
            r#"roles = { any = ["clerk", "team-*"] }"#,
            ada(&["clerk"], ""),
            true,
        ),
        (r#"roles = ["clerk"]"#, ada(&["team-a"], ""), false),
        (r#"claims = { d = "x" }"#, ada(&[], r#"{"d":"x"}"#), true),
        (
            r#"claims = { d = "x" }"#,
            ada(&[], r#"{"d":["y","x"]}"#),
            true,
        ),
        (
            r#"claims = { d = ["a", "b"] }"#,
            ada(&[], r#"{"d":"b"}"#),
            true,
        ),
        (
            r#"claims = { "d.e" = "x" }"#,
            ada(&[], r#"{"d":{"e":"x"}}"#),
            true,
        ),
        (
            r#"claims = { "d.e" = "x" }"#,
            ada(&[], r#"{"d.e":"x"}"#),
            false,
        ),
        (
            r#"claims = { 'd\.e' = "x" }"#,
            ada(&[], r#"{"d.e":"x"}"#),
            true,
        ),
        (
            r#"claims = { d = { exact = "*" } }"#,
            ada(&[], r#"{"d":"x"}"#),
            false,
        ),
        (
            r#"claims = { d = { exact = "*" } }"#,
            ada(&[], r#"{"d":"*"}"#),
            true,
        ),
        (r#"subject = "a*""#, ada(&["clerk"], ""), true),
        (r#"subject = "*b""#, ada(&["clerk"], ""), false),
        (
            r#"networks = ["::ffff:192.0.2.0/120"]"#,
            at("192.0.2.7"),
            true,
        ),
        (
            r#"networks = ["192.0.2.0/24"]"#,
            at("::ffff:192.0.2.7"),
            true,
        ),
        (r#"networks = ["198.51.100.7"]"#, at("198.51.100.8"), false),
        (r#"networks = ["::/0"]"#, at("198.51.100.8"), false),
        (
            r#"workload = "spiffe://t/x/*""#,
            over("spiffe://t/x/y"),
            true,
        ),
        (
            r#"workload = "spiffe://t/x/*""#,
            over("spiffe://t/x"),
            false,
        ),
        (
            r#"workload = "spiffe://t/*""#,
            over("spiffe://t.evil/x"),
            false,
        ),
        (r#"workload = "*""#, Asked::default(), false),
    ];
    for (caller, asked, expected) in cases {
        assert_eq!(
            asked.passes(&rule(caller), "GET", "/a"),
            expected,
            "{caller}"
        );
    }
}

#[test]
fn a_host_is_compared_without_capitals() {
    let text = "[[rule]]\nid = \"a\"\neffect = \"allow\"\nhosts = [\"pay.shop.example\", \"*.x.example\"]\n";
    let rules = rules_in("", text);
    for (host, expected) in [
        ("pay.shop.example", true),
        ("PAY.shop.example", true),
        ("a.x.example", true),
        ("x.example", false),
        ("evilx.example", false),
    ] {
        let asked = Asked {
            host: Some(host),
            ..Asked::default()
        };
        assert_eq!(asked.passes(&rules, "GET", "/"), expected, "{host}");
    }
}
