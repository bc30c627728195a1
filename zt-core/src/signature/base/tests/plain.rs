//! The short way of reading, against the long one.

use std::cell::{Cell, RefCell};

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

/// All that there is to see of what was read.
fn seen(
    input: &[u8],
    signature: &[u8],
    limits: &FieldLimits,
    scratch: &mut Scratch,
    short: bool,
) -> Result<Vec<String>, FieldError> {
    let value = |bytes| HeaderValue::from_bytes(bytes).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, value(input));
    headers.insert(SIGNATURE, value(signature));
    let fields = Fields::new(&headers);
    let signatures = if short {
        Signatures::read(fields, limits, scratch)?.unwrap()
    } else {
        Signatures::read_the_long_way(fields, limits, scratch)?.unwrap()
    };
    let request = Built::get("/a?b=1")
        .with("x-a", "1")
        .with("priority", "u=1");
    let response = Built {
        request: Some(Box::new(Built::get("/").with("x-a", "2"))),
        ..Built::response().with("x-a", "3")
    };
    let base = |one: &Candidate<'_>, built: &Built| {
        let mut out = Vec::new();
        let result = one.write_base(&built.message(), &FieldTypes::default(), &mut out);
        result.map(|()| String::from_utf8(out).unwrap())
    };
    let each = signatures.candidates().map(|one| {
        let components: Vec<_> = one.components().collect();
        assert_eq!(
            (one.len(), one.is_empty()),
            (components.len(), components.is_empty())
        );
        let covered: Vec<_> = asked()
            .into_iter()
            .filter(|other| one.covers(other))
            .collect();
        format!(
            "{} {} {:?} {:?} {components:?} {covered:?} {:?} {:?}",
            one.label(),
            one.signature_params(),
            one.params(),
            one.signature(),
            base(&one, &request),
            base(&one, &response),
        )
    });
    Ok(each.collect())
}

fn asked() -> Vec<Component> {
    let derived = [
        Component::METHOD,
        Component::TARGET_URI,
        Component::AUTHORITY,
        Component::SCHEME,
        Component::REQUEST_TARGET,
        Component::PATH,
        Component::QUERY,
        Component::STATUS,
    ];
    let field = Component::field("x-a").unwrap();
    let fields = [
        field.clone(),
        field.clone().sf(),
        field.clone().bs(),
        field.req(),
        Component::CONTENT_DIGEST,
        Component::query_param("a"),
    ];
    let of_request = derived.clone().map(Component::req);
    derived
        .into_iter()
        .chain(of_request)
        .chain(fields)
        .collect()
}

#[test]
fn only_one_signature_in_the_canonical_form_is_plain() {
    let mut scratch = Scratch::default();
    for (input, is_plain) in [
        ("a=()", true),
        ("*a_b-c.d*0=(\"@method\")", true),
        (
            "a=(\"@method\" \"x-a\";req;sf \"@status\");created=0;expires=999999999999999",
            true,
        ),
        (
            "a=();nonce=\"\";alg=\"b\";keyid=\"c;d=(e)\";tag=\"f, g\"",
            true,
        ),
        ("a=();created=1618884473;keyid=\"k\"", true),
        // What is not canonical, or is rare, takes the long way.
        ("a=( \"x-a\")", false),
        ("a=(\"x-a\" )", false),
        ("a=(\"x-a\"  \"x-b\")", false),
        ("a=() ", false),
        (" a=()", false),
        ("a=(); created=1", false),
        ("a=();created=01", false),
        ("a=();created=00", false),
        ("a=();created=-1", false),
        ("a=();created=-0", false),
        ("a=();keyid=\"a\\\"\"", false),
        ("a=();keyid=\"a\\\\\"", false),
        ("a=();more", false),
        ("a=();more=1", false),
        ("a=(\"x-a\";key=\"k\")", false),
        ("a=(\"@query-param\";name=\"a\")", false),
        ("a=(\"x-a\";req=?1)", false),
        // So does what can never be covered.
        ("a=(\"x-a\";zz)", false),
        ("a=(\"x-a\";sf;bs)", false),
        ("a=(\"x-a\";tr)", false),
        ("a=(\"X-A\")", false),
        ("a=(\"@nonsense\")", false),
        ("a=(\"@method\";sf)", false),
        ("a=(\"@query-param\")", false),
    ] {
        let read = seen(input.as_bytes(), b"a=:AA==:", &LIMITS, &mut scratch, true);
        assert_eq!(scratch.is_plain, is_plain, "{input}");
        let mut other = Scratch::default();
        let wanted = seen(input.as_bytes(), b"a=:AA==:", &LIMITS, &mut other, false);
        assert!(!other.is_plain);
        assert_eq!(read, wanted, "{input}");
    }
}

#[test]
fn refuses_what_is_nearly_plain_for_the_same_reason() {
    let mut scratch = Scratch::default();
    for input in [
        "a=();created=1;created=1",
        "a=();created=1;expires=2;created=3",
        "a=();keyid=\"a\";keyid=\"a\"",
        "a=(\"x-a\";req;req)",
        "a=();created=1000000000000000",
        "a=();created=",
        "a=();created=\"1\"",
        "a=();keyid=1",
        "a=();keyid=\"a",
        "a=();keyid=\"a\"b",
        "a=();keyid=\"a\";",
        "a=()created=1",
        "a=(\"x-a\"\"x-b\")",
        "a=(\"x-a\"",
        "a=(\"x-a\" ",
        "a=(\"x-a",
        "a=(\"x-a\";req",
        "a=(\"x-a\";reqx",
        "a=(",
        "a=",
        "a",
        "=()",
        "A=()",
        "a=()()",
        "a=(\t\"x-a\")",
        "a=();keyid=\"\u{e4}\"",
    ] {
        let read = seen(input.as_bytes(), b"a=:AA==:", &LIMITS, &mut scratch, true);
        let mut other = Scratch::default();
        let wanted = seen(input.as_bytes(), b"a=:AA==:", &LIMITS, &mut other, false);
        assert_eq!(read, wanted, "{input}");
        if !matches!(input, "a=(\"x-a\";reqx") {
            assert!(read.is_err(), "{input}");
        }
    }
}

#[test]
fn a_list_that_is_known_is_taken_for_no_other() {
    let mut scratch = Scratch::default();
    let mut check = |list: &str, limit: usize| {
        let limits = FieldLimits {
            components: limit,
            ..LIMITS
        };
        let input = format!("a={list};created=1");
        let read = seen(input.as_bytes(), b"a=:AA==:", &limits, &mut scratch, true);
        let mut other = Scratch::default();
        let wanted = seen(input.as_bytes(), b"a=:AA==:", &limits, &mut other, false);
        assert_eq!(read, wanted, "{list}");
        read.is_ok()
    };
    let (one, two) = ("(\"@method\")", "(\"@method\" \"@path\")");
    for list in [
        one,
        one,
        two,
        two,
        one,
        "()",
        one,
        "(\"@path\")",
        "()",
        "()",
    ] {
        assert!(check(list, 64));
    }
    // Nothing of a list that was not read to its end is known.
    assert!(check(two, 64));
    assert!(!check("(\"@method\" \"@path\"", 64));
    assert!(check("(\"@method\";zz \"@path\")", 64));
    assert!(!check("(\"@method\" \"@path\"x)", 64));
    assert!(check(one, 64));
    // Another limit counts for what is known, too.
    assert!(check(two, 2));
    assert!(!check(two, 1));
    assert!(check(one, 1));
    assert!(!check(one, 0));
    assert!(check("()", 0));
}

#[test]
fn a_list_that_is_large_is_not_kept() {
    let limits = FieldLimits {
        bytes: 1 << 20,
        signatures: 1,
        components: 10_000,
    };
    let mut scratch = Scratch::default();
    let names: Vec<_> = (0..5000).map(|name| format!("\"x-{name}\"")).collect();
    let large = format!("a=({})", names.join(" "));
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, large.try_into().unwrap());
    headers.insert(SIGNATURE, HeaderValue::from_static("a=:AA==:"));
    let read = Signatures::read(Fields::new(&headers), &limits, &mut scratch);
    assert_eq!(
        read.unwrap().unwrap().candidates().next().unwrap().len(),
        5000
    );
    assert!(scratch.is_plain && scratch.capacity() > 200_000);
    scratch.clear();
    assert!(scratch.capacity() < 100_000, "{}", scratch.capacity());
    assert!(scratch.list.slots.is_empty());
}

/// A canonical field, and what is to happen to it.
fn nearly_plain() -> impl Strategy<Value = Vec<u8>> {
    let component = prop_oneof![
        6 => proptest::sample::select(vec![
            "\"@method\"", "\"@authority\"", "\"@path\"", "\"@query\"", "\"@status\"",
            "\"@target-uri\"", "\"@scheme\"", "\"@request-target\"", "\"x-a\"", "\"content-digest\"",
            "\"@method\";req", "\"x-a\";req", "\"priority\";sf", "\"x-a\";bs;req",
        ]).prop_map(str::to_owned),
        1 => "\"[a-z@-]{0,4}\"(;(sf|bs|req|tr|key=\"a\"|name=\"a\"|zz)){0,2}",
    ];
    let parameters = proptest::sample::subsequence(
        vec!["created=", "expires=", "nonce=", "alg=", "keyid=", "tag="],
        0..6,
    );
    let value = prop_oneof![
        10 => Just(String::new()),
        1 => proptest::sample::select(vec!["1", "\"a\"", "tok", "?1"]).prop_map(str::to_owned),
    ];
    let parameters = parameters.prop_shuffle().prop_flat_map(move |keys| {
        let each = keys.into_iter().map(|key| {
            let text = if key.len() == 8 {
                "[1-9][0-9]{0,15}|0"
            } else {
                "\"[ !#-\\[\\]-~]{0,6}\""
            };
            (text, value.clone()).prop_map(move |(good, other)| {
                let value = if other.is_empty() { good } else { other };
                format!(";{key}{value}")
            })
        });
        each.collect::<Vec<_>>()
    });
    let bytes = proptest::sample::select(b"\"\\ ;=(),:aA@0-?\t~\x80\xe4".to_vec());
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec((any::<proptest::sample::Index>(), 0..4_u8, bytes), 1..3),
    ];
    (
        "[ab*][a_.*-]{0,2}",
        proptest::collection::vec(component, 0..5),
        parameters,
        changes,
    )
        .prop_map(|(label, components, parameters, changes)| {
            let components = components.join(" ");
            let text = format!("{label}=({components}){}", parameters.concat());
            let mut text = text.into_bytes();
            for (index, change, byte) in changes {
                let at = index.index(text.len().max(1));
                match change {
                    0 if at < text.len() => drop(text.remove(at)),
                    1 if at < text.len() => text[at] = byte,
                    2 => text.insert(at, byte),
                    _ => text.extend_from_within(at..),
                }
            }
            text
        })
}

#[test]
fn both_ways_read_the_same() {
    let config = ProptestConfig::with_cases(4096);
    let (short, long, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    // What one leaves behind is there for the next.
    let scratch = RefCell::new(Scratch::default());
    let signature = "(:AA==:|:AP8=:|:AP8:|::|:A:|x|:AA==:;a|:AA==:, b=:AA==:)";
    let limits = (0..3_usize, 0..6_usize).prop_map(|(signatures, components)| FieldLimits {
        signatures,
        components,
        ..LIMITS
    });
    let limits = prop_oneof![4 => Just(LIMITS), 1 => limits];
    let result = TestRunner::new(config).run(
        &(nearly_plain(), signature, limits),
        |(input, signature, limits)| {
            let label = input.split(|byte| *byte == b'=').next().unwrap_or_default();
            let signature = [label, b"=", signature.as_bytes()].concat();
            if [&input, &signature]
                .into_iter()
                .any(|text| HeaderValue::from_bytes(text).is_err())
            {
                return Ok(());
            }
            let scratch = &mut *scratch.borrow_mut();
            let read = seen(&input, &signature, &limits, scratch, true);
            let count = match (&read, scratch.is_plain) {
                (Err(_), _) => &refused,
                (Ok(_), true) => &short,
                (Ok(_), false) => &long,
            };
            count.set(count.get() + 1);
            let mut other = Scratch::default();
            let wanted = seen(&input, &signature, &limits, &mut other, false);
            prop_assert!(!other.is_plain);
            prop_assert_eq!(read, wanted);
            Ok(())
        },
    );
    result.unwrap();
    for (way, count) in [("short", short), ("long", long), ("refused", refused)] {
        assert!(count.get() > 100, "{way}: {}", count.get());
    }
}
