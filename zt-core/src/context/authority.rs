//! The host that a request is for, from its target and its `Host` header: read in this one place.

use std::net::Ipv6Addr;

use http::{HeaderValue, Uri, header, request::Parts};

/// A host and a port, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    /// With the brackets of an address.
    written: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `uri-host [ ":" port ]` (RFC 9110 section 7.2), with a registered name of letters, digits,
    /// `-`, `_` and `.` only. User information does not belong here (RFC 9110 section 4.2.4).
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (host, written, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (host, rest) = literal.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (host, text.get(..host.len() + 2)?, port)
            }
            None => {
                let colon = text.bytes().position(|byte| byte == b':');
                let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
                    Some((host, port)) => (host, port.strip_prefix(':')),
                    None => (text, None),
                };
                (is_name(host).then_some(host)?, host, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self {
            host,
            written,
            port,
        })
    }

    pub(crate) fn of_header(value: &'a HeaderValue) -> Option<Self> {
        Self::parse(value.to_str().ok()?)
    }

    pub(crate) const fn host(&self) -> &'a str {
        self.host
    }

    pub(crate) const fn port(&self) -> Option<u16> {
        self.port
    }

    pub(crate) fn is(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// Labels of letters, digits, `-` and `_`; one dot may end it.
fn is_name(host: &str) -> bool {
    if host.is_empty() || host.len() > 255 {
        return false;
    }
    let (mut refused, mut before) = (0, DOT);
    for byte in host.bytes() {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(OTHER);
        // No dot behind a dot: a label has at least one letter.
        refused |= (class & OTHER) | (before & class);
        before = class;
    }
    refused == 0
}

/// Classes of bytes, a bit each.
const LETTER: u8 = 0;
const DOT: u8 = 0b01;
const OTHER: u8 = 0b10;

const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 0x7f {
        #[expect(
            clippy::indexing_slicing,
            reason = "a constant, made when it is compiled"
        )]
        {
            classes[byte as usize] = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => LETTER,
                b'.' => DOT,
                _ => OTHER,
            };
        }
        byte += 1;
    }
    classes
};

/// The host that a request is for, as rules read it: without its port and without the dot that may end a
/// name; of its target, or else of its one `Host` field. Where they are not hosts, or say two things,
/// nobody knows which. Nor where an IPv6 address, which stands in its brackets, is written otherwise than
/// it usually is (RFC 5952): a rule that names it would not see that it is the same.
pub(crate) fn host_of<'a>(target: &'a Uri, parts: &'a Parts) -> Option<&'a str> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(Authority::of_header(field)?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    let target = match target.authority() {
        Some(authority) => Some(Authority::parse(authority.as_str())?),
        None => None,
    };
    let asked = match (target, field) {
        (Some(target), Some(field)) if !target.host.eq_ignore_ascii_case(field.host) => {
            return None;
        }
        (Some(asked), _) | (None, Some(asked)) => asked,
        (None, None) => return None,
    };
    if asked.written.len() != asked.host.len() {
        let address: Ipv6Addr = asked.host.parse().ok()?;
        let usual = address.to_string().eq_ignore_ascii_case(asked.host);
        return usual.then_some(asked.written);
    }
    Some(asked.host.strip_suffix('.').unwrap_or(asked.host))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn host(target: &str, fields: &[&str]) -> Option<String> {
        let mut request = Request::get(target);
        for field in fields {
            request = request.header(header::HOST, *field);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        host_of(&parts.uri, &parts).map(str::to_owned)
    }

    #[test]
    fn a_request_that_does_not_say_one_host_has_none() {
        for (target, fields) in [
            ("/", &[][..]),
            ("/", &[""]),
            ("/", &["a.example", "a.example"]),
            ("/", &["a.example, b.example"]),
            ("/", &["ada@a.example"]),
            ("/", &["a.example/b"]),
            ("/", &["a..example"]),
            ("/", &["a.example:x"]),
            ("/", &["a.example:80:80"]),
            ("/", &["::1"]),
            ("/", &["[::1"]),
            ("/", &["[::g]"]),
            ("/", &["[0:0:0:0:0:0:0:1]"]),
            ("/", &["[::01]"]),
            ("/", &["."]),
            ("http://a.example/", &["b.example"]),
            ("http://a.example/", &["garbage!"]),
            ("http://a.example/", &["a.example", "a.example"]),
            ("http://ada@a.example/", &[]),
        ] {
            assert_eq!(host(target, fields), None, "{target} {fields:?}");
        }
    }

    #[test]
    fn a_host_is_read_without_port_and_last_dot() {
        for (target, fields, expected) in [
            ("/", &["a.example"][..], "a.example"),
            ("/", &["a.example:8443"], "a.example"),
            ("/", &["a.example."], "a.example"),
            ("/", &["a.example.:80"], "a.example"),
            ("/", &["A.Example"], "A.Example"),
            ("/", &["[::1]"], "[::1]"),
            ("/", &["[::1]:443"], "[::1]"),
            ("/", &["[2001:DB8::1]"], "[2001:DB8::1]"),
            ("/", &["127.0.0.1:80"], "127.0.0.1"),
            ("http://a.example:81/", &[], "a.example"),
            ("http://a.example/", &["A.EXAMPLE:80"], "a.example"),
        ] {
            assert_eq!(
                host(target, fields).as_deref(),
                Some(expected),
                "{target} {fields:?}"
            );
        }
    }
}
