//! The policies of the examples hold what their cases say, and `services` and `interop` obey theirs.

use zt_core::policy::{CompiledPolicy, DeclaredFacts, PolicyOptions, PolicyTest, Question};
use zt_examples::charges::POLICY;

const CASES: &str = include_str!("../../src/charges/cases.toml");

fn options() -> PolicyOptions {
    DeclaredFacts::stand_in(PolicyOptions::new(), POLICY)
}

#[tokio::test]
async fn the_policy_of_charges_holds_its_cases() {
    let policy = CompiledPolicy::from_toml(POLICY, &options()).unwrap();
    let test = PolicyTest::new(&policy).cases(CASES).unwrap();
    let report = test.run().await;
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.untested.is_empty(), "{report}");
    assert_eq!(report.passed, 10);
}

/// So that the test above can fail.
#[tokio::test]
async fn a_higher_limit_is_noticed() {
    let higher = POLICY.replace("< 10000", "< 20000");
    let policy = CompiledPolicy::from_toml(&higher, &options()).unwrap();
    let report = PolicyTest::new(&policy).cases(CASES).unwrap().run().await;
    assert_eq!(report.failed.len(), 1, "{report}");
}

#[tokio::test]
async fn orders_takes_orders_of_the_gateway_below_its_limit() {
    let file = include_str!("../../src/services/orders.toml");
    let policy = CompiledPolicy::from_toml(file, &PolicyOptions::new()).unwrap();
    let order = |by: &str, amount: u64| {
        Question::new("POST /orders")
            .workload(format!("spiffe://shop.example/{by}"))
            .body(serde_json::json!({ "amount": amount }))
    };
    PolicyTest::new(&policy)
        .allows(order("gateway", 120))
        .by("gateway-orders")
        .denies(order("gateway", 10_000))
        .denies(order("reports", 120))
        .denies(order("orders", 120))
        .assert()
        .await;
}
