//! Policies from configuration.

use super::*;

fn read(json: &str) -> Result<SignaturePolicy, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn refuses_what_it_does_not_know_and_what_would_weaken_it() {
    for (json, why) in [
        (r#"{"max_age": 60}"#, "unknown field"),
        (r#"{"nonce": false}"#, "unknown field"),
        (r#"{"insecure_without_nonce": true}"#, "unknown field"),
        (r#"{"covers": ["@method"]}"#, ""),
        (r#"{"covers": ["\"X-A\""]}"#, ""),
        (r#"{"algorithms": ["none"]}"#, ""),
        (r#"{"scheme": "ftp"}"#, "unknown variant"),
        (r#"{"authority": "guess"}"#, "unknown variant"),
        (r#"{"body": {"buffer": {"bytes": 1}}}"#, "missing field"),
        (
            r#"{"body": {"buffer": {"bytes": 1, "seconds": 1, "x": 1}}}"#,
            "unknown field",
        ),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(why), "{json}: {error}");
    }
}

#[tokio::test]
async fn an_empty_configuration_is_the_strict_policy() {
    let server = server(read("{}").unwrap());
    assert!(server.ask(Draft::post("42").signed()).await.passed());
    let draft = Draft::default().without("\"@query\"");
    server
        .ask(draft.signed())
        .await
        .invalid("does not cover \"@query\"");
}

#[tokio::test]
async fn what_is_configured_holds() {
    let policy = read(
        r#"{
            "covers": ["\"idempotency-key\""], "covers_if_present": ["content-type"], "tag": "orders", "algorithms": ["hmac-sha256"],
            "max_age_seconds": 30, "future_skew_seconds": 2, "expiring": true, "scheme": "http",
            "authority": {"fixed": "shop.example"}, "body": {"buffer": {"bytes": 2, "seconds": 5}}
        }"#,
    );
    let policy = policy.unwrap();
    assert_eq!(policy.replay_window().as_secs(), 32);
    let server = server(policy);
    let params = |nonce: &str| {
        let end = now() + 5;
        format!(";created=NOW;expires={end};keyid=\"k1\";nonce=\"{nonce}\";tag=\"orders\"")
    };
    let draft = |body, nonce: &str| {
        Draft::post(body)
            .header("idempotency-key", "1")
            .cover("\"idempotency-key\"")
            .params(&params(nonce))
    };
    assert!(server.ask(draft("42", "n1").signed()).await.passed());
    server
        .ask(draft("421", "n2").signed())
        .await
        .is(Code::BodyTooLarge, "");
    let typed = draft("42", "n4").header("content-type", "text/plain");
    server
        .ask(typed.signed())
        .await
        .invalid("does not cover \"content-type\"");
    let typed = typed.cover("\"content-type\"");
    assert!(server.ask(typed.signed()).await.passed());
    let uncovered = draft("42", "n3").without("\"idempotency-key\"");
    server
        .ask(uncovered.signed())
        .await
        .invalid("does not cover");
}
