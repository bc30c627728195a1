//! The host that a request is for, from its target and its `Host` header.

use http::{HeaderValue, Method, Version, request::Parts, uri::Scheme};

use super::check::{malformed, misdirected};
use crate::{context::Authority, decision::Denial};

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
            host: authority.host().to_owned(),
            port: authority.port(),
        })
    }

    fn allows(&self, authority: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(authority.host())
            && (self.port.is_none() || self.port == authority.port().or(default_port))
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
