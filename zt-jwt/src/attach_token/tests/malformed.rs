//! What an issuer may answer, and what is made of it.

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::{
    super::client_credentials::{Granted, granted},
    *,
};
use crate::http::Answer;

fn answer(status: u16, content_type: Option<&str>, body: impl Into<Bytes>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(value) = content_type {
        headers.insert("content-type", value.parse().unwrap());
    }
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
    }
}

const JSON: Option<&str> = Some("application/json");

#[test]
fn a_good_answer_gives_a_token() {
    for (body, content_type, token, expires_in) in [
        (
            r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#,
            "application/json",
            "abc",
            Some(3_600),
        ),
        (
            r#"{"token_type":"bEaReR","access_token":"a.b-c_d~e+f/g==","scope":"x","other":[{}]}"#,
            "Application/JSON; charset=UTF-8",
            "a.b-c_d~e+f/g==",
            None,
        ),
        (
            r#"{"access_token":"a\/b","token_type":"bearer","expires_in":null}"#,
            "application/json ;charset=utf-8",
            "a/b",
            None,
        ),
    ] {
        let Granted {
            token: found,
            expires_in: good,
        } = granted(&answer(200, Some(content_type), body)).unwrap();
        assert_eq!(found.plain(), token);
        assert_eq!(good, expires_in.map(Duration::from_secs));
    }
}

#[test]
fn a_malformed_answer_gives_none() {
    let long = format!(
        r#"{{"access_token":"{}","token_type":"Bearer"}}"#,
        "a".repeat(AttachableToken::MAX_LEN + 1)
    );
    let bodies: [&[u8]; 34] = [
        b"",
        b"null",
        b"[]",
        b"\"abc\"",
        b"<html>",
        b"access_token=abc&token_type=bearer",
        b"{}",
        b"{",
        br#"{"access_token":"abc"}"#,
        br#"{"token_type":"Bearer","expires_in":3600}"#,
        br#"{"error":"invalid_client"}"#,
        br#"{"access_token":"abc","token_type":"DPoP"}"#,
        br#"{"access_token":"abc","token_type":"mac"}"#,
        br#"{"access_token":"abc","token_type":"Bearer "}"#,
        br#"{"access_token":"abc","token_type":""}"#,
        br#"{"access_token":"abc","token_type":["Bearer"]}"#,
        br#"{"access_token":"abc","token_type":null}"#,
        br#"{"access_token":"","token_type":"Bearer"}"#,
        br#"{"access_token":"=","token_type":"Bearer"}"#,
        br#"{"access_token":"a b","token_type":"Bearer"}"#,
        br#"{"access_token":"a=b","token_type":"Bearer"}"#,
        br#"{"access_token":"abc\r\nX-Evil: 1","token_type":"Bearer"}"#,
        br#"{"access_token":"abc\u0000","token_type":"Bearer"}"#,
        "{\"access_token\":\"\u{e4}\",\"token_type\":\"Bearer\"}".as_bytes(),
        b"{\"access_token\":\"\xff\",\"token_type\":\"Bearer\"}",
        br#"{"access_token":17,"token_type":"Bearer"}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":"3600"}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":3600.5}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":-1}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":0}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":31622401}"#,
        br#"{"access_token":"abc","token_type":"Bearer","expires_in":1e300}"#,
        br#"{"access_token":"abc","access_token":"def","token_type":"Bearer"}"#,
        br#"{"access_token":"abc","token_type":"Bearer","x":{"y":1,"y":2}}"#,
    ];
    for body in bodies {
        let found = granted(&answer(200, JSON, body.to_vec()));
        assert!(
            matches!(found, Err(SourceError::Unusable(_))),
            "{} {found:?}",
            String::from_utf8_lossy(body)
        );
    }
    assert!(granted(&answer(200, JSON, long)).is_err());

    let good = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#;
    assert!(granted(&answer(200, JSON, good)).is_ok());
    assert!(granted(&answer(200, JSON, format!("{good}x"))).is_err());
    for content_type in [None, Some("text/html"), Some("application/jsonp"), Some("")] {
        assert!(
            granted(&answer(200, content_type, good)).is_err(),
            "{content_type:?}"
        );
    }
    for status in [100, 201, 202, 204, 400, 500] {
        let found = granted(&answer(status, JSON, good));
        assert!(
            matches!(found, Err(SourceError::Refused { .. })),
            "{status}"
        );
    }
}

#[test]
fn of_an_error_the_known_code_is_kept_and_nothing_else() {
    for (body, expected) in [
        (
            r#"{"error":"invalid_client","error_description":"hunter2"}"#,
            "invalid_client",
        ),
        (r#"{"error":"invalid_scope"}"#, "invalid_scope"),
        (r#"{"error":"invalid_target"}"#, "invalid_target"),
        (r#"{"error":"hunter2"}"#, "unknown"),
        (r#"{"error":["invalid_client"]}"#, "unknown"),
        (r#"{"error":"invalid_client","error":"hunter2"}"#, "unknown"),
        ("hunter2", "unknown"),
        ("", "unknown"),
    ] {
        let error = granted(&answer(401, JSON, body)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            matches!(error, SourceError::Refused { code, .. } if code == expected),
            "{body}"
        );
    }
    let mut busy = answer(429, JSON, "");
    busy.headers.insert("retry-after", "17".parse().unwrap());
    let error = granted(&busy).unwrap_err();
    assert_eq!(error.retry_after(), Some(17 * SECOND));
    busy.headers.insert("retry-after", "-1".parse().unwrap());
    assert_eq!(granted(&busy).unwrap_err().retry_after(), None);
}

proptest! {
    #[test]
    fn any_answer_can_be_read(status in 100_u16..600, body: Vec<u8>) {
        let _ = granted(&answer(status, JSON, body));
    }

    #[test]
    fn a_token_with_one_strange_character_is_refused(
        at in 0_usize..8,
        strange in "[^A-Za-z0-9._~+/=-]",
    ) {
        let mut token = "abcdefgh".to_owned();
        token.insert_str(at, &strange);
        let body = serde_json::json!({"access_token": token, "token_type": "Bearer"});
        prop_assert!(granted(&answer(200, JSON, body.to_string())).is_err());
    }
}
