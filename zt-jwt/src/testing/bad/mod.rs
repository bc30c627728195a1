//! Tokens that must not pass, each for one reason only.

mod claims;
mod header;
mod kinds;
mod signature;
mod text;

use serde_json::Value;

pub use self::kinds::BadToken;
use self::kinds::Part;
use super::{
    TestIssuer,
    draft::{Draft, segments},
    encode::{base64url, from_base64url},
};

/// A token of this kind.
pub(super) fn make(kind: BadToken, issuer: &TestIssuer, audience: &str) -> String {
    let usual = issuer.usual();
    assert!(
        !usual.is_symmetric(),
        "bad tokens need a key pair, and `{usual}` has none"
    );
    let good = Good { issuer, audience };
    match kind.part() {
        Part::Text => text::make(kind, &good),
        Part::Header => header::make(kind, &good),
        Part::Signature => signature::make(kind, &good),
        Part::Claims => claims::make(kind, &good),
    }
}

/// The same token with another signature of the same length, if it has any.
pub(super) fn break_signature(token: &str) -> String {
    let Some((rest, signature)) = token.rsplit_once('.') else {
        return token.into();
    };
    // The first six bits: what is left is still canonical.
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let tail = signature.get(1..).unwrap_or_default();
    match signature {
        "" => token.into(),
        _ => format!("{rest}.{other}{tail}"),
    }
}

/// What a bad token would be if it were good.
struct Good<'a> {
    issuer: &'a TestIssuer,
    audience: &'a str,
}

impl Good<'_> {
    fn token(&self) -> super::TestToken {
        self.issuer.token("ada").audience(self.audience)
    }

    fn draft(&self) -> Draft {
        self.token().draft()
    }

    fn with_header(&self, name: &str, value: impl Into<Value>) -> String {
        self.token().header(name, value).mint()
    }

    fn with_claim(&self, name: &str, value: impl Into<Value>) -> String {
        self.token().claim(name, value).mint()
    }
}

/// `text`, an object, with `members` written in front of its own.
fn prepend(text: &str, members: &str) -> String {
    format!("{{{members},{}", text.trim_start_matches('{'))
}

/// `text`, an object, with `members` written after its own.
fn append(text: &str, members: &str) -> String {
    let inner = text.strip_suffix('}').unwrap_or(text);
    format!("{inner},{members}}}")
}

/// `text`, an object, with a member whose encoding has characters of its own in base64url.
fn with_special_characters(text: &str) -> String {
    append(text, "\"x\":\"????????\"")
}

/// The standard alphabet instead of that for addresses (RFC 4648 section 4).
fn standard_alphabet(segment: &str) -> String {
    segment.replace('-', "+").replace('_', "/")
}

/// `text`, an object, with white space behind it until its encoding has bits to spare.
fn with_spare_bits(text: &str) -> String {
    let mut text = text.to_owned();
    while text.len().is_multiple_of(3) {
        text.push(' ');
    }
    text
}

/// The same bytes to a careless reader: the bits to spare are not zero (RFC 4648 section 3.5).
fn set_spare_bits(segment: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = segment.to_owned();
    let last = text.pop().expect("a segment");
    let mut rest = ALPHABET.chars().skip_while(|other| *other != last).skip(1);
    text.push(rest.next().expect("a segment with bits to spare"));
    text
}

/// With padding, as base64 has it elsewhere.
fn padded(segment: &str) -> String {
    let missing = (4 - segment.len() % 4) % 4;
    format!("{segment}{}", "=".repeat(missing))
}

/// Arrays within arrays.
fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Whether `token` is three segments of strict base64url, as most bad tokens are.
#[cfg(test)]
pub(super) fn is_well_formed(token: &str) -> bool {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let parts: Vec<_> = token.split('.').collect();
    parts.len() == 3
        && parts
            .iter()
            .all(|part| URL_SAFE_NO_PAD.decode(part).is_ok())
}
