use serde_json::{Map, Value, json};

use crate::cli::{line, paint::Paint};

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

fn denial() -> Value {
    json!({
        "v": 2, "idx": 7, "ts": 1_893_456_000_000_000_u64, "kind": "decision", "origin": "shop/1",
        "prev": "00", "request_id": "ab", "decision": "deny", "method": "GET", "path": "/orders/7",
        "code": "policy-denied", "status": 403, "subject": "alice", "user_agent": "curl/8 (x)",
    })
}

#[test]
fn a_decision_says_who_what_and_why_on_one_line() {
    assert_eq!(
        line::of(&fields(denial()), Paint::PLAIN),
        "2030-01-01T00:00:00.000000Z        7 decision  deny       GET /orders/7                    \
         code=policy-denied status=403 subject=alice user_agent=\"curl/8 (x)\" request=ab"
    );
}

#[test]
fn columns_stand_under_one_another() {
    let mut other = denial();
    other["idx"] = json!(12_345_678);
    other["decision"] = json!("undecided");
    let lines = [denial(), other].map(|record| line::of(&fields(record), Paint::PLAIN));
    let columns = lines.map(|line| {
        (
            line.find("decision "),
            line.find("GET /"),
            line.find("code="),
        )
    });
    assert_eq!(columns[0], columns[1]);
}

#[test]
fn what_is_sealed_is_said_to_be_sealed() {
    let record = json!({
        "idx": 1, "ts": 0, "kind": "decision", "decision": "permit", "method": "GET",
        "sealed": [["0123456789abcdef0123456789abcdef", "AAAA"]],
    });
    let shown = line::of(&fields(record), Paint::PLAIN);
    assert!(shown.contains("GET sealed"), "{shown}");
    assert!(shown.ends_with("sealed=01234567"), "{shown}");
}

#[test]
fn nothing_in_a_record_can_command_a_terminal_or_fake_a_field() {
    let evil = "\u{1b}[2J\r\n\u{202e}x code=ok";
    let mut record = fields(denial());
    let names: Vec<String> = record.keys().cloned().collect();
    for name in names {
        record.insert(name, json!(evil));
    }
    record.insert(evil.to_owned(), json!([evil, {"a": evil}]));
    record.insert("auth".to_owned(), json!([evil, evil]));
    record.insert("sealed".to_owned(), json!([[evil, ""]]));
    let shown = line::of(&record, Paint::PLAIN);
    assert!(
        !shown
            .chars()
            .any(|shown| shown.is_control() || shown == '\u{202e}'),
        "{shown:?}"
    );
    // Every one that is shown stands within quotes.
    let mut quoted = false;
    let mut outside = String::new();
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                characters.next();
            }
            '"' => quoted = !quoted,
            other if !quoted => outside.push(other),
            _ => {}
        }
    }
    assert!(!outside.contains("code=ok"), "{shown}");
}

#[test]
fn a_cut_value_is_marked() {
    let mut record = fields(denial());
    record.insert("subject_sha256".to_owned(), json!("00"));
    let shown = line::of(&record, Paint::PLAIN);
    assert!(shown.contains("subject=alice[cut] "), "{shown}");
    assert!(!shown.contains("sha256"), "{shown}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = line::of(&fields(denial()), Paint::PLAIN);
    let mut coloured = line::of(&fields(denial()), Paint::COLOURED);
    for code in ["\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"] {
        assert!(coloured.contains(code));
        coloured = coloured.replace(code, "");
    }
    assert_eq!(coloured, plain);
}
