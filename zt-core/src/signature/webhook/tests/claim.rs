//! What can be read of the headers.

use http::HeaderMap;

use super::*;

fn read(
    format: WebhookFormat,
    headers: &[(&'static str, &str)],
) -> Result<WebhookClaim, ClaimError> {
    WebhookClaim::read(format, request(headers, "").headers())
}

fn standard_read(id: &str, seconds: &str, signature: &str) -> Result<WebhookClaim, ClaimError> {
    read(
        WebhookFormat::Standard,
        &[
            ("webhook-id", id),
            ("webhook-timestamp", seconds),
            ("webhook-signature", signature),
        ],
    )
}

fn stripe_read(header: &str) -> Result<WebhookClaim, ClaimError> {
    read(WebhookFormat::Stripe, &[("stripe-signature", header)])
}

fn is_malformed(read: Result<WebhookClaim, ClaimError>) -> bool {
    matches!(read, Err(ClaimError::Malformed { .. }))
}

const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

#[test]
fn standard_ids_have_no_full_stop_and_an_end() {
    assert!(standard_read("a", "1", GOOD).is_ok());
    assert!(standard_read(&"a".repeat(256), "1", GOOD).is_ok());
    for id in ["", "a.b", ".", "a b", "\u{e9}", &"a".repeat(257)] {
        assert!(is_malformed(standard_read(id, "1", GOOD)), "{id}");
    }
}

#[test]
fn timestamps_are_digits_written_in_one_way() {
    assert_eq!(
        standard_read("a", "1614265330", GOOD).unwrap().timestamp(),
        Some(1_614_265_330)
    );
    for seconds in [
        "",
        "0",
        "01",
        "+1",
        "-1",
        "1.0",
        "1e9",
        " 1",
        "1 ",
        "0x1",
        "99999999999999999999",
        "100000000000",
        "\u{661}",
    ] {
        assert!(is_malformed(standard_read("a", seconds, GOOD)), "{seconds}");
        let header = format!("t={seconds},v1={}", hex(&[7; 32]));
        assert!(is_malformed(stripe_read(&header)), "{seconds}");
    }
}

#[test]
fn standard_signatures_are_written_in_one_way() {
    let base64 = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    for signature in [
        String::new(),
        "v1".to_owned(),
        "v1,".to_owned(),
        base64.to_owned(),
        format!("v1,{}", base64.get(..43).unwrap()),
        format!("v1,{base64}="),
        format!("v1,{}", base64.replace('+', "-")),
        // The last sextet has two bits over.
        format!("v1,{}", base64.replace("OE=", "OF=")),
        format!("v1,{base64},"),
        format!("v1 ,{base64}"),
        format!("{GOOD}  {GOOD}"),
        format!("{GOOD} "),
        format!("{GOOD}\t{GOOD}"),
        format!("v1a,{base64}"),
        format!("v1,{}", STANDARD.encode([7; 64])),
        format!("v1,{}", STANDARD.encode([7; 33])),
    ] {
        assert!(
            is_malformed(standard_read("a", "1", &signature)),
            "{signature}"
        );
    }
    assert!(standard_read("a", "1", &format!("{GOOD} v9,whatever {GOOD}")).is_ok());
}

#[test]
fn signatures_are_counted() {
    let four = [GOOD; 4].join(" ");
    assert_eq!(standard_read("a", "1", &four).unwrap().macs().len(), 4);
    assert!(is_malformed(standard_read(
        "a",
        "1",
        &format!("{four} {GOOD}")
    )));
    let many = |count| vec!["v9,x"; count].join(" ");
    assert!(standard_read("a", "1", &many(16)).is_ok());
    assert!(is_malformed(standard_read("a", "1", &many(17))));
    let many = |count| format!("t=1{}", ",v0=x".repeat(count));
    assert!(stripe_read(&many(15)).is_ok());
    assert!(is_malformed(stripe_read(&many(16))));
    assert!(is_malformed(stripe_read(&format!(
        "t=1,v0={}",
        "x".repeat(2048)
    ))));
}

#[test]
fn githubs_header_is_written_in_one_way() {
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let github_read = |value: &str| read(WebhookFormat::GitHub, &[("x-hub-signature-256", value)]);
    let good = github_read(&format!("sha256={digits}")).unwrap();
    assert_eq!((good.timestamp(), good.macs().len()), (None, 1));
    for value in [
        String::new(),
        digits.to_owned(),
        format!("sha1={digits}"),
        format!("SHA256={digits}"),
        format!("sha256= {digits}"),
        format!("sha256={}", digits.to_uppercase()),
        format!("sha256={digits}0"),
        format!("sha256={digits}00"),
        format!("sha256={}", digits.get(..62).unwrap()),
        format!("sha256={}", digits.replace('7', "g")),
        format!("sha256={digits},sha256={digits}"),
    ] {
        assert!(is_malformed(github_read(&value)), "{value}");
    }
}

#[test]
fn stripes_header_is_written_in_one_way() {
    let v1 = hex(&[7; 32]);
    for header in [
        String::new(),
        "t".to_owned(),
        format!("v1={v1}"),
        format!("t=1,t=1,v1={v1}"),
        format!("t=1,t=2,v1={v1}"),
        format!("t=1, v1={v1},"),
        format!("t=1,v1={v1},"),
        format!("t=1,,v1={v1}"),
        format!("t=1,v1={}", v1.replace("07", "0G")),
        format!("t=1,v1={}", v1.get(..63).unwrap()),
        "t=1,v1=".to_owned(),
    ] {
        assert!(is_malformed(stripe_read(&header)), "{header}");
    }
    // The order is the sender's.
    let claim = stripe_read(&format!("v1={v1},v0=anything,t=1,v1={v1}")).unwrap();
    assert_eq!((claim.timestamp(), claim.macs().len()), (Some(1), 2));
}

/// Nothing that a header can hold makes the parser panic, and what it keeps is bounded.
#[test]
fn reads_any_bytes() {
    use proptest::prelude::*;
    let formats = [
        WebhookFormat::Standard,
        WebhookFormat::GitHub,
        WebhookFormat::Stripe,
    ];
    let bytes =
        || proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8.., Just(b',')], 0..300);
    proptest!(|(a in bytes(), b in "[0-9.]{0,30}", c in bytes(), d in "(v1a?,[A-Za-z0-9+/=]{40,90} ?){0,5}", e in "([tv][01]?=[0-9a-f]{0,65},?){0,5}")| {
        for value in [&c, &d.into_bytes(), &e.into_bytes()] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("webhook-id", &a),
                ("webhook-timestamp", &b.clone().into_bytes()),
                ("webhook-signature", value),
                ("stripe-signature", value),
                ("x-hub-signature-256", value),
            ] {
                headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            }
            for format in formats {
                if let Ok(claim) = WebhookClaim::read(format, &headers) {
                    prop_assert!(claim.macs().len() <= 4 && claim.ed25519().len() <= 4);
                    prop_assert!(claim.before_body().len() <= 256 + 13);
                }
            }
        }
    });
}
