//! Tables and values of TOML, read strictly: what is not asked for is refused.

use std::{collections::HashSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{hint, request::all, source::Source};

/// Texts are no longer than this.
pub(super) const LONGEST_TEXT: usize = 8 * 1024;
/// Conditions and descriptions may be longer.
pub(super) const LONGEST_CONDITION: usize = 64 * 1024;

/// A table whose keys are asked for one by one.
pub(super) struct Table<'t> {
    pub(super) source: &'t Source<'t>,
    pub(super) at: Range<usize>,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Value<'t> {
    pub(super) source: &'t Source<'t>,
    pub(super) at: Range<usize>,
    pub(super) value: &'t DeValue<'t>,
}

/// A text and where it stands. It is not empty.
#[derive(Clone)]
pub(super) struct Str<'t> {
    pub(super) source: &'t Source<'t>,
    pub(super) at: Range<usize>,
    pub(super) text: &'t str,
}

impl<'t> Table<'t> {
    pub(super) fn new(source: &'t Source<'t>, at: Range<usize>, table: &'t DeTable<'t>) -> Self {
        Self {
            source,
            at,
            table,
            known: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the value of `key` stands.
    pub(super) fn at_of(&self, key: &str) -> Option<Range<usize>> {
        Some(self.table.get(key)?.span())
    }

    /// The value of `key`, which is known from now on.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.table
            .get(key)
            .map(|value| Value::of(self.source, value))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Str<'t>> {
        self.get(key)?.text(key)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.get(key)?.flag(key)
    }

    /// A whole number above zero.
    pub(super) fn number(&mut self, key: &'static str) -> Option<(usize, Range<usize>)> {
        let value = self.get(key)?;
        let number = match value.value {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        match number {
            Some(number) if number > 0 => Some((number, value.at)),
            _ => value.is_no(key, "a whole number above zero"),
        }
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        self.get(key)?.table(key)
    }

    /// All entries, in the order in which they stand: a table of names.
    pub(super) fn entries(&self) -> Vec<(Str<'t>, Value<'t>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let key = Str {
                    source: self.source,
                    at: key.span(),
                    text: key.get_ref(),
                };
                (key, Value::of(self.source, value))
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.at.start);
        entries
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self, of: &str) {
        for (key, _) in self.entries() {
            if !self.known.contains(&key.text) {
                self.source.refuse_with(
                    &key.at,
                    format!("`{}` is not known in {of}", key.text),
                    hint::among(key.text, self.known.iter().copied()),
                );
            }
        }
    }
}

impl<'t> Value<'t> {
    fn of(source: &'t Source<'t>, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self {
            source,
            at: value.span(),
            value: value.get_ref(),
        }
    }

    /// Refuses it: `what` has to be `kind`.
    pub(super) fn is_no<T>(&self, what: &str, kind: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let hint = match self.value {
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
                if kind.starts_with("a text") =>
            {
                format!("{found} was found; put it between quotes")
            }
            _ => format!("{found} was found"),
        };
        self.source
            .refuse_with(&self.at, format!("`{what}` has to be {kind}"), hint);
        None
    }

    pub(super) fn text(&self, what: &str) -> Option<Str<'t>> {
        let DeValue::String(text) = self.value else {
            return self.is_no(what, "a text");
        };
        let longest = match what {
            "when" | "description" => LONGEST_CONDITION,
            _ => LONGEST_TEXT,
        };
        if text.is_empty() || text.len() > longest {
            let wrong = if text.is_empty() {
                format!("`{what}` is empty")
            } else {
                format!("`{what}` is longer than {longest} bytes")
            };
            self.source.refuse(&self.at, wrong);
            return None;
        }
        Some(Str {
            source: self.source,
            at: self.at.clone(),
            text,
        })
    }

    pub(super) fn flag(&self, what: &str) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.is_no(what, "`true` or `false`"),
        }
    }

    pub(super) fn table(&self, what: &str) -> Option<Table<'t>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(self.source, self.at.clone(), table)),
            _ => self.is_no(what, "a table"),
        }
    }

    /// What stands in a list, which is not empty.
    pub(super) fn list(&self, what: &str) -> Option<Vec<Self>> {
        let DeValue::Array(list) = self.value else {
            return self.is_no(what, "a list");
        };
        if list.is_empty() {
            self.source.refuse_with(
                &self.at,
                format!("`{what}` is empty"),
                "leave it out, or say what is meant",
            );
            return None;
        }
        Some(
            list.iter()
                .map(|value| Self::of(self.source, value))
                .collect(),
        )
    }

    /// One or several: a value, or a list of them. None stands there twice.
    pub(super) fn one_or_list(&self, what: &str) -> Option<Vec<Self>> {
        match self.value {
            DeValue::Array(_) => self.list(what),
            _ => Some(vec![self.clone()]),
        }
    }

    /// A text or a list of texts.
    pub(super) fn texts(&self, what: &str) -> Option<Vec<Str<'t>>> {
        let kind = "a text or a list of texts";
        if !matches!(self.value, DeValue::String(_) | DeValue::Array(_)) {
            return self.is_no(what, kind);
        }
        let texts = all(self.one_or_list(what)?.iter().map(|value| value.text(what)))?;
        let mut seen = HashSet::new();
        for text in &texts {
            if !seen.insert(text.text) {
                text.refuse(format!("`{}` stands here twice", text.text));
            }
        }
        Some(texts)
    }
}

impl Str<'_> {
    pub(super) fn refuse(&self, message: impl Into<String>) {
        self.source.refuse(&self.at, message);
    }

    pub(super) fn refuse_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.source.refuse_with(&self.at, message, hint);
    }
}
