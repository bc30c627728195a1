use proptest::prelude::*;

use super::{
    PathAllowances, PathError, PathError::*, check_path, is_plain_path, naive, path::check_raw,
    stands_for_itself,
};

fn check(path: &str) -> Result<(), PathError> {
    check_path(path.as_bytes(), PathAllowances::NONE)
}

fn refused(error: PathError, paths: &[&str]) {
    for path in paths {
        assert_eq!(check(path), Err(error), "{path}");
    }
}

#[test]
fn refuses_paths_that_do_not_begin_with_a_slash() {
    refused(NotAbsolute, &["", "*", "a", "%2Fa", "a/b", "?", "\\a"]);
}

#[test]
fn refuses_bytes_that_have_to_be_encoded() {
    refused(
        Character,
        &["/a b", "/a?b", "/a#b", "/é", "/\u{ff0e}\u{ff0e}/"],
    );
    assert_eq!(check_path(b"/\xff", PathAllowances::NONE), Err(Character));
    assert_eq!(
        check_path(b"/\xc0\xae", PathAllowances::NONE),
        Err(Character)
    );
}

#[test]
fn refuses_control_characters_raw_and_encoded() {
    refused(
        Control,
        &[
            "/\0",
            "/a\x1fb",
            "/\x7f",
            "/a\tb",
            "/a\r\nb",
            "/%00",
            "/a%00.txt",
            "/%0d%0A",
            "/%7f",
            "/%1F",
        ],
    );
}

#[test]
fn refuses_backslashes_raw_and_encoded() {
    refused(
        Backslash,
        &["/a\\b", "/..\\a", "/a%5Cb", "/a%5cb", "/%5c..%5c"],
    );
}

#[test]
fn refuses_dot_segments() {
    refused(
        DotSegment,
        &[
            "/.",
            "/..",
            "/./",
            "/../",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a/.",
            "/../../etc/passwd",
        ],
    );
}

#[test]
fn refuses_dot_segments_behind_path_parameters() {
    refused(DotSegment, &["/a/..;/b", "/a/.;x=1/b", "/..;", "/..;a;b/"]);
    refused(DotSegment, &["/a/..%3B/b", "/a/.%3bx"]);
}

#[test]
fn refuses_encoded_dots() {
    refused(
        EncodedUnreserved,
        &[
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e/a",
            "/%2e/a",
            "/a/%2E%2e",
            "/a%2eb",
        ],
    );
    // Even where letters may be encoded, dot segments may not.
    let allow = PathAllowances::NONE.insecure_encoded_unreserved(true);
    for path in ["/%2e%2e/a", "/%2E./a", "/.%2e", "/a/%2e", "/a/%2e%2E;x/b"] {
        assert_eq!(
            check_path(path.as_bytes(), allow),
            Err(DotSegment),
            "{path}"
        );
    }
    assert_eq!(check_path(b"/a%2eb/%2e%2e%2e/%7E", allow), Ok(()));
}

#[test]
fn refuses_empty_segments_but_the_last() {
    refused(
        EmptySegment,
        &["//", "//a", "/a//b", "/a//", "/;x/a", "/a/;/b", "/a/;..;/b"],
    );
    for path in ["/", "/a/", "/;x=1", "/a/;x"] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
    let allow = PathAllowances::NONE.empty_segments(true);
    for path in ["//", "//a", "/a//b", "/a/;/b"] {
        assert_eq!(check_path(path.as_bytes(), allow), Ok(()), "{path}");
    }
    assert_eq!(check_path(b"/a//../b", allow), Err(DotSegment));
}

#[test]
fn refuses_encoded_slashes_unless_allowed() {
    refused(EncodedSlash, &["/a%2Fb", "/a%2fb", "/%2f", "/..%2f"]);
    let allow = PathAllowances::NONE.encoded_slash(true);
    assert_eq!(check_path(b"/projects/group%2Fname/files", allow), Ok(()));
    for (path, error) in [
        ("/a%2F..%2Fb", DotSegment),
        ("/a%2F..", DotSegment),
        ("/..%2Fa", DotSegment),
        ("/a/%2Fb", EmptySegment),
        ("/a%2F%2Fb", EmptySegment),
        ("/a%252Fb", DoubleEncoding),
        ("/a%5Cb", Backslash),
    ] {
        assert_eq!(check_path(path.as_bytes(), allow), Err(error), "{path}");
    }
}

#[test]
fn refuses_invalid_percent_encodings() {
    refused(
        InvalidEncoding,
        &[
            "/%", "/%2", "/%zz", "/%2g", "/%u002e", "/a%", "/%%32e", "/% 20",
        ],
    );
}

#[test]
fn refuses_what_does_not_decode_to_utf8() {
    refused(
        InvalidUtf8,
        &[
            "/%c0%ae%c0%ae/a",
            "/%c0%af",
            "/%c1%9c",
            "/%e0%80%ae",
            "/%f0%80%80%ae",
            "/%ff",
            "/%80",
            "/%c3",
            "/%c3/a",
            "/%ed%a0%80",
            "/%f4%90%80%80",
            "/%e2%82",
        ],
    );
    assert_eq!(check("/caf%C3%A9/%e2%82%ac/%F0%9F%A6%80"), Ok(()));
}

#[test]
fn refuses_what_is_dangerous_when_it_is_decoded_twice() {
    refused(
        DoubleEncoding,
        &[
            "/%252e%252e/a",
            "/a%252Eb",
            "/%252f",
            "/a%252Fb",
            "/%255c",
            "/%255C",
            "/%2500",
            "/%250a",
            "/%257f",
            "/%25c0%25ae",
            "/%25e0%2580%25ae",
            "/%25f0%2580%2580%25ae",
        ],
    );
    // Nested in other ways, where letters and digits may be encoded.
    let allow = PathAllowances::NONE.insecure_encoded_unreserved(true);
    for path in [
        "/%25%32%65",
        "/%25%32e",
        "/%252%65",
        "/%25%32%66",
        "/%25%35%63",
    ] {
        assert_eq!(
            check_path(path.as_bytes(), allow),
            Err(DoubleEncoding),
            "{path}"
        );
    }
    for path in [
        "/100%25",
        "/5%25%20off",
        "/a%2541",
        "/%25%25",
        "/50%25abatement",
        "/%2525",
    ] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
}

#[test]
fn permits_ordinary_paths() {
    for path in [
        "/",
        "/orders",
        "/orders/",
        "/orders/7",
        "/a.b/c..d/...",
        "/.well-known/jwks.json",
        "/a;v=1/b;w=..",
        "/~ada/-_",
        "/a:b@c!$&'()*+,=",
        "/%20%21%3A",
        "/a/*",
        "/{id}",
    ] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
}

/// Paths made of what attackers like, so that a good share of them is accepted.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "[a-z]{1,3}".prop_map(String::into_bytes),
        6 => Just(b"/".to_vec()),
        2 => Just(b".".to_vec()),
        1 => Just(b"..".to_vec()),
        1 => Just(b";".to_vec()),
        1 => Just(b"%".to_vec()),
        2 => Just(b"%25".to_vec()),
        3 => any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
        2 => any::<u8>().prop_map(|byte| format!("%25{byte:02X}").into_bytes()),
        2 => any::<char>().prop_map(|c| {
            c.to_string().bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect()
        }),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| {
        let mut path = vec![b'/'];
        path.extend(pieces.into_iter().flatten());
        path
    })
}

/// As [`paths`], and a whole path may be encoded on top.
fn allowances() -> impl Strategy<Value = (PathAllowances, bool)> {
    any::<(bool, bool, bool)>().prop_map(|(slash, empty, unreserved)| {
        let allow = PathAllowances::NONE
            .encoded_slash(slash)
            .empty_segments(empty)
            .insecure_encoded_unreserved(unreserved);
        (allow, slash)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_accepted_path_holds_nothing_dangerous_however_often_it_is_decoded(
        path in paths(), (allow, slash) in allowances()
    ) {
        if check_path(&path, allow).is_ok() {
            prop_assert_eq!(naive::objection(&path, slash), None);
        }
    }

    #[test]
    fn utf8_is_judged_as_the_standard_library_does(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), 0x7f_u8..=0xff, Just(0x80), Just(0xbf), Just(0xe0), Just(0xed), Just(0xf0), Just(0xf4)], 1..6
    )) {
        let path: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
        let allow = PathAllowances::NONE.insecure_encoded_unreserved(true).encoded_slash(true);
        let judged = check_path(format!("/{path}").as_bytes(), allow);
        if std::str::from_utf8(&bytes).is_err() {
            prop_assert!(judged.is_err());
        } else {
            prop_assert_ne!(judged, Err(InvalidUtf8));
        }
    }

    #[test]
    fn the_raw_and_the_decoded_path_match_the_same_template(path in paths(), tail in "(health|orders|orders/%41|o%72ders)?") {
        let mut table = matchit::Router::new();
        for template in [
            "/", "/health", "/a", "/a/", "/a/b", "/orders", "/orders/{id}", "/orders/{id}/items",
            "/orders/{id}/items/{item}", "/{tenant}/admin", "/files/{*path}", "/{a}/{b}/{c}",
        ] {
            table.insert(template, template).unwrap();
        }
        let path = [tail.as_bytes(), &path].concat();
        let path = if path.starts_with(b"/") { path } else { [b"/", &path[..]].concat() };
        if check_path(&path, PathAllowances::NONE).is_ok() {
            let raw = std::str::from_utf8(&path).unwrap();
            let decoded = String::from_utf8(naive::decode(&path)).unwrap();
            let matched = |path: &str| table.at(path).ok().map(|found| *found.value);
            prop_assert_eq!(matched(raw), matched(&decoded), "{}", raw);
        }
    }
}

/// Every path of up to seven bytes in which a slash, dots, parameters and an encoding can meet.
#[test]
fn what_is_plain_is_canonical_by_the_long_way_too() {
    const LETTERS: &[u8] = b"/.;a%\"\\";
    let mut plain = 0;
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for _ in 0..7 {
        let longer = |path: &Vec<u8>| {
            let path = path.clone();
            LETTERS.iter().map(move |byte| [&*path, &[*byte]].concat())
        };
        paths = paths.iter().flat_map(longer).collect();
        for path in paths.iter().filter(|path| is_plain_path(path)) {
            plain += 1;
            assert!(check_raw(path, PathAllowances::NONE).is_ok(), "{path:?}");
            assert!(path.iter().all(|byte| stands_for_itself(*byte)));
        }
    }
    assert!(plain > 500, "{plain}");
    for byte in 0..=u8::MAX {
        let path = [b'/', b'a', byte];
        let may_stand = stands_for_itself(byte);
        assert_eq!(is_plain_path(&path), may_stand, "{byte}");
        assert!(!may_stand || check_raw(&path, PathAllowances::NONE).is_ok());
    }
}
