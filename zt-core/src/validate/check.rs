//! The decision: plain functions of the request's head.

use http::{HeaderMap, Method, Uri, request::Parts};

use super::{PathAllowances, authority, check_path, config::Rules, headers};
use crate::{
    context::Claimed,
    decision::{Code, Denial},
    state::Route,
};

/// The whole head; gives the body's declared length.
pub(super) fn head(
    rules: &Rules,
    parts: &Parts,
    route: Option<&Route>,
) -> Result<Option<u64>, Denial> {
    method(rules, &parts.method)?;
    target(parts, allowances(rules, route))?;
    let headers = headers::check(parts, &rules.limits)?;
    authority::check(parts, headers.host, rules.hosts.as_deref())?;
    Ok(headers.length)
}

/// The request target's length, before anything reads it.
pub(super) fn target_length(rules: &Rules, uri: &Uri) -> Result<(), Denial> {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let scheme = uri
        .scheme_str()
        .map_or(0, |scheme| scheme.len().saturating_add(3));
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let length = path.saturating_add(scheme).saturating_add(authority);
    if length > rules.limits.uri_bytes {
        return Err(Code::UriTooLong.into());
    }
    Ok(())
}

/// Whether a body that is declared to have `length` bytes, and has at least `lower`, may come.
pub(super) fn body(length: Option<u64>, lower: u64, limit: u64) -> Result<(), Denial> {
    if length.is_some_and(|length| length > limit) || lower > limit {
        return Err(Denial::new(Code::BodyTooLarge).detail("the declared length is past the limit"));
    }
    Ok(())
}

/// Takes the headers that claim an identity off the request.
pub(super) fn strip(headers: &mut HeaderMap, claimed: &Claimed) {
    for name in claimed.names() {
        headers.remove(name);
    }
}

fn method(rules: &Rules, method: &Method) -> Result<(), Denial> {
    let allowed = match &rules.methods {
        Some(methods) => methods.contains(method),
        // TRACE shows a caller's credentials to its scripts (RFC 9110 section 9.3.8), CONNECT
        // asks for a tunnel (section 9.3.6): nobody gets either by default.
        None => method != Method::TRACE && method != Method::CONNECT,
    };
    if allowed {
        Ok(())
    } else {
        Err(malformed("the method is not allowed"))
    }
}

fn allowances(rules: &Rules, route: Option<&Route>) -> PathAllowances {
    PathAllowances::NONE
        .insecure_encoded_unreserved(rules.encoded_unreserved)
        .encoded_slash(route.is_some_and(Route::allows_encoded_slash))
        .empty_segments(route.is_some_and(Route::allows_empty_segments))
}

/// The form of the target (RFC 9112 section 3.2) and its path.
fn target(parts: &Parts, allow: PathAllowances) -> Result<(), Denial> {
    let (uri, path) = (&parts.uri, parts.uri.path());
    // Authority-form belongs to CONNECT, and CONNECT to it; extended CONNECT has scheme and path
    // (RFC 8441 section 4).
    if parts.method == Method::CONNECT && uri.scheme().is_none() {
        return if uri.authority().is_some() && path.is_empty() {
            Ok(())
        } else {
            Err(malformed("CONNECT without an authority as its target"))
        };
    }
    // Asterisk-form belongs to OPTIONS (RFC 9112 section 3.2.4).
    if path == "*" {
        return if parts.method == Method::OPTIONS {
            Ok(())
        } else {
            Err(malformed("`*` is the target of OPTIONS only"))
        };
    }
    check_path(path.as_bytes(), allow)
        .map_err(|error| Denial::new(Code::RequestMalformed).detail(error.to_string()))
}

#[cold]
pub(super) fn malformed(detail: &'static str) -> Denial {
    Denial::new(Code::RequestMalformed).detail(detail)
}

#[cold]
pub(super) fn misdirected(detail: &'static str) -> Denial {
    Denial::new(Code::Misdirected).detail(detail)
}

#[cold]
pub(super) fn too_large(detail: &'static str) -> Denial {
    Denial::new(Code::HeadersTooLarge).detail(detail)
}
