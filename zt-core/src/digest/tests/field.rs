//! The field, against the examples of RFC 9530 and against what nobody should send.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

use super::super::{CONTENT_DIGEST, ContentDigest, DigestAlgorithm, DigestError, parse::usual};

const HELLO: &[u8] = b"{\"hello\": \"world\"}\n";
const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

fn read(lines: &[&str]) -> Result<Option<ContentDigest>, DigestError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(CONTENT_DIGEST, HeaderValue::from_str(line).unwrap());
    }
    ContentDigest::from_headers(&headers)
}

fn matches(lines: &[&str], content: &[u8]) -> bool {
    matches!(read(lines), Ok(Some(digest)) if digest.matches(content))
}

/// The published examples, where they are at hand.
fn vectors() -> Option<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/http-signatures/digests.json"
    );
    let Ok(text) = std::fs::read(path) else {
        println!("skipped: no {path}");
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn judges_the_examples_of_rfc_9530_as_they_are_marked() {
    let Some(vectors) = vectors() else { return };
    let (mut valid, mut invalid) = (0, 0);
    for case in vectors["digests"].as_array().unwrap() {
        let content = hex(case["contentHex"].as_str().unwrap());
        let value = case["value"].as_str().unwrap();
        let expected = match case["expect"].as_str().unwrap() {
            "valid" => true,
            "invalid" => false,
            other => panic!("{other}"),
        };
        // `Repr-Digest` has the same form.
        assert_eq!(matches(&[value], &content), expected, "{}", case["id"]);
        // Other bytes never have the digest.
        let mut other = content.clone();
        other.push(b' ');
        assert!(!matches(&[value], &other), "{}", case["id"]);
        if let Ok(Some(read)) = read(&[value]) {
            let again = read.header_value();
            assert_eq!(
                self::read(&[again.to_str().unwrap()]),
                Ok(Some(read)),
                "{}",
                case["id"]
            );
        }
        *if expected { &mut valid } else { &mut invalid } += 1;
    }
    assert_eq!((valid, invalid), (14, 5));
}

#[test]
fn refuses_deprecated_algorithms_alone_and_passes_them_over_beside_others() {
    let Some(vectors) = vectors() else { return };
    let cases = vectors["deprecatedAlgorithms"].as_array().unwrap();
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let member = format!("{}={}", text("algorithm"), text("value"));
        let content = text("contentUtf8").as_bytes();
        assert_eq!(
            read(&[&member]),
            Err(DigestError::Unsupported),
            "{member} is right, and worth nothing"
        );
        let digest = ContentDigest::of(DigestAlgorithm::Sha512, content);
        let both = format!("{member}, {}", digest.header_value().to_str().unwrap());
        assert_eq!(read(&[&both]), Ok(Some(digest)), "{both}");
        assert!(!matches(&[&both], b"another"));
    }
    assert_eq!(cases.len(), 6);
}

#[test]
fn a_message_that_says_nothing_has_no_digest() {
    assert_eq!(read(&[]), Ok(None));
}

#[test]
fn refuses_a_field_with_nothing_to_compare_with() {
    for lines in [
        &[""][..],
        &["  "],
        &["md5=:AAAA:"],
        &["sha-384=:AAAA:"],
        &["md5=:AAAA:", "unixsum=:GQU=:"],
        // A key is lower case (RFC 9651 section 3.1.2), so the next is no key of ours.
        &["sha256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"],
    ] {
        assert_eq!(read(lines), Err(DigestError::Unsupported), "{lines:?}");
    }
}

#[test]
fn refuses_a_key_that_is_there_twice() {
    let other = ContentDigest::of(DigestAlgorithm::Sha256, b"other").header_value();
    let other = other.to_str().unwrap();
    for lines in [
        &[&*format!("{SHA256}, {other}")][..],
        &[&format!("{other}, {SHA256}")],
        &[SHA256, other],
        &[SHA256, SHA256],
        &[&format!("{SHA256}, md5=:AAAA:, md5=:AAAA:")],
        &["md5=:AAAA:", SHA256, "md5=:AAAA:"],
    ] {
        assert_eq!(read(lines), Err(DigestError::Malformed), "{lines:?}");
    }
}

#[test]
fn refuses_what_is_no_dictionary_of_byte_sequences() {
    let bare = SHA256
        .strip_prefix("sha-256=:")
        .unwrap()
        .strip_suffix(':')
        .unwrap();
    for line in [
        "sha-256",
        "sha-256=1",
        "sha-256=abc",
        "sha-256=?1",
        "sha-256=@1",
        "sha-256=()",
        "sha-256=::",
        "sha-256=:AAAA:",
        "sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        &SHA512.replace("sha-512", "sha-256"),
        // RFC 3230's `Digest` has no colons.
        &format!("sha-256={bare}"),
        &format!("SHA-256=:{bare}:"),
        &format!("sha-256=\"{bare}\""),
        &format!("sha-256=:{bare}"),
        &format!("sha-256=({})", SHA256.strip_prefix("sha-256=").unwrap()),
        &format!("sha-256 =:{bare}:"),
        &format!("sha-256=:{bare}=:"),
        &format!("sha-256=: {bare}:"),
        &format!("sha-256=:{}:", bare.replace('/', "_")),
        &format!("{SHA256},"),
        &format!(",{SHA256}"),
        &format!("{SHA256};"),
        &format!("{SHA256} {SHA512}"),
        // Also where it is not ours to compare.
        &format!("{SHA256}, md5=1"),
        &format!("{SHA256}, md5=(:AAAA:)"),
        &format!("{SHA256}, md5"),
    ] {
        assert_eq!(read(&[line]), Err(DigestError::Malformed), "{line}");
    }
    for lines in [[SHA256, ""], ["", SHA256], [SHA256, " "]] {
        assert_eq!(read(&lines), Err(DigestError::Malformed), "{lines:?}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_DIGEST,
        HeaderValue::from_bytes(b"sha-256=:\xff:").unwrap(),
    );
    assert_eq!(
        ContentDigest::from_headers(&headers),
        Err(DigestError::Malformed)
    );
}

#[test]
fn every_supported_member_has_to_match() {
    let wrong = |algorithm| {
        let digest = ContentDigest::of(algorithm, b"other");
        digest.header_value().to_str().unwrap().to_owned()
    };
    let (wrong256, wrong512) = (
        wrong(DigestAlgorithm::Sha256),
        wrong(DigestAlgorithm::Sha512),
    );
    assert!(matches(&[SHA256, SHA512], HELLO));
    assert!(matches(&[&format!("{SHA512} ,\t{SHA256}")], HELLO));
    assert!(!matches(&[SHA256, &wrong512], HELLO));
    assert!(!matches(&[&wrong256, SHA512], HELLO));
    assert!(!matches(&[&wrong256, &wrong512], HELLO));
}

#[test]
fn parameters_are_passed_over() {
    assert!(matches(&[&format!("{SHA256};a;b=\"c\"")], HELLO));
}

#[test]
fn refuses_more_than_it_has_room_for() {
    let many = |count: usize| {
        let others: String = (1..count).map(|n| format!(", x{n}=:AAAA:")).collect();
        format!("{SHA256}{others}")
    };
    assert!(matches(&[&many(16)], HELLO));
    assert_eq!(read(&[&many(17)]), Err(DigestError::Malformed));
    let long = |len: usize| {
        let head = format!("{SHA256}, x=:");
        format!("{head}{}:", "A".repeat(len - head.len() - 1))
    };
    // Of three characters too many for groups of four, one is none; so 4092 and 4096 are tried.
    assert!(matches(&[&long(4095)], HELLO) || matches(&[&long(4096)], HELLO));
    for len in 4097..4101 {
        assert_eq!(read(&[&long(len)]), Err(DigestError::Malformed), "{len}");
    }
    let lines: Vec<String> = (0..600).map(|n| format!("x{n}=:AAAA:")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(read(&lines), Err(DigestError::Malformed));
}

#[test]
fn content_that_comes_in_pieces_is_hashed_as_one() {
    let digest = read(&[SHA256, SHA512]).unwrap().unwrap();
    for size in 1..=HELLO.len() {
        let mut hasher = digest.hasher();
        HELLO.chunks(size).for_each(|piece| hasher.update(piece));
        assert!(hasher.finish());
    }
    assert!(!digest.hasher().finish());
}

proptest! {
    /// The short way and the parser agree on whatever the short way takes.
    #[test]
    fn what_is_read_the_short_way_is_what_the_parser_reads(
        content: Vec<u8>,
        sha512: bool,
        at in 0..100_usize,
        change in prop::option::of(0x20..0x7f_u8),
    ) {
        let algorithm = if sha512 { DigestAlgorithm::Sha512 } else { DigestAlgorithm::Sha256 };
        let digest = ContentDigest::of(algorithm, &content);
        let mut line = digest.header_value().as_bytes().to_vec();
        match change {
            None => prop_assert_eq!(usual(&line), Some(digest)),
            Some(byte) => {
                let at = at % line.len();
                line[at] = byte;
            }
        }
        let short = usual(&line);
        // A space before it is allowed, and keeps it from the short way.
        line.insert(0, b' ');
        prop_assert_eq!(usual(&line), None);
        let long = read(&[std::str::from_utf8(&line).unwrap()]);
        if let Some(short) = short {
            prop_assert_eq!(long, Ok(Some(short)));
        }
    }

    #[test]
    fn no_field_panics(lines in prop::collection::vec("[a-z0-9=:;,()\\-+/ \"A-Z]{0,80}", 0..4)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let _ = read(&lines);
    }
}
