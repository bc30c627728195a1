//! Copies of what is kept of a request.
//!
//! A server's targets, header names and values are slices of its read buffer. One slice that
//! outlives the request, in a record that waits for the disk, keeps the whole buffer in memory:
//! at least 8 KiB, and some 400 KiB where a stranger sends that much. So what is kept is copied.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

pub(super) fn value(value: &HeaderValue) -> HeaderValue {
    // What was a value is one; the empty one shares nothing.
    let mut copy =
        HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""));
    copy.set_sensitive(value.is_sensitive());
    copy
}

pub(super) fn name(name: &HeaderName) -> HeaderName {
    // Likewise; a name that could not be copied is kept rather than lost.
    HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone())
}

/// The same target; `/` where it could not be put together again.
pub(super) fn uri(uri: &Uri) -> Uri {
    let path = uri.path_and_query().map(|path| text(path.as_str()));
    if uri.scheme().is_none() && uri.authority().is_none() {
        return path
            .and_then(|path| PathAndQuery::from_maybe_shared(path).ok())
            .map(Uri::from)
            .unwrap_or_default();
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = uri.scheme().cloned().map(scheme);
    parts.authority = uri
        .authority()
        .and_then(|authority| Authority::from_maybe_shared(text(authority.as_str())).ok());
    parts.path_and_query = path.and_then(|path| PathAndQuery::from_maybe_shared(path).ok());
    Uri::from_parts(parts).unwrap_or_default()
}

fn scheme(scheme: Scheme) -> Scheme {
    Scheme::try_from(scheme.as_str()).unwrap_or(scheme)
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
