//! The fields of a record, taken one after the other; what is left is unmapped.

use serde_json::{Map, Value, json};

use crate::merkle::Hash;

pub(super) struct Fields {
    left: Map<String, Value>,
    /// About whom sealed parts are, in their order.
    pseudonyms: Vec<String>,
}

impl Fields {
    pub(super) fn new(fields: &Map<String, Value>) -> Self {
        let mut left = fields.clone();
        let sealed = left.remove("sealed");
        let parts = sealed.as_ref().and_then(Value::as_array);
        let of_part = |part: &Value| Some(part.get(0)?.as_str()?.to_owned());
        let erased = left.get("erased").and_then(Value::as_array);
        let of_erased = |who: &Value| who.as_str().map(str::to_owned);
        let pseudonyms = parts
            .into_iter()
            .flatten()
            .filter_map(of_part)
            .chain(erased.into_iter().flatten().filter_map(of_erased))
            .collect();
        left.remove("v");
        Self { left, pseudonyms }
    }

    pub(super) fn kind(&self) -> &str {
        self.left
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("unknown")
    }

    pub(super) fn origin(&self) -> String {
        self.text("origin").unwrap_or_default()
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        match self.left.remove(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.left.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.left.get(name)?.as_u64()
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.left.get(name).is_some_and(|found| found == value)
    }

    pub(super) fn left_flag(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|found| *found == true)
    }

    /// Whom the record is about first.
    pub(super) fn pseudonym(&self) -> Option<String> {
        self.pseudonyms.first().cloned()
    }

    /// A person whose name stands in `field`, or their pseudonym.
    pub(super) fn user(&mut self, field: &str) -> Value {
        match (self.take_text(field), self.pseudonym()) {
            (Some(name), _) => json!({"name": name}),
            (None, Some(pseudonym)) => json!({"uid": pseudonym}),
            (None, None) => json!({"name": "anonymous", "type_id": 0}),
        }
    }

    /// Who did it: the last sealed part where it is sealed.
    pub(super) fn author(&mut self) -> Option<Value> {
        let user = match self.take_text("author") {
            Some(name) => json!({"name": name}),
            None => json!({"uid": self.pseudonyms.last()?}),
        };
        Some(json!({ "user": user }))
    }

    /// What nobody took, and by what the record is found.
    pub(super) fn unmapped(self, leaf: &Hash) -> Value {
        let mut left = self.left;
        if !self.pseudonyms.is_empty() {
            left.insert("pseudonyms".to_owned(), self.pseudonyms.into());
        }
        left.insert("leaf".to_owned(), leaf.to_string().into());
        Value::Object(left)
    }
}

/// An object of those members that there are.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
