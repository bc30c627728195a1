//! What becomes of a token's place once the token was read.

use http::{HeaderMap, HeaderValue};

use super::credential::{COOKIE, Place, pairs, value_of};

/// Keeps what stands in `place` out of `Debug` and out of HPACK's tables (RFC 7541 section 7.1.3).
pub(super) fn hide(place: &Place, headers: &mut HeaderMap) {
    let name = place.header();
    if headers.get_all(name).iter().nth(1).is_none() {
        hide_one(place, headers);
        return;
    }
    for (_, value) in headers.iter_mut().filter(|(other, _)| *other == name) {
        value.set_sensitive(true);
    }
}

/// As [`hide`], where there is one field and no more.
pub(super) fn hide_one(place: &Place, headers: &mut HeaderMap) {
    if let Some(value) = headers.get_mut(place.header()) {
        value.set_sensitive(true);
    }
}

/// Takes the token out of the request; other cookies stay.
pub(super) fn strip(place: &Place, headers: &mut HeaderMap) {
    let Place::Cookie(name) = place else {
        headers.remove(place.header());
        return;
    };
    let kept: Vec<HeaderValue> = headers
        .get_all(&COOKIE)
        .iter()
        .filter_map(|field| without(field, name))
        .collect();
    headers.remove(&COOKIE);
    for field in kept {
        headers.append(&COOKIE, field);
    }
}

/// A `Cookie` field without one cookie; `None` where nothing is left.
fn without(field: &HeaderValue, name: &str) -> Option<HeaderValue> {
    let is_ours = |pair: &[u8]| value_of(pair, name).is_some();
    if !pairs(field.as_bytes()).any(is_ours) {
        return Some(field.clone());
    }
    let rest: Vec<&[u8]> = pairs(field.as_bytes())
        .filter(|pair| !pair.is_empty() && !is_ours(pair))
        .collect();
    if rest.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&rest.join(b"; ".as_slice())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
