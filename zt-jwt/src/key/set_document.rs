//! A JSON Web Key Set as it is written (RFC 7517 section 5).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::KeyError;
use crate::jose::json::{Names, Skip, Text};

/// The keys of the set in `json`, each of them not looked at yet; at most `limit`.
pub(super) fn keys(json: &[u8], limit: usize) -> Result<Vec<&RawValue>, KeyError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let set = reader.deserialize_map(Set { limit });
    let set = set.map_err(|_| KeyError::NotASet)?;
    match set {
        Listed::Keys(keys) => {
            reader.end().map_err(|_| KeyError::NotASet)?;
            Ok(keys)
        }
        Listed::TooMany => Err(KeyError::TooManyKeys { limit }),
    }
}

enum Listed<'a> {
    Keys(Vec<&'a RawValue>),
    TooMany,
}

struct Set {
    limit: usize,
}

impl<'de> Visitor<'de> for Set {
    type Value = Listed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let twice = || A::Error::custom("a member stands there twice");
        let mut listed = None;
        let mut others = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            if name == "keys" {
                if listed.is_some() {
                    return Err(twice());
                }
                listed = Some(members.next_value_seed(List { limit: self.limit })?);
            } else if others.insert(name) {
                // RFC 7517 section 5: what is not understood is ignored.
                members.next_value_seed(Skip::MEMBER)?;
            } else {
                return Err(twice());
            }
        }
        listed.ok_or_else(|| A::Error::missing_field("keys"))
    }
}

struct List {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for List {
    type Value = Listed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List {
    type Value = Listed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        let mut too_many = false;
        while let Some(key) = items.next_element::<&RawValue>()? {
            if keys.len() < self.limit {
                keys.push(key);
            } else {
                too_many = true;
            }
        }
        Ok(if too_many {
            Listed::TooMany
        } else {
            Listed::Keys(keys)
        })
    }
}
