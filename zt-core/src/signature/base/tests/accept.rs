//! `Accept-Signature`.

use super::*;

fn read(lines: &[&str]) -> Result<Vec<AcceptSignature>, FieldError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(ACCEPT_SIGNATURE, line.parse().unwrap());
    }
    AcceptSignature::read(Fields::new(&headers), &LIMITS)
}

#[test]
fn refuses_to_be_asked_for_what_cannot_be() {
    for (line, error) in [
        ("", FieldError::Empty),
        ("a", FieldError::NotAnInnerList),
        ("a=(), a=()", FieldError::DuplicateLabel),
        ("a=();created=?0", FieldError::ParameterType),
        ("a=();created=\"now\"", FieldError::ParameterType),
        ("a=();keyid", FieldError::ParameterType),
        ("a=(x)", FieldError::ComponentNotString),
        ("a=(\"x\";tr)", FieldError::Component(BaseError::Trailer)),
        (
            "a=(\"@nonsense\")",
            FieldError::Component(BaseError::UnknownDerived),
        ),
        (
            "a=(\"x\" \"x\")",
            FieldError::Component(BaseError::DuplicateComponent),
        ),
    ] {
        assert_eq!(read(&[line]), Err(error), "{line}");
    }
    assert_eq!(read(&[]), Ok(Vec::new()));
    assert_eq!(AcceptSignature::new("A", []).map(drop), Err(BaseError::Key));
    let twice = AcceptSignature::new("a", [Component::PATH, Component::PATH]);
    assert_eq!(twice.map(drop), Err(BaseError::DuplicateComponent));
    let asked = AcceptSignature::new("a", []).unwrap().keyid("\u{e4}");
    assert_eq!(asked.map(drop), Err(BaseError::ParameterNotAscii));
}

#[test]
fn what_is_asked_is_what_is_read() {
    let one = AcceptSignature::new("sig1", [Component::METHOD, Component::STATUS.req()]).unwrap();
    assert_eq!(
        one.to_header_value().unwrap(),
        "sig1=(\"@method\" \"@status\";req)"
    );
    let two = AcceptSignature::new("b", [Component::query_param("a b")]).unwrap();
    let two = two
        .created()
        .expires()
        .nonce("n\"")
        .unwrap()
        .alg("ed25519")
        .unwrap();
    let two = two.keyid("k").unwrap().tag("t").unwrap();
    let line = two.to_header_value().unwrap();
    assert_eq!(
        line,
        "b=(\"@query-param\";name=\"a%20b\");created;expires;nonce=\"n\\\"\";alg=\"ed25519\";\
         keyid=\"k\";tag=\"t\""
    );
    let lines = [one.to_header_value().unwrap(), line];
    let lines: Vec<_> = lines.iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(read(&lines), Ok(vec![one, two]));
    // A time with a value is a time.
    let timed = read(&["a=();created=5;expires=6;zz"]).unwrap();
    assert_eq!(
        timed,
        [AcceptSignature::new("a", []).unwrap().created().expires()]
    );
}
