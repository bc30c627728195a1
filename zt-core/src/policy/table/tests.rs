use std::sync::Arc;

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
path = "/refunds/{id}"
grant = "refunds.write"
[[rule]]
id = "closed"
effect = "deny"
path = "/closed"
"#;

fn shop() -> PolicyTest {
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), SHOP);
    PolicyTest::new(&CompiledPolicy::from_toml(SHOP, &options).unwrap())
}

fn orders(request: &str) -> Question {
    Question::new(request).workload("spiffe://shop.example/orders")
}

#[tokio::test]
async fn cases_that_do_not_hold_fail_and_say_why() {
    let report = shop()
        .denies(orders("POST /charge"))
        .named("nobody charges")
        .allows(orders("GET /charge"))
        .allows(orders("POST /charge"))
        .by("refunds")
        .denies(orders("POST /closed"))
        .by("orders-charge")
        .allows(orders("nothing"))
        .run()
        .await;
    assert_eq!((report.passed, report.failed.len()), (0, 5));
    let shown = report.to_string();
    for line in [
        "0 of 5 cases hold",
        "`nobody charges` should be denied",
        "`case 3` should be permitted by the rule `refunds`",
        "POST /charge: permitted by the rule `orders-charge`",
        "    - the method is `GET`, not `POST`",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
    }
    assert!(shown.contains("could not be asked"));
}

#[tokio::test]
async fn cases_that_hold_pass_and_rules_that_decided_none_are_told() {
    let test = shop()
        .allows(orders("POST /charge"))
        .by("orders-charge")
        .denies(orders("POST /refunds/7"))
        .allows(orders("POST /refunds/7").grants(["refunds.write"]))
        .by("refunds");
    test.assert().await;
    let report = test.run().await;
    assert_eq!((report.passed, report.failed.len()), (3, 0));
    assert_eq!(report.untested, [Arc::<str>::from("closed")]);
}

#[tokio::test]
#[should_panic(expected = "should be permitted")]
async fn a_failed_assertion_panics() {
    shop().allows(orders("GET /charge")).assert().await;
}

#[tokio::test]
#[should_panic(expected = "there is no case")]
async fn a_test_without_a_case_is_none() {
    shop().assert().await;
}

#[tokio::test]
async fn cases_are_read_from_a_file() {
    let text = r#"
[[case]]
name = "orders may charge"
allows = "orders-charge"
request = "POST /charge"
workload = "spiffe://shop.example/orders"

[[case]]
denies = true
request = "POST /charge"
caller = { kind = "user", subject = "ada" }

[[case]]
denies = "closed"
request = "GET /charge"
"#;
    let report = shop().cases(text).unwrap().run().await;
    assert_eq!((report.passed, report.failed.len()), (2, 1));
    assert_eq!(
        (&*report.failed[0].name, report.failed[0].line),
        ("line 13", 13)
    );
}

#[test]
fn files_of_cases_are_read_strictly() {
    for (text, line, said) in [
        ("", 1, "there is no `[[case]]`"),
        ("\n[[cases]]", 2, "unknown field `cases`"),
        (
            "\n[[case]]\nrequest = \"GET /\"",
            2,
            "either `allows` or `denies`",
        ),
        (
            "[[case]]\nallows = true\ndenies = true\nrequest = \"GET /\"",
            1,
            "either",
        ),
        (
            "[[case]]\nallows = false\nrequest = \"GET /\"",
            1,
            "it is `true`, or the rule",
        ),
        ("[[case]]\nallows = true", 1, "missing field `request`"),
        (
            "[[case]]\nallows = true\nrequest = \"GET /\"\nrole = \"x\"",
            1,
            "unknown field `role`",
        ),
        ("[[case]]\nname = 1\nallows = true", 1, "`name` is a text"),
        ("[[case]]\nallows = ", 2, ""),
    ] {
        let error = shop().cases(text).unwrap_err();
        assert_eq!(error.line(), line, "{text}: {error}");
        assert!(error.message().contains(said), "{text}: {error}");
    }
}
