//! What `;sf` writes, against the tests of the working group.

use super::{canonical::write_field, *};

/// The 544 cases of `serialisation-tests` do not apply: they have no text, and only what was read is
/// written here.
#[test]
fn structured_fields_are_written_in_their_canonical_form() {
    let (mut count, mut refused, mut optional) = (0, 0, 0);
    for name in FILES {
        let Some(cases) = vectors(&format!("structured-fields/{name}.json")) else {
            return;
        };
        for case in cases.as_array().unwrap() {
            count += 1;
            let id = format!("{name}: {}", case["name"]);
            let raw = joined(&case["raw"]).unwrap();
            let mut text = String::new();
            let kind = structured_type(&case["header_type"]);
            let result = write_field(raw.as_bytes(), kind, &mut text);
            if case["must_fail"] == true {
                assert_eq!(result, Err(BaseError::FieldValue), "{id}");
                refused += 1;
            } else if result.is_err() {
                assert_eq!(case["can_fail"], true, "{id}");
                optional += 1;
            } else {
                let canonical = joined(&case["canonical"]).unwrap_or(raw);
                assert_eq!(text, canonical, "{id}");
                let mut again = String::new();
                write_field(text.as_bytes(), kind, &mut again).unwrap_or_else(|_| {
                    assert!(text.is_empty() && kind == StructuredType::Item, "{id}");
                });
                assert_eq!(again, text, "{id}");
            }
        }
    }
    assert_eq!((count, refused, optional), (1591, REFUSED, 0));
}

#[test]
fn a_key_that_comes_again_keeps_its_place_and_takes_the_last_value() {
    for (kind, text, canonical) in [
        (
            StructuredType::Dictionary,
            "a=1, b=2, a=(3 4);x",
            "a=(3 4);x, b=2",
        ),
        (StructuredType::Dictionary, "a;x=1;y;x=2, b", "a;x=2;y, b"),
        (
            StructuredType::Dictionary,
            "a=(1;p;q;p=0);r;r=?0",
            "a=(1;p=0;q);r=?0",
        ),
        (StructuredType::List, "t;a=1;b;a=?1", "t;a;b"),
        (StructuredType::Item, "  1.50;z;z=:YQ==:", "1.5;z=:YQ==:"),
    ] {
        let mut out = String::from("before ");
        write_field(text.as_bytes(), kind, &mut out).unwrap();
        assert_eq!(out, format!("before {canonical}"));
    }
    let keys: Vec<_> = (0..40)
        .map(|key| format!("k{}=({key})", key % 30))
        .collect();
    let mut out = String::new();
    write_field(
        keys.join(",").as_bytes(),
        StructuredType::Dictionary,
        &mut out,
    )
    .unwrap();
    assert!(
        out.starts_with("k0=(30), k1=(31)")
            && out.ends_with(
                "k10=(10), k11=(11), k12=(12), \
        k13=(13), k14=(14), k15=(15), k16=(16), k17=(17), k18=(18), k19=(19), k20=(20), k21=(21), \
        k22=(22), k23=(23), k24=(24), k25=(25), k26=(26), k27=(27), k28=(28), k29=(29)"
            )
    );
}

fn joined(lines: &Value) -> Option<String> {
    let lines: Vec<_> = lines
        .as_array()?
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    Some(lines.join(", "))
}

const FILES: [&str; 20] = [
    "binary",
    "boolean",
    "date",
    "dictionary",
    "display-string",
    "examples",
    "item",
    "key-generated",
    "large-generated",
    "list",
    "listlist",
    "number-generated",
    "number",
    "param-dict",
    "param-list",
    "param-listlist",
    "string-generated",
    "string",
    "token-generated",
    "token",
];
const REFUSED: usize = 864;
