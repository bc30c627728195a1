//! What a policy decided, and what was only tried, as it stands in the log.

use zt_core::{
    authorize::AuthorizeLayer,
    policy::{CompiledPolicy, PolicyOptions},
    stack::ZeroTrust,
};

use super::*;

const POLICY: &str = r#"
policy = "shop"
version = "7"
[[rule]]
id = "anybody"
effect = "allow"
path = "/orders/{id}"
[[rule]]
id = "no-secrets"
effect = "deny"
path = "/orders/secret"
[[rule]]
id = "no-sevens"
effect = "deny"
dry_run = true
path = "/orders/7"
"#;

#[tokio::test]
async fn a_decision_names_the_rule_that_made_it_and_what_was_only_tried() {
    let (log, disk) = log();
    let policy = CompiledPolicy::from_toml(POLICY, &PolicyOptions::new())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .insecure_anonymous()
        .authorize(AuthorizeLayer::new(policy))
        .build()
        .unwrap();
    let service = zt.layer(tower::service_fn(|_: Request<_>| async { answer() }));
    for path in ["/orders/1", "/orders/secret", "/elsewhere", "/orders/7"] {
        let mut request = request(Method::GET, path);
        let host = HeaderValue::from_static("shop.example");
        request.headers_mut().insert("host", host);
        let response = service.clone().oneshot(request).await.unwrap();
        if let Some(denial) = response.extensions().get::<Denial>() {
            assert_eq!(denial.code(), Code::PolicyDenied);
        }
        let said = response.into_body().collect().await.unwrap().to_bytes();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains("no-") && !said.contains("shop"), "{said}");
    }
    drop(service);
    let records = close(log, &disk);
    let decisions: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "decision")
        .map(|record| {
            ["decision", "rule", "policy", "version", "dry_run"]
                .map(|name| record[name].as_str().unwrap_or("-").to_owned())
                .join(" | ")
        })
        .collect();
    assert_eq!(
        decisions,
        [
            "permit | anybody | shop | 7 | -",
            "deny | no-secrets | shop | 7 | -",
            "deny | - | shop | 7 | -",
            "permit | anybody | shop | 7 | deny by no-sevens",
        ]
    );
}
