//! Policies in configuration: the text of the header, or a map from directive to sources.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use super::{Clause, Csp, CspBuilder, CspError, CspOverride, words};
use crate::headers::config::Pairs;

/// The value of a directive: text with spaces, or a list of words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
}

impl Words {
    fn clause(&self, name: &str) -> Result<Clause, CspError> {
        let directive = name.parse()?;
        match self {
            Self::Text(text) => Clause::parse(directive, words(text)),
            Self::List(list) => Clause::parse(directive, list.iter().map(String::as_str)),
        }
    }
}

impl<'de> Deserialize<'de> for Csp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CspVisitor)
    }
}

struct CspVisitor;

impl<'de> Visitor<'de> for CspVisitor {
    type Value = Csp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy, or a map from directive to sources")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Csp, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Csp, A::Error> {
        let mut builder: CspBuilder = Csp::builder();
        while let Some((name, value)) = map.next_entry::<String, Words>()? {
            builder = builder.push(|| value.clause(&name));
        }
        builder.build().map_err(A::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    replace: Pairs<Words>,
    #[serde(default)]
    append: Pairs<Words>,
    #[serde(default)]
    remove: Vec<String>,
}

impl<'de> Deserialize<'de> for CspOverride {
    /// From `replace` and `append`, maps from directive to sources, and `remove`, a list of
    /// directives.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let changes = Changes::deserialize(deserializer)?;
        let mut builder = Self::builder();
        for (name, value) in &changes.replace.0 {
            builder = builder.replace_clause(value.clause(name));
        }
        for (name, value) in &changes.append.0 {
            builder = builder.append_clause(value.clause(name));
        }
        for name in &changes.remove {
            builder = builder.remove(name.parse().map_err(D::Error::custom)?);
        }
        builder.build().map_err(D::Error::custom)
    }
}
