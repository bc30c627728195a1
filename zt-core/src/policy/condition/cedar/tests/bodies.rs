use super::*;

const CHARGE: &str = r#"
[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer", "order.note" = "text?" }

[[rule]]
id = "charge"
effect = "allow"
operation = "charge"
when = "context.body.amount < 10000"
"#;

fn charge(body: &str) -> Result<String, Code> {
    request("POST", "/charge")
        .json(body)
        .answer(&policy(CHARGE))
}

#[test]
fn an_amount_below_the_bound_passes() {
    for body in [
        r#"{"amount":9999}"#,
        "{\"amount\" :\t9999\r\n}",
        r#"{"amount":-9007199254740991}"#,
        r#"{"amount":0}"#,
        r#"{"\u0061mount":9999}"#,
        r#"{"amount":9999,"order":{"amount":20000}}"#,
        r#"{"order":{"note":"x"},"amount":1,"more":[{"a":1.5e3},null,true,"\u00e9"]}"#,
        r#"{"amount":9999,"__proto__":{"amount":99999}}"#,
    ] {
        assert_eq!(charge(body).as_deref(), Ok("charge"), "{body}");
    }
}

#[test]
fn refuses_amounts_that_are_too_large_and_bodies_that_two_parsers_read_in_two_ways() {
    use Code::{PolicyDenied, RequestInvalid, RequestMalformed};
    let deep = format!(
        "{{\"amount\":1,\"a\":{}1{}}}",
        "[".repeat(33),
        "]".repeat(33)
    );
    let deeper = format!(
        "{{\"amount\":1,\"a\":{}{}}}",
        "[".repeat(90_000),
        "]".repeat(90_000)
    );
    let cases: &[(&str, Code)] = &[
        (r#"{"amount":10000}"#, PolicyDenied),
        (r#"{"amount":9007199254740991}"#, PolicyDenied),
        // Absent, or something else.
        (r#"{}"#, RequestInvalid),
        (r#"{"order":{"amount":1}}"#, RequestInvalid),
        (r#"{"amount":null}"#, RequestInvalid),
        (r#"{"amount":"9999"}"#, RequestInvalid),
        (r#"{"amount":true}"#, RequestInvalid),
        (r#"{"amount":[9999]}"#, RequestInvalid),
        (r#"{"amount":{"$numberLong":"9999"}}"#, RequestInvalid),
        (r#"{"amount":1,"order":7}"#, RequestInvalid),
        (r#"{"amount":1,"order":null}"#, RequestInvalid),
        (r#"{"amount":1,"order":{"note":null}}"#, RequestInvalid),
        (r#"{"amount":1,"order":{"note":7}}"#, RequestInvalid),
        // Numbers that parsers round, or read as something else.
        (r#"{"amount":9999.0}"#, RequestInvalid),
        (r#"{"amount":9999.5}"#, RequestInvalid),
        (r#"{"amount":1e3}"#, RequestInvalid),
        (r#"{"amount":-0}"#, RequestInvalid),
        (r#"{"amount":9007199254740992}"#, RequestInvalid),
        (r#"{"amount":-9007199254740992}"#, RequestInvalid),
        (r#"{"amount":9223372036854775808}"#, RequestInvalid),
        (r#"{"amount":18446744073709551616}"#, RequestInvalid),
        (r#"{"amount":1e400}"#, RequestMalformed),
        (r#"{"amount":1,"x":1e400}"#, RequestMalformed),
        (r#"{"amount":NaN}"#, RequestMalformed),
        (r#"{"amount":Infinity}"#, RequestMalformed),
        (r#"{"amount":0x10}"#, RequestMalformed),
        (r#"{"amount":010}"#, RequestMalformed),
        (r#"{"amount":+1}"#, RequestMalformed),
        (r#"{"amount":.5}"#, RequestMalformed),
        (r#"{"amount":1_000}"#, RequestMalformed),
        // The first or the last?
        (r#"{"amount":1,"amount":99999}"#, RequestMalformed),
        (r#"{"amount":99999,"amount":1}"#, RequestMalformed),
        (r#"{"amount":1,"\u0061mount":99999}"#, RequestMalformed),
        (r#"{"amount":1,"x":{"a":1,"a":2}}"#, RequestMalformed),
        (r#"{"amount":1,"x":[{"a":1,"\u0061":2}]}"#, RequestMalformed),
        (
            r#"{"amount":1,"order":{"note":"a","note":"b"}}"#,
            RequestMalformed,
        ),
        (r#"{"amount":1,"order":{},"order":{}}"#, RequestMalformed),
        // Parsers that fold the case of names take these for `amount`.
        (r#"{"amount":1,"Amount":99999}"#, RequestMalformed),
        (r#"{"amount":1,"AMOUNT":99999}"#, RequestMalformed),
        (r#"{"Amount":1}"#, RequestMalformed),
        (r#"{"amount":1,"order":{"Note":"x"}}"#, RequestMalformed),
        // What is no JSON for all.
        ("", RequestMalformed),
        ("9999", RequestMalformed),
        ("null", RequestMalformed),
        (r#"[{"amount":1}]"#, RequestMalformed),
        (r#"{"amount":1}{"amount":99999}"#, RequestMalformed),
        (r#"{"amount":1} x"#, RequestMalformed),
        ("{\"amount\":1}\0", RequestMalformed),
        (r#"{"amount":1,}"#, RequestMalformed),
        (r#"{"amount":1 /* 99999 */}"#, RequestMalformed),
        ("{\"amount\":1 // 99999\n}", RequestMalformed),
        (r#"{'amount':1}"#, RequestMalformed),
        (r#"{amount:1}"#, RequestMalformed),
        (r#"{"amount":1"#, RequestMalformed),
        // Something else, and then no JSON.
        (r#"{"amount":"1",}"#, RequestMalformed),
        (r#"{"amount":"1","a":1,"a":2}"#, RequestMalformed),
        (r#"{"amount":1,"order":{"note":"x",}}"#, RequestMalformed),
        ("\u{feff}{\"amount\":1}", RequestMalformed),
        ("{\"amount\":1,\"x\":\"\u{1}\"}", RequestMalformed),
        (r#"{"amount":1,"x":"\ud800"}"#, RequestMalformed),
        (r#"{"amount":1,"x":"\x41"}"#, RequestMalformed),
        ("{\u{a0}\"amount\":1}", RequestMalformed),
        (&deep, RequestMalformed),
        (&deeper, RequestMalformed),
    ];
    for (body, code) in cases {
        if body.len() > 64 * 1024 {
            assert!(charge(body).is_err());
            continue;
        }
        assert_eq!(charge(body), Err(*code), "{body}");
    }
    for body in [
        &b"{\"amount\":1,\"x\":\"\xff\"}"[..],
        b"\xff\xfe{\0",
        b"{\"amount\":1,\"\xc0\xaf\":1}",
    ] {
        let asked = request("POST", "/charge").json(body);
        assert_eq!(
            asked.answer(&policy(CHARGE)),
            Err(RequestMalformed),
            "{body:?}"
        );
    }
}

#[test]
fn refuses_names_that_are_declared_ones_but_for_a_foreign_letter() {
    let toml = CHARGE.replace("amount", "risk");
    for name in ["ri\u{17f}k", "ris\u{212a}", "rısk"] {
        let body = format!("{{\"risk\":1,\"{name}\":99999}}");
        let asked = request("POST", "/charge").json(body);
        assert_eq!(
            asked.answer(&policy(&toml)),
            Err(Code::RequestMalformed),
            "{name}"
        );
    }
}

#[test]
fn refuses_bodies_that_are_not_said_to_be_json_and_no_more() {
    let policy = policy(CHARGE);
    let of = |headers: &[(&str, &str)]| {
        let asked = request("POST", "/charge").raw("{\"amount\":1}");
        let asked = headers
            .iter()
            .fold(asked, |asked, (name, value)| asked.header(name, value));
        asked.answer(&policy)
    };
    for json in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/merge-patch+json",
    ] {
        assert_eq!(
            of(&[("content-type", json)]).as_deref(),
            Ok("charge"),
            "{json}"
        );
    }
    for other in [
        "",
        "text/json",
        "text/plain",
        "application/jsonp",
        "application/json5",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; boundary=x",
        "application/+json",
        "multipart/x+json",
    ] {
        assert_eq!(
            of(&[("content-type", other)]),
            Err(Code::RequestMalformed),
            "{other}"
        );
    }
    assert_eq!(of(&[]), Err(Code::RequestMalformed));
    let json = ("content-type", "application/json");
    assert_eq!(of(&[json, json]), Err(Code::RequestMalformed));
    for encoding in ["gzip", "identity", "br"] {
        assert_eq!(
            of(&[json, ("content-encoding", encoding)]),
            Err(Code::RequestMalformed)
        );
    }
}

#[test]
fn a_body_is_asked_for_only_where_a_condition_that_matters_reads_it() {
    let toml = format!(
        "{CHARGE}\n[[rule]]\nid = \"no-strangers\"\neffect = \"deny\"\npath = \"/{{rest..}}\"\ncaller = {{ networks = [\"203.0.113.0/24\"] }}\n\
         [[rule]]\nid = \"other\"\neffect = \"allow\"\npath = \"/other\"\n"
    );
    let policy = policy(&toml);
    let ours = |method, path| request(method, path).from("192.0.2.7:1");
    assert!(ours("POST", "/charge").made().needs_body(&policy));
    for asked in [
        ours("GET", "/charge"),
        ours("POST", "/other"),
        ours("POST", "/elsewhere"),
        request("POST", "/charge").from("203.0.113.7:1"),
    ] {
        assert!(!asked.made().needs_body(&policy));
    }
    // Where nobody collected it, somebody has made a mistake.
    assert_eq!(
        ours("POST", "/charge").answer(&policy),
        Err(Code::StackMisordered)
    );
}

#[test]
fn refuses_more_than_was_said_to_be_looked_at() {
    let toml = CHARGE.replace("\"text?\" }", "\"text?\" }\nmax_body = 20");
    let ask = |body: &str| request("POST", "/charge").json(body).answer(&policy(&toml));
    assert_eq!(ask(r#"{"amount":       99}"#).as_deref(), Ok("charge"));
    assert_eq!(ask(r#"{"amount":        99}"#), Err(Code::BodyTooLarge));
}

#[test]
fn each_declared_kind_is_read_exactly() {
    let kinds = |kind: &str, when: &str, value: &str| {
        let toml = format!(
            "[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\nbody = {{ f = \"{kind}\" }}\nwhen = '{when}'\n"
        );
        let body = format!("{{\"f\":{value}}}");
        request("POST", "/a").json(body).answer(&policy(&toml))
    };
    let good = [
        ("boolean", "context.body.f", "true"),
        ("text", "context.body.f == \"a\\\"b\"", r#""a\"b""#),
        (
            "texts",
            "context.body.f.containsAll([\"a\", \"b\"])",
            r#"["b","a","a"]"#,
        ),
        ("texts", "context.body.f.isEmpty()", "[]"),
        (
            "address",
            "context.body.f == ip(\"10.0.0.1\")",
            "\"10.0.0.1\"",
        ),
        (
            "address",
            "context.body.f == ip(\"10.0.0.1\")",
            "\"::ffff:10.0.0.1\"",
        ),
        (
            "address",
            "context.body.f.isInRange(ip(\"2001:db8::/32\"))",
            "\"2001:db8::1\"",
        ),
        (
            "time",
            "context.body.f == datetime(\"2026-11-23T10:00:00Z\")",
            "\"2026-11-23T10:00:00Z\"",
        ),
        (
            "time",
            "context.body.f == datetime(\"2026-11-23T10:00:00.500Z\")",
            "\"2026-11-23T11:00:00.5+01:00\"",
        ),
    ];
    for (kind, when, value) in good {
        assert_eq!(
            kinds(kind, when, value).as_deref(),
            Ok("a"),
            "{kind} {value}"
        );
    }
    let bad = [
        ("boolean", "context.body.f", "\"true\""),
        ("boolean", "context.body.f", "1"),
        ("text", "context.body.f == \"a\"", "7"),
        ("texts", "context.body.f.isEmpty()", "\"a\""),
        ("texts", "context.body.f.isEmpty()", "[1]"),
        ("texts", "context.body.f.isEmpty()", "[null]"),
        ("address", "context.body.f.isLoopback()", "\"10.0.0.01\""),
        ("address", "context.body.f.isLoopback()", "\"10.0.0.0/8\""),
        ("address", "context.body.f.isLoopback()", "\"localhost\""),
        ("address", "context.body.f.isLoopback()", "167772161"),
    ];
    for (kind, when, value) in bad {
        assert_eq!(
            kinds(kind, when, value),
            Err(Code::RequestInvalid),
            "{kind} {value}"
        );
    }
    for time in [
        "2026-11-23",
        "2026-11-23 10:00:00Z",
        "2026-11-23t10:00:00z",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:00:60Z",
        "2026-02-30T10:00:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00+01",
        "2026-11-23T10:00:00+0100",
        "2026-11-23T10:00:00Z[Europe/Vienna]",
        "1969-12-31T23:59:59Z",
        "+002026-11-23T10:00:00Z",
        "1795428000",
    ] {
        let asked = kinds(
            "time",
            "context.body.f < context.time.now",
            &format!("\"{time}\""),
        );
        assert_eq!(asked, Err(Code::RequestInvalid), "{time}");
    }
    assert_eq!(
        kinds("time", "context.body.f < context.time.now", "1795428000"),
        Err(Code::RequestInvalid)
    );
}

#[test]
fn optional_fields_may_be_left_out_and_nothing_else() {
    let toml = CHARGE.replace(
        "context.body.amount < 10000",
        "context.body has order && context.body.order has note && context.body.order.note == 'x'",
    );
    let toml = toml.replace("'x'", "\\\"x\\\"");
    let ask = |body: &str| request("POST", "/charge").json(body).answer(&policy(&toml));
    assert_eq!(
        ask(r#"{"amount":1,"order":{"note":"x"}}"#).as_deref(),
        Ok("charge")
    );
    for body in [
        r#"{"amount":1}"#,
        r#"{"amount":1,"order":{}}"#,
        r#"{"amount":1,"order":{"note":"y"}}"#,
    ] {
        assert_eq!(ask(body), Err(Code::PolicyDenied), "{body}");
    }
}

/// Pieces that parsers disagree about, put together at random: what passes has one reading.
#[test]
fn what_passes_has_one_amount_and_it_is_below_the_bound() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "\"amount\"",
        "\"\\u0061mount\"",
        "\"Amount\"",
        "\"order\"",
        "\"note\"",
        ":",
        ":",
        ",",
        "1",
        "9999",
        "10000",
        "-0",
        "1e3",
        "9999.0",
        "\"1\"",
        "null",
        "[",
        "]",
        " ",
        "\u{feff}",
        "//",
        "{\"amount\":1",
        "\"amount\":1",
        ",\"amount\":99999",
        "\"x\":{\"a\":1}",
        "\"x\":{\"amount\":99999}",
    ];
    let policy = policy(CHARGE);
    let mut random = super::sliced::Random(7);
    let (mut passed, mut tried) = (0, 0);
    while tried < 6_000 {
        let mut body = String::from(if random.below(2) == 0 {
            "{"
        } else {
            "{\"amount\":1"
        });
        for _ in 0..random.below(8) {
            body += random.of(PIECES);
        }
        body += random.of(&["", "}", "}"]);
        tried += 1;
        if request("POST", "/charge")
            .json(body.clone())
            .answer(&policy)
            .is_err()
        {
            continue;
        }
        passed += 1;
        // Another reader agrees that it is JSON, and takes the last of two.
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(read["amount"].as_i64().unwrap() < 10_000, "{body}");
        // No second one stands at the top.
        let top = body.replace("\"x\":{\"amount\":99999}", "").to_lowercase();
        assert_eq!(
            top.replace("\\u0061", "a").matches("\"amount\"").count(),
            1,
            "{body}"
        );
    }
    assert!(passed > 30, "{passed}");
}

const GRANTED: &str = r#"
[[rule]]
id = "refunds"
effect = "allow"
path = "/refunds"
methods = ["POST"]
grant = "refunds.write"
body = { amount = "integer" }
when = "context.body.amount < 10000"
"#;

#[test]
fn a_grant_that_comes_or_goes_while_the_body_arrives_is_no_mistake_of_the_stack() {
    for (before, after, answer) in [
        (false, true, Ok("refunds".to_owned())),
        (true, false, Err(Code::PolicyDenied)),
    ] {
        let grant = Switch::new(before);
        let options = PolicyOptions::new().grants(grant.clone());
        let policy = load(GRANTED, "", &options).unwrap();
        let asked = request("POST", "/refunds").json("{\"amount\":1}").made();
        assert!(asked.needs_body(&policy));
        grant.turn(after);
        assert_eq!(
            { asked }.ask(&policy).map_err(|denial| denial.code()),
            answer
        );
    }
}

#[test]
fn nobody_in_particular_has_no_body_read_for_a_grant_that_they_cannot_hold() {
    let options = PolicyOptions::new().grants(Switch::new(true));
    let policy = load(GRANTED, "", &options).unwrap();
    for who in [None, Some(Principal::anonymous())] {
        let asked = request("POST", "/refunds").by(who).made();
        assert!(!asked.needs_body(&policy));
    }
}
