use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    json::{Names, Skip, Text, is_strict_object},
    shape::{self, Shape},
};
use crate::{algorithm::Algorithm, refusal::Refusal};

/// What of a header is used. Everything that points at keys (`jwk`, `jku`, `x5u`, `x5c`) is
/// ignored as a source of keys.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Kid>,
    /// `typ`, lower case, without `application/` (RFC 7515 section 4.1.9).
    pub(crate) typ: Option<Box<str>>,
}

/// A key's id, as it stands in a header; at most 256 bytes.
pub(crate) type Kid = Box<str>;

/// How long a key's id may be.
pub(crate) const MAX_KID: usize = 256;

impl Header {
    /// Reads the header's JSON text. Whether it is strict JSON is settled before anything that it
    /// says.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let parameters = reader
            .deserialize_map(Parameters)
            .map_err(|_| Refusal::HeaderJson)?;
        reader.end().map_err(|_| Refusal::HeaderJson)?;
        parameters.judge()
    }
}

/// The registered parameters (RFC 7515 section 4.1, RFC 7797 section 3, RFC 8555 section 6), and
/// those of a JWE that say how a payload is read (RFC 7516 section 4.1).
#[derive(Default)]
struct Registered<'a> {
    alg: Option<Shape<'a>>,
    kid: Option<Shape<'a>>,
    typ: Option<Shape<'a>>,
    cty: Option<Shape<'a>>,
    crit: Option<Shape<'a>>,
    b64: Option<Shape<'a>>,
    jwk: Option<Shape<'a>>,
    jku: Option<Shape<'a>>,
    x5u: Option<Shape<'a>>,
    x5c: Option<Shape<'a>>,
    x5t: Option<Shape<'a>>,
    x5t_s256: Option<Shape<'a>>,
    zip: Option<Shape<'a>>,
    enc: Option<Shape<'a>>,
    url: Option<Shape<'a>>,
    nonce: Option<Shape<'a>>,
}

impl<'a> Registered<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Shape<'a>>> {
        Some(match name {
            "alg" => &mut self.alg,
            "kid" => &mut self.kid,
            "typ" => &mut self.typ,
            "cty" => &mut self.cty,
            "crit" => &mut self.crit,
            "b64" => &mut self.b64,
            "jwk" => &mut self.jwk,
            "jku" => &mut self.jku,
            "x5u" => &mut self.x5u,
            "x5c" => &mut self.x5c,
            "x5t" => &mut self.x5t,
            "x5t#S256" => &mut self.x5t_s256,
            "zip" => &mut self.zip,
            "enc" => &mut self.enc,
            "url" => &mut self.url,
            "nonce" => &mut self.nonce,
            _ => return None,
        })
    }

    fn judge(self) -> Result<Header, Refusal> {
        // RFC 7515 section 4.1.11: what is critical and not understood must be refused; nothing is
        // understood here, and an empty list is not allowed at all.
        if self.crit.is_some() {
            return Err(Refusal::Critical);
        }
        // RFC 7797 section 6: without `crit` others would read another payload.
        if self.b64.is_some() {
            return Err(Refusal::Unencoded);
        }
        // RFC 7515 section 4.1.1: case-sensitive, and required.
        let algorithm = match &self.alg {
            Some(Shape::Text(name)) => Algorithm::parse(name),
            _ => None,
        };
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;

        // Not a source of keys (RFC 8725 section 3.10), but a lie about their type is one.
        let typed = matches!(self.jwk, None | Some(Shape::Object))
            && matches!(self.x5c, None | Some(Shape::Texts(_)))
            && [
                &self.jku,
                &self.x5u,
                &self.x5t,
                &self.x5t_s256,
                &self.url,
                &self.nonce,
            ]
            .into_iter()
            .all(|value| matches!(value, None | Some(Shape::Text(_))))
            // Nothing is encrypted or compressed here, whatever it says.
            && self.zip.is_none()
            && self.enc.is_none();
        let (kid, typ, cty) = match (self.kid, self.typ, self.cty) {
            (
                kid @ (None | Some(Shape::Text(_))),
                typ @ (None | Some(Shape::Text(_))),
                cty @ (None | Some(Shape::Text(_))),
            ) if typed => (text(kid), text(typ), text(cty)),
            _ => return Err(Refusal::HeaderType),
        };
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Refusal::HeaderType);
        }
        // RFC 7519 section 5.2: a token within a token.
        if cty.is_some_and(|cty| *media_type(cty.into()) == *"jwt") {
            return Err(Refusal::Type);
        }
        Ok(Header {
            algorithm,
            kid: kid.map(Into::into),
            typ: typ.map(|typ| media_type(typ.into())),
        })
    }
}

fn text(shape: Option<Shape<'_>>) -> Option<std::borrow::Cow<'_, str>> {
    match shape {
        Some(Shape::Text(text)) => Some(text),
        _ => None,
    }
}

/// RFC 7515 section 4.1.9: `application/` may be left out, and media types have no case.
fn media_type(mut name: Box<str>) -> Box<str> {
    name.make_ascii_lowercase();
    match name.strip_prefix("application/") {
        Some(rest) => rest.into(),
        None => name,
    }
}

/// A key that comes along is of no use, but has to be one.
fn jwk<'a, E: Error>(json: &'a RawValue) -> Result<Shape<'a>, E> {
    let json = json.get();
    if !json.starts_with('{') {
        return Ok(Shape::Other);
    }
    if !is_strict_object(json.as_bytes()) {
        return Err(E::custom("a member stands there twice"));
    }
    let key = serde_json::from_str::<jsonwebtoken::jwk::Jwk>(json);
    Ok(key.map_or(Shape::Other, |_| Shape::Object))
}

struct Parameters;

impl<'de> Visitor<'de> for Parameters {
    type Value = Registered<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header whose members are unique")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let twice = || A::Error::custom("a member stands there twice");
        let mut registered = Registered::default();
        let mut others = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            if let Some(slot) = registered.slot(&name) {
                if slot.is_some() {
                    return Err(twice());
                }
                *slot = Some(if *name == *"jwk" {
                    jwk(members.next_value()?)?
                } else {
                    members.next_value_seed(shape::MEMBER)?
                });
            } else if others.insert(name) {
                members.next_value_seed(Skip::MEMBER)?;
            } else {
                return Err(twice());
            }
        }
        Ok(registered)
    }
}
