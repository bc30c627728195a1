//! Reads declared fields of a JSON text, and nothing that two parsers may read in two ways.

use std::{borrow::Cow, collections::BTreeSet, fmt, net::IpAddr, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::time;
use crate::{
    authorize::AttributeValue,
    policy::model::{BodyField, FieldKind},
};

/// Declared fields as a tree; each leaf has a place in what is read.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) members: Vec<(Arc<str>, Member)>,
}

#[derive(Debug)]
pub(super) enum Member {
    Field(Field),
    Object(Shape),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) kind: FieldKind,
    pub(super) optional: bool,
    pub(super) place: usize,
}

/// What was read: by the places of fields, nothing where an optional one is absent.
pub(super) type Fields = Vec<Option<AttributeValue>>;

/// Why a text was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no JSON that every parser reads in the same way.
    Malformed(&'static str),
    /// It is, but a declared field is missing or something else.
    Invalid(String),
}

/// How deep objects and lists may lie in one another.
const DEPTH: usize = 32;
/// Up to here, in both directions, every parser has the same integer (RFC 7493 section 2.2).
const INTEROPERABLE: i64 = (1 << 53) - 1;

impl Shape {
    /// # Errors
    ///
    /// The name of a field that is declared twice, or is both a field and an object.
    pub(super) fn of(fields: &[BodyField]) -> Result<Self, String> {
        let mut shape = Self::default();
        for (place, field) in fields.iter().enumerate() {
            let leaf = Field {
                kind: field.kind,
                optional: field.optional,
                place,
            };
            shape
                .insert(&field.path, leaf)
                .ok_or_else(|| field.path.join("."))?;
        }
        Ok(shape)
    }

    fn insert(&mut self, path: &[Arc<str>], leaf: Field) -> Option<()> {
        let (name, inner) = path.split_first()?;
        let at = match self.place(name) {
            Some(at) => at,
            None if inner.is_empty() => {
                self.members.push((Arc::clone(name), Member::Field(leaf)));
                return Some(());
            }
            None => {
                let object = Member::Object(Self::default());
                self.members.push((Arc::clone(name), object));
                self.members.len() - 1
            }
        };
        match &mut self.members.get_mut(at)?.1 {
            Member::Object(shape) if !inner.is_empty() => shape.insert(inner, leaf),
            _ => None,
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|(own, _)| **own == *name)
    }

    /// An object may be left out where all that is declared of it may.
    pub(super) fn is_optional(&self) -> bool {
        self.members.iter().all(|(_, member)| member.is_optional())
    }

    /// Whether anything of it was read.
    pub(super) fn has_any(&self, fields: &Fields) -> bool {
        self.members.iter().any(|(_, member)| match member {
            Member::Field(field) => fields.get(field.place).is_some_and(Option::is_some),
            Member::Object(shape) => shape.has_any(fields),
        })
    }

    fn count(&self) -> usize {
        let count = |(_, member): &(_, Member)| match member {
            Member::Field(_) => 1,
            Member::Object(shape) => shape.count(),
        };
        self.members.iter().map(count).sum()
    }

    /// # Errors
    ///
    /// [`Unreadable`].
    pub(super) fn read(&self, text: &[u8]) -> Result<Fields, Unreadable> {
        let text =
            std::str::from_utf8(text).map_err(|_| Unreadable::Malformed("it is not UTF-8"))?;
        let mut found = Found {
            fields: vec![None; self.count()],
            why: None,
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = reader.deserialize_any(Object {
            shape: self,
            found: &mut found,
            depth: 0,
        });
        match read.and_then(|()| reader.end()) {
            Ok(()) => Ok(found.fields),
            Err(_) => Err(match found.why {
                // What is behind it may be no JSON at all, or what stands there.
                Some(Unreadable::Invalid(why)) => {
                    malformed(text).unwrap_or(Unreadable::Invalid(why))
                }
                Some(why) => why,
                None => NOT_JSON,
            }),
        }
    }
}

const NOT_JSON: Unreadable = Unreadable::Malformed("it is not JSON");

/// Why a text is no JSON that every parser reads in the same way, whatever is declared.
fn malformed(text: &str) -> Option<Unreadable> {
    let mut found = Found {
        fields: Fields::new(),
        why: None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let skip = Skip {
        found: &mut found,
        depth: 0,
    };
    let read = skip.deserialize(&mut reader).and_then(|()| reader.end());
    read.err().map(|_| found.why.unwrap_or(NOT_JSON))
}

impl Member {
    pub(super) fn is_optional(&self) -> bool {
        match self {
            Self::Field(field) => field.optional,
            Self::Object(shape) => shape.is_optional(),
        }
    }
}

struct Found {
    fields: Fields,
    why: Option<Unreadable>,
}

impl Found {
    fn malformed<E: Error>(&mut self, why: &'static str) -> E {
        self.why.get_or_insert(Unreadable::Malformed(why));
        E::custom(why)
    }

    fn invalid<E: Error>(&mut self, name: &str, why: &'static str) -> E {
        self.why
            .get_or_insert_with(|| Unreadable::Invalid(format!("`{name}` {why}")));
        E::custom(why)
    }
}

/// An object of which something is declared.
struct Object<'s> {
    shape: &'s Shape,
    found: &'s mut Found,
    depth: usize,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            match self.shape.members.iter().find(|(own, _)| **own == *name) {
                Some((name, member)) => members.next_value_seed(Declared {
                    name,
                    member,
                    found: self.found,
                    depth: self.depth + 1,
                })?,
                // Go's encoding/json takes `Amount`, or one with a Kelvin sign, for `amount`.
                None if self.shape.has_alike(&name) => {
                    return Err(self
                        .found
                        .malformed("a name is a declared one but for its case"));
                }
                None => members.next_value_seed(Skip {
                    found: self.found,
                    depth: self.depth + 1,
                })?,
            }
            if !names.add(name) {
                return Err(self.found.malformed("a name stands there twice"));
            }
        }
        for (name, member) in &self.shape.members {
            if !member.is_optional() && !names.has(name) {
                return Err(self.found.invalid(name, "is missing"));
            }
        }
        Ok(())
    }
}

impl Shape {
    fn has_alike(&self, name: &str) -> bool {
        let is_ascii = name.is_ascii();
        self.members
            .iter()
            .any(|(own, _)| match is_ascii && own.is_ascii() {
                true => own.eq_ignore_ascii_case(name),
                false => folded(own).eq(folded(name)),
            })
    }
}

/// Without its case; first up, because some letters have none below.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// The names of one object.
#[derive(Default)]
struct Names<'de>(BTreeSet<Cow<'de, str>>);

impl<'de> Names<'de> {
    fn add(&mut self, name: Cow<'de, str>) -> bool {
        self.0.insert(name)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// A name, borrowed from the text where nothing in it is escaped.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// What stands at a declared name.
struct Declared<'s> {
    name: &'s str,
    member: &'s Member,
    found: &'s mut Found,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Declared<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        let Self { name, found, .. } = self;
        match self.member {
            Member::Object(shape) => {
                let read = reader.deserialize_any(Object {
                    shape,
                    found,
                    depth: self.depth,
                });
                read.map_err(|_| found.invalid(name, "is not an object"))
            }
            Member::Field(field) => {
                let value = reader
                    .deserialize_any(Value(field.kind))
                    .map_err(|_| found.invalid(name, "is not what was declared"))?;
                if let Some(place) = found.fields.get_mut(field.place) {
                    *place = Some(value);
                }
                Ok(())
            }
        }
    }
}

/// The value of a declared field. Whatever is not visited here is an error.
struct Value(FieldKind);

impl<'de> Visitor<'de> for Value {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the declared kind")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        let plain = (-INTEROPERABLE..=INTEROPERABLE).contains(&value);
        if plain && self.0 == FieldKind::Integer {
            Ok(AttributeValue::Integer(value))
        } else {
            Err(E::custom("no such number"))
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_i64(i64::try_from(value).map_err(E::custom)?)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.0 {
            FieldKind::Boolean => Ok(AttributeValue::Boolean(value)),
            _ => Err(E::custom("a boolean")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match self.0 {
            FieldKind::Text => Ok(AttributeValue::Text(value.into())),
            FieldKind::Time => time::read(value)
                .map(AttributeValue::Time)
                .ok_or_else(|| E::custom("no time")),
            FieldKind::Address => value
                .parse::<IpAddr>()
                .map(AttributeValue::Address)
                .map_err(E::custom),
            _ => Err(E::custom("a text")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if self.0 != FieldKind::Texts {
            return Err(A::Error::custom("a list"));
        }
        let mut texts = Vec::new();
        while let Some(text) = items.next_element_seed(Name)? {
            texts.push(Arc::from(&*text));
        }
        Ok(AttributeValue::Texts(texts))
    }
}

/// What nobody declared: passed over, but read by the same rules.
struct Skip<'s> {
    found: &'s mut Found,
    depth: usize,
}

impl Skip<'_> {
    fn deeper<E: Error>(&mut self) -> Result<Skip<'_>, E> {
        if self.depth >= DEPTH {
            return Err(self.found.malformed("it is nested too deeply"));
        }
        Ok(Skip {
            found: self.found,
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            if !names.add(name) {
                return Err(self.found.malformed("a name stands there twice"));
            }
            members.next_value_seed(self.deeper()?)?;
        }
        Ok(())
    }
}
