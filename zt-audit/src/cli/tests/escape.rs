use serde_json::Value;

use crate::cli::escape::{json, text, word};

/// One of each class that can deceive.
const DECEIVERS: [char; 16] = [
    '\0',
    '\u{7}',
    '\n',
    '\r',
    '\u{1b}',
    '\u{7f}',
    '\u{9b}',
    '\u{ad}',
    '\u{200b}',
    '\u{200f}',
    '\u{2028}',
    '\u{202e}',
    '\u{2066}',
    '\u{feff}',
    '\u{fff9}',
    '\u{e0041}',
];

#[test]
fn no_deceiver_comes_through() {
    for deceiver in DECEIVERS {
        let value = format!("a{deceiver}b");
        for shown in [text(&value), word(&value)] {
            assert!(!shown.contains(deceiver), "{deceiver:?}: {shown:?}");
        }
    }
}

#[test]
fn what_people_write_is_left_as_it_is() {
    for plain in ["/orders/7", "Zoë", "注文", "עברית", "🦀"] {
        assert_eq!(text(plain), plain);
    }
    assert_eq!(word("/orders/7"), "/orders/7");
}

#[test]
fn an_escape_cannot_be_faked() {
    assert_eq!(text("\u{1b}"), "\\u{1b}");
    assert_eq!(text("\\u{1b}"), "\\\\u{1b}");
    assert_ne!(text("\n"), text("\\n"));
}

#[test]
fn a_value_cannot_fake_another_field() {
    assert_eq!(word("a b"), "\"a b\"");
    assert_eq!(word("x code=ok"), "\"x code=ok\"");
    assert_eq!(word("code=ok"), "\"code=ok\"");
    assert_eq!(word("a\" b=\"c"), "\"a\\\" b=\\\"c\"");
    assert_eq!(word(""), "\"\"");
}

#[test]
fn escaped_json_says_the_same() {
    for deceiver in DECEIVERS {
        let value = Value::from(format!("a{deceiver}\"\\b"));
        let shown = json(&value.to_string()).into_owned();
        assert!(!shown.contains(deceiver), "{deceiver:?}: {shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
    let plain = r#"{"path":"/é\u001b"}"#;
    assert_eq!(json(plain), plain);
}
