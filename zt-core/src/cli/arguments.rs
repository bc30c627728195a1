//! What stands on the command line of one command.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use super::failure::Failure;

/// What a command takes besides `--help`.
#[derive(Debug)]
pub(super) struct Spec {
    /// Names of what stands without a dash, for messages; the last ones may be absent.
    pub(super) positionals: &'static [&'static str],
    /// Whether more may stand there than are named.
    pub(super) more: bool,
    /// Options without a value.
    pub(super) flags: &'static [&'static str],
    /// Options with a value.
    pub(super) options: &'static [&'static str],
}

/// The arguments of one command, read but not yet understood.
#[derive(Debug)]
pub(super) struct Arguments {
    command: &'static str,
    more: bool,
    positionals: Vec<OsString>,
    flags: Vec<&'static str>,
    options: Vec<(&'static str, OsString)>,
}

impl Arguments {
    pub(super) fn parse(
        command: &'static str,
        spec: &Spec,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        let mut read = Self {
            command,
            more: spec.more,
            positionals: Vec::new(),
            flags: Vec::new(),
            options: Vec::new(),
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| read.misread(&error))? {
            let name = match argument {
                Arg::Value(value)
                    if spec.more || read.positionals.len() < spec.positionals.len() =>
                {
                    read.positionals.push(value);
                    continue;
                }
                Arg::Value(value) => {
                    return Err(read.usage(format!("`{}` is one too many", shown(&value))));
                }
                Arg::Short('h') => "--help".to_owned(),
                Arg::Short(letter) => format!("-{letter}"),
                Arg::Long(name) => format!("--{name}"),
            };
            let known = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
            if let Some(flag) = known(spec.flags).or_else(|| known(&["--help"])) {
                read.flags.push(flag);
            } else if let Some(option) = known(spec.options) {
                let value = parser.value().map_err(|error| read.misread(&error))?;
                read.options.push((option, value));
            } else {
                return Err(read.usage(format!("there is no option `{name}`")));
            }
        }
        Ok(read)
    }

    /// Whether this stands there.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }

    /// Every value of an option, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &OsStr> {
        self.options
            .iter()
            .filter(move |(option, _)| *option == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// The value of an option that may stand there once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&OsStr>, Failure> {
        let mut all = self.all(name);
        let first = all.next();
        match all.next() {
            None => Ok(first),
            Some(_) => Err(self.usage(format!("`{name}` stands there more than once"))),
        }
    }

    /// The same as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.one(name)?
            .map(|value| {
                value
                    .to_str()
                    .ok_or_else(|| self.usage(format!("`{name}`: `{}` is not UTF-8", shown(value))))
            })
            .transpose()
    }

    /// What stands without a dash at `place`.
    pub(super) fn positional(&self, place: usize) -> Option<&OsStr> {
        self.positionals.get(place).map(OsString::as_os_str)
    }

    /// Whether more may stand there than are named.
    pub(super) const fn takes_more(&self) -> bool {
        self.more
    }

    /// How many stand without a dash.
    pub(super) fn positionals(&self) -> usize {
        self.positionals.len()
    }

    /// The same as text, where it must be there: `name` for messages.
    pub(super) fn needed(&self, place: usize, name: &str) -> Result<&str, Failure> {
        let value = self.positional(place);
        let value = value.ok_or_else(|| self.usage(format!("it needs {name}")))?;
        let wrong = || self.usage(format!("`{}` is not UTF-8", shown(value)));
        value.to_str().ok_or_else(wrong)
    }

    /// Every value of an option, as text.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let text = |value: &'_ OsStr| -> Result<(), Failure> {
            Err(self.usage(format!("`{name}`: `{}` is not UTF-8", shown(value))))
        };
        let mut texts = Vec::new();
        for value in self.all(name) {
            match value.to_str() {
                Some(value) => texts.push(value),
                None => text(value)?,
            }
        }
        Ok(texts)
    }

    /// A question that was not understood.
    pub(super) fn usage(&self, message: impl std::fmt::Display) -> Failure {
        let command = self.command;
        Failure::usage(format!(
            "{command}: {message}; see `zt-policy {command} --help`"
        ))
    }

    fn misread(&self, error: &lexopt::Error) -> Failure {
        self.usage(match error {
            lexopt::Error::MissingValue {
                option: Some(option),
            } => {
                format!("`{option}` needs a value")
            }
            lexopt::Error::UnexpectedValue { option, value } => {
                format!("`{option}` takes no value, and has `{}`", shown(value))
            }
            other => other.to_string(),
        })
    }
}

/// For a message, which escapes it.
pub(super) fn shown(value: impl AsRef<OsStr>) -> String {
    value.as_ref().to_string_lossy().into_owned()
}
