//! `Signature-Input` and `Signature`.

use super::*;

fn read(input: &[&str], signature: &[&str]) -> Result<Option<Vec<String>>, FieldError> {
    read_within(input, signature, &LIMITS)
}

/// What each candidate says, with its signature in hexadecimal digits.
fn read_within(
    input: &[&str],
    signature: &[&str],
    limits: &FieldLimits,
) -> Result<Option<Vec<String>>, FieldError> {
    let mut headers = HeaderMap::new();
    for (name, lines) in [(SIGNATURE_INPUT, input), (SIGNATURE, signature)] {
        for line in lines {
            headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
    }
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(&headers), limits, &mut scratch)?;
    Ok(signatures.map(|signatures| {
        let candidates = signatures.candidates();
        let each = candidates.map(|one| {
            assert_eq!(one.len(), one.components().count());
            assert_eq!(one.is_empty(), one.components().next().is_none());
            format!(
                "{}={} {:02x?}",
                one.label(),
                one.signature_params(),
                one.signature()
            )
        });
        each.collect()
    }))
}

#[test]
fn refuses_fields_that_cannot_be_read() {
    use FieldError::*;

    let (good, bytes) = ("a=()", "a=:AA==:");
    for (input, signature, error) in [
        ([good], ["a=:AA==:, a=:AA==:"], DuplicateLabel),
        (["a=(), a=()"], [bytes], DuplicateLabel),
        (["a=(), b=(), a=1"], [bytes], DuplicateLabel),
        ([good], ["b=:AA==:"], LabelWithoutInput),
        ([good], ["a=:AA==:, b=:AA==:"], LabelWithoutInput),
        (["a=(), b=()"], [bytes], LabelWithoutSignature),
        ([good], [""], Empty),
        ([""], [bytes], Empty),
        ([good], ["  "], Empty),
        (["a"], [bytes], NotAnInnerList),
        (["a=1"], [bytes], NotAnInnerList),
        (["a=\"()\""], [bytes], NotAnInnerList),
        (["a=(method)"], [bytes], ComponentNotString),
        (["a=(\"x\" 1)"], [bytes], ComponentNotString),
        (["a=(:AA==:)"], [bytes], ComponentNotString),
        ([good], ["a"], NotBytes),
        ([good], ["a=\"AA==\""], NotBytes),
        ([good], ["a=(:AA==:)"], NotBytes),
        ([good], ["a=AA=="], NotBytes),
        ([good], ["a=:A*==:"], NotADictionary),
        ([good], ["a=:AA==: b"], NotADictionary),
        ([good], ["a=:AA==:,"], NotADictionary),
        ([good], ["A=:AA==:"], NotADictionary),
        ([good], ["\ta=:AA==:"], NotADictionary),
        ([good], ["a =:AA==:"], NotBytes),
        ([good], ["a= :AA==:"], NotADictionary),
        ([good], [":AA==:"], NotADictionary),
        (["a=("], [bytes], NotADictionary),
        (["a=(\"x\"\"y\")"], [bytes], NotADictionary),
        (["a=()b"], [bytes], NotADictionary),
        (["a=(),"], [bytes], NotADictionary),
        (["A=()"], [bytes], NotADictionary),
        (["a=(\"\u{e4}\")"], [bytes], NotADictionary),
        (["a=();created=\"1\""], [bytes], ParameterType),
        (["a=();created"], [bytes], ParameterType),
        (["a=();created=1.0"], [bytes], ParameterType),
        (["a=();created=@1"], [bytes], ParameterType),
        (["a=();created=1;created=x"], [bytes], ParameterRepeated),
        (["a=();created=1;created=1"], [bytes], ParameterRepeated),
        (
            ["a=();expires=1;keyid=\"k\";expires=2"],
            [bytes],
            ParameterRepeated,
        ),
        (["a=();nonce=\"n\";nonce=\"o\""], [bytes], ParameterRepeated),
        (
            ["a=();alg=\"b\";created=1;alg=\"b\""],
            [bytes],
            ParameterRepeated,
        ),
        (["a=();keyid=\"k\";keyid=\"l\""], [bytes], ParameterRepeated),
        (["a=();tag=\"t\";  tag=\"u\""], [bytes], ParameterRepeated),
        (["a=();more;more"], [bytes], ParameterRepeated),
        (["a=();more=1;other;more=\"2\""], [bytes], ParameterRepeated),
        (["a=(\"x\";sf;sf)"], [bytes], ParameterRepeated),
        (["a=(\"x\";req;sf;req=?1)"], [bytes], ParameterRepeated),
        (
            ["a=(\"x\";key=\"a\";key=\"b\")"],
            [bytes],
            ParameterRepeated,
        ),
        (["a=(\"x\";zz;zz=1)"], [bytes], ParameterRepeated),
        (
            ["b=(), a=();tag=\"t\";tag=\"t\""],
            [bytes],
            ParameterRepeated,
        ),
        (["a=();expires=:AA==:"], [bytes], ParameterType),
        (["a=();nonce=1"], [bytes], ParameterType),
        (["a=();nonce=token"], [bytes], ParameterType),
        (["a=();alg=ed25519"], [bytes], ParameterType),
        (["a=();keyid"], [bytes], ParameterType),
        (["a=();tag=%\"x\""], [bytes], ParameterType),
        (["a=();created=1000000000000000"], [bytes], NotADictionary),
    ] {
        assert_eq!(
            read(&input, &signature),
            Err(error),
            "{input:?} {signature:?}"
        );
    }
    assert_eq!(read(&[], &[]), Ok(None));
    assert_eq!(read(&[good], &[]), Err(SignatureAbsent));
    assert_eq!(read(&[], &[bytes]), Err(InputAbsent));
    assert_eq!(read(&[good, good], &[bytes]), Err(DuplicateLabel));
    assert_eq!(read(&[good], &[bytes, bytes]), Err(DuplicateLabel));
    assert_eq!(read(&["a=(\"x\"", "\"y\")"], &[bytes]), Err(NotADictionary));
}

#[test]
fn refuses_more_than_the_limits() {
    let limits = FieldLimits {
        bytes: 40,
        signatures: 2,
        components: 3,
    };
    let all = |count: usize, one: &str| vec![one; count].join(" ");
    let signature = ["a=:AA==:"];
    let within = |input: &str| read_within(&[input], &signature, &limits).map(drop);
    assert_eq!(within(&format!("a=({})", all(3, "\"x\""))), Ok(()));
    assert_eq!(
        within(&format!("a=({})", all(4, "\"x\""))),
        Err(FieldError::TooLarge)
    );
    assert_eq!(within("a=(), b=(), c=()"), Err(FieldError::TooLarge));
    assert_eq!(within(&format!("a=(){}", " ".repeat(36))), Ok(()));
    assert_eq!(
        within(&format!("a=(){}", " ".repeat(37))),
        Err(FieldError::TooLarge)
    );
    let lines = ["a=()             ", "b=()                 "];
    assert_eq!(
        read_within(&lines, &["a=::,b=::"], &limits).map(drop),
        Ok(())
    );
    let lines = ["a=()             ", "b=()                  "];
    let result = read_within(&lines, &["a=::,b=::"], &limits);
    assert_eq!(result, Err(FieldError::TooLarge));
    let long = format!("a=:{}:", "A".repeat(40));
    assert_eq!(
        read_within(&["a=()"], &[&long], &limits),
        Err(FieldError::TooLarge)
    );
    let none = FieldLimits {
        components: 0,
        ..limits
    };
    let result = read_within(&["a=(\"x\")"], &signature, &none);
    assert_eq!(result, Err(FieldError::TooLarge));
    for place in ["a=(){}", "a=(\"x\"{})"] {
        let input = |count| {
            let all: Vec<_> = (0..count).map(|number| format!(";a{number}")).collect();
            place.replace("{}", &all.concat())
        };
        assert_eq!(read(&[&input(32)], &signature).map(drop), Ok(()));
        assert_eq!(read(&[&input(33)], &signature), Err(FieldError::TooLarge));
    }
}

#[test]
fn what_is_read_is_written_in_the_canonical_form_and_order() {
    for (input, signature, written) in [
        (&["a=()"][..], &["a=:AP8=:"][..], &["a=() [00, ff]"][..]),
        (&["a=()"], &["a=:AP8:"], &["a=() [00, ff]"]),
        (&["a=()"], &["a=:AP9=:"], &["a=() [00, ff]"]),
        (&["a=()"], &["a=:AA==:;x=1"], &["a=() [00]"]),
        (&["a=()"], &["a=::"], &["a=() []"]),
        (
            &[
                "  b=(  \"x\"  \"y\";sf ) ;  z".trim_end_matches(" ;  z"),
                "a=()  ",
            ],
            &["a=:AA==:  ,\t b=:AQ==:"],
            &["b=(\"x\" \"y\";sf) [01]", "a=() [00]"],
        ),
        (
            &[
                "a=(\"x\";  zz;key=\"q\\\"\\\\\");tag=\"t\";  un=-1.50;created=007;ok=?1;no=?0;b=:AA:",
            ],
            &["a=:AA==:"],
            &["a=(\"x\";zz;key=\"q\\\"\\\\\");tag=\"t\";un=-1.5;created=7;ok;no=?0;b=:AA==: [00]"],
        ),
    ] {
        let found = read(input, signature).unwrap().unwrap();
        assert_eq!(found, written, "{input:?}");
    }
}

#[test]
fn parameters_are_what_was_said_without_escapes() {
    let mut headers = HeaderMap::new();
    let input = "a=();nonce=\"two\";alg=\"b\\\\\\\"\";created=2;\
                 expires=-3;tag=\"\", b=();keyid=\"k\"";
    headers.insert(SIGNATURE_INPUT, HeaderValue::from_static(input));
    headers.insert(SIGNATURE, HeaderValue::from_static("b=:AA==:,a=:AQ==:"));
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
    let all: Vec<_> = signatures.unwrap().unwrap().candidates().collect();
    let [a, b] = all.as_slice() else { panic!() };
    assert_eq!(
        a.params(),
        Params {
            created: Some(2),
            expires: Some(-3),
            nonce: Some("two"),
            alg: Some("b\\\""),
            keyid: None,
            tag: Some(""),
        }
    );
    assert_eq!((a.signature(), b.signature()), (&[1][..], &[0][..]));
    assert_eq!(b.params().keyid, Some("k"));
    assert_eq!(b.params().nonce, None);
}

#[test]
fn covers_only_exactly_what_is_listed() {
    let mut headers = HeaderMap::new();
    let input = "a=(\"@method\" \"x-a\";req;key=\"k\" \"x-b\";tr \"x-c\";zz \"X-D\")";
    headers.insert(SIGNATURE_INPUT, HeaderValue::from_static(input));
    headers.insert(SIGNATURE, HeaderValue::from_static("a=::"));
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
    let one = signatures.unwrap().unwrap().candidates().next().unwrap();
    let field = |name| Component::field(name).unwrap();
    assert!(one.covers(&Component::METHOD));
    assert!(one.covers(&field("x-a").key("k").unwrap().req()));
    assert!(!one.covers(&field("x-a").req()));
    assert!(!one.covers(&field("x-a").key("l").unwrap().req()));
    assert!(!one.covers(&field("x-a")));
    assert!(!one.covers(&field("x-b")), "`;tr` is another component");
    assert!(
        !one.covers(&field("x-c")),
        "what is not understood is not covered"
    );
    assert!(!one.covers(&Component::METHOD.req()));
    assert!(!one.covers(&Component::PATH));
}

#[test]
fn memory_is_used_again_and_what_is_too_much_is_given_back() {
    let limits = FieldLimits {
        bytes: 1 << 20,
        ..LIMITS
    };
    let mut scratch = Scratch::default();
    let mut read = |nonce: usize| {
        let input = format!("a=(\"@method\");nonce=\"{}\"", "n".repeat(nonce));
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_INPUT, input.try_into().unwrap());
        headers.insert(SIGNATURE, HeaderValue::from_static("a=:AA==:"));
        let signatures = Signatures::read(Fields::new(&headers), &limits, &mut scratch);
        assert_eq!(signatures.unwrap().unwrap().candidates().count(), 1);
        scratch.capacity()
    };
    let small = read(10);
    assert!(small < 4096, "{small}");
    assert_eq!(read(10), small);
    let large = read(400_000);
    assert!((400_000..8 * 400_000).contains(&large), "{large}");
    assert!(read(10) < 4096);
}

#[test]
fn a_failed_reading_leaves_nothing_for_the_next() {
    let mut scratch = Scratch::default();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, HeaderValue::from_static("a=(\"x\";k=1"));
    headers.insert(SIGNATURE, HeaderValue::from_static("a=:AA==:"));
    let failed = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch).map(|_| ());
    assert_eq!(failed, Err(FieldError::NotADictionary));
    headers.insert(SIGNATURE_INPUT, HeaderValue::from_static("a=(\"y\");b"));
    let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
    let one = signatures.unwrap().unwrap().candidates().next().unwrap();
    assert_eq!(one.signature_params(), "(\"y\");b");
}

#[test]
fn a_field_that_is_empty_is_not_one_that_is_absent() {
    let (none, empty) = (Built::get("/"), Built::get("/").with("x-a", ""));
    assert_eq!(none.base("(\"x-a\")"), Err(BaseError::FieldAbsent));
    assert_eq!(
        empty.base("(\"x-a\")").unwrap(),
        "\"x-a\": \n\"@signature-params\": (\"x-a\")"
    );
    let twice = empty.with("x-a", "");
    assert!(
        twice
            .base("(\"x-a\")")
            .unwrap()
            .starts_with("\"x-a\": , \n")
    );
}
