//! A policy in a file, which a stranger changes.

use std::time::Duration;

use serde_json::Value;
use zt_core::clock::{Clock, SystemClock};

use super::curl;

pub(super) fn meet(base: &str, about: &Value) {
    let header = about["header"].as_str().unwrap();
    let token = |caller: &str| format!("{header}: {}", about["callers"][caller].as_str().unwrap());
    let charge = |caller: &str, body: &str| {
        let url = format!("{base}{}", about["charge"]["path"].as_str().unwrap());
        let json = "Content-Type: application/json";
        curl(&["-H", &token(caller), "-H", json, "-d", body, &url])
    };
    let item = |caller: &str, id: &str| {
        let url = format!("{base}/policy/items/{id}");
        curl(&["--path-as-is", "-H", &token(caller), &url])
    };
    let (status, text) = charge("order-service", r#"{"amount":9999}"#);
    assert_eq!(status, 200, "{text}");
    assert!(text.ends_with("orders-charge\n"), "{text}");
    for (caller, body, expected) in [
        ("order-service", r#"{"amount":10000}"#, 403),
        ("admin-service", r#"{"amount":1}"#, 403),
        ("order-service", r#"{"amount":1,"amount":99999}"#, 400),
        ("order-service", r#"{"amount":"1"}"#, 422),
        ("order-service", "amount=1", 400),
    ] {
        let (status, text) = charge(caller, body);
        assert_eq!(status, expected, "{caller} {body}: {text}");
        assert!(!text.contains("orders-charge"), "{text}");
    }
    for (caller, id, expected) in [
        ("admin-service", "7", 200),
        ("admin-service", "secret", 403),
        ("order-service", "secret", 200),
        ("admin-service", "%73ecret", 400),
        ("admin-service", "./secret", 400),
        ("admin-service", "7/../secret", 400),
        ("admin-service", "7/more", 403),
    ] {
        let (status, text) = item(caller, id);
        assert_eq!(status, expected, "{caller} {id}: {text}");
    }

    // A change is in force a moment later; one that is none changes nothing.
    let file = about["file"].as_str().unwrap();
    let policy = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, policy.replace("/secret", "/hidden")).unwrap();
    let begun = SystemClock.monotonic();
    while item("admin-service", "secret").0 != 200 {
        let since = SystemClock.monotonic().saturating_sub(begun);
        assert!(since < Duration::from_secs(60), "it is reloaded");
        std::thread::yield_now();
    }
    assert_eq!(item("admin-service", "hidden").0, 403);
}
