//! Where in a file an error of Cedar stands.

use std::{fmt::Display, sync::Arc};

use cedar_policy::Policy;
use miette::Diagnostic;

use crate::policy::{PolicyError, model::Origin};

/// A text that Cedar was given, and where it came from.
#[derive(Clone)]
pub(super) struct Source<'a> {
    /// Where the text begins.
    pub(super) origin: Origin,
    pub(super) text: &'a str,
    /// How many bytes stood before it when Cedar read it; those before the policy in question
    /// where it is one of several in the text.
    pub(super) before: usize,
}

impl<'a> Source<'a> {
    pub(super) fn of_file(file: &Arc<str>, text: &'a str) -> Self {
        Self {
            origin: Origin {
                file: Arc::clone(file),
                line: 1,
                column: 1,
            },
            text,
            before: 0,
        }
    }

    /// The same, from where `policy` begins; policies come in the order of the text.
    pub(super) fn from(mut self, policy: &Policy, at: &mut usize) -> Self {
        let text = policy.to_cedar().unwrap_or_default();
        let found = self.text.get(*at..).and_then(|rest| rest.find(text.trim()));
        if let Some(found) = found {
            let start = *at + found;
            *at = start + text.trim().len();
            self.origin = self.at(start);
            self.text = self.text.get(start..).unwrap_or_default();
            self.before = start;
        }
        self
    }

    pub(super) fn start(&self) -> Origin {
        self.origin.clone()
    }

    /// What Cedar says, at the place that it names.
    pub(super) fn error<E: Diagnostic + Display>(&self, error: &E) -> PolicyError {
        let label = error.labels().and_then(|mut labels| labels.next());
        let inner = error
            .related()
            .and_then(|mut related| related.next())
            .and_then(|related| related.labels()?.next());
        let origin = match label.or(inner) {
            Some(label) => self.at(label.offset().saturating_sub(self.before)),
            None => self.origin.clone(),
        };
        let wrong = PolicyError::new(&origin, without_policy(&error.to_string()));
        match error.help() {
            Some(help) => wrong.hint(without_policy(&help.to_string())),
            None => wrong,
        }
    }

    pub(super) fn at(&self, offset: usize) -> Origin {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = self.text.get(..offset).unwrap_or_default();
        let lines = before.matches('\n').count();
        let last = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        Origin {
            file: Arc::clone(&self.origin.file),
            line: self.origin.line + lines,
            column: if lines == 0 {
                self.origin.column + last
            } else {
                last + 1
            },
        }
    }
}

/// The policy is named by its place.
fn without_policy(text: &str) -> &str {
    let named = text.strip_prefix("for policy `");
    let rest = named.and_then(|rest| rest.split_once("`, "));
    rest.map_or(text, |(_, what)| what)
}
