//! The shape of a JSON value: what it says where that is text, and otherwise only what it is.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::Skip;

/// A value whose objects have unique members at any depth.
#[derive(Debug)]
pub(crate) enum Shape<'a> {
    Text(Cow<'a, str>),
    /// An array that holds nothing but text.
    Texts(Vec<Cow<'a, str>>),
    Array,
    Object,
    /// A number, a truth value, or `null`.
    Other,
}

/// Reads the value of a member of the outermost object.
pub(crate) const MEMBER: ShapeAt = ShapeAt(Skip::MEMBER);

/// Reads a [`Shape`] as deep as that.
#[derive(Clone, Copy)]
pub(crate) struct ShapeAt(Skip);

impl<'de> DeserializeSeed<'de> for ShapeAt {
    type Value = Shape<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Shape<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeAt {
    type Value = Shape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value whose objects have unique members")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Shape<'de>, E> {
        Ok(Shape::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shape<'de>, E> {
        Ok(Shape::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Shape<'de>, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shape<'de>, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shape<'de>, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shape<'de>, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Shape<'de>, E> {
        Ok(Shape::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape<'de>, A::Error> {
        let inner = Self(self.0.inner()?);
        let mut texts = Some(Vec::new());
        while let Some(item) = items.next_element_seed(inner)? {
            match (item, &mut texts) {
                (Shape::Text(text), Some(texts)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Shape::Array, Shape::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Shape<'de>, A::Error> {
        self.0.visit_map(members).map(|()| Shape::Object)
    }
}
