//! Values of a document, asked for by name: what is not asked for is refused.

use std::sync::Arc;

use super::yaml::{Entry, Node, Place, Value};
use crate::policy::PolicyError;

/// What is wrong with a file, gathered while it is read.
pub(super) struct Problems {
    pub file: Arc<str>,
    pub errors: Vec<PolicyError>,
}

impl Problems {
    pub(super) fn new(file: Arc<str>) -> Self {
        Self {
            file,
            errors: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, at: Place, message: impl Into<String>) {
        self.errors
            .push(PolicyError::new(&at.origin(&self.file), message));
    }

    pub(super) fn add_with_hint(
        &mut self,
        at: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let error = PolicyError::new(&at.origin(&self.file), message);
        self.errors.push(error.hint(hint));
    }
}

/// A map whose keys have not all been asked for.
pub(super) struct Fields {
    /// The key that it stands under.
    name: String,
    at: Place,
    left: Vec<Entry>,
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub text: String,
    pub at: Place,
}

impl Fields {
    pub(super) fn of(name: &str, node: Node, problems: &mut Problems) -> Option<Self> {
        let at = node.at;
        match node.value {
            Value::Map(left) => Some(Self {
                name: name.to_owned(),
                at,
                left,
            }),
            _ => {
                problems.add(at, format!("`{name}` has to be a map of keys"));
                None
            }
        }
    }

    pub(super) const fn at(&self) -> Place {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        self.left.iter().any(|entry| keys.contains(&&*entry.key))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.left.iter().position(|entry| entry.key == key)?;
        Some(self.left.remove(at))
    }

    pub(super) fn map(&mut self, key: &str, problems: &mut Problems) -> Option<Self> {
        let entry = self.take(key)?;
        Self::of(key, entry.value, problems)
    }

    pub(super) fn text(&mut self, key: &str, problems: &mut Problems) -> Option<Word> {
        let entry = self.take(key)?;
        text_of(key, entry.value, problems)
    }

    /// A list that is not empty: an empty one would say nothing where something was meant.
    pub(super) fn list(&mut self, key: &str, problems: &mut Problems) -> Option<Vec<Node>> {
        let at = self.left.iter().find(|entry| entry.key == key)?.at;
        let items = self.list_or_none(key, problems)?;
        if items.is_empty() {
            let message = format!("`{key}` is an empty list");
            problems.add_with_hint(at, message, "leave the key out where nothing is meant");
            return None;
        }
        Some(items)
    }

    /// A list that may be empty.
    pub(super) fn list_or_none(&mut self, key: &str, problems: &mut Problems) -> Option<Vec<Node>> {
        let entry = self.take(key)?;
        match entry.value.value {
            Value::List(items) => Some(items),
            _ => {
                problems.add(entry.value.at, format!("`{key}` has to be a list"));
                None
            }
        }
    }

    pub(super) fn texts(&mut self, key: &str, problems: &mut Problems) -> Vec<Word> {
        let items = self.list(key, problems).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| text_of(key, item, problems))
            .collect()
    }

    /// All that is left, each a text: labels.
    pub(super) fn all_texts(self, problems: &mut Problems) -> Vec<(Word, Word)> {
        self.left
            .into_iter()
            .filter_map(|Entry { key, at, value }| {
                let value = text_of(&key, value, problems)?;
                Some((Word { text: key, at }, value))
            })
            .collect()
    }

    /// Leaves the keys out that say nothing about who may do what.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.left.retain(|entry| !keys.contains(&&*entry.key));
    }

    /// Refuses what is left.
    pub(super) fn finish(self, known: &[&str], problems: &mut Problems) {
        for entry in self.left {
            problems.add_with_hint(
                entry.at,
                format!(
                    "`{}` has no key `{}` that is read here",
                    self.name, entry.key
                ),
                format!("known are {}", known.join(", ")),
            );
        }
    }
}

pub(super) fn text_of(key: &str, node: Node, problems: &mut Problems) -> Option<Word> {
    if let Some(kind) = node.other_than_text() {
        let hint = match &node.value {
            Value::Scalar(text, _) if !text.is_empty() => format!("write \"{text}\""),
            _ => "give it a value, or leave the key out".to_owned(),
        };
        problems.add_with_hint(
            node.at,
            format!("`{key}` has to be a text, not {kind}"),
            hint,
        );
        return None;
    }
    match node.value {
        Value::Scalar(text, _) if text.is_empty() => {
            problems.add(node.at, format!("`{key}` has an empty text"));
            None
        }
        Value::Scalar(text, _) => Some(Word { text, at: node.at }),
        _ => {
            problems.add(node.at, format!("`{key}` has to be a text"));
            None
        }
    }
}
