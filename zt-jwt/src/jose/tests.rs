use super::{Compact, Header, base64url::encode};
use crate::{algorithm::Algorithm, refusal::Refusal};

fn header(json: &str) -> Result<Header, Refusal> {
    let token = format!("{}.e30.AA", encode(json.as_bytes()));
    Compact::split(token.as_bytes(), 8192)?.header()
}

#[track_caller]
fn refused(json: &str, refusal: Refusal) {
    assert_eq!(header(json).map(|_| ()), Err(refusal), "{json}");
}

#[test]
fn a_token_has_three_segments() {
    let split = |token: &str| Compact::split(token.as_bytes(), 20).map(|_| ());
    assert_eq!(split("a.b.c"), Ok(()));
    assert_eq!(split("a..c"), Ok(()));
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.",
        ".b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        "a.b.c.",
        ".a.b.c",
        "a...c",
    ] {
        assert_eq!(split(bad), Err(Refusal::Segments), "{bad}");
    }
}

#[test]
fn refuses_a_token_that_is_too_long_before_anything_else() {
    let split = |token: &[u8], limit| Compact::split(token, limit).map(|_| ());
    assert_eq!(split(b"aa.bb.cc", 8), Ok(()));
    assert_eq!(split(b"aa.bb.ccc", 8), Err(Refusal::TooLong));
    assert_eq!(split(&[0xff; 9], 8), Err(Refusal::TooLong));
    assert_eq!(split(&[0xff; 8], 8), Err(Refusal::Base64));
}

#[test]
fn refuses_a_header_that_is_not_canonical_base64url() {
    let good = encode(br#"{"alg":"ES256"}"#); // 15 bytes: no bits left over.
    let spare = encode(br#"{"alg":"ES256" }"#); // 16 bytes: four bits left over.
    let read = |segment: &str| {
        let token = format!("{segment}.e30.AA");
        Compact::split(token.as_bytes(), 8192)
            .and_then(|token| token.header())
            .map(|_| ())
    };
    assert_eq!(read(&good), Ok(()));
    assert_eq!(read(&spare), Ok(()));
    for bad in [
        format!("{good}="),
        format!("{good}===="),
        format!("{spare}=="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}%20"),
        good.replace('e', "+"),
        format!("{good}A"),
        spare.trim_end_matches('Q').to_owned() + "R",
    ] {
        assert_eq!(read(&bad), Err(Refusal::Base64), "{bad}");
    }
}

#[test]
fn refuses_a_header_that_is_not_a_strict_json_object() {
    for bad in [
        " ",
        "null",
        "[]",
        "\"ES256\"",
        r#"["alg","ES256"]"#,
        r#"{"alg":"ES256"} x"#,
        r#"{"alg":"ES256"}{}"#,
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"HS256"}"#,
        r#"{"alg":"ES256","x":1,"x":1}"#,
        r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"EC"}}"#,
        r#"{"alg":"ES256","x":[{"a":{"b":1,"b":2}}]}"#,
        r#"{"alg":"ES256",}"#,
        r#"{alg:"ES256"}"#,
        "{\"alg\":\"ES256\",\"kid\":\"\n\"}",
        "\u{feff}{\"alg\":\"ES256\"}",
    ] {
        refused(bad, Refusal::HeaderJson);
    }
    let deep = format!(
        r#"{{"alg":"ES256","x":{}{}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    refused(&deep, Refusal::HeaderJson);
    // Strictness comes first: what is said twice was not said.
    refused(r#"{"alg":"none","crit":[],"crit":[]}"#, Refusal::HeaderJson);
}

#[test]
fn refuses_an_algorithm_that_is_not_one() {
    for bad in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":{"ES256":1}}"#,
        r#"{"alg":256}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"NONE"}"#,
        r#"{"alg":"nOnE"}"#,
        r#"{"alg":"es256"}"#,
        r#"{"alg":"ES256 "}"#,
        r#"{"alg":"ES256\u0000"}"#,
        r#"{"alg":"ES521"}"#,
        r#"{"alg":"ES256K"}"#,
        r#"{"alg":"Ed448"}"#,
        r#"{"alg":"RS1"}"#,
        r#"{"alg":"A256KW","enc":"A256GCM"}"#,
    ] {
        refused(bad, Refusal::Algorithm);
    }
}

#[test]
fn refuses_whatever_is_critical() {
    for bad in [
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","crit":"exp"}"#,
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":["alg"]}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","crit":["b64","b64"],"b64":true}"#,
        r#"{"alg":"ES256","\u0063rit":["a"],"a":1}"#,
        r#"{"alg":"none","crit":["a"]}"#,
    ] {
        refused(bad, Refusal::Critical);
    }
    refused(r#"{"alg":"ES256","b64":false}"#, Refusal::Unencoded);
    refused(r#"{"alg":"ES256","b64":true}"#, Refusal::Unencoded);
}

#[test]
fn refuses_registered_parameters_of_another_type() {
    for bad in [
        r#""kid":null"#,
        r#""kid":1"#,
        r#""kid":["a"]"#,
        r#""kid":{"a":"a"}"#,
        r#""typ":1"#,
        r#""typ":["JWT"]"#,
        r#""cty":true"#,
        r#""jwk":"{}""#,
        r#""jwk":[]"#,
        r#""jwk":{"kty":"EC","kid":1}"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""nonce":1"#,
        r#""url":null"#,
        r#""jku":{}"#,
        r#""x5u":1"#,
        r#""x5c":"MII""#,
        r#""x5c":[1]"#,
        r#""x5t":[]"#,
        r##""x5t#S256":null"##,
    ] {
        refused(&format!(r#"{{"alg":"ES256",{bad}}}"#), Refusal::HeaderType);
    }
    let kid = |length| format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(length));
    assert!(header(&kid(256)).is_ok());
    refused(&kid(257), Refusal::HeaderType);
}

#[test]
fn refuses_a_token_within_a_token() {
    for nested in ["JWT", "jwt", "application/jwt", "Application/JWT"] {
        refused(
            &format!(r#"{{"alg":"ES256","cty":"{nested}"}}"#),
            Refusal::Type,
        );
    }
    assert!(header(r#"{"alg":"ES256","cty":"json"}"#).is_ok());
}

#[test]
fn keys_that_a_header_brings_along_are_ignored() {
    let header = header(
        r#"{"alg":"ES256","kid":"a","jwk":{"kty":"oct","k":"AA"},"jku":"https://x/","x5u":"https://x/",
           "x5c":["AA"],"x5t":"AA","x5t#S256":"AA","other":[1,{"a":null}],"nonce":"n"}"#,
    )
    .unwrap();
    assert_eq!(header.algorithm, Algorithm::Es256);
    assert_eq!(header.kid.as_deref(), Some("a"));
    assert_eq!(header.typ, None);
}

#[test]
fn ids_and_types_are_taken_as_they_are_meant() {
    for (typ, taken) in [
        ("JWT", "jwt"),
        ("at+JWT", "at+jwt"),
        ("application/at+jwt", "at+jwt"),
        ("APPLICATION/at+jwt", "at+jwt"),
        ("text/at+jwt", "text/at+jwt"),
        ("", ""),
    ] {
        let header = header(&format!(r#"{{"typ":"{typ}","alg":"Ed25519"}}"#)).unwrap();
        assert_eq!(header.typ.as_deref(), Some(taken));
        assert_eq!(header.algorithm, Algorithm::EdDsa);
    }
    for kid in [
        "../../../dev/null",
        "' or 1=1 --",
        "\\u0000",
        "\u{1f511}",
        "",
    ] {
        let header = header(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#)).unwrap();
        assert_eq!(header.kid.unwrap().replace('\0', "\\u0000"), kid);
    }
}

#[test]
fn every_algorithm_is_known_by_its_name() {
    for algorithm in Algorithm::ALL {
        let header = header(&format!(r#"{{"alg":"{algorithm}"}}"#)).unwrap();
        assert_eq!(header.algorithm, *algorithm);
    }
}
