//! What a signer writes.

use super::*;

#[test]
fn refuses_components_that_cannot_be_covered() {
    let build = |components: &[Component]| InputBuilder::new(components.to_vec()).map(drop);
    let field = || Component::field("x-a").unwrap();
    assert_eq!(
        build(&[field(), field()]),
        Err(BaseError::DuplicateComponent)
    );
    let other = field().key("a").unwrap().req();
    let same = field().req().key("a").unwrap();
    assert_eq!(build(&[other, same]), Err(BaseError::DuplicateComponent));
    assert_eq!(
        build(&[field().bs().sf()]),
        Err(BaseError::IncompatibleParameters)
    );
    assert_eq!(
        build(&[Component::PATH.sf()]),
        Err(BaseError::ParameterNotApplicable)
    );
    assert_eq!(build(&[field(), field().bs(), field().sf()]), Ok(()));
}

#[test]
fn refuses_labels_and_strings_that_no_field_can_hold() {
    let builder = InputBuilder::new([Component::METHOD]).unwrap();
    for text in ["\u{e4}", "a\nb", "a\tb", "\u{7f}", "\0"] {
        let error = Err(BaseError::ParameterNotAscii);
        assert_eq!(builder.clone().keyid(text).map(drop), error, "{text:?}");
        assert_eq!(builder.clone().nonce(text).map(drop), error, "{text:?}");
        assert_eq!(builder.clone().alg(text).map(drop), error, "{text:?}");
        assert_eq!(builder.clone().tag(text).map(drop), error, "{text:?}");
    }
    let input = builder.build();
    for label in ["", "A", "1", "a b", "a=", "a\n", "\u{e4}", "-a"] {
        assert_eq!(
            input.signature_input(label),
            Err(BaseError::Key),
            "{label:?}"
        );
        assert_eq!(
            input.signature(label, b""),
            Err(BaseError::Key),
            "{label:?}"
        );
    }
    assert_eq!(
        input.signature("*a.b_c-1", b"\x00\xff").unwrap(),
        "*a.b_c-1=:AP8=:"
    );
}

#[test]
fn parameters_stand_in_the_order_in_which_they_were_added() {
    let builder = InputBuilder::new([])
        .unwrap()
        .tag("t")
        .unwrap()
        .created(1)
        .expires(2);
    let builder = builder.keyid("a\"\\").unwrap().created(3);
    assert_eq!(
        builder.build().signature_params(),
        "();tag=\"t\";created=3;expires=2;keyid=\"a\\\"\\\\\""
    );
    let far = InputBuilder::new([])
        .unwrap()
        .created(i64::MAX)
        .expires(i64::MIN)
        .build();
    assert_eq!(
        far.signature_params(),
        "();created=999999999999999;expires=-999999999999999"
    );
}

#[test]
fn a_base_that_cannot_be_leaves_nothing_behind() {
    let components = [Component::METHOD, Component::field("x-a").unwrap()];
    let input = InputBuilder::new(components).unwrap().build();
    let mut out = b"before".to_vec();
    let built = Built::get("/");
    let types = FieldTypes::default();
    let result = input.write_base(&built.message(), &types, &mut out);
    assert_eq!(
        (result, out.as_slice()),
        (Err(BaseError::FieldAbsent), &b"before"[..])
    );
    let built = built.with("x-a", "1");
    assert_eq!(input.write_base(&built.message(), &types, &mut out), Ok(()));
    assert!(out.starts_with(b"before\"@method\": GET\n\"x-a\": 1\n\"@signature-params\": ("));
    assert!(!out.ends_with(b"\n"));
}
