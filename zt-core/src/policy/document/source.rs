//! Where things stand in a text, and what is wrong there.

use std::{cell::RefCell, ops::Range, sync::Arc};

use crate::policy::{
    PolicyError,
    model::{Origin, SourceText},
};

/// No more errors than these are told.
const MOST_ERRORS: usize = 200;

/// Values lie no deeper in one another.
const DEEPEST: usize = 128;

/// A text while it is read, and everything that was found wrong with it.
pub(super) struct Source<'a> {
    pub(super) file: Arc<str>,
    pub(super) text: &'a str,
    /// Where lines begin.
    lines: Vec<usize>,
    errors: RefCell<Errors>,
}

#[derive(Default)]
struct Errors {
    told: Vec<PolicyError>,
    untold: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(source: &'a SourceText) -> Self {
        let after = source.text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: Arc::clone(&source.file),
            text: &source.text,
            lines: std::iter::once(0).chain(after).collect(),
            errors: RefCell::default(),
        }
    }

    /// Line and column of the byte at `at`, in characters.
    pub(super) fn origin(&self, at: usize) -> Origin {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line));
        let before = start.and_then(|start| self.text.get(*start..at));
        Origin {
            file: Arc::clone(&self.file),
            line: line.max(1),
            column: before.map_or(0, |before| before.chars().count()) + 1,
        }
    }

    /// Where what stands between the quotes of a string begins.
    pub(super) fn content(&self, string: &Range<usize>) -> Origin {
        let written = self.text.get(string.clone()).unwrap_or_default();
        let inner = ["\"\"\"", "'''"]
            .iter()
            .find_map(|quotes| written.strip_prefix(quotes))
            // TOML 1.1, strings: a newline right behind the quotes is not of the text.
            .map(|inner| {
                let inner = inner.strip_prefix('\r').unwrap_or(inner);
                inner.strip_prefix('\n').unwrap_or(inner)
            })
            .or_else(|| written.get(1..))
            .unwrap_or_default();
        self.origin(string.start + (written.len() - inner.len()))
    }

    /// Where braces, brackets and dotted keys lie deeper in one another than any policy needs: what
    /// walks through them calls itself. What is no TOML may be misjudged, and is refused anyway.
    pub(super) fn too_deep(&self) -> Option<usize> {
        let mut open: Vec<usize> = Vec::new();
        let (mut depth, mut dots) = (0, 0);
        let mut at = 0;
        while let Some(rest) = self.text.get(at..).filter(|rest| !rest.is_empty()) {
            // What stands between two of these says nothing.
            let Some(next) = rest.find(['.', '{', '[', '}', ']', ',', '\n', '#', '"', '\'']) else {
                break;
            };
            at += next;
            let rest = self.text.get(at..).unwrap_or_default();
            at += match rest.as_bytes().first() {
                Some(b'#') => rest.find('\n').unwrap_or(rest.len()),
                Some(b'"' | b'\'') => string_length(rest),
                Some(letter) => {
                    match letter {
                        b'.' => dots += 1,
                        b'{' | b'[' => {
                            open.push(dots);
                            depth += dots + 1;
                            dots = 0;
                        }
                        _ => {
                            if matches!(letter, b'}' | b']') {
                                depth -= open.pop().map_or(0, |dots| dots + 1);
                            }
                            dots = 0;
                        }
                    }
                    1
                }
                None => break,
            };
            if depth + dots > DEEPEST {
                return Some(at);
            }
        }
        None
    }

    pub(super) fn refuse(&self, at: &Range<usize>, message: impl Into<String>) {
        self.report(PolicyError::new(&self.origin(at.start), message));
    }

    pub(super) fn refuse_with(
        &self,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report(PolicyError::new(&self.origin(at.start), message).hint(hint));
    }

    pub(super) fn report(&self, error: PolicyError) {
        let mut errors = self.errors.borrow_mut();
        if errors.told.len() < MOST_ERRORS {
            errors.told.push(error);
        } else {
            errors.untold += 1;
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.errors.borrow().told.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<PolicyError> {
        let mut errors = self.errors.take();
        if errors.untold > 0 {
            errors.told.push(PolicyError::new(
                &self.origin(self.text.len()),
                format!("{} more errors are not shown", errors.untold),
            ));
        }
        errors.told
    }
}

/// How long the string is that `text` begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let quote = if text.starts_with('"') { '"' } else { '\'' };
    let long = ["\"\"\"", "'''"]
        .into_iter()
        .find(|quotes| text.starts_with(quotes));
    let quotes = long.map_or(1, str::len);
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(quotes) {
        let ends = match long {
            Some(long) => text.get(at..).is_some_and(|rest| rest.starts_with(long)),
            None => letter == quote || letter == '\n',
        };
        if ends && !escaped {
            return at + quotes;
        }
        escaped = quote == '"' && letter == '\\' && !escaped;
    }
    text.len()
}
