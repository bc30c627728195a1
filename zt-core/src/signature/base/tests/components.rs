//! Components that have no value, and the edges of those that have one.

use super::*;

#[test]
fn refuses_what_the_message_has_not() {
    let built = Built::get("/p?a=1&b=2&a=3")
        .with("x-a", "1")
        .with("example-dict", "a=1");
    let response = Built::response();
    for (component, error) in [
        ("\"x-b\"", BaseError::FieldAbsent),
        ("\"x-b\";bs", BaseError::FieldAbsent),
        ("\"x-b\";sf", BaseError::FieldAbsent),
        ("\"x-b\";key=\"a\"", BaseError::FieldAbsent),
        ("\"x-a\";sf", BaseError::FieldTypeUnknown),
        ("\"x-a\";key=\"a\"", BaseError::FieldTypeUnknown),
        ("\"example-dict\";key=\"b\"", BaseError::KeyAbsent),
        ("\"example-dict\";key=\"A\"", BaseError::KeyAbsent),
        ("\"@status\"", BaseError::StatusInRequest),
        ("\"@method\";req", BaseError::ReqInRequest),
        ("\"x-a\";req", BaseError::ReqInRequest),
        ("\"@query-param\";name=\"a\"", BaseError::QueryParamRepeated),
        ("\"@query-param\";name=\"c\"", BaseError::QueryParamAbsent),
    ] {
        assert_eq!(built.component(component), Err(error), "{component}");
    }
    for name in [
        "method",
        "target-uri",
        "authority",
        "scheme",
        "request-target",
        "path",
        "query",
    ] {
        let error = Err(BaseError::RequestComponentInResponse);
        assert_eq!(response.component(&format!("\"@{name}\"")), error, "{name}");
        let error = Err(BaseError::RequestNotKnown);
        assert_eq!(
            response.component(&format!("\"@{name}\";req")),
            error,
            "{name}"
        );
    }
    let param = "\"@query-param\";name=\"a\"";
    assert_eq!(
        response.component(param),
        Err(BaseError::RequestComponentInResponse)
    );
    assert_eq!(
        response.component("\"@status\";req"),
        Err(BaseError::RequestNotKnown)
    );
    let answered = Built {
        request: Some(Box::new(Built::get("/"))),
        ..Built::response()
    };
    assert_eq!(
        answered.component("\"@status\";req"),
        Err(BaseError::StatusInRequest)
    );
    assert_eq!(answered.component("\"@method\";req").unwrap(), "GET");
}

#[test]
fn refuses_identifiers_that_are_not_understood() {
    for (component, error) in [
        ("", BaseError::Identifier),
        ("x-a", BaseError::Identifier),
        ("1", BaseError::Identifier),
        ("\"x-a\" ;sf", BaseError::Identifier),
        ("\"x-a\", \"x-b\"", BaseError::Identifier),
        ("\"\"", BaseError::Name),
        ("\"X-A\"", BaseError::Name),
        ("\"x a\"", BaseError::Name),
        ("\"x-\\\"\"", BaseError::Name),
        ("\"x:\"", BaseError::Name),
        ("\"@Method\"", BaseError::UnknownDerived),
        ("\"@query-params\"", BaseError::UnknownDerived),
        ("\"@signature-params\"", BaseError::SignatureParamsListed),
        ("\"x-a\";tr", BaseError::Trailer),
        ("\"x-a\";tr;zz;bs;sf", BaseError::Trailer),
        ("\"x-a\";zz", BaseError::UnknownParameter),
        ("\"x-a\";SF", BaseError::Identifier),
        ("\"x-a\";sf=1", BaseError::ParameterValue),
        ("\"x-a\";bs=?0", BaseError::ParameterValue),
        ("\"x-a\";req=\"\"", BaseError::ParameterValue),
        ("\"x-a\";key", BaseError::ParameterValue),
        ("\"x-a\";key=a", BaseError::ParameterValue),
        ("\"@query-param\";name=:YQ==:", BaseError::ParameterValue),
        ("\"@query-param\"", BaseError::QueryParamWithoutName),
        ("\"@query-param\";req", BaseError::QueryParamWithoutName),
        ("\"x-a\";name=\"a\"", BaseError::ParameterNotApplicable),
        ("\"@path\";name=\"a\"", BaseError::ParameterNotApplicable),
        ("\"@method\";sf", BaseError::ParameterNotApplicable),
        ("\"@method\";bs", BaseError::ParameterNotApplicable),
        (
            "\"@query-param\";name=\"a\";key=\"b\"",
            BaseError::ParameterNotApplicable,
        ),
        ("\"x-a\";bs;sf", BaseError::IncompatibleParameters),
        ("\"x-a\";key=\"a\";bs", BaseError::IncompatibleParameters),
    ] {
        assert_eq!(component.parse::<Component>(), Err(error), "{component}");
        let built = Built::get("/?a=1").with("x-a", "1");
        if error != BaseError::Identifier {
            assert_eq!(
                built.base(&format!("({component})")),
                Err(error),
                "{component}"
            );
            let two = format!("(\"@method\" {component});created=1");
            assert_eq!(built.base(&two), Err(error), "{component}");
        }
    }
    for component in [
        "\"x-a\";sf;sf",
        "\"x-a\";sf;req;sf=1",
        "\"x-a\";key=\"a\";key=\"a\"",
        "\"@query-param\";name=\"a\";name=\"b\"",
        "\"x-a\";zz;zz",
    ] {
        let repeated = Err(BaseError::ParameterRepeated);
        assert_eq!(component.parse::<Component>(), repeated, "{component}");
    }
}

#[test]
fn refuses_a_component_twice_in_whatever_order_its_parameters_stand() {
    let built = Built::get("/?a=1").with("example-dict", "a=1");
    for list in [
        "\"@method\" \"@path\" \"@method\"",
        "\"example-dict\" \"example-dict\"",
        "\"@query-param\";name=\"a\" \"@query-param\";name=\"a\"",
    ] {
        assert_eq!(
            built.base(&format!("({list})")),
            Err(BaseError::DuplicateComponent),
            "{list}"
        );
    }
    let answered = Built {
        request: Some(Box::new(Built::get("/").with("priority", "u=1"))),
        ..Built::response()
    };
    let twice = "(\"priority\";key=\"u\";req \"priority\";req;key=\"u\")";
    assert_eq!(answered.base(twice), Err(BaseError::DuplicateComponent));
    let others = "(\"priority\";key=\"u\";req \"priority\";req;sf \"priority\";req)";
    assert_eq!(
        answered.base(others).unwrap(),
        "\"priority\";key=\"u\";req: 1\n\"priority\";req;sf: u=1\n\"priority\";req: u=1\n\
         \"@signature-params\": (\"priority\";key=\"u\";req \"priority\";req;sf \"priority\";req)"
    );
}

#[test]
fn components_are_equal_in_whatever_order_their_parameters_stand() {
    use std::collections::HashSet;

    let one: Component = "\"signature\";key=\"a\";req".parse().unwrap();
    let other: Component = "\"signature\";req;key=\"a\"".parse().unwrap();
    let built = Component::field("signature")
        .unwrap()
        .req()
        .key("a")
        .unwrap();
    assert_eq!(one, other);
    assert_eq!(built, one);
    assert_ne!(one.as_str(), other.as_str());
    assert_eq!(built.as_str(), other.as_str());
    assert_eq!(HashSet::from([one.clone(), other, built]).len(), 1);
    assert_ne!(one, "\"signature\";key=\"b\";req".parse().unwrap());
    assert_ne!(one, "\"signature\";key=\"a\"".parse().unwrap());
    assert_ne!(Component::PATH, Component::QUERY);
    assert_ne!(Component::query_param("a"), Component::query_param("b"));
}

#[test]
fn refuses_to_name_what_cannot_be() {
    assert_eq!(Component::field("X-A"), Err(BaseError::Name));
    assert_eq!(Component::field("@method"), Err(BaseError::Name));
    assert_eq!(Component::field("x\n"), Err(BaseError::Name));
    let field = || Component::field("x-a").unwrap();
    assert_eq!(field().key("A"), Err(BaseError::Key));
    assert_eq!(field().key(""), Err(BaseError::Key));
    assert_eq!(field().key("a").unwrap().key("b"), Err(BaseError::Key));
    let built = Built::get("/").with("x-a", "1");
    let component = field().bs().sf();
    let types = FieldTypes::default();
    let value = built.message().component(&component, &types);
    assert_eq!(value, Err(BaseError::IncompatibleParameters));
    let value = built.message().component(&Component::METHOD.bs(), &types);
    assert_eq!(value, Err(BaseError::ParameterNotApplicable));
    assert_eq!(field().sf().sf().as_str(), "\"x-a\";sf");
    let name = "fa\u{e7}ade\": ";
    assert_eq!(
        Component::query_param(name).as_str(),
        "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\""
    );
}

#[test]
fn an_authority_is_lowered_and_loses_its_own_port_and_nothing_else() {
    for (scheme, authority, value) in [
        (UrlScheme::Https, "EXAMPLE.com:443", Some("example.com")),
        (UrlScheme::Https, "example.com:80", Some("example.com:80")),
        (UrlScheme::Http, "example.com:80", Some("example.com")),
        (UrlScheme::Http, "example.com:443", Some("example.com:443")),
        (
            UrlScheme::Https,
            "example.com:0443",
            Some("example.com:0443"),
        ),
        (UrlScheme::Https, "example.com.", Some("example.com.")),
        (UrlScheme::Https, "[2001:DB8::1]:443", Some("[2001:db8::1]")),
        (UrlScheme::Https, "[2001:db8::443]", Some("[2001:db8::443]")),
        (UrlScheme::Https, "", None),
        (UrlScheme::Https, ":443", None),
        (UrlScheme::Https, "user@example.com", None),
        (UrlScheme::Https, "example.com/", None),
        (UrlScheme::Https, "a b", None),
        (UrlScheme::Https, "a\nb", None),
        (UrlScheme::Https, "b\u{fc}cher.example", None),
    ] {
        let built = Built {
            scheme,
            authority: authority.to_owned(),
            ..Built::get("/a?b")
        };
        let wanted = value.map(str::to_owned).ok_or(BaseError::Authority);
        assert_eq!(built.component("\"@authority\""), wanted, "{authority}");
        let uri = wanted.map(|value| format!("{}://{value}/a?b", scheme.as_str()));
        assert_eq!(built.component("\"@target-uri\""), uri, "{authority}");
    }
}

#[test]
fn a_target_is_what_the_request_line_says() {
    let http2 = |built: Built| Built {
        version: Version::HTTP_2,
        ..built
    };
    let whole = || Built::get("https://www.example.com/a?b=c");
    assert_eq!(
        whole().component("\"@request-target\"").unwrap(),
        "https://www.example.com/a?b=c"
    );
    assert_eq!(
        http2(whole()).component("\"@request-target\"").unwrap(),
        "/a?b=c"
    );
    let bare = http2(Built::get("https://www.example.com"));
    assert_eq!(bare.component("\"@request-target\"").unwrap(), "/");
    assert_eq!(bare.component("\"@path\"").unwrap(), "/");
    assert_eq!(bare.component("\"@query\"").unwrap(), "?");
    assert_eq!(
        bare.component("\"@target-uri\"").unwrap(),
        "https://www.example.com/"
    );
    let mark = Built::get("/a?");
    assert_eq!(mark.component("\"@request-target\"").unwrap(), "/a?");
    assert_eq!(
        mark.component("\"@target-uri\"").unwrap(),
        "https://www.example.com/a?"
    );

    let connect = |method| Built {
        method,
        ..Built::get("www.example.com:443")
    };
    let tunnel = connect(Method::CONNECT);
    assert_eq!(
        tunnel.component("\"@request-target\"").unwrap(),
        "www.example.com:443"
    );
    assert_eq!(
        tunnel.component("\"@target-uri\"").unwrap(),
        "https://www.example.com"
    );
    assert_eq!(tunnel.component("\"@path\""), Err(BaseError::NoPath));
    let other = connect(Method::GET).component("\"@request-target\"");
    assert_eq!(other, Err(BaseError::RequestTarget));

    let options = Built {
        method: Method::OPTIONS,
        ..Built::get("*")
    };
    assert_eq!(options.component("\"@request-target\"").unwrap(), "*");
    assert_eq!(
        options.component("\"@target-uri\"").unwrap(),
        "https://www.example.com"
    );
    assert_eq!(options.component("\"@path\""), Err(BaseError::NoPath));
}

#[test]
fn path_bytes_are_never_changed() {
    for path in [
        "/a/../b",
        "/a//b",
        "/%41",
        "/%e4",
        "/a;b=c",
        "/~*",
        "//evil.example/x",
    ] {
        assert_eq!(Built::get(path).component("\"@path\"").unwrap(), path);
    }
    let outside = Built::get("/\u{e4}");
    assert_eq!(outside.component("\"@path\""), Err(BaseError::NotAscii));
}

#[test]
fn query_parameters_are_decoded_and_encoded_again() {
    for (query, name, value) in [
        ("a=1", "a", Ok("1")),
        ("a", "a", Ok("")),
        ("&&a=&", "a", Ok("")),
        ("a=b=c", "a", Ok("b%3Dc")),
        ("%61=1", "a", Ok("1")),
        ("a+b=c+d", "a%20b", Ok("c%20d")),
        ("a=%2B", "a", Ok("%2B")),
        ("a=%2b%7e", "a", Ok("%2B%7E")),
        ("a=%zz%4", "a", Ok("%25zz%254")),
        ("a=%EF%BF%BD", "a", Ok("%EF%BF%BD")),
        ("a=%FF", "a", Err(BaseError::QueryParamEncoding)),
        ("a=%C3", "a", Err(BaseError::QueryParamEncoding)),
        ("a=1&%61=2", "a", Err(BaseError::QueryParamRepeated)),
        ("a=1&a", "a", Err(BaseError::QueryParamRepeated)),
        ("A=1", "a", Err(BaseError::QueryParamAbsent)),
        ("a%20b=1", "a b", Err(BaseError::QueryParamAbsent)),
        ("a%20b=1", "a+b", Err(BaseError::QueryParamAbsent)),
    ] {
        let built = Built::get(&format!("/p?{query}"));
        let found = built.component(&format!("\"@query-param\";name=\"{name}\""));
        assert_eq!(found, value.map(str::to_owned), "{query}");
    }
    let none = Built::get("/p").component("\"@query-param\";name=\"a\"");
    assert_eq!(none, Err(BaseError::QueryParamAbsent));
}

#[test]
fn lines_that_were_taken_off_count_where_none_is_there() {
    let built = Built::get("/")
        .with("x-a", "there")
        .with("authorization", "changed");
    let stripped = [
        (
            HeaderName::from_static("authorization"),
            HeaderValue::from_static(" first "),
        ),
        (
            HeaderName::from_static("cookie"),
            HeaderValue::from_static("a"),
        ),
        (
            HeaderName::from_static("cookie"),
            HeaderValue::from_static("b"),
        ),
    ];
    let message = Message::Request(RequestMessage {
        fields: built.fields().with_stripped(&stripped),
        ..built.request()
    });
    let value = |name| message.component(&Component::field(name).unwrap(), &FieldTypes::default());
    // Whoever reads the message sees this one: nothing else may have been signed.
    assert_eq!(value("authorization").unwrap(), "changed");
    assert_eq!(value("cookie").unwrap(), "a, b");
    assert_eq!(value("x-a").unwrap(), "there");
    assert_eq!(value("x-b"), Err(BaseError::FieldAbsent));
}

#[test]
fn folds_become_one_space_and_no_line_end_is_left() {
    for (line, value) in [
        ("a", "a"),
        (" \t a \t", "a"),
        ("a\r\n b", "a b"),
        ("a \r\n\t  b\r\n c", "a b c"),
        ("a\nb", "a b"),
        ("\r\n a\r\n", " a"),
        ("a  b", "a  b"),
    ] {
        let mut out = Vec::new();
        fields::write_line(line.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), value, "{line:?}");
    }
    let mut types = FieldTypes::default();
    for kind in [StructuredType::Item, StructuredType::List] {
        types = types.with(HeaderName::from_static("priority"), kind);
        assert_eq!(
            types.get("priority"),
            Some(kind),
            "the application's word counts"
        );
    }
    assert_eq!(
        types.get("content-digest"),
        Some(StructuredType::Dictionary)
    );
    assert_eq!(types.get("date"), None);
}

#[test]
fn bytes_of_a_field_may_be_anything() {
    let mut built = Built::get("/");
    let value = HeaderValue::from_bytes(b"\xff").unwrap();
    built.headers.insert("x-a", value);
    assert_eq!(built.component("\"x-a\""), Err(BaseError::NotAscii));
    assert_eq!(built.component("\"x-a\";bs").unwrap(), ":/w==:");
}

#[test]
fn a_line_end_is_found_wherever_it_is() {
    for len in 0..40 {
        for at in 0..len {
            for byte in [b'\r', b'\n'] {
                let mut text = vec![b'\x0b'; len];
                assert!(!fields::has_line_end(&text) && fields::is_line(&text));
                text[at] = byte;
                assert!(fields::has_line_end(&text), "{len} {at}");
                assert!(!fields::is_line(&text), "{len} {at}");
                text[at] = byte | 0x80;
                assert!(!fields::has_line_end(&text), "{len} {at}");
                assert!(!fields::is_line(&text), "{len} {at}");
            }
        }
    }
    for byte in (0..=u8::MAX).filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        assert!(!fields::has_line_end(&[byte; 19]), "{byte}");
        let text = [[byte, 0x0b], [0x0c, byte], [0x0e, 0x09]]
            .concat()
            .repeat(3);
        assert!(!fields::has_line_end(&text), "{byte}");
        assert_eq!(fields::is_line(&text), byte.is_ascii(), "{byte}");
    }
}
