use serde_json::json;

use super::*;
use crate::policy::{DeclaredFacts, PolicyOptions};

const SHOP: &str = r#"policy = "shop"
[[rule]]
id = "orders-charge"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders" }
methods = ["POST"]
path = "/charge"
[[rule]]
id = "refunds"
effect = "allow"
caller = { kind = "user", roles = "auditor", claims = { department = "payments" } }
methods = ["POST"]
path = "/refunds/{id}"
grant = "refunds.write"
[[rule]]
id = "tried"
effect = "deny"
caller = { networks = ["10.0.0.0/8"] }
path = "/{rest..}"
dry_run = true
[[rule]]
id = "closed"
effect = "deny"
path = "/closed"
[roles.auditor]
"#;

fn policy(text: &str) -> CompiledPolicy {
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), text);
    CompiledPolicy::from_toml(text, &options).unwrap()
}

async fn explained(question: Question) -> Explanation {
    policy(SHOP)
        .explain(&question.host("pay.example"))
        .await
        .unwrap()
}

fn misses<'e>(explanation: &'e Explanation, rule: &str) -> &'e [String] {
    let rule = explanation.rules.iter().find(|one| *one.id == *rule);
    &rule.unwrap().misses
}

fn orders(request: &str) -> Question {
    Question::new(request).workload("spiffe://shop.example/orders")
}

fn ada(request: &str) -> Question {
    Question::new(request).user("https://id", "ada")
}

#[tokio::test]
async fn what_misses_is_said_in_words() {
    let admin = Question::new("POST /charge").workload("spiffe://shop.example/admin");
    let auditor = || {
        ada("POST /refunds/7")
            .roles(["auditor"])
            .claims(json!({"department": "payments"}))
    };
    for (question, rule, said) in [
        (
            admin,
            "orders-charge",
            vec![
                "caller.workload is `spiffe://shop.example/admin`, not `spiffe://shop.example/orders`",
            ],
        ),
        (
            Question::new("POST /charge"),
            "orders-charge",
            vec!["caller.workload is not known, and has to be `spiffe://shop.example/orders`"],
        ),
        (
            orders("GET /charge"),
            "orders-charge",
            vec!["the method is `GET`, not `POST`"],
        ),
        (
            orders("POST /charges"),
            "orders-charge",
            vec!["the path is `/charges`, not `/charge`"],
        ),
        (
            auditor(),
            "refunds",
            vec!["the grant `refunds.write` is not held"],
        ),
        (
            auditor().claims(json!({"department": "hush"})),
            "refunds",
            vec!["the claim `department` is not `payments`"],
        ),
        (
            auditor().roles(["hidden"]),
            "refunds",
            vec!["the caller has not the role `auditor`"],
        ),
    ] {
        let explanation = explained(question).await;
        assert!(!explanation.answer.is_permitted());
        assert_eq!(misses(&explanation, rule), said, "{explanation}");
        let shown = format!(
            "{explanation}{}",
            serde_json::to_string(&explanation).unwrap()
        );
        assert!(
            !shown.contains("hush") && !shown.contains("hidden"),
            "{shown}"
        );
    }
    let held = explained(auditor().grants(["refunds.write"])).await;
    assert!(held.answer.is_permitted() && misses(&held, "refunds").is_empty());
}

#[tokio::test]
async fn the_nearest_rule_is_first_and_the_deciding_one_before_it() {
    let outside = "192.0.2.7".parse().unwrap();
    let near = explained(orders("GET /charge").client(outside)).await;
    let order: Vec<(&str, Outcome)> = near
        .rules
        .iter()
        .map(|rule| (&*rule.id, rule.outcome))
        .collect();
    assert_eq!(order[0], ("orders-charge", Outcome::Missed));
    let permitted = explained(orders("POST /charge")).await;
    assert_eq!(permitted.rules[0].outcome, Outcome::Decided);
    assert_eq!(
        (&*permitted.rules[0].id, permitted.rules[0].line),
        ("orders-charge", 3)
    );
    let denied = explained(orders("POST /closed")).await;
    assert_eq!(
        (&*denied.rules[0].id, denied.rules[0].outcome),
        ("closed", Outcome::Decided)
    );
}

#[tokio::test]
async fn a_dry_run_is_explained_and_decides_nothing() {
    let inside = orders("POST /charge").client("10.0.0.1".parse().unwrap());
    let explanation = explained(inside).await;
    assert!(explanation.answer.is_permitted());
    assert!(!explanation.trial.as_ref().unwrap().is_permitted());
    let shown = explanation.to_string();
    for line in [
        "POST /charge: permitted by the rule `orders-charge`",
        "with the rules in dry run: denied by the rule `tried`",
        "  allow `orders-charge` (policy.toml:3) decided",
        "  deny `tried` (policy.toml:16) matched, and is a dry run",
        "    - the path is `/charge`, not `/closed`",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
    }
}

#[tokio::test]
async fn a_request_that_no_rule_is_asked_about_has_no_rules() {
    let explanation = explained(orders("POST /charge/../closed")).await;
    assert_eq!(explanation.answer.code(), Some("request-malformed"));
    assert!(explanation.rules.is_empty());
}

#[tokio::test]
async fn no_more_rules_are_shown_than_can_be_read() {
    let mut text = String::from("policy = \"many\"\n");
    for at in 0..50 {
        text.push_str(&format!(
            "[[rule]]\nid = \"r{at}\"\neffect = \"allow\"\nmethods = [\"GET\"]\npath = \"/p{at}\"\n"
        ));
    }
    let explanation = policy(&text)
        .explain(&Question::new("GET /p7\u{41}"))
        .await
        .unwrap();
    assert_eq!((explanation.rules.len(), explanation.others), (NEAREST, 40));
    assert!(
        explanation
            .to_string()
            .contains("40 other rules are further off")
    );
}

#[cfg(feature = "cedar")]
#[tokio::test]
async fn conditions_are_asked_one_by_one() {
    let text = r#"
policy = "shop"
[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer" }
[[rule]]
id = "small"
effect = "allow"
operation = "charge"
grant = "charge"
when = "context.body.amount < 10000"
[[rule]]
id = "huge"
effect = "deny"
operation = "charge"
when = "context.body.amount > 1000000"
"#;
    let ask = |amount: i64, grants: &'static [&'static str]| async move {
        let question = ada("POST /charge")
            .host("h")
            .body(json!({ "amount": amount }));
        policy(text)
            .explain(&question.grants(grants.iter().copied()))
            .await
            .unwrap()
    };
    let permitted = ask(1, &["charge"]).await;
    assert!(permitted.answer.is_permitted());
    assert_eq!(
        misses(&permitted, "huge"),
        ["when `context.body.amount > 1000000` is false"]
    );
    let both = ask(20_000, &[]).await;
    let small = [
        "the grant `charge` is not held",
        "when `context.body.amount < 10000` is false",
    ];
    assert_eq!(misses(&both, "small"), small);
    let huge = ask(2_000_000, &["charge"]).await;
    assert_eq!(
        (&*huge.rules[0].id, huge.rules[0].outcome),
        ("huge", Outcome::Decided)
    );
    let broken = policy(text)
        .explain(&ada("POST /charge").host("h").body(json!({})))
        .await
        .unwrap();
    assert!(!broken.answer.is_permitted());
    assert!(
        misses(&broken, "huge")[0]
            .starts_with("when `context.body.amount > 1000000`: request-invalid"),
        "{broken}"
    );
}
