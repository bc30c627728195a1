//! Whether a request under a cookie comes from a page that may send one.
//!
//! Browsers send cookies along with whatever page asks for the request. What that page is they say
//! in `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454 section 7), which a page cannot set.

use http::{
    HeaderMap, HeaderName, Method, Uri,
    header::{HOST, ORIGIN, UPGRADE},
    request::Parts,
};

use crate::http::endpoint;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The pages that may send requests under a cookie.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    /// As browsers write them; where there are none, the host that the request is for.
    pub(super) listed: Box<[Box<str>]>,
    /// Pages of other hosts on the same registrable domain, too.
    pub(super) same_site: bool,
}

/// Why the request may come from another site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CrossSite {
    /// The browser says so.
    Site,
    /// Its origin is another one.
    Origin,
    /// Nothing says where it comes from.
    Unsaid,
    /// A header says two things.
    Twice,
}

impl CrossSite {
    /// For the audit record.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Site => "a cookie on an unsafe request: `Sec-Fetch-Site` is that of another site",
            Self::Origin => "a cookie on an unsafe request: `Origin` is not one of ours",
            Self::Unsaid => {
                "a cookie on an unsafe request: neither `Sec-Fetch-Site` nor `Origin` is there"
            }
            Self::Twice => {
                "a cookie on an unsafe request: a header that says its origin is there twice"
            }
        }
    }
}

impl Origins {
    /// Whether the request may use a cookie.
    pub(super) fn permit(&self, parts: &Parts) -> Result<(), CrossSite> {
        if is_safe(parts) {
            return Ok(());
        }
        let origin = single(&parts.headers, &ORIGIN)?;
        let site = single(&parts.headers, &SEC_FETCH_SITE)?;
        let is_listed = |origin: &[u8]| self.listed.iter().any(|own| own.as_bytes() == origin);
        match (site, origin) {
            (_, Some(origin)) if is_listed(origin) => Ok(()),
            (Some(b"same-origin" | b"none"), _) => Ok(()),
            (Some(b"same-site"), _) if self.same_site => Ok(()),
            (Some(_), _) => Err(CrossSite::Site),
            (None, Some(origin)) if self.listed.is_empty() && is_own(origin, parts) => Ok(()),
            (None, Some(_)) => Err(CrossSite::Origin),
            (None, None) => Err(CrossSite::Unsaid),
        }
    }
}

/// GET, HEAD and OPTIONS change nothing (RFC 9110 section 9.2.1), unless they open a WebSocket
/// (RFC 6455 section 4.1): that speaks for as long as it likes, and a page may read what it hears.
/// Every other method is unsafe here, those that nobody knows yet among them.
fn is_safe(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !parts.headers.contains_key(UPGRADE)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, CrossSite> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(CrossSite::Twice),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}

/// Whether `origin` is the host that the request is for. A proxy may end TLS, so the scheme cannot
/// be compared; a default port may be written or not.
fn is_own(origin: &[u8], parts: &Parts) -> bool {
    let (authority, port) = if let Some(authority) = origin.strip_prefix(b"https://") {
        (authority, b":443".as_slice())
    } else if let Some(authority) = origin.strip_prefix(b"http://") {
        (authority, b":80".as_slice())
    } else {
        // `null`, and pages that no server has.
        return false;
    };
    // RFC 9113 section 8.3.1: `:authority` goes before `Host`.
    let host = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => single(&parts.headers, &HOST).ok().flatten(),
    };
    host.is_some_and(|host| {
        let host = host.strip_suffix(port).unwrap_or(host);
        !host.is_empty() && host.eq_ignore_ascii_case(authority)
    })
}

/// Whether browsers would write it so: scheme and host in lower case, no default port, no path.
pub(super) fn is_origin(text: &str) -> bool {
    let Ok(uri) = endpoint(text, false) else {
        return false;
    };
    let written = uri
        .scheme_str()
        .zip(uri.authority())
        .map(|(scheme, authority)| {
            [scheme, "://", &authority.as_str().to_ascii_lowercase()].concat()
        });
    let default_port = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    written.as_deref() == Some(text)
        && uri.host().is_some_and(is_host)
        && has_usable_port(&uri, default_port)
}

/// A name or an address (RFC 3986 section 3.2.2); a pattern is neither.
fn is_host(host: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let address = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.bytes().all(address),
        None => !host.is_empty() && host.bytes().all(name),
    }
}

/// `example.com:` has a colon and no port, and no browser writes it.
fn has_usable_port(uri: &Uri, default: u16) -> bool {
    match uri.port_u16() {
        Some(port) => port != default,
        None => !uri
            .authority()
            .is_some_and(|authority| authority.as_str().ends_with(':')),
    }
}
