use proptest::prelude::*;

use super::{Line, Malformed, Pruned, name, write_commit};
use crate::merkle::{Frontier, Hash, leaf_hash};

const RECORD: &str = concat!(
    r#"{"v":2,"idx":7,"ts":1893456000000000,"kind":"rolled-up","origin":"shop/1","prev":""#,
    "00000000000000000000000000000000000000000000000000000000000000ff",
    r#"","a":[1,{"b":"c"}]}"#
);

#[test]
fn reads_what_a_writer_writes() {
    let Ok(Line::Record(head)) = Line::read(RECORD.as_bytes()) else {
        panic!("it is a record");
    };
    assert_eq!(
        (head.index, head.micros, head.kind, head.origin),
        (7, 1_893_456_000_000_000, "rolled-up", "shop/1")
    );
    assert_eq!(head.prev.as_bytes()[31], 0xff);
    let bare = RECORD.replace(r#","a":[1,{"b":"c"}]"#, "");
    assert!(matches!(Line::read(bare.as_bytes()), Ok(Line::Record(_))));
}

#[test]
fn refuses_every_other_spelling_of_a_record() {
    for (from, to) in [
        (r#"{"v":2"#, r#"{ "v":2"#),
        (r#"{"v":2"#, r#"{"v":02"#),
        (r#"{"v":2"#, r#"{"v":2.0"#),
        (r#"{"v":2"#, r#"{"v": 2"#),
        (r#""idx":7"#, r#""idx":07"#),
        (r#""idx":7"#, r#""idx":-7"#),
        (r#""idx":7"#, r#""idx":"#),
        (r#""idx":7"#, r#""idx":18446744073709551616"#),
        (
            r#""idx":7,"ts":1893456000000000"#,
            r#""ts":1893456000000000,"idx":7"#,
        ),
        ("rolled-up", "Rolled-up"),
        ("rolled-up", ""),
        ("rolled-up", "a-kind-that-is-longer-than-any-kind-is"),
        ("shop/1", "shop 1"),
        ("shop/1", "shop+1"),
        ("shop/1", r"shop\u002f1"),
        ("shop/1", ""),
        ("shop/1", "shop\u{7f}1"),
        ("shop/1", "sh\u{f6}p"),
        ("00ff", "00FF"),
        ("00ff", "0ff"),
        (r#"ff","a""#, r#"ff" ,"a""#),
        (r#"ff","a""#, r#"ff"a""#),
        ("}]}", "}] "),
        ("}]}", "}]}\r"),
    ] {
        let line = RECORD.replacen(from, to, 1);
        assert_ne!(line, RECORD, "{from} stands in it");
        assert_eq!(Line::read(line.as_bytes()), Err(Malformed::Form), "{to}");
    }
}

#[test]
fn refuses_a_record_of_another_version_by_its_number() {
    let line = RECORD.replace(r#"{"v":2"#, r#"{"v":3"#);
    assert_eq!(Line::read(line.as_bytes()), Err(Malformed::Version(3)));
}

#[test]
fn refuses_a_record_that_is_too_long_by_a_byte() {
    let fill = |length: usize| {
        let end = r#"","a":"#.len();
        let begin = RECORD.find(r#"ff","a""#).unwrap() + 2 + end;
        let mut line = RECORD.get(..begin).unwrap().to_owned();
        line.push('"');
        line.push_str(&"x".repeat(length - line.len() - 2));
        line.push_str("\"}");
        line
    };
    assert!(Line::read(fill(65_535).as_bytes()).is_ok());
    assert_eq!(Line::read(fill(65_536).as_bytes()), Err(Malformed::Form));
}

#[test]
fn reads_its_own_commit_lines_and_no_others() {
    let root = leaf_hash(b"a");
    let mut line = Vec::new();
    write_commit(&mut line, 8, &root);
    assert_eq!(line.pop(), Some(b'\n'));
    assert_eq!(Line::read(&line), Ok(Line::Commit { size: 8, root }));
    let text = String::from_utf8(line).unwrap();
    for other in [
        text.replace(":8", ":08"),
        text.replace(":8", ": 8"),
        text.replace("\"}", "\" }"),
        text.replace("\"}", "\",\"a\":1}"),
        text.replace("root", "Root"),
        text.to_uppercase(),
        format!("{text} "),
        text.strip_suffix('}').unwrap().to_owned(),
        String::new(),
    ] {
        assert_eq!(
            Line::read(other.as_bytes()),
            Err(Malformed::Form),
            "{other}"
        );
    }
}

#[test]
fn an_origin_is_a_name_that_stands_unescaped() {
    assert!(super::is_origin("zt-audit/0123456789abcdef"));
    for other in [
        "",
        "a b",
        "a+b",
        "a\"b",
        r"a\b",
        "sh\u{f6}p",
        "cosignature/v1",
    ] {
        assert!(!super::is_origin(other), "{other}");
    }
}

#[test]
fn names_a_segment_by_its_first_index() {
    assert_eq!(name::segment(65_536), "log/00000000000000065536.jsonl");
    assert_eq!(name::first_of("00000000000000065536.jsonl"), Some(65_536));
    for other in [
        "0000000000000065536.jsonl",
        "000000000000000065536.jsonl",
        "+0000000000000065536.jsonl",
        "00000000000000065536.json",
        "99999999999999999999.jsonl",
    ] {
        assert_eq!(name::first_of(other), None, "{other}");
    }
}

#[test]
fn reads_where_a_pruned_log_begins_and_refuses_what_does_not_agree() {
    let mut tree = Frontier::new();
    for leaf in 0..768_u32 {
        tree.append(leaf_hash(&leaf.to_le_bytes()));
    }
    let pruned = Pruned { tree };
    let bytes = pruned.encode();
    assert_eq!(Pruned::parse(&bytes), Some(pruned.clone()));
    let text = String::from_utf8(bytes).unwrap();
    for other in [
        text.replace("768", "767"),
        text.replace("768", "769"),
        text.replace("\"root\":\"", "\"root\": \""),
        text.replace(
            &pruned.tree.root().to_string(),
            &Hash::EMPTY_TREE.to_string(),
        ),
        text.replace(
            &pruned.tree.hashes()[0].to_string(),
            &Hash::EMPTY_TREE.to_string(),
        ),
        text.trim_end().to_owned(),
        Pruned {
            tree: Frontier::new(),
        }
        .encode()
        .iter()
        .map(|byte| char::from(*byte))
        .collect(),
    ] {
        assert_eq!(Pruned::parse(other.as_bytes()), None, "{other}");
    }
}

proptest! {
    #[test]
    fn what_is_read_has_no_other_spelling(
        edits in prop::collection::vec((0..RECORD.len(), any::<u8>()), 0..4),
    ) {
        let mut line = RECORD.as_bytes().to_vec();
        for (at, with) in edits {
            line[at] = with;
        }
        if let Ok(Line::Record(head)) = Line::read(&line) {
            let spelled = format!(
                r#"{{"v":2,"idx":{},"ts":{},"kind":"{}","origin":"{}","prev":"{}""#,
                head.index, head.micros, head.kind, head.origin, head.prev
            );
            prop_assert!(line.starts_with(spelled.as_bytes()));
        }
    }

    #[test]
    fn reads_any_bytes_to_an_answer(line in any::<Vec<u8>>()) {
        let read = Line::read(&line);
        prop_assert!(read.is_err() || line.first() == Some(&123));
    }

    #[test]
    fn one_byte_changed_is_refused_or_read_as_something_else(
        at in 0..RECORD.len(),
        with in any::<u8>(),
    ) {
        let mut line = RECORD.as_bytes().to_vec();
        prop_assume!(line[at] != with);
        line[at] = with;
        let tail = RECORD.find(r#","a""#).unwrap();
        prop_assert!(at >= tail || Line::read(&line) != Line::read(RECORD.as_bytes()));
    }
}
