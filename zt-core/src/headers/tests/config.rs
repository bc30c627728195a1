use super::*;

fn read(json: &str) -> Result<SetSecurityHeadersLayer, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn headers(layer: &SetSecurityHeadersLayer) -> BTreeMap<String, String> {
    layer
        .headers()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn configurations_that_do_not_mean_what_they_say_are_refused() {
    for (json, words) in [
        (r#"{"presset": "api"}"#, "unknown field `presset`"),
        (r#"{"preset": "apy"}"#, "unknown variant `apy`"),
        (r#"{"set": {"a b": "c"}}"#, "`a b` is not a header name"),
        (r#"{"set": {"x-a": "b\nc"}}"#, "the value of `x-a`"),
        (
            r#"{"set": {"x-a": "1", "X-A": "2"}}"#,
            "`x-a` is configured more than once",
        ),
        (
            r#"{"set": {"x-a": "1", "x-a": "2"}}"#,
            "`x-a` is configured more than once",
        ),
        (
            r#"{"set": {"x-a": "1"}, "remove": ["x-a"]}"#,
            "`x-a` is configured more than once",
        ),
        (
            r#"{"csp": "img-src *", "set": {"content-security-policy": "img-src *"}}"#,
            "`content-security-policy` is configured more than once",
        ),
        (
            r#"{"set": {"content-length": "1"}}"#,
            "belongs to the message itself",
        ),
        (
            r#"{"remove": ["transfer-encoding"]}"#,
            "belongs to the message itself",
        ),
        (
            r#"{"force": ["x-a"]}"#,
            "`x-a` is to be forced and is not set",
        ),
        (
            r#"{"set": {"content-security-policy": "img-src self"}}"#,
            "must stand in single quotes",
        ),
        (r#"{"csp": "img-src self"}"#, "must stand in single quotes"),
        (
            r#"{"csp": {"img-src": ["self"]}}"#,
            "must stand in single quotes",
        ),
        (
            r#"{"csp": {"img-src": ["'self' data:"]}}"#,
            "cannot stand in a policy",
        ),
        (
            r#"{"csp": {"img-src": "*", "img-src": "data:"}}"#,
            "`img-src` is given more than once",
        ),
        (r#"{"csp": {}}"#, "has no directives"),
        (
            r#"{"csp_override": {"add": {"img-src": "*"}}}"#,
            "unknown field `add`",
        ),
        (
            r#"{"preset": "empty", "csp_override": {"append": {"img-src": "*"}}}"#,
            "no content security policy to override",
        ),
        (
            r#"{"csp_override": {"append": {"img-src": "*", "img-src": "data:"}}}"#,
            "`img-src` is given more than once",
        ),
        (
            r#"{"permissions_policy": {"features": {"Camera": "none"}}}"#,
            "name of a feature",
        ),
        (
            r#"{"permissions_policy": {"features": {"camera": "https"}}}"#,
            "`https` is not an origin",
        ),
        (
            r#"{"permissions_policy": {"features": {"camera": ["self", "*"]}}}"#,
            "`*` must stand alone",
        ),
        (
            r#"{"permissions_policy": {"features": {"camera": "self", "camera": "*"}}}"#,
            "`camera` is given more than once",
        ),
        (r#"{"permissions_policy": {}}"#, "names no feature"),
    ] {
        let error = read(json).map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{json}: {error}");
    }
}

#[test]
fn nothing_configured_is_the_default() {
    let default = SetSecurityHeadersLayer::default();
    assert_eq!(headers(&read("{}").unwrap()), headers(&default));
    assert_eq!(headers(&default), headers(&SetSecurityHeadersLayer::api()));
}

#[tokio::test]
async fn everything_can_be_configured() {
    let layer = read(
        r#"{
            "preset": "helmet",
            "set": {"X-A": "1", "Referrer-Policy": "same-origin"},
            "force": ["Referrer-Policy"],
            "remove": ["X-Runtime"],
            "without": ["X-Download-Options"],
            "csp": {
                "default-src": ["'self'"],
                "script-src": "'self' 'nonce'",
                "upgrade-insecure-requests": []
            },
            "csp_override": {
                "append": {"img-src": ["data:"]},
                "replace": {"report-to": "csp"},
                "remove": ["upgrade-insecure-requests"]
            },
            "csp_report_only": "default-src 'none'",
            "permissions_policy": {
                "features": {"camera": "none", "usb": ["self", "https://a.example"], "midi": "*"}
            }
        }"#,
    )
    .unwrap();
    let handler = with_headers(&[("referrer-policy", "origin"), ("x-runtime", "1")]);
    let response = behind(&layer, handler).await;
    let found = as_map(response.headers());
    for (name, value) in [
        ("x-a", "1"),
        ("referrer-policy", "same-origin"),
        (
            "content-security-policy",
            "default-src 'self';script-src 'self';report-to csp;img-src 'self' data:",
        ),
        ("content-security-policy-report-only", "default-src 'none'"),
        (
            "permissions-policy",
            "camera=(), usb=(self \"https://a.example\"), midi=*",
        ),
        ("x-frame-options", "SAMEORIGIN"),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    assert!(!found.contains_key("x-runtime"));
    assert!(!found.contains_key("x-download-options"));
}
