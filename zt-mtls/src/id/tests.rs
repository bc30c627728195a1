use serde_json::Value;

use super::*;

/// The identifiers of go-spiffe's tests; `None` where they are not here.
fn vectors() -> Option<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/go-spiffe/ids.json"
    );
    let Ok(text) = std::fs::read(path) else {
        eprintln!("skipped: {path} is not here");
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

fn text<'a>(case: &'a Value, member: &str) -> Option<&'a str> {
    case.get(member).and_then(Value::as_str)
}

#[test]
fn reads_a_workload() {
    let id = SpiffeId::parse("spiffe://shop.example/ns/a/sa/orders").unwrap();
    assert_eq!(id.trust_domain().as_str(), "shop.example");
    assert_eq!(id.trust_domain().id(), "spiffe://shop.example");
    assert_eq!(id.path(), "/ns/a/sa/orders");
    assert!(id.is_workload());
    assert!(id.is_member_of(&"shop.example".parse().unwrap()));
    assert!(!id.is_member_of(&"shop.exampl".parse().unwrap()));
    assert!(
        !SpiffeId::parse("spiffe://shop.example")
            .unwrap()
            .is_workload()
    );
}

#[test]
fn go_spiffe_reads_the_same_ids() {
    let Some(vectors) = vectors() else { return };
    let cases = vectors["ids"].as_array().unwrap();
    assert_eq!(cases.len(), 537);
    for case in cases {
        let input = text(case, "input").unwrap();
        let found = SpiffeId::parse(input);
        match text(case, "trustDomain") {
            Some(domain) => {
                let id = found.unwrap_or_else(|error| panic!("{input:?}: {error}"));
                assert_eq!(id.as_str(), input);
                assert_eq!(id.trust_domain().as_str(), domain, "{input:?}");
                assert_eq!(Some(id.path()), text(case, "path"), "{input:?}");
            }
            None => {
                let error = found.expect_err(input);
                let theirs = text(case, "error").unwrap();
                let ours = match error {
                    IdError::Empty => "cannot be empty",
                    IdError::Scheme => "scheme is missing or invalid",
                    IdError::NoTrustDomain => "trust domain is missing",
                    IdError::TrustDomainCharacter => {
                        "trust domain characters are limited to lowercase letters, numbers, dots, \
                         dashes, and underscores"
                    }
                    IdError::EmptySegment => "path cannot contain empty segments",
                    IdError::DotSegment => "path cannot contain dot segments",
                    IdError::TrailingSlash => "path cannot have a trailing slash",
                    IdError::PathCharacter => {
                        "path segment characters are limited to letters, numbers, dots, dashes, \
                         and underscores"
                    }
                    IdError::TooLong | IdError::NoPath => "upstream knows no such",
                };
                assert_eq!(theirs, ours, "{input:?}");
            }
        }
    }
}

/// Upstream takes an ID where the name of a trust domain is asked for, and drops its path. Here a name
/// is a name, and an ID goes through `SpiffeId::parse`.
#[test]
fn go_spiffe_reads_the_same_trust_domains() {
    let Some(vectors) = vectors() else { return };
    let cases = vectors["trustDomains"].as_array().unwrap();
    assert_eq!(cases.len(), 305);
    for case in cases {
        let input = text(case, "input").unwrap();
        let found = if input.contains(":/") {
            assert!(TrustDomain::parse(input).is_err(), "{input:?}");
            SpiffeId::parse(input).map(|id| id.trust_domain())
        } else {
            TrustDomain::parse(input)
        };
        match text(case, "trustDomain") {
            Some(domain) => assert_eq!(found.unwrap().as_str(), domain, "{input:?}"),
            None => assert!(found.is_err(), "{input:?}"),
        }
    }
}

#[test]
fn go_spiffe_joins_the_same_segments() {
    let Some(vectors) = vectors() else { return };
    let cases = vectors["segments"].as_array().unwrap();
    assert_eq!(cases.len(), 11);
    for case in cases {
        let segments = case["segments"].as_array().unwrap();
        let path: String = segments
            .iter()
            .map(|segment| format!("/{}", segment.as_str().unwrap()))
            .collect();
        let found = SpiffeId::parse(&format!("spiffe://shop.example{path}"));
        match text(case, "path") {
            Some(path) => assert_eq!(found.unwrap().path(), path),
            None => assert!(found.is_err(), "{path:?}"),
        }
    }
}

#[test]
fn section_2_the_scheme_is_spiffe() {
    for text in [
        "https://shop.example/a",
        "sparfe://shop.example/a",
        "SPIFFE://shop.example/a",
        "Spiffe://shop.example/a",
        "spiffe:/shop.example/a",
        "spiffe:shop.example/a",
        "//shop.example/a",
        " spiffe://shop.example/a",
    ] {
        assert_eq!(SpiffeId::parse(text), Err(IdError::Scheme), "{text:?}");
    }
}

#[test]
fn section_2_the_trust_domain_is_not_empty() {
    for text in ["spiffe://", "spiffe:///a"] {
        assert_eq!(SpiffeId::parse(text), Err(IdError::NoTrustDomain));
    }
    assert_eq!(TrustDomain::parse(""), Err(IdError::NoTrustDomain));
}

#[test]
fn section_2_there_is_no_query_and_no_fragment() {
    for text in ["spiffe://shop.example/a?b", "spiffe://shop.example/a#b"] {
        assert_eq!(SpiffeId::parse(text), Err(IdError::PathCharacter));
    }
    for text in ["spiffe://shop.example?b", "spiffe://shop.example#b"] {
        assert_eq!(SpiffeId::parse(text), Err(IdError::TrustDomainCharacter));
    }
}

#[test]
fn section_2_1_there_is_no_user_and_no_port() {
    for text in [
        "spiffe://user@shop.example/a",
        "spiffe://user:pass@shop.example/a",
        "spiffe://shop.example:8443/a",
        "spiffe://shop.example:/a",
        "spiffe://[::1]/a",
    ] {
        assert_eq!(
            SpiffeId::parse(text),
            Err(IdError::TrustDomainCharacter),
            "{text:?}"
        );
    }
}

#[test]
fn section_2_1_the_trust_domain_is_in_lower_case_and_not_percent_encoded() {
    for name in [
        "Shop.example",
        "shop%2eexample",
        "sh\u{f6}p.example",
        "shop example",
        "shop\0",
    ] {
        assert_eq!(TrustDomain::parse(name), Err(IdError::TrustDomainCharacter));
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://{name}/a")),
            Err(IdError::TrustDomainCharacter)
        );
    }
}

#[test]
fn section_2_2_the_path_has_no_empty_segment_and_no_slash_at_the_end() {
    for (path, error) in [
        ("/", IdError::TrailingSlash),
        ("/a/", IdError::TrailingSlash),
        ("//a", IdError::EmptySegment),
        ("/a//b", IdError::EmptySegment),
        ("//", IdError::EmptySegment),
    ] {
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://shop.example{path}")),
            Err(error),
            "{path}"
        );
    }
}

#[test]
fn section_2_2_no_segment_is_relative() {
    for path in ["/.", "/..", "/a/./b", "/a/../b", "/../a"] {
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://shop.example{path}")),
            Err(IdError::DotSegment),
            "{path}"
        );
    }
    assert!(SpiffeId::parse("spiffe://shop.example/.../.a/a.").is_ok());
}

#[test]
fn section_2_2_nothing_is_percent_encoded() {
    for path in ["/%2e%2e/a", "/%61", "/a%2fb", "/a%00"] {
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://shop.example{path}")),
            Err(IdError::PathCharacter),
            "{path}"
        );
    }
}

#[test]
fn section_2_3_takes_2048_bytes_and_not_one_more() {
    let start = "spiffe://shop.example/";
    let longest = format!("{start}{}", "a".repeat(2048 - start.len()));
    assert_eq!(longest.len(), 2048);
    assert_eq!(SpiffeId::parse(&longest).unwrap().as_str(), longest);
    assert_eq!(SpiffeId::parse(&(longest + "a")), Err(IdError::TooLong));
}

#[test]
fn section_2_3_takes_a_trust_domain_of_255_bytes_and_not_one_more() {
    let longest = "a".repeat(255);
    assert!(TrustDomain::parse(&longest).is_ok());
    assert!(SpiffeId::parse(&format!("spiffe://{longest}/a")).is_ok());
    let longer = "a".repeat(256);
    assert_eq!(TrustDomain::parse(&longer), Err(IdError::TooLong));
    assert_eq!(
        SpiffeId::parse(&format!("spiffe://{longer}/a")),
        Err(IdError::TooLong)
    );
}

#[test]
fn an_id_is_compared_byte_by_byte() {
    let one = SpiffeId::parse("spiffe://shop.example/Orders").unwrap();
    assert_ne!(
        one,
        SpiffeId::parse("spiffe://shop.example/orders").unwrap()
    );
    assert_eq!(one, one.to_string().parse().unwrap());
}

proptest::proptest! {
    /// What is an ID is the same as its parts.
    #[test]
    fn an_id_is_its_parts(text in "(spiffe://)?[a-z.:/_A-Z%-]{0,40}") {
        if let Ok(id) = SpiffeId::parse(&text) {
            let parts = format!("{}{}", id.trust_domain().id(), id.path());
            proptest::prop_assert_eq!(&parts, &text);
            proptest::prop_assert_eq!(id.as_str(), &text);
            proptest::prop_assert_eq!(id.is_workload(), !id.path().is_empty());
        }
    }
}

/// Upstream's matcher `any` has no counterpart, nor has its empty ID. Its `memberOf` takes the ID of the
/// trust domain itself, as `is_member_of` does; an allow-list takes workloads alone.
#[test]
fn go_spiffe_matches_the_same_ids() {
    use crate::peer::Peers;
    let Some(vectors) = vectors() else { return };
    let matchers = &vectors["matchers"];
    let ids = |all: &Value| -> Vec<SpiffeId> {
        let all = all
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap());
        all.filter_map(|id| SpiffeId::parse(id).ok()).collect()
    };
    let candidates = ids(&matchers["candidates"]);
    assert_eq!(candidates.len(), 5);
    let mut matched = 0;
    for case in matchers["cases"].as_array().unwrap() {
        let argument = &case["argument"];
        let one = argument.as_str().unwrap_or_default();
        let expected = ids(&case["matches"]);
        let found = |peers: Peers| -> Vec<SpiffeId> {
            let allowed = candidates.iter().filter(|id| peers.allow_id(id));
            allowed.cloned().collect()
        };
        match text(case, "matcher").unwrap() {
            "any" => {}
            "id" => {
                let peers = Peers::none().id(&SpiffeId::parse(one).unwrap());
                assert_eq!(found(peers), expected);
            }
            "oneOf" => {
                let peers = ids(argument).iter().fold(Peers::none(), Peers::id);
                assert_eq!(found(peers), expected);
            }
            "memberOf" if one.is_empty() => assert!(TrustDomain::parse(one).is_err()),
            "memberOf" => {
                let domain = TrustDomain::parse(one).unwrap();
                let members = candidates.iter().filter(|id| id.is_member_of(&domain));
                assert!(members.eq(&expected));
                let workloads = expected.iter().filter(|id| id.is_workload());
                assert!(
                    found(Peers::none().trust_domain(domain))
                        .iter()
                        .eq(workloads)
                );
            }
            other => panic!("{other} is new"),
        }
        matched += 1;
    }
    assert_eq!(matched, 7);
}
