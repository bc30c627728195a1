//! Values of claims, as far as they are kept.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Confirmation;
use crate::jose::json::{Names, Skip, Text};

/// A value, as far as claims need to know it.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Null,
    Other,
}

pub(super) struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        let mut all = true;
        while let Some(item) = items.next_element_seed(Item)? {
            match item {
                Some(text) => texts.push(text),
                None => all = false,
            }
        }
        Ok(if all {
            Value::Texts(texts)
        } else {
            Value::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Skip::MEMBER.visit_map(members)?;
        Ok(Value::Other)
    }
}

/// A value within an array: a text, or nothing that is kept.
struct Item;

impl<'de> DeserializeSeed<'de> for Item {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

macro_rules! nothing {
    ($($visit:ident: $type:ty,)*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(None)
        })*
    };
}

impl<'de> Visitor<'de> for Item {
    type Value = Option<Cow<'de, str>>;

    nothing! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Skip::MEMBER.inner()?.visit_seq(items)?;
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Skip::MEMBER.inner()?.visit_map(members)?;
        Ok(None)
    }
}

/// `cnf`; `None` where it is no object, or a member that is understood is no text.
pub(super) struct Cnf;

impl<'de> DeserializeSeed<'de> for Cnf {
    type Value = Option<Confirmation>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cnf {
    type Value = Option<Confirmation>;

    nothing! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a confirmation")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Skip::MEMBER.visit_seq(items)?;
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut names = Names::default();
        let mut found = Vec::new();
        while let Some(name) = members.next_key_seed(Text)? {
            let method: Option<fn([u8; 32]) -> Confirmation> = match &*name {
                "x5t#S256" => Some(Confirmation::Certificate),
                "jkt" => Some(Confirmation::Key),
                _ => None,
            };
            found.push(match method {
                Some(method) => match members.next_value_seed(Item)? {
                    Some(text) => thumbprint(&text).map_or(Confirmation::Unknown, method),
                    None => Confirmation::Unknown,
                },
                None => {
                    members.next_value_seed(Skip::MEMBER.inner()?)?;
                    Confirmation::Unknown
                }
            });
            if !names.insert(name) {
                return Err(de::Error::custom("a member stands there twice"));
            }
        }
        Ok(Some(match found.as_slice() {
            [one] => *one,
            _ => Confirmation::Unknown,
        }))
    }
}

fn thumbprint(text: &str) -> Option<[u8; 32]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
