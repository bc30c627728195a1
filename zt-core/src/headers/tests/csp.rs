use proptest::prelude::*;

use crate::headers::{
    CspError, SourceError,
    csp::{Csp, Directive as D, Source},
};

const SHA256: &str = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";

#[test]
fn sources_that_do_not_mean_what_they_say_are_refused() {
    use SourceError::*;
    let text = |text: &str| text.to_owned();
    for (source, expected) in [
        ("", Empty),
        ("self", Unquoted(text("self"))),
        ("none", Unquoted(text("none"))),
        ("NONE", Unquoted(text("NONE"))),
        ("unsafe-inline", Unquoted(text("unsafe-inline"))),
        ("unsafe-eval", Unquoted(text("unsafe-eval"))),
        ("strict-dynamic", Unquoted(text("strict-dynamic"))),
        ("report-sample", Unquoted(text("report-sample"))),
        ("wasm-unsafe-eval", Unquoted(text("wasm-unsafe-eval"))),
        ("nonce", Unquoted(text("nonce"))),
        ("nonce-abc", Unquoted(text("nonce-abc"))),
        ("sha256-abc", Unquoted(text("sha256-abc"))),
        ("'slef'", UnknownKeyword(text("'slef'"))),
        ("'self", UnknownKeyword(text("'self"))),
        ("self'", UnknownKeyword(text("self'"))),
        ("'", UnknownKeyword(text("'"))),
        ("'nonce-c2VjcmV0'", FixedNonce),
        ("'NONCE-c2VjcmV0'", FixedNonce),
        ("'sha256-abc'", Hash(text("'sha256-abc'"))),
        (
            "'sha384-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            Hash(text(
                "'sha384-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            )),
        ),
        (
            "https://a.example;script-src",
            Separator(text("https://a.example;script-src")),
        ),
        (
            "a.example,b.example",
            Separator(text("a.example,b.example")),
        ),
        (
            "a.example b.example",
            Character(text("a.example b.example")),
        ),
        ("a.example\r\nx:y", Character(text("a.example\\r\\nx:y"))),
        ("a.example\u{0}", Character(text("a.example\\u{0}"))),
        (
            "b\u{fc}cher.example",
            Character(text("b\\u{fc}cher.example")),
        ),
        ("https://", Host(text("https://"))),
        ("://a.example", Host(text("://a.example"))),
        ("a..example", Host(text("a..example"))),
        ("a.*.example", Host(text("a.*.example"))),
        ("*a.example", Host(text("*a.example"))),
        ("a_b.example", Host(text("a_b.example"))),
        ("a.example:port", Host(text("a.example:port"))),
        ("a.example:70000", Host(text("a.example:70000"))),
        ("a.example:+1", Host(text("a.example:+1"))),
        ("user@a.example", Host(text("user@a.example"))),
        ("a.example/x?y", Host(text("a.example/x?y"))),
        ("a.example/%2", Host(text("a.example/%2"))),
        ("a.example/\"", Host(text("a.example/\""))),
        ("[::1]", Host(text("[::1]"))),
    ] {
        assert_eq!(source.parse::<Source>(), Err(expected), "{source}");
    }
}

#[test]
fn sources_are_read() {
    for (text, source) in [
        ("'self'", Source::SelfOrigin),
        ("'SELF'", Source::SelfOrigin),
        ("'none'", Source::None),
        ("'nonce'", Source::Nonce),
        ("*", Source::Any),
        ("https:", Source::scheme("https").unwrap()),
        ("a.example", Source::host("a.example").unwrap()),
    ] {
        assert_eq!(text.parse::<Source>(), Ok(source), "{text}");
    }
    for text in [
        "localhost",
        "localhost:8080",
        "127.0.0.1:*",
        "*.example.com",
        "https://*",
        "https://*:443",
        "wss://live.example.com/",
        "https://a.example/js/app%3B1.js",
        "web+app:",
        SHA256,
    ] {
        assert_eq!(text.parse::<Source>().unwrap().as_str(), text);
    }
    let empty = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ];
    assert_eq!(Source::sha256(empty), SHA256.parse().unwrap());
    assert!(Source::sha384([0; 48]).as_str().parse::<Source>().is_ok());
    assert!(Source::sha512([0; 64]).as_str().parse::<Source>().is_ok());
}

#[test]
fn policies_that_do_not_mean_what_they_say_are_refused() {
    let misplaced = |directive, value: &str| CspError::Misplaced {
        directive,
        value: value.to_owned(),
    };
    let source = |directive, error| CspError::Source { directive, error };
    let text = |text: &str| text.to_owned();
    for (policy, expected) in [
        ("", CspError::Empty),
        (" ; ", CspError::Empty),
        ("img-src", CspError::NoValue(D::ImgSrc)),
        ("report-to", CspError::NoValue(D::ReportTo)),
        (
            "default-source 'self'",
            CspError::UnknownDirective(text("default-source")),
        ),
        (
            "block-all-mixed-content",
            CspError::UnknownDirective(text("block-all-mixed-content")),
        ),
        ("img-src 'self';img-src *", CspError::Duplicate(D::ImgSrc)),
        ("img-src 'self';IMG-SRC *", CspError::Duplicate(D::ImgSrc)),
        ("img-src 'none' 'self'", CspError::NoneWithOthers(D::ImgSrc)),
        (
            "img-src self",
            source(D::ImgSrc, SourceError::Unquoted(text("self"))),
        ),
        (
            "img-src 'self', script-src *",
            source(D::ImgSrc, SourceError::Separator(text("'self',"))),
        ),
        (
            "img-src 'self'\tdata:",
            source(D::ImgSrc, SourceError::Character(text("'self'\\tdata:"))),
        ),
        ("img-src 'nonce'", misplaced(D::ImgSrc, "'nonce'")),
        (
            "script-src-attr 'nonce'",
            misplaced(D::ScriptSrcAttr, "'nonce'"),
        ),
        (
            "frame-ancestors 'unsafe-inline'",
            misplaced(D::FrameAncestors, "'unsafe-inline'"),
        ),
        (
            "upgrade-insecure-requests yes",
            misplaced(D::UpgradeInsecureRequests, "yes"),
        ),
        (
            "sandbox allow-everything",
            misplaced(D::Sandbox, "allow-everything"),
        ),
        ("report-to a b", misplaced(D::ReportTo, "b")),
        (
            "report-to https://a.example",
            misplaced(D::ReportTo, "https://a.example"),
        ),
        (
            "require-trusted-types-for script",
            misplaced(D::RequireTrustedTypesFor, "script"),
        ),
        (
            "trusted-types 'none' a",
            CspError::NoneWithOthers(D::TrustedTypes),
        ),
    ] {
        assert_eq!(policy.parse::<Csp>().unwrap_err(), expected, "{policy}");
    }
}

#[test]
fn policies_are_read_and_written() {
    for (text, written) in [
        ("default-src 'self'", "default-src 'self'"),
        (
            " Default-Src  'SELF'  ; img-src * ;; ",
            "default-src 'self';img-src *",
        ),
        (
            "sandbox; upgrade-insecure-requests; report-to csp-endpoint",
            "sandbox;upgrade-insecure-requests;report-to csp-endpoint",
        ),
        (
            "sandbox allow-scripts allow-forms;report-uri /csp?a=b https://r.example/",
            "sandbox allow-scripts allow-forms;report-uri /csp?a=b https://r.example/",
        ),
        (
            "trusted-types default dompurify 'allow-duplicates';require-trusted-types-for 'script'",
            "trusted-types default dompurify 'allow-duplicates';require-trusted-types-for 'script'",
        ),
        ("img-src data: 'self' data:", "img-src data: 'self'"),
        ("script-src 'nonce'", "script-src 'nonce'"),
    ] {
        assert_eq!(text.parse::<Csp>().unwrap().to_string(), written);
    }
}

#[test]
fn the_builder_says_the_same() {
    let built = Csp::builder()
        .set(D::DefaultSrc, [Source::SelfOrigin])
        .parse(D::ImgSrc, "'self' data:")
        .report_to("csp")
        .upgrade_insecure_requests()
        .build()
        .unwrap();
    let read = "default-src 'self';img-src 'self' data:;report-to csp;upgrade-insecure-requests";
    assert_eq!(built, read.parse().unwrap());
    assert_eq!(
        built.directives().collect::<Vec<_>>(),
        [
            D::DefaultSrc,
            D::ImgSrc,
            D::ReportTo,
            D::UpgradeInsecureRequests
        ]
    );
    let error = Csp::builder()
        .set(D::ImgSrc, [Source::Any])
        .set(D::ImgSrc, [Source::None])
        .build();
    assert_eq!(error.unwrap_err(), CspError::Duplicate(D::ImgSrc));
}

/// The presets' texts are written out, so that a clone costs nothing; they are the same policies.
#[test]
fn presets_are_what_they_serialize_to() {
    for preset in [Csp::helmet(), Csp::owasp(), Csp::api(), Csp::html_strict()] {
        let read: Csp = preset.to_string().parse().unwrap();
        assert_eq!(read, preset);
    }
    assert!(Csp::html_strict().has_nonce());
    assert!(!Csp::helmet().has_nonce());
}

#[test]
fn every_directive_is_read_by_its_name() {
    for directive in D::ALL {
        assert_eq!(directive.as_str().parse::<D>(), Ok(*directive));
    }
}

/// Texts in which separators, quotes and keywords are frequent.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("self".to_owned()),
        Just("'self'".to_owned()),
        Just("'nonce-".to_owned()),
        Just("'sha256-".to_owned()),
        Just("https://".to_owned()),
        Just("*.".to_owned()),
        Just("a.example".to_owned()),
        Just("none".to_owned()),
        "[;,' \t\r\n:/*.%?#a-z0-9-]{0,4}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_source_that_is_accepted_is_one_harmless_word(text in hostile()) {
        if let Ok(source) = text.parse::<Source>() {
            let written = source.as_str();
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!written.contains([';', ',']));
            prop_assert!(!["self", "none", "unsafe-inline"].contains(&written));
            prop_assert!(!written.starts_with("'nonce-"));
            prop_assert_eq!(written.parse::<Source>(), Ok(source.clone()));
            // Nothing is made up: it is the text, but for the case of keywords.
            prop_assert!(written.eq_ignore_ascii_case(&text));
        }
    }

    #[test]
    fn a_value_that_is_accepted_stays_in_its_directive(
        text in hostile(),
        directive in proptest::sample::select(D::ALL),
    ) {
        if let Ok(csp) = Csp::builder().parse(directive, &text).build() {
            let header = csp.plain().to_str().unwrap();
            prop_assert!(!header.contains([';', ',']));
            let name = header.split(' ').next().unwrap();
            prop_assert_eq!(name, directive.as_str());
            prop_assert_eq!(csp.to_string().parse::<Csp>().unwrap(), csp);
        }
    }

    #[test]
    fn a_policy_that_is_accepted_reads_back_the_same(text in hostile(), more in hostile()) {
        let text = format!("default-src {text};script-src {more}");
        if let Ok(csp) = text.parse::<Csp>() {
            prop_assert_eq!(csp.to_string().parse::<Csp>().unwrap(), csp);
        }
    }
}
