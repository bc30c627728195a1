//! What requests say: strict and bounded.

use axum::extract::Request;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::{GrantError, Problem};
use crate::{
    context::SecurityContext,
    decision::{Code, Denial},
    grant::{GrantFilter, GrantState, text::invalid},
};

/// The largest body, in bytes; a reason has 500.
const MAX_BODY: usize = 4096;

/// The body as a `T`: JSON, and nothing that `T` does not have.
pub(super) async fn body<T: DeserializeOwned>(
    request: Request,
    cx: &SecurityContext,
) -> Result<T, Problem> {
    let refused = |denial: Denial| Problem::denied(denial, cx);
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let denial = Denial::new(Code::RequestMalformed);
        return Err(refused(
            denial.detail("the content type is not application/json"),
        ));
    }
    let bytes = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(error) => return Err(refused(unread(error))),
    };
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| {
        // Where, and not what: it may hold what the caller meant for somebody else.
        let at = format!("line {}, column {}", error.line(), error.column());
        refused(Denial::new(Code::RequestInvalid).detail(format!("the body, at {at}")))
    })
}

/// A body that the stack has refused says so itself.
fn unread(error: axum::Error) -> Denial {
    match error.into_inner().downcast::<Denial>() {
        Ok(denial) => *denial,
        Err(_) => Code::BodyTooLarge.into(),
    }
}

/// RFC 9110 section 8.3: one media type, whose name has no case; RFC 8259 gives it no parameters that
/// mean anything.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let name = value
        .to_str()
        .ok()
        .and_then(|value| value.split(';').next());
    name.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"))
}

/// What is asked for in the query: each name once, and none that is not known.
pub(super) fn filter(query: &str) -> Result<GrantFilter, GrantError> {
    let mut filter = GrantFilter::default();
    let mut unreviewed = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        let twice = match &*name {
            "subject" => filter.subject.replace(value).is_some(),
            "scope" => filter.scope.replace(value).is_some(),
            "after" => filter.after.replace(value).is_some(),
            "state" => filter.state.replace(state(&value)?).is_some(),
            "limit" => filter.limit.replace(limit(&value)?).is_some(),
            "unreviewed" => unreviewed.replace(flag(&value)?).is_some(),
            _ => return invalid("query", "it has a name that is not known"),
        };
        if twice {
            return invalid("query", "it has a name twice");
        }
    }
    filter.unreviewed = unreviewed.unwrap_or_default();
    Ok(filter)
}

fn state(text: &str) -> Result<GrantState, GrantError> {
    let known = serde_json::from_value(serde_json::Value::from(text));
    known.or_else(|_| invalid("state", "there is no such state"))
}

fn limit(text: &str) -> Result<usize, GrantError> {
    match text.parse() {
        Ok(limit @ 1..=100) => Ok(limit),
        _ => invalid("limit", "it is not a number from 1 to 100"),
    }
}

fn flag(text: &str) -> Result<bool, GrantError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => invalid("unreviewed", "it is neither `true` nor `false`"),
    }
}
