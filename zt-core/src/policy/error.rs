use std::{collections::HashSet, fmt, sync::Arc};

use super::model::Origin;

/// Everything that is wrong with a policy; none of it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(Vec<PolicyError>);

/// One thing that is wrong with a policy, where, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyError {
    file: Arc<str>,
    line: usize,
    column: usize,
    message: String,
    hint: Option<String>,
}

/// What whoever loads a policy should know about it: what is left out, and rules that say less than
/// they seem to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWarning(PolicyError);

impl PolicyWarning {
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    pub(crate) fn new(origin: &Origin, message: impl Into<String>) -> Self {
        Self(PolicyError::new(origin, message))
    }

    /// The file, as it was named when it was loaded.
    #[must_use]
    pub fn file(&self) -> &str {
        self.0.file()
    }

    /// The line, from 1; 0 where it is about the policy as a whole.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.0.line()
    }

    /// What there is to know.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.message()
    }
}

/// `file:line:column: message`.
impl fmt::Display for PolicyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PolicyErrors {
    /// The errors, each once, in the order of the files' lines. There is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.0.iter()
    }

    pub(crate) fn new(mut errors: Vec<PolicyError>) -> Self {
        errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        // Some parsers say the same twice.
        let mut told = HashSet::new();
        errors.retain(|error| told.insert(error.clone()));
        Self(errors)
    }

    /// `Ok` where there are none.
    pub(crate) fn check(errors: Vec<PolicyError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::new(errors))
        }
    }
}

/// What is wrong may quote what stands in a file, and is read on terminals and in logs.
fn plain(text: String) -> String {
    let unsafe_ = |letter: char| letter.is_control() && letter != '\n';
    if !text.contains(unsafe_) {
        return text;
    }
    let escaped = text.chars().map(|letter| match unsafe_(letter) {
        true => letter.escape_unicode().to_string(),
        false => letter.to_string(),
    });
    escaped.collect()
}

impl From<PolicyError> for PolicyErrors {
    fn from(error: PolicyError) -> Self {
        Self(vec![error])
    }
}

impl PolicyError {
    pub(crate) fn new(origin: &Origin, message: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(&origin.file),
            line: origin.line,
            column: origin.column,
            message: plain(message.into()),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(plain(hint.into()));
        self
    }

    /// The file, as it was named when it was loaded.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1; 0 where it is about the file as a whole.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column, from 1; 0 where it is about a whole line.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would help.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// `file:line:column: message (hint)`.
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for place in [self.line, self.column] {
            if place > 0 {
                write!(f, ":{place}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// One a line.
impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}
impl std::error::Error for PolicyErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_does_not_reach_a_terminal_as_it_is() {
        let error = PolicyError::new(&Origin::default(), "`\u{1b}[2J\r` is not known")
            .hint("`\u{9b}a`\nor another");
        let told = error.to_string();
        assert!(
            told.ends_with("`\\u{1b}[2J\\u{d}` is not known (`\\u{9b}a`\nor another)"),
            "{told}"
        );
    }

    #[test]
    fn what_is_said_twice_of_one_place_is_told_once() {
        let error = |message: &str| PolicyError::new(&Origin::default(), message);
        let errors = PolicyErrors::new(vec![
            error("a"),
            error("b"),
            error("a").hint("c"),
            error("a"),
        ]);
        assert_eq!(errors.to_string(), ": a\n: b\n: a (c)");
    }
}
