//! How far a token reaches: methods, paths and networks.

use std::net::IpAddr;

use http::Method;
use ipnet::IpNet;

use super::check::Refusal;

/// The bounds of one token, ready to be asked. What is `None` has no bound.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) methods: Option<Vec<Method>>,
    pub(super) paths: Option<Vec<PathPattern>>,
    pub(super) networks: Option<Vec<IpNet>>,
}

impl Reach {
    /// Whether a request lies within.
    ///
    /// # Errors
    ///
    /// The first bound that it oversteps. An address that nobody knows is in no network.
    pub(super) fn covers(
        &self,
        method: &Method,
        path: &str,
        client: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        if let Some(methods) = &self.methods
            && !methods.contains(method)
        {
            return Err(Refusal::Method);
        }
        if let Some(paths) = &self.paths {
            if !is_canonical(path) {
                return Err(Refusal::NotCanonical);
            }
            if !paths.iter().any(|pattern| pattern.matches(path)) {
                return Err(Refusal::Path);
            }
        }
        if let Some(networks) = &self.networks {
            let client = client.ok_or(Refusal::Address)?;
            if !networks.iter().any(|network| network.contains(&client)) {
                return Err(Refusal::Address);
            }
        }
        Ok(())
    }
}

/// A path, or several: `/orders` is that path alone, `/orders/*` has one segment more,
/// `/orders/**` is `/orders` and everything beneath it. Whole segments are compared, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern {
    segments: Vec<Segment>,
    and_beneath: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    One,
}

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 256;

impl PathPattern {
    /// # Errors
    ///
    /// Says what is wrong with `text`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_PATTERN {
            return Err("a path is longer than 256 bytes");
        }
        if !is_canonical(text) {
            return Err("a path does not begin with `/` or is not canonical");
        }
        if text.contains(['?', '#']) {
            return Err("a path has a query or a fragment");
        }
        let mut segments = Vec::new();
        let mut and_beneath = false;
        for segment in text.split('/').skip(1) {
            if and_beneath {
                return Err("`**` stands at the end of a path only");
            }
            match segment {
                "**" => and_beneath = true,
                "*" => segments.push(Segment::One),
                _ if segment.contains('*') => {
                    return Err("`*` is a whole segment of a path, or none of it");
                }
                _ => segments.push(Segment::Literal(segment.into())),
            }
        }
        Ok(Self {
            segments,
            and_beneath,
        })
    }

    /// Whether `path`, which is canonical, is meant.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut found = path.split('/').skip(1);
        let begins = self.segments.iter().all(|segment| {
            found.next().is_some_and(|found| match segment {
                Segment::Literal(literal) => found == &**literal,
                Segment::One => !found.is_empty(),
            })
        });
        begins && (self.and_beneath || found.next().is_none())
    }
}

/// Whether a router, however it decodes, reads the same segments in `path` as a matcher of raw
/// bytes. Dot segments, empty segments, encoded or turned slashes, NUL and other control
/// characters, bytes that belong encoded, and twice encoded forms of all these are not canonical.
pub(super) fn is_canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let mut segments = rest.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if (segment.is_empty() && !last) || !is_canonical_segment(segment) {
            return false;
        }
    }
    true
}

fn is_canonical_segment(segment: &[u8]) -> bool {
    let mut rest = segment;
    // Decoded bytes before the first `;`, and how many of them are dots: some servers take
    // `/..;x/` for a dot segment.
    let (mut len, mut dots, mut parameters) = (0_usize, 0_usize, false);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = match byte {
            b'%' => {
                let Some((decoded, after)) = encoded(rest) else {
                    return false;
                };
                rest = after;
                let twice = (decoded == b'%').then(|| encoded(rest)).flatten();
                if is_separator(decoded)
                    || twice.is_some_and(|(byte, _)| byte == b'.' || is_separator(byte))
                {
                    return false;
                }
                decoded
            }
            0x21..=0x7e if byte != b'\\' => byte,
            _ => return false,
        };
        parameters |= byte == b';';
        if !parameters {
            len += 1;
            dots += usize::from(byte == b'.');
        }
    }
    // Without its parameters, the segment is neither `.` nor `..` nor nothing.
    !(len == dots && dots <= 2 && (dots > 0 || parameters))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f)
}

/// The byte of two hexadecimal digits (RFC 3986 section 2.1), and what follows them.
fn encoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = text.split_first_chunk::<2>()?;
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = u8::try_from(value(*high)? << 4 | value(*low)?).ok()?;
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_whole_segments() {
        for (pattern, path, expected) in [
            ("/orders", "/orders", true),
            ("/orders", "/orders/", false),
            ("/orders", "/orders/7", false),
            ("/orders", "/ordersx", false),
            ("/orders", "/Orders", false),
            ("/orders", "/%6frders", false),
            ("/orders/", "/orders/", true),
            ("/orders/", "/orders", false),
            ("/orders/*", "/orders/7", true),
            ("/orders/*", "/orders", false),
            ("/orders/*", "/orders/", false),
            ("/orders/*", "/orders/7/items", false),
            ("/orders/*/items", "/orders/7/items", true),
            ("/orders/*/items", "/orders/7/refunds", false),
            ("/orders/**", "/orders", true),
            ("/orders/**", "/orders/", true),
            ("/orders/**", "/orders/7/items", true),
            ("/orders/**", "/ordersx", false),
            ("/orders/**", "/", false),
            ("/orders/*/**", "/orders", false),
            ("/orders/*/**", "/orders/7", true),
            ("/**", "/", true),
            ("/**", "/any/thing", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/*", "/", false),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            assert!(is_canonical(path), "{path}");
            assert_eq!(parsed.matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_say_nothing_clear_are_refused() {
        for pattern in [
            "", "orders", "*", "//", "/a//b", "/a/../b", "/a/./b", "/a*", "/*a", "/**/a", "/a/***",
            "/a?b", "/a#b", "/a\\b", "/a b", "/ä", "/%2f", "/%2e%2e", "/a\n",
        ] {
            assert!(PathPattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn paths_that_two_readers_read_differently_are_not_canonical() {
        for path in [
            "",
            "*",
            "orders",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/%2e",
            "/%2E%2e",
            "/.%2e/a",
            "/a/..;x/b",
            "/.;/a",
            "/%2e%2e;/a",
            "/a%3b/..%3bx",
            "/;a/b",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%252fb",
            "/%252e%252e/a",
            "/a%255cb",
            "/a%2500",
            "/a b",
            "/a\tb",
            "/ä",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/...",
            "/.a",
            "/a.",
            "/..a",
            "/a;b=1",
            "/a%20b",
            "/a%C3%A4",
            "/100%25",
            "/a%2520b",
            "/a:b@c!$&'()*+,=~-_",
        ] {
            assert!(is_canonical(path), "{path}");
        }
    }

    #[test]
    fn each_bound_refuses_by_itself() {
        let reach = Reach {
            methods: Some(vec![Method::GET]),
            paths: Some(vec![PathPattern::parse("/orders/**").unwrap()]),
            networks: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        };
        let inside: IpAddr = "10.1.2.3".parse().unwrap();
        let outside: IpAddr = "192.0.2.1".parse().unwrap();
        let asked = |method, path, client| reach.covers(&method, path, client).err();
        assert_eq!(asked(Method::GET, "/orders/7", Some(inside)), None);
        assert_eq!(
            asked(Method::HEAD, "/orders/7", Some(inside)),
            Some(Refusal::Method)
        );
        assert_eq!(
            asked(Method::GET, "/refunds", Some(inside)),
            Some(Refusal::Path)
        );
        assert_eq!(
            asked(Method::GET, "/orders/../refunds", Some(inside)),
            Some(Refusal::NotCanonical)
        );
        assert_eq!(
            asked(Method::GET, "/orders/7", Some(outside)),
            Some(Refusal::Address)
        );
        assert_eq!(
            asked(Method::GET, "/orders/7", None),
            Some(Refusal::Address)
        );
        assert!(
            Reach::default()
                .covers(&Method::GET, "/a/../b", None)
                .is_ok()
        );
    }
}
