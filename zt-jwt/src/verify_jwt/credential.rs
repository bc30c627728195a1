//! Where a request carries a token, and what of it can be one.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use zt_core::{context::SecurityContext, service_token::PREFIX};

static AUTHORIZATION: HeaderName = header::AUTHORIZATION;
pub(super) static COOKIE: HeaderName = header::COOKIE;

/// One place in which a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `Authorization`, under `Bearer`.
    Authorization,
    /// A header whose value is the token.
    Header(HeaderName),
    /// The cookie of this name.
    Cookie(Box<str>),
}

/// What a request carries of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Absent,
    /// A credential that is somebody else's: a service token, another scheme.
    Foreign,
    One(Credential<'a>),
    Several,
}

/// A credential of ours, as it stands in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    value: &'a [u8],
    kind: Kind,
    /// Which of the places it stands in.
    pub(super) place: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bearer,
    Dpop,
    Cookie,
}

/// Why a credential is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Empty,
    /// Not a `b64token` (RFC 6750 section 2.1).
    NotAToken,
    /// Two credentials in one value.
    Joined,
    /// Under `DPoP`, whose proofs are not verified here.
    Dpop,
}

/// Looks into every place. Nothing is verified, and nothing is copied.
pub(super) fn find<'a>(
    places: &'a [Place],
    parts: &'a Parts,
    cx: &'a SecurityContext,
) -> Found<'a> {
    let mut all = Found::Absent;
    for (index, place) in places.iter().enumerate() {
        let found = match place {
            Place::Authorization => in_authorization(&parts.headers, index),
            Place::Header(name) => in_header(name, parts, cx, index),
            Place::Cookie(name) => in_cookies(&parts.headers, name, index),
        };
        all = both(all, found);
    }
    all
}

impl<'a> Credential<'a> {
    /// What is presented as a token.
    ///
    /// # Errors
    ///
    /// Where there is nothing to verify.
    pub(super) fn text(&self) -> Result<&'a [u8], Unreadable> {
        match self.kind {
            Kind::Dpop => Err(Unreadable::Dpop),
            _ if self.value.is_empty() => Err(Unreadable::Empty),
            _ => Ok(self.value),
        }
    }

    /// Whether it has the characters of a token. One that was verified before does.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub(super) fn check(&self) -> Result<(), Unreadable> {
        if is_b64token(self.value) {
            Ok(())
        } else if self.value.contains(&b',') {
            // RFC 9110 section 11.6.2: one set of credentials. A proxy that joins two fields into
            // one writes a comma between them, which no token has.
            Err(Unreadable::Joined)
        } else {
            Err(Unreadable::NotAToken)
        }
    }

    /// Whether the browser sent it by itself.
    pub(super) fn is_ambient(&self) -> bool {
        self.kind == Kind::Cookie
    }
}

/// Two places together. A foreign credential beside one of ours is not ours to judge: another
/// authenticator of the stack may ask for it as well.
const fn both<'a>(a: Found<'a>, b: Found<'a>) -> Found<'a> {
    match (a, b) {
        (Found::Absent, found) | (found, Found::Absent) => found,
        (Found::Foreign, found) | (found, Found::Foreign) => found,
        _ => Found::Several,
    }
}

fn in_authorization(headers: &HeaderMap, place: usize) -> Found<'_> {
    let mut values = headers.get_all(&AUTHORIZATION).iter();
    let Some(first) = values.next() else {
        return Found::Absent;
    };
    let found = credential(first.as_bytes(), place);
    let mut others = values
        .map(|value| credential(value.as_bytes(), place))
        .peekable();
    if others.peek().is_none() {
        return found;
    }
    // Several fields: foreign as long as all of them are.
    if found == Found::Foreign && others.all(|other| other == Found::Foreign) {
        return Found::Foreign;
    }
    Found::Several
}

/// One `Authorization` value (RFC 9110 section 11.6.2): scheme, 1*SP, credential.
fn credential(value: &[u8], place: usize) -> Found<'_> {
    let text = value.trim_ascii_start();
    let Some((kind, rest)) = scheme(text) else {
        return if joins(text) {
            Found::Several
        } else {
            Found::Foreign
        };
    };
    let value = if text.len() == value.len() {
        skip_spaces(rest)
    } else {
        // The blanks in front of it keep it from being a token.
        value
    };
    let foreign = kind == Kind::Bearer && value.starts_with(PREFIX.as_bytes());
    if foreign && !value.contains(&b',') {
        return Found::Foreign;
    }
    Found::One(Credential { value, kind, place })
}

/// Which of our schemes `text` begins with, in any case (RFC 9110 section 11.1), and what follows.
fn scheme(text: &[u8]) -> Option<(Kind, &[u8])> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.eq_ignore_ascii_case(b"Bearer") {
        Some((Kind::Bearer, rest))
    } else if name.eq_ignore_ascii_case(b"DPoP") {
        Some((Kind::Dpop, rest))
    } else {
        None
    }
}

/// Whether a credential of ours stands behind a comma in somebody else's value.
fn joins(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .skip(1)
        .any(|part| scheme(part.trim_ascii_start()).is_some())
}

const fn skip_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    value
}

/// The value of a header is the token and nothing else.
fn in_header<'a>(
    name: &'a HeaderName,
    parts: &'a Parts,
    cx: &'a SecurityContext,
    place: usize,
) -> Found<'a> {
    // Headers that claim an identity were taken off the request when it was validated; here the
    // claim is going to be proved, so it is read where it was kept.
    let mut kept = cx.trail().claimed().all(name.as_str()).peekable();
    if kept.peek().is_some() {
        return single(kept, place);
    }
    single(parts.headers.get_all(name).iter(), place)
}

fn single<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, place: usize) -> Found<'a> {
    match (values.next(), values.next()) {
        (None, _) => Found::Absent,
        (Some(value), None) => Found::One(Credential {
            value: value.as_bytes(),
            kind: Kind::Bearer,
            place,
        }),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// Cookies of one name, in one field or in several (RFC 9113 section 8.2.3).
fn in_cookies<'a>(headers: &'a HeaderMap, name: &str, place: usize) -> Found<'a> {
    let mut values = headers
        .get_all(&COOKIE)
        .iter()
        .flat_map(|field| pairs(field.as_bytes()))
        .filter_map(|pair| value_of(pair, name));
    match (values.next(), values.next()) {
        (None, _) => Found::Absent,
        (Some(value), None) => Found::One(Credential {
            value,
            kind: Kind::Cookie,
            place,
        }),
        // Somebody may have planted the other one from a neighbouring domain (RFC 6265 section
        // 8.6); which of the two is ours cannot be told.
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The pairs of a `Cookie` field (RFC 6265 section 4.2.1), without the blanks around them.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// The value of a pair of exactly this name. Names have a case, and blanks belong to them: a
/// reader that forgives either can be shown a cookie that the browser would not have let pass
/// under `__Host-`.
pub(super) fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 section 2.1).
fn is_b64token(text: &[u8]) -> bool {
    let mut text = text;
    while let [rest @ .., b'='] = text {
        text = rest;
    }
    let known = |byte: u8| {
        byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    // Without a way out in the middle, so that it runs over many bytes at once.
    !text.is_empty() & text.iter().fold(true, |all, byte| all & known(*byte))
}

impl Place {
    pub(super) fn header(&self) -> &HeaderName {
        match self {
            Self::Authorization => &AUTHORIZATION,
            Self::Header(name) => name,
            Self::Cookie(_) => &COOKIE,
        }
    }
}
