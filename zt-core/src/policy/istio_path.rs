//! Istio's paths: how they are normalised, and its templates.
//!
//! Istio's proxy normalises the path of a request before policies read it, and hands the normalised
//! path on. zt hands on what it was sent. So the default here is to refuse whatever has two readings
//! ([`IstioPaths::Canonical`]); the other ways of reading are for what stands in front of a reader
//! that normalises in the same way.
//!
//! # Templates
//!
//! As the URI templates of Envoy, which Istio makes of `{*}` and `{**}`:
//!
//! | template | matches | does not match |
//! |---|---|---|
//! | `/path/template/{*}` | `/path/template/x` | `/path/template/`, `/path/template/x/y` |
//! | `/{**}/path/template` | `/a/path/template`, `/a/b/path/template`, `//path/template` | `/path/template` |
//! | `/allow/admin/{**}` | `/allow/admin/`, `/allow/admin/x/y` | `/allow/admin` |
//! | `/foo/{*}/bar/{**}.txt` | `/foo/x/bar/y/z.txt`, `/foo/x/bar/.txt` | `/foo/bar/z.txt` |
//!
//! `{*}` is one segment that is not empty; `{**}` is anything, slashes and nothing at all included,
//! and no other operator may follow it. A text may follow the last operator at the end.
//!
//! Envoy's operators match letters, digits and `-._~%!$&'()+,;:@` only, so that `a=b` is not a
//! segment to it. Where that makes a policy stricter (an allowing `paths`, a denying `notPaths`) it
//! is so here too; where it would let a request slip by (a denying `paths`, an allowing `notPaths`)
//! an operator matches any character.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::validate::{PathAllowances, check_path};

/// How the paths of requests are read for policies that were written for Istio
/// (`meshConfig.pathNormalization`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IstioPaths {
    /// As they are; one that is not canonical is refused (`request-malformed`).
    #[default]
    Canonical,
    /// `BASE`: what is encoded without need is decoded, once; `\` is `/`; `.` and `..` are resolved
    /// (RFC 3986 sections 5.2.4 and 6.2.2).
    Base,
    /// `MERGE_SLASHES`: as `BASE`; then several slashes are one.
    MergeSlashes,
    /// `DECODE_AND_MERGE_SLASHES`: `%2F` and `%5C` are slashes first; then as `MERGE_SLASHES`.
    DecodeAndMergeSlashes,
}

impl IstioPaths {
    /// The path that rules are compared with; `None` where it has no safe reading: it is not
    /// absolute, has broken escapes, NUL, or characters that no path has. Nothing is allocated
    /// where nothing changes.
    ///
    /// ```
    /// use zt_core::policy::IstioPaths;
    ///
    /// let base = |path| IstioPaths::Base.normalise(path).unwrap().into_owned();
    /// assert_eq!(base("/public/./data/abc/../xyz"), "/public/data/xyz");
    /// assert_eq!(base("/some%2fdata/%61%62%63"), "/some%2Fdata/abc");
    /// assert_eq!(IstioPaths::Canonical.normalise("/public/../private"), None);
    /// ```
    #[must_use]
    pub fn normalise(self, path: &str) -> Option<Cow<'_, str>> {
        let (decode, merge) = match self {
            Self::Canonical => {
                let canonical = check_path(path.as_bytes(), PathAllowances::NONE).is_ok();
                return canonical.then_some(Cow::Borrowed(path));
            }
            Self::Base => (false, false),
            Self::MergeSlashes => (false, true),
            Self::DecodeAndMergeSlashes => (true, true),
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return None;
        }
        let changes =
            path.contains(['%', '\\']) || path.contains("/.") || (merge && path.contains("//"));
        if !changes {
            return Some(Cow::Borrowed(path));
        }
        let decoded = decoded(path, decode)?;
        Some(Cow::Owned(without_dots(&decoded, merge)))
    }
}

/// As in Istio's configuration: `BASE`, `MERGE_SLASHES`, `DECODE_AND_MERGE_SLASHES`; `CANONICAL` is
/// zt's own.
impl std::str::FromStr for IstioPaths {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "CANONICAL" => Ok(Self::Canonical),
            "BASE" => Ok(Self::Base),
            "MERGE_SLASHES" => Ok(Self::MergeSlashes),
            "DECODE_AND_MERGE_SLASHES" => Ok(Self::DecodeAndMergeSlashes),
            _ => Err(format!("`{name}` is not a way to read paths")),
        }
    }
}

/// Decodes once what needs no encoding, spells the rest in upper case, and turns `\` into `/`.
fn decoded(path: &str, slashes: bool) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut left = path.bytes();
    while let Some(byte) = left.next() {
        match byte {
            b'%' => match hex(left.next()?)? << 4 | hex(left.next()?)? {
                0 => return None,
                byte if is_unreserved(byte) => decoded.push(char::from(byte)),
                b'/' | b'\\' if slashes => decoded.push('/'),
                byte => {
                    decoded.push('%');
                    for digit in [byte >> 4, byte & 15] {
                        let digit = char::from_digit(u32::from(digit), 16)?;
                        decoded.push(digit.to_ascii_uppercase());
                    }
                }
            },
            b'\\' => decoded.push('/'),
            byte => decoded.push(char::from(byte)),
        }
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 5.2.4; then, where `merge` says so, without empty segments but the last.
fn without_dots(path: &str, merge: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    let mut normal = String::with_capacity(path.len());
    let mut kept = kept.into_iter().peekable();
    while let Some(segment) = kept.next() {
        if merge && segment.is_empty() && kept.peek().is_some() {
            continue;
        }
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}

/// A path with `{*}` or `{**}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IstioTemplate {
    segments: Vec<IstioSegment>,
    /// What follows the last operator in its segment.
    suffix: Arc<str>,
    /// Operators match what they match in Envoy; any character otherwise.
    narrow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum IstioSegment {
    /// To the letter. The last one may be empty: the path ends with a slash.
    Literal(Arc<str>),
    /// `{*}`.
    One,
    /// `{**}`.
    Any,
}

impl IstioTemplate {
    /// Whether a text is one.
    pub(crate) fn is_template(text: &str) -> bool {
        text.contains("{*}") || text.contains("{**}")
    }

    /// Reads a template as Envoy does; says what is wrong with it otherwise.
    pub(crate) fn parse(text: &str, narrow: bool) -> Result<Self, &'static str> {
        let mut template = Self {
            segments: Vec::new(),
            suffix: "".into(),
            narrow,
        };
        let path = text
            .strip_prefix('/')
            .ok_or("a template begins with a slash")?;
        let mut segments = path.split('/').peekable();
        while let Some(text) = segments.next() {
            let last = segments.peek().is_none();
            let (operator, rest) = if let Some(rest) = text.strip_prefix("{**}") {
                (Some(IstioSegment::Any), rest)
            } else if let Some(rest) = text.strip_prefix("{*}") {
                (Some(IstioSegment::One), rest)
            } else {
                (None, text)
            };
            if !rest.bytes().all(is_literal) {
                return Err(
                    "beside `{*}` and `{**}` a template has letters, digits and `-._~%!$&'()+,;:@`, and they begin a segment",
                );
            }
            match operator {
                Some(_) if template.segments.contains(&IstioSegment::Any) => {
                    return Err("no operator may follow `{**}`");
                }
                Some(operator) => {
                    if !rest.is_empty() && !last {
                        return Err("a text may follow an operator only at the end");
                    }
                    template.segments.push(operator);
                    template.suffix = rest.into();
                }
                None if rest.is_empty() && !last => return Err("a segment is empty"),
                None => template.segments.push(IstioSegment::Literal(rest.into())),
            }
        }
        Ok(template)
    }

    /// Whether `path` is what the template says.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut left = path;
        let mut segments = self.segments.iter();
        while let Some(segment) = segments.next() {
            let Some(rest) = left.strip_prefix('/') else {
                return false;
            };
            match segment {
                IstioSegment::Literal(text) => match rest.strip_prefix(&**text) {
                    Some(rest) => left = rest,
                    None => return false,
                },
                IstioSegment::One => {
                    let (mut found, after) = match rest.find('/') {
                        Some(end) => rest.split_at(end),
                        None => (rest, ""),
                    };
                    if segments.as_slice().is_empty() {
                        match found.strip_suffix(&*self.suffix) {
                            Some(text) => found = text,
                            None => return false,
                        }
                    }
                    if found.is_empty() || !self.is_within(found) {
                        return false;
                    }
                    left = after;
                }
                IstioSegment::Any => {
                    return self
                        .without_tail(rest, segments.as_slice())
                        .is_some_and(|found| self.is_within(found));
                }
            }
        }
        left.is_empty()
    }

    /// What stands before the literals that end the path.
    fn without_tail<'a>(&self, path: &'a str, tail: &[IstioSegment]) -> Option<&'a str> {
        let mut left = path.strip_suffix(&*self.suffix)?;
        for segment in tail.iter().rev() {
            let IstioSegment::Literal(text) = segment else {
                return None;
            };
            left = left.strip_suffix(&**text)?.strip_suffix('/')?;
        }
        Some(left)
    }

    fn is_within(&self, text: &str) -> bool {
        !self.narrow || text.bytes().all(|byte| byte == b'/' || is_literal(byte))
    }
}

/// As it was written.
impl fmt::Display for IstioTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                IstioSegment::Literal(text) => write!(f, "/{text}")?,
                IstioSegment::One => f.write_str("/{*}")?,
                IstioSegment::Any => f.write_str("/{**}")?,
            }
        }
        f.write_str(&self.suffix)
    }
}

/// RFC 3986 `pchar` without `*` and `=`: what Envoy takes for a literal.
const fn is_literal(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b';' | b':' | b'@'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const READINGS: [IstioPaths; 3] = [
        IstioPaths::Base,
        IstioPaths::MergeSlashes,
        IstioPaths::DecodeAndMergeSlashes,
    ];

    /// Istio's documentation of what it normalises, and RFC 3986 section 5.2.4.
    #[test]
    fn paths_are_normalised_as_documented() {
        for (path, expected) in [
            ("/a/../b", ["/b", "/b", "/b"]),
            (r"/some\data", ["/some/data", "/some/data", "/some/data"]),
            ("/a//b", ["/a//b", "/a/b", "/a/b"]),
            (
                "/some//data///abc",
                ["/some//data///abc", "/some/data/abc", "/some/data/abc"],
            ),
            ("/a%2fb", ["/a%2Fb", "/a%2Fb", "/a/b"]),
            ("/a%5cb", ["/a%5Cb", "/a%5Cb", "/a/b"]),
            (
                "/some%2fdata/%61%62%63",
                ["/some%2Fdata/abc", "/some%2Fdata/abc", "/some/data/abc"],
            ),
            ("/%2d%2E%30%5A%5f%7e", ["/-.0Z_~", "/-.0Z_~", "/-.0Z_~"]),
            ("/public/./data/abc/../xyz", ["/public/data/xyz"; 3]),
            ("/a%2f..%2fb", ["/a%2F..%2Fb", "/a%2F..%2Fb", "/b"]),
            ("/a//../b", ["/a/b", "/a/b", "/a/b"]),
            ("/%252e%252e/a", ["/%252e%252e/a"; 3]),
            ("/a/b/..", ["/a/", "/a/", "/a/"]),
            ("/a/b/.", ["/a/b/", "/a/b/", "/a/b/"]),
            ("/../..", ["/", "/", "/"]),
            ("//", ["//", "/", "/"]),
            ("/", ["/", "/", "/"]),
            ("/caf%c3%a9", ["/caf%C3%A9"; 3]),
        ] {
            for (reading, expected) in READINGS.into_iter().zip(expected) {
                assert_eq!(
                    reading.normalise(path).as_deref(),
                    Some(expected),
                    "{reading:?} {path}"
                );
            }
        }
    }

    #[test]
    fn a_path_without_a_safe_reading_has_none() {
        for path in [
            "", "*", "a/b", "/%", "/%4", "/%zz", "/%00", "/a b", "/a?b", "/a#b", "/\u{e9}", "/a\0",
        ] {
            for reading in READINGS {
                assert_eq!(reading.normalise(path), None, "{reading:?} {path}");
            }
        }
        assert_eq!(IstioPaths::Canonical.normalise("/a/../b"), None);
        assert_eq!(
            IstioPaths::Canonical.normalise("/a/b").as_deref(),
            Some("/a/b")
        );
    }

    #[test]
    fn nothing_is_copied_where_nothing_changes() {
        for reading in READINGS {
            assert!(matches!(
                reading.normalise("/orders/7;v=1"),
                Some(Cow::Borrowed(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_so(
            path in r"(/|\.|\.\.|%2e|%2E|%2f|%5c|%61|%25|\\|a|b){0,12}"
        ) {
            for reading in READINGS {
                let Some(normal) = reading.normalise(&path) else { continue };
                prop_assert!(normal.starts_with('/') && !normal.contains('\\'));
                prop_assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")));
                prop_assert!(reading == IstioPaths::Base || !normal.contains("//"));
                prop_assert_eq!(reading.normalise(&normal), Some(normal.clone()));
            }
        }
    }

    /// With the templates of Istio's integration test and of its documentation.
    #[test]
    fn templates_match_as_the_table_says() {
        for (template, path, matches) in [
            ("/path/template/{*}", "/path/template/x", true),
            ("/path/template/{*}", "/path/template/", false),
            ("/path/template/{*}", "/path/template/x/y", false),
            ("/path/template/{*}", "/path/template", false),
            ("/{**}/path/template", "/a/path/template", true),
            ("/{**}/path/template", "/a/b/path/template", true),
            ("/{**}/path/template", "//path/template", true),
            ("/{**}/path/template", "/path/template", false),
            ("/{**}/path/template", "/a/path/template/", false),
            ("/{**}/path/template", "/xpath/template", false),
            ("/allow/admin/{**}", "/allow/admin/", true),
            ("/allow/admin/{**}", "/allow/admin/x/y", true),
            ("/allow/admin/{**}", "/allow/admin", false),
            ("/foo/{*}/bar/{**}.txt", "/foo/x/bar/y/z.txt", true),
            ("/foo/{*}/bar/{**}.txt", "/foo/x/bar/.txt", true),
            ("/foo/{*}/bar/{**}.txt", "/foo/bar/z.txt", false),
            ("/foo/{*}/bar/{**}.txt", "/foo/x/bar/z.md", false),
            ("/store/{**}/cart", "/store/a/b/cart", true),
            ("/store/{**}/cart", "/store//cart", true),
            ("/store/{**}/cart", "/store/cart", false),
            ("/{*}.png", "/a.png", true),
            ("/{*}.png", "/.png", false),
            ("/{*}.png", "/a/b.png", false),
            ("/{*}/", "/a/", true),
            ("/{*}/", "/a", false),
            ("/{*}", "/a=b", false),
            ("/{**}", "/a=b", false),
        ] {
            let narrow = IstioTemplate::parse(template, true).unwrap();
            assert_eq!(narrow.matches(path), matches, "{template} {path}");
            let broad = IstioTemplate::parse(template, false).unwrap();
            assert_eq!(
                broad.matches(path),
                matches || path == "/a=b",
                "{template} {path}"
            );
            assert_eq!(narrow.to_string(), template);
        }
    }
}
