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

/// The same target, `/` where it could not be put together again, and the name of the client. They
/// lie in one piece of memory, which is one allocation where they are short.
pub(super) fn target(uri: &Uri, agent: Option<&HeaderValue>) -> (Uri, Option<HeaderValue>) {
    let path = uri.path_and_query().map(PathAndQuery::as_str);
    let pieces = match (uri.scheme(), uri.authority(), path) {
        (None, None, Some(path)) => ["", "", "", path],
        // An authority ends where a path begins with `/`; `*` would be part of it.
        (Some(scheme), Some(authority), Some(path)) if path.starts_with('/') => {
            [scheme.as_str(), "://", authority.as_str(), path]
        }
        _ => return (in_parts(uri), agent.map(value)),
    };
    let [scheme, separator, authority, path] = pieces.map(str::as_bytes);
    let name = agent.map_or(&[][..], HeaderValue::as_bytes);
    let mut target = joined(&[scheme, separator, authority, path, name]);
    let name = target.split_off(target.len() - name.len());
    let target = if scheme.is_empty() {
        PathAndQuery::from_maybe_shared(target).map(Uri::from)
    } else {
        Uri::from_maybe_shared(target)
    };
    let agent = agent.map(|agent| {
        let mut copy = HeaderValue::from_maybe_shared(name).unwrap_or_else(|_| value(agent));
        copy.set_sensitive(agent.is_sensitive());
        copy
    });
    (target.unwrap_or_else(|_| in_parts(uri)), agent)
}

fn in_parts(uri: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = uri.scheme().cloned().map(scheme);
    parts.authority = uri
        .authority()
        .and_then(|authority| Authority::from_maybe_shared(text(authority.as_str())).ok());
    parts.path_and_query = uri
        .path_and_query()
        .and_then(|path| PathAndQuery::from_maybe_shared(text(path.as_str())).ok());
    Uri::from_parts(parts).unwrap_or_default()
}

fn scheme(scheme: Scheme) -> Scheme {
    Scheme::try_from(scheme.as_str()).unwrap_or(scheme)
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn joined(pieces: &[&[u8]]) -> Bytes {
    Short::of(pieces).map_or_else(|| Bytes::from(pieces.concat()), Bytes::from_owner)
}

/// Bytes that lie beside the count of those who share them.
struct Short {
    bytes: [u8; Self::MOST],
    len: usize,
}

impl Short {
    const MOST: usize = 208;

    fn of(pieces: &[&[u8]]) -> Option<Self> {
        let mut short = Self {
            bytes: [0; Self::MOST],
            len: 0,
        };
        for piece in pieces {
            let end = short.len.checked_add(piece.len())?;
            short.bytes.get_mut(short.len..end)?.copy_from_slice(piece);
            short.len = end;
        }
        Some(short)
    }
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debug: `==` is blind to case.
    #[track_caller]
    fn is_the_same(original: &Uri) {
        let agent = HeaderValue::from_static("agent/1");
        let (copy, name) = target(original, Some(&agent));
        assert_eq!(name, Some(agent));
        assert_eq!(target(original, None), (copy.clone(), None));
        let parts = |uri: &Uri| {
            (
                uri.scheme_str().map(str::to_owned),
                uri.authority().map(|one| one.as_str().to_owned()),
                uri.path_and_query().map(|one| one.as_str().to_owned()),
                uri.path().to_owned(),
                uri.query().map(str::to_owned),
                uri.to_string(),
            )
        };
        assert_eq!(parts(&copy), parts(original), "{original:?}");
        assert_eq!(copy, *original);
    }

    #[test]
    fn copies_every_form_of_target() {
        for target in [
            "/",
            "/orders",
            "/orders?",
            "/orders?x=1&y=/?",
            "//two?x",
            "/a:b@c//d",
            "*",
            "example.test",
            "example.test:443",
            "http://example.test",
            "http://example.test/",
            "http://example.test?x=1",
            "http://example.test?",
            "http://Example.TEST:81/Orders?X=1",
            "https://user:word@example.test/a?b",
            "https://[2001:db8::1]:8443/a/b?c=d",
            "ws://example.test/a",
            "coap+tcp://example.test/a?b",
            "https://example.test//a//b",
        ] {
            is_the_same(&target.parse().unwrap());
        }
    }

    #[test]
    fn copies_long_and_secret_names_of_clients() {
        for len in [0, 1, 200, 207, 208, 4000] {
            let mut agent = HeaderValue::try_from("a".repeat(len)).unwrap();
            for secret in [true, false] {
                agent.set_sensitive(secret);
                let (_, copy) = target(&Uri::from_static("/"), Some(&agent));
                let copy = copy.unwrap();
                assert_eq!((&copy, copy.is_sensitive()), (&agent, secret));
            }
        }
    }

    /// As a server of HTTP/2 puts targets together.
    #[test]
    fn copies_targets_that_were_put_together() {
        for path in ["*", "/", "/a?b", "?b", "/a*", ""] {
            let Ok(path) = PathAndQuery::try_from(path) else {
                continue;
            };
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(Scheme::HTTPS);
            parts.authority = Some(Authority::from_static("example.test:8443"));
            parts.path_and_query = Some(path);
            is_the_same(&Uri::from_parts(parts).unwrap());
        }
    }

    /// Each part is within its limit and all of them are not.
    #[test]
    fn copies_a_target_that_is_too_long_in_one_piece() {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(Authority::from_static("example.test:8443"));
        let path = format!("/{}", "x".repeat(65_530));
        parts.path_and_query = Some(PathAndQuery::try_from(path).unwrap());
        is_the_same(&Uri::from_parts(parts).unwrap());
    }
}
