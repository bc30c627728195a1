//! Whatever stands in a file: it is read or refused, within bounds.

use proptest::prelude::*;

use super::{load, policy};
use crate::policy::istio::yaml::{Node, Value, read};

fn size(node: &Node) -> (usize, usize) {
    let inner: Vec<(usize, usize)> = match &node.value {
        Value::Scalar(..) => Vec::new(),
        Value::List(items) => items.iter().map(size).collect(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value)).collect(),
    };
    let nodes = 1 + inner.iter().map(|(nodes, _)| nodes).sum::<usize>();
    (
        nodes,
        1 + inner.iter().map(|(_, depth)| *depth).max().unwrap_or(0),
    )
}

/// Pieces of which policies are made, and of what breaks them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("  rules:\n"),
        Just("  - from:\n"),
        Just("    - source:\n"),
        Just("        principals: [\"a*\", b]\n"),
        Just("    to: [operation: {paths: [\"/{*}\"]}]\n"),
        Just("    when: [{key: source.ip, values: [\"::1\"]}]\n"),
        Just("  action: DENY\n"),
        Just("---\n"),
        Just("...\n"),
        Just("? "),
        Just("- "),
        Just(": "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("'"),
        Just("|\n"),
        Just(">-\n"),
        Just("&a "),
        Just("*a "),
        Just("!!x "),
        Just("%TAG ! x\n"),
        Just("<<: "),
        Just("# x\n"),
        Just("\t"),
        Just("\u{feff}"),
        Just("\0"),
        Just("é"),
        Just("\r\n"),
        Just("  "),
        Just(","),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_in_a_file_is_read_or_refused(text in prop_oneof![pieces(), ".{0,200}"]) {
        if let Ok(documents) = read(&"x".into(), &text) {
            for (nodes, depth) in documents.iter().map(size) {
                prop_assert!(nodes <= 2 * text.len() + 1 && depth <= 33);
            }
        }
        for text in [text.clone(), policy(&text)] {
            if let Err(errors) = load(&text) {
                prop_assert!(errors.iter().count() > 0);
                // A carriage return alone is a line break to YAML.
                let lines = text.matches(['\n', '\r']).count() + 2;
                prop_assert!(errors.iter().all(|error| error.line() <= lines));
            }
        }
    }
}

#[test]
fn texts_are_texts_however_they_are_written() {
    let text = "a: \"80\"\nb: '80'\nc: v1\nd: 1.2.3.4\ne: 5.6.0.0/16\nf: |\n  80\ng: GET\nh: --\n";
    let documents = read(&"x".into(), text).unwrap();
    let [
        Node {
            value: Value::Map(entries),
            ..
        },
    ] = &documents[..]
    else {
        panic!("{documents:?}");
    };
    for entry in entries {
        assert_eq!(entry.value.other_than_text(), None, "{entry:?}");
    }
}

#[test]
fn plain_numbers_truth_values_and_dates_are_no_texts() {
    for text in [
        "80",
        "+80",
        "-1",
        "1_000",
        "0x1f",
        "0o7",
        "0b1",
        "1.5",
        ".5",
        "1e3",
        ".inf",
        "-.INF",
        ".nan",
        "true",
        "False",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "~",
        "null",
        "",
        "2026-11-23",
        "2026-11-23T10:00:00Z",
        "12:30",
        "1:20:30",
    ] {
        let documents = read(&"x".into(), &format!("a: {text}")).unwrap();
        let Value::Map(entries) = &documents[0].value else {
            panic!()
        };
        assert!(entries[0].value.other_than_text().is_some(), "{text}");
    }
}
