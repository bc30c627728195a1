//! JSON text, against vectors that others made and against another reader.

use std::{fs, path::Path};

use super::*;
use crate::record::json::{Object, decimal};

/// A string as it stands in records.
fn spelled(text: &str) -> String {
    let mut out = Vec::new();
    Object::begin(&mut out).text("k", text, usize::MAX);
    let value = out.strip_prefix(b"\"k\":").unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

fn is_hidden(character: char) -> bool {
    character.is_control() || DECEITFUL.contains(character) || crate::shown::can_deceive(character)
}

#[track_caller]
fn reads_back(text: &str) {
    let spelled = spelled(text);
    assert!(!spelled.contains(is_hidden), "{spelled}");
    assert_eq!(serde_json::from_str::<String>(&spelled).unwrap(), text);
}

#[test]
fn every_character_is_read_back_as_it_was() {
    let mut tried = 0;
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for some in all.chunks(61) {
        reads_back(&some.iter().collect::<String>());
        tried += some.len();
    }
    assert_eq!(tried, 0x11_0000 - 0x800);
    // One by one where one is escaped: what stands beside it might have hidden it.
    for character in all.into_iter().filter(|one| is_hidden(*one)) {
        reads_back(&character.to_string());
        reads_back(&format!("a{character}{character}\u{10ffff}"));
    }
}

/// Else what the program shows as the stored bytes would be others.
#[test]
fn what_the_log_writes_is_shown_byte_for_byte() {
    let all: String = ('\0'..=char::MAX).collect();
    let spelled = spelled(&all);
    assert_eq!(crate::shown::json(&spelled), spelled);
}

#[test]
fn bytes_that_are_no_text_are_read_back_as_such() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let bytes = [b'a', first, second, b'z'];
            let mut out = b"{".to_vec();
            Object::begin(&mut out).bytes("k", &bytes, usize::MAX);
            out.push(b'}');
            let read: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read["k"], *String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn integers_are_spelled_as_everywhere() {
    for value in (0..1000)
        .chain((0..64).map(|bit| 1 << bit))
        .chain([u64::MAX])
    {
        for value in [value, value.wrapping_sub(1)] {
            let mut out = Vec::new();
            decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
    let mut out = Vec::new();
    Object::begin(&mut out).number("n", u64::MAX);
    assert_eq!(out, b"\"n\":9007199254740991");
}

/// RFC 8785 in the six cases of its authors, as far as it applies: strings and integers. Records have
/// no floating-point numbers and no `null`; their members stand in the order of their kind; and
/// controls are escaped that RFC 8785 (section 3.2.2.2) leaves as they are, or escapes in short.
#[test]
fn strings_and_integers_are_spelled_as_in_canonical_json() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/jcs");
    if !Path::new(folder).exists() {
        println!("skipped: no vectors at {folder}");
        return;
    }
    let (mut alike, mut escaped, mut integers) = (0, 0, 0);
    for name in [
        "arrays",
        "french",
        "structures",
        "unicode",
        "values",
        "weird",
    ] {
        let read = |kind| fs::read_to_string(format!("{folder}/{kind}/{name}.json")).unwrap();
        let (input, output) = (read("input"), read("output"));
        let mut rest = vec![serde_json::from_str::<Value>(&input).unwrap()];
        let mut strings = Vec::new();
        while let Some(value) = rest.pop() {
            match value {
                Value::String(text) => strings.push(text),
                Value::Array(values) => rest.extend(values),
                Value::Object(members) => {
                    for (key, value) in members {
                        strings.push(key);
                        rest.push(value);
                    }
                }
                Value::Number(number) => {
                    if let Some(number) = number.as_u64() {
                        let mut out = Vec::new();
                        decimal(&mut out, number);
                        assert!(output.contains(std::str::from_utf8(&out).unwrap()));
                        integers += 1;
                    }
                }
                Value::Null | Value::Bool(_) => {}
            }
        }
        for text in strings {
            reads_back(&text);
            if text.contains(is_hidden) {
                escaped += 1;
            } else {
                assert!(output.contains(&spelled(&text)), "{text:?} in {name}");
                alike += 1;
            }
        }
    }
    assert_eq!((alike, escaped, integers), (45, 6, 2));
}
