use std::{borrow::Cow, time::Duration};

use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Deserialize;
use zeroize::Zeroize;

use super::super::{AttachableToken, SourceError};
use crate::{http::Answer, jose::json::is_strict_object};

/// What an issuer granted.
#[derive(Debug)]
pub(in crate::attach_token) struct Granted {
    pub(in crate::attach_token) token: AttachableToken,
    pub(in crate::attach_token) expires_in: Option<Duration>,
}

#[derive(Deserialize)]
struct Success<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
}

/// 366 days.
const LONGEST_LIFETIME: u64 = 31_622_400;

/// Reads an answer of the token endpoint (RFC 6749 sections 5.1 and 5.2).
pub(in crate::attach_token) fn granted(answer: &Answer) -> Result<Granted, SourceError> {
    if answer.status != StatusCode::OK {
        return Err(SourceError::Refused {
            status: answer.status,
            code: error_code(&answer.body),
            retry_after: retry_after(&answer.headers),
        });
    }
    if !is_json(&answer.headers) {
        return Err(SourceError::Unusable(
            "the issuer's answer is not application/json",
        ));
    }
    if !is_strict_object(&answer.body) {
        return Err(SourceError::Unusable(
            "the issuer's answer is not a JSON object with unique members",
        ));
    }
    let Ok(success) = serde_json::from_slice::<Success<'_>>(&answer.body) else {
        return Err(SourceError::Unusable(
            "the issuer's answer lacks a member, or one has the wrong type",
        ));
    };
    let granted = success.check();
    if let Cow::Owned(mut copy) = success.access_token {
        copy.zeroize();
    }
    granted
}

impl Success<'_> {
    fn check(&self) -> Result<Granted, SourceError> {
        // RFC 6749 section 7.1: a client must not use a token whose type it does not understand.
        if !self.token_type.eq_ignore_ascii_case("bearer") {
            return Err(SourceError::Unusable(
                "the issuer's token is not a bearer token",
            ));
        }
        if self
            .expires_in
            .is_some_and(|span| !(1..=LONGEST_LIFETIME).contains(&span))
        {
            return Err(SourceError::Unusable("`expires_in` is out of bounds"));
        }
        Ok(Granted {
            token: AttachableToken::new(&*self.access_token)?,
            expires_in: self.expires_in.map(Duration::from_secs),
        })
    }
}

/// The `error` of an answer, where it is one that a standard knows: anything else may be any text,
/// and it would get into logs.
fn error_code(body: &[u8]) -> &'static str {
    const KNOWN: [&str; 9] = [
        // RFC 6749 section 5.2
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        // RFC 8707 section 2
        "invalid_target",
        // Of RFC 6749 section 4.1.2.1, but seen here too.
        "server_error",
        "temporarily_unavailable",
    ];
    is_strict_object(body)
        .then(|| serde_json::from_slice::<Failure<'_>>(body).ok())
        .flatten()
        .and_then(|failure| KNOWN.into_iter().find(|known| *known == failure.error))
        .unwrap_or("unknown")
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// RFC 9110 section 10.2.3, in seconds; a date is not worth its parser here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
