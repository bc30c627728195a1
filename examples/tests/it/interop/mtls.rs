//! curl with each certificate that is handed out.

use serde_json::Value;

use super::curl;

pub(super) fn meet(about: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let url = format!("{}/whoami", text(&about["url"]));
    let ca = text(&about["ca"]);
    let call = |who: &Value| {
        let (cert, key) = (text(&who["cert"]), text(&who["key"]));
        curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url])
    };
    let (status, answer) = call(&about["good"]);
    assert_eq!(status, 200, "{answer}");
    let id = text(&about["good"]["spiffe_id"]);
    assert!(answer.ends_with(&format!("\r\n\r\n{id}")), "{answer}");
    let bad = about["bad"].as_array().unwrap();
    assert!(bad.len() >= 15);
    for who in bad {
        let (status, answer) = call(who);
        assert_eq!(status, 0, "{}: {answer}", who["name"]);
    }
    let (status, answer) = curl(&["--cacert", &ca, &url]);
    assert_eq!(status, 0, "without a certificate: {answer}");
}
