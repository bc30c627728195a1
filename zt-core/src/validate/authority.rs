//! The host that a request is for, from its target and its `Host` header.

use std::net::Ipv6Addr;

use http::{HeaderValue, Method, Version, request::Parts, uri::Scheme};

use super::check::{malformed, misdirected};
use crate::decision::Denial;

/// A host and a port, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `uri-host [ ":" port ]` (RFC 9110 section 7.2), with a registered name of letters, digits,
    /// `-`, `_` and `.` only. User information does not belong here (RFC 9110 section 4.2.4).
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (host, rest) = literal.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (host, port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (is_name(host).then_some(host)?, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    fn of_header(value: &'a HeaderValue) -> Option<Self> {
        Self::parse(value.to_str().ok()?)
    }

    fn is(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// Labels of letters, digits, `-` and `_`; one dot may end it.
fn is_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 255
        && labels.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// A host that the service answers for; without a port it stands for every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedHost {
    host: String,
    port: Option<u16>,
}

impl AllowedHost {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let authority = Authority::parse(text)?;
        Some(Self {
            host: authority.host.to_owned(),
            port: authority.port,
        })
    }

    fn allows(&self, authority: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(authority.host)
            && (self.port.is_none() || self.port == authority.port.or(default_port))
    }
}

/// Whether a request says which host it is for, says one thing only, and is for one of `allowed`.
pub(super) fn check(
    parts: &Parts,
    host: Option<&HeaderValue>,
    allowed: Option<&[AllowedHost]>,
) -> Result<(), Denial> {
    let default_port = default_port(parts.uri.scheme())?;
    let host = match host {
        Some(value) => {
            let host = Authority::of_header(value);
            // RFC 9112 section 3.2: a Host with an invalid value is answered with 400.
            Some(host.ok_or_else(|| malformed("`Host` is not a host"))?)
        }
        // RFC 9112 section 3.2: so is a request of HTTP/1.1 without one.
        None if parts.version == Version::HTTP_11 => return Err(malformed("there is no `Host`")),
        None => None,
    };
    let target = match parts.uri.authority() {
        Some(authority) => {
            let target = Authority::parse(authority.as_str());
            Some(target.ok_or_else(|| malformed("the target's authority is not a host"))?)
        }
        // RFC 9113 section 8.3.1: `:authority` or Host has to be there.
        None if host.is_none() && parts.version > Version::HTTP_11 => {
            return Err(malformed("there is neither `:authority` nor `Host`"));
        }
        None => None,
    };
    if let (Some(target), Some(host)) = (&target, &host) {
        // RFC 9113 section 8.3.1 calls that malformed. RFC 9112 section 3.2.2 would ignore Host,
        // which whoever reads it behind us would not.
        if !target.is(host, default_port) {
            return Err(malformed("`Host` is not the target's authority"));
        }
    }
    // The authority of CONNECT names where a tunnel goes, not who is asked (RFC 9110 section
    // 9.3.6), unless the tunnel is a protocol of ours (RFC 8441 section 4).
    let tunnel = parts.method == Method::CONNECT && parts.uri.scheme().is_none();
    match allowed {
        Some(allowed) if !tunnel => {
            let asked = target.or(host);
            let known = asked.is_some_and(|asked| {
                allowed
                    .iter()
                    .any(|allowed| allowed.allows(&asked, default_port))
            });
            if known {
                Ok(())
            } else {
                Err(misdirected("the service does not answer for that host"))
            }
        }
        _ => Ok(()),
    }
}

/// RFC 9110 section 4.2; a target of another scheme is for somebody else (section 7.4).
fn default_port(scheme: Option<&Scheme>) -> Result<Option<u16>, Denial> {
    match scheme.map(Scheme::as_str) {
        None => Ok(None),
        Some("http") => Ok(Some(80)),
        Some("https") => Ok(Some(443)),
        Some(_) => Err(misdirected("the target is neither http nor https")),
    }
}
