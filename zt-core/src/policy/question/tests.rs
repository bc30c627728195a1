use serde_json::json;

use super::*;
use crate::policy::{CompiledPolicy, PolicyOptions};

const POLICY: &str = r#"
policy = "shop"
version = "7"
[[rule]]
id = "orders"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders" }
path = "/orders"
[[rule]]
id = "same-domain"
effect = "allow"
caller = { kind = "service", issuer = "spiffe://shop.example" }
path = "/domain"
[[rule]]
id = "ada"
effect = "allow"
caller = { kind = "user", issuer = "https://id", subject = "ada", tenant = "t", roles = "clerk", scopes = "orders:read", claims = { department = "payments" } }
path = "/ada"
[[rule]]
id = "inside"
effect = "allow"
caller = { networks = ["10.0.0.0/8"] }
path = "/inside"
[[rule]]
id = "host"
effect = "allow"
hosts = ["pay.example"]
path = "/host"
[[rule]]
id = "refunds"
effect = "allow"
path = "/refunds"
grant = "refunds.write"
[[rule]]
id = "closed"
effect = "deny"
path = "/closed"
[roles.clerk]
"#;

fn policy() -> CompiledPolicy {
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), POLICY);
    CompiledPolicy::from_toml(POLICY, &options).unwrap()
}

fn ada(request: &str) -> Question {
    Question::new(request)
        .host("pay.example")
        .user("https://id", "ada")
        .tenant("t")
        .roles(["clerk"])
        .scopes(["orders:read"])
        .claims(json!({"department": "payments"}))
}

#[tokio::test]
async fn a_question_is_answered_as_its_request_would_be() {
    let get = |path: &str| Question::new(format!("GET {path}")).host("pay.example");
    let orders = "spiffe://shop.example/orders";
    for (question, rule, permitted) in [
        (get("/orders"), None, false),
        (
            get("/orders").workload("spiffe://shop.example/order"),
            None,
            false,
        ),
        (get("/orders").workload(orders), Some("orders"), true),
        (
            get("/domain").workload("spiffe://shop.example/x"),
            Some("same-domain"),
            true,
        ),
        (
            get("/domain").workload("spiffe://other.example/x"),
            None,
            false,
        ),
        // A person over a workload's connection is who asks.
        (
            get("/domain")
                .workload(orders)
                .user("spiffe://shop.example", "x"),
            None,
            false,
        ),
        (ada("GET /ada"), Some("ada"), true),
        (ada("GET /ada").roles(["owner"]), None, false),
        (ada("GET /ada").scopes(["orders:write"]), None, false),
        (ada("GET /ada").tenant("u"), None, false),
        (
            ada("GET /ada").claims(json!({"department": "it"})),
            None,
            false,
        ),
        (ada("GET /ada").user("https://id", "bob"), None, false),
        (ada("GET /ada").service("https://id", "ada"), None, false),
        (
            get("/inside").client("10.1.1.1".parse().unwrap()),
            Some("inside"),
            true,
        ),
        (
            get("/inside").client("11.1.1.1".parse().unwrap()),
            None,
            false,
        ),
        (get("/host"), Some("host"), true),
        (get("/host").host("shop.example"), None, false),
        (
            Question::new("GET https://pay.example/host"),
            Some("host"),
            true,
        ),
        (ada("GET /refunds"), None, false),
        (
            ada("GET /refunds").grants(["refunds.write"]),
            Some("refunds"),
            true,
        ),
        (ada("GET /refunds").grants(["refunds.read"]), None, false),
        (get("/closed"), Some("closed"), false),
    ] {
        let answer = policy().ask(&question).await.unwrap();
        assert_eq!(
            (answer.rule(), answer.is_permitted()),
            (rule, permitted),
            "{question:?}: {answer}"
        );
        assert_eq!((answer.policy(), answer.version()), ("shop", "7"));
        assert_eq!(answer.code(), (!permitted).then_some("policy-denied"));
    }
}

#[tokio::test]
async fn a_path_with_more_than_one_reading_is_malformed() {
    for path in [
        "/orders/../closed",
        "//orders",
        "/orders%2f",
        "/%2e%2e/orders",
    ] {
        let question = Question::new(format!("GET {path}")).host("pay.example");
        let answer = policy().ask(&question).await.unwrap();
        assert_eq!(answer.code(), Some("request-malformed"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_permit_ends_with_its_grant() {
    let now = Timestamp::from_secs(1_800_000_000);
    let question = ada("GET /refunds").grants(["refunds.write"]).at(now);
    let answer = policy().ask(&question).await.unwrap();
    assert_eq!(
        answer.until(),
        Some(now + std::time::Duration::from_secs(60))
    );
}

#[tokio::test]
async fn questions_that_are_none_are_errors() {
    for (question, said) in [
        (Question::new(""), "a request is a method and a target"),
        (Question::new("GET"), "a request is a method and a target"),
        (Question::new("G\u{7f}T /x"), "has no method"),
        (Question::new("GET /a b"), "has no target"),
        (
            Question::new("GET /x").header("a b", "c"),
            "the header `a b` cannot be sent",
        ),
        (
            Question::new("GET /x").header("a", "secret\n"),
            "the header `a` cannot be sent",
        ),
        (
            Question::new("GET /x").roles(["a"]),
            "the caller needs a kind",
        ),
        (
            Question::new("GET /x").user("https://id", ""),
            "the caller needs a subject",
        ),
        (ada("GET /x").claims(json!("text")), "claims are an object"),
        (
            Question::new("GET /x").attribute("device", "managed", json!(true)),
            "no attributes `device`",
        ),
    ] {
        let error = policy().ask(&question).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn outside_of_a_question_nothing_is_declared() {
    use crate::authorize::{Access, Policy, Verdict};
    let settings = crate::gate::Settings::shared_default();
    let request = http::Request::get("/refunds").header("host", "pay.example");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut cx = crate::context::SecurityContext::open(&parts, &settings);
    let who = crate::identity::Principal::assertion(
        crate::identity::PrincipalKind::User,
        "ada",
        crate::identity::AuthMethod::Jwt,
    );
    cx.set_principal(Arc::new(who.finish()));
    let crate::gate::Step::Now(answer) = policy().decide(&Access::new(&parts, &cx)) else {
        panic!("it waits")
    };
    assert!(!matches!(answer, Ok(Verdict::Permit(_))));
}

#[test]
fn a_question_is_read_strictly() {
    let read = |text: &str| toml::from_str::<Question>(text);
    let whole = r#"
request = "POST /charge"
host = "pay.example"
workload = "spiffe://shop.example/orders"
client = "10.0.0.7"
headers = { "x-region" = "eu" }
body = { amount = 9999 }
now = 2026-03-29T12:00:00Z
grants = ["refunds.write"]
attributes.device = { managed = true }
[caller]
kind = "user"
issuer = "https://id.shop.example"
subject = "ada"
tenant = "shop"
session = "s1"
scopes = ["orders:read"]
roles = ["clerk"]
claims = { department = "payments" }
method = "jwt"
authenticated_at = "2026-03-29T13:55:00+02:00"
context_class = "urn:example:mfa"
"#;
    let question = read(whole).unwrap();
    let noon = Timestamp::from_secs(1_774_785_600);
    assert_eq!(question.now, Some(Moment(noon)));
    let before = noon.saturating_sub(std::time::Duration::from_secs(300));
    assert_eq!(
        question.caller.as_ref().unwrap().authenticated_at,
        Some(Moment(before))
    );
    let shown = format!("{question:?}");
    for secret in ["payments", "9999", "x-region", "s1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for wrong in [
        "",
        "request = 1",
        "request = \"GET /\"\nmethod = \"GET\"",
        "request = \"GET /\"\ncaller = { kind = \"admin\" }",
        "request = \"GET /\"\ncaller = { name = \"x\" }",
        "request = \"GET /\"\nclient = \"10.0.0\"",
        "request = \"GET /\"\nnow = \"noon\"",
        "request = \"GET /\"\nnow = \"2026-03-29T12:00:00\"",
        "request = \"GET /\"\nnow = 1969-12-31T23:59:59Z",
        "request = \"GET /\"\nnow = 12:00:00",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn moments_are_those_of_the_calendar() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1972-02-29T00:00:00Z", 68_169_600),
        ("2000-02-29T23:59:59Z", 951_868_799),
        ("2000-03-01T00:00:00Z", 951_868_800),
        ("2100-02-28T00:00:00Z", 4_107_456_000),
        ("2100-03-01T00:00:00Z", 4_107_542_400),
        ("2026-03-29T12:00:00-05:30", 1_774_805_400),
    ] {
        assert_eq!(
            Moment::parse(text),
            Some(Moment(Timestamp::from_secs(seconds))),
            "{text}"
        );
    }
    for none in [
        "",
        "2026-03-29",
        "12:00:00",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ] {
        assert_eq!(Moment::parse(none), None, "{none}");
    }
}

#[cfg(feature = "cedar")]
mod with_cedar {
    use super::*;

    const POLICY: &str = r#"
policy = "shop"
[attributes.device]
managed = "boolean"
patched = "time"
[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer" }
[[rule]]
id = "charge"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders" }
operation = "charge"
when = "context.body.amount < 10000"
[[rule]]
id = "managed"
effect = "allow"
path = "/managed"
when = "context.device.managed"
"#;

    #[tokio::test]
    async fn bodies_and_attributes_are_as_the_question_says() {
        let options = DeclaredFacts::stand_in(PolicyOptions::new(), POLICY);
        let policy = CompiledPolicy::from_toml(POLICY, &options).unwrap();
        let charge = |body| {
            Question::new("POST /charge")
                .host("pay.example")
                .workload("spiffe://shop.example/orders")
                .body(body)
        };
        let managed = |value| {
            ada("GET /managed")
                .attribute("device", "managed", value)
                .attribute("device", "patched", json!("2026-03-29T12:00:00Z"))
        };
        for (question, permitted) in [
            (charge(json!({"amount": 9999})), true),
            (charge(json!({"amount": 10000})), false),
            (charge(json!({"amount": "1"})), false),
            (charge(json!({})), false),
            (
                charge(json!("{\"amount\": 1, \"amount\": 1}"))
                    .header("content-type", "application/json"),
                false,
            ),
            (
                charge(json!({"amount": 1, "text": "x".repeat(70_000)})),
                false,
            ),
            (managed(json!(true)), true),
            (managed(json!(false)), false),
            // What the question does not declare is not known.
            (ada("GET /managed"), false),
        ] {
            let answer = policy.ask(&question).await.unwrap();
            assert_eq!(answer.is_permitted(), permitted, "{answer}");
        }
        for (name, value) in [
            ("managed", json!("yes")),
            ("patched", json!("noon")),
            ("other", json!(1)),
        ] {
            let question = ada("GET /managed").attribute("device", name, value);
            assert!(policy.ask(&question).await.is_err(), "{name}");
        }
    }
}
