//! JSON without surprises: no member twice, at any depth, and no depth beyond reason.
//!
//! RFC 7519 section 4 lets a verifier take the last of two members; then the one who checks and the
//! one who uses may see different claims, so here it is an error.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How deep objects and arrays may stand in one another.
pub(crate) const MAX_DEPTH: usize = 32;

/// Whether `text` is one JSON object whose objects, at any depth, have unique members.
pub(crate) fn is_strict_object(text: &[u8]) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let object = text.trim_ascii_start().starts_with(b"{");
    object && Skip::TOP.deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

/// The names that an object has shown so far.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    const FEW: usize = 24;

    /// Takes a name down; `false` where it is there already.
    pub(crate) fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.few.len() < Self::FEW {
            if self.few.contains(&name) {
                return false;
            }
            self.few.push(name);
            return true;
        }
        !self.few.contains(&name) && self.many.insert(name)
    }
}

/// A string of the input, borrowed where it has no escapes.
#[derive(Debug)]
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// Any value, of which nothing is kept; its objects have unique members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip(usize);

impl Skip {
    /// A value that stands in nothing.
    pub(crate) const TOP: Self = Self(0);
    /// The value of a member of the outermost object.
    pub(crate) const MEMBER: Self = Self(1);

    /// For the values within this one.
    ///
    /// # Errors
    ///
    /// Where that is too deep.
    pub(crate) fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.0 >= MAX_DEPTH {
            return Err(E::custom("too deep"));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value whose objects have unique members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            if !names.insert(name) {
                return Err(de::Error::custom("a member stands there twice"));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_unique_at_any_depth() {
        for good in [
            "{}",
            r#" {"a":1,"b":{"a":[{"a":null},{"a":true}]}} "#,
            r#"{"a":-1.5e3,"b":"\u0061"}"#,
        ] {
            assert!(is_strict_object(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "{} {}",
            "{}x",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":[0,{"c":1,"d":2,"c":3}]}}"#,
            "{\"a\":\"\u{0}\"}",
            r#"{"a":NaN}"#,
            r#"{'a':1}"#,
            r#"{"a":1,}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(!is_strict_object(bad.as_bytes()), "{bad}");
        }
        assert!(!is_strict_object(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn depth_and_number_of_members_do_not_matter_to_the_check() {
        let nested =
            |depth: usize| format!("{}{}{}", r#"{"a":"#.repeat(depth), 1, "}".repeat(depth));
        assert!(is_strict_object(nested(MAX_DEPTH).as_bytes()));
        assert!(!is_strict_object(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_strict_object(nested(4_000).as_bytes()));

        let members: Vec<_> = (0..500).map(|n| format!("\"m{n}\":{n}")).collect();
        assert!(is_strict_object(
            format!("{{{}}}", members.join(",")).as_bytes()
        ));
        for again in [0, 23, 24, 25, 499] {
            let text = format!("{{{},\"m{again}\":1}}", members.join(","));
            assert!(!is_strict_object(text.as_bytes()), "{again}");
        }
    }
}
