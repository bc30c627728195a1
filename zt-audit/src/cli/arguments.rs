//! What stands on the command line of one command.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use lexopt::{Arg, Parser};

use super::failure::Failure;

/// What a command takes besides `--help` and `--color`.
#[derive(Debug)]
pub(super) struct Spec {
    /// Names of what stands without a dash, for messages; the last ones may be absent.
    pub(super) positionals: &'static [&'static str],
    /// Options without a value.
    pub(super) flags: &'static [&'static str],
    /// Options with a value.
    pub(super) options: &'static [&'static str],
    /// One-letter names and what they stand for.
    pub(super) short: &'static [(char, &'static str)],
}

/// The arguments of one command, read but not yet understood.
#[derive(Debug)]
pub(super) struct Arguments {
    command: &'static str,
    names: &'static [&'static str],
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
            names: spec.positionals,
            positionals: Vec::new(),
            flags: Vec::new(),
            options: Vec::new(),
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| read.misread(&error))? {
            let name = match argument {
                Arg::Value(value) if read.positionals.len() < spec.positionals.len() => {
                    read.positionals.push(value);
                    continue;
                }
                Arg::Value(value) => {
                    return Err(read.usage(format!("`{}` is one too many", shown(&value))));
                }
                Arg::Short('h') => "--help".to_owned(),
                Arg::Short(letter) => spec
                    .short
                    .iter()
                    .find(|(short, _)| *short == letter)
                    .map_or_else(|| format!("-{letter}"), |(_, long)| (*long).to_owned()),
                Arg::Long(name) => format!("--{name}"),
            };
            let known = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
            if let Some(flag) = known(spec.flags).or_else(|| known(&["--help"])) {
                read.flags.push(flag);
            } else if let Some(option) = known(spec.options).or_else(|| known(&["--color"])) {
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

    /// The same, where it must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?
            .ok_or_else(|| self.usage(format!("it needs `{name}`")))
    }

    /// The same as a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.text(name)?
            .map(|value| self.digits(name, value))
            .transpose()
    }

    /// The same as a path.
    pub(super) fn path(&self, name: &str) -> Result<Option<&Path>, Failure> {
        Ok(self.one(name)?.map(Path::new))
    }

    /// What stands without a dash at `place`.
    pub(super) fn positional(&self, place: usize) -> Option<&OsStr> {
        self.positionals.get(place).map(OsString::as_os_str)
    }

    /// How many stand without a dash.
    pub(super) fn positionals(&self) -> usize {
        self.positionals.len()
    }

    /// The same, where it must be there.
    pub(super) fn needed(&self, place: usize) -> Result<&OsStr, Failure> {
        self.positional(place).ok_or_else(|| {
            let name = self.names.get(place).copied().unwrap_or("argument");
            self.usage(format!("it needs {name}"))
        })
    }

    /// The folder of the log, which always stands first.
    pub(super) fn log(&self) -> Result<PathBuf, Failure> {
        let log = PathBuf::from(self.needed(0)?);
        if log.is_file() {
            return Err(Failure::cannot(format_args!(
                "`{}` is a file, and a log is a folder",
                log.display()
            )));
        }
        Ok(log)
    }

    /// `value` as a number, which `name` should be.
    pub(super) fn digits(&self, name: &str, value: &str) -> Result<u64, Failure> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| value.parse().ok())
            .flatten()
            .ok_or_else(|| self.usage(format!("{name}: `{value}` is not a whole number")))
    }

    /// A question that was not understood.
    pub(super) fn usage(&self, message: impl std::fmt::Display) -> Failure {
        let command = self.command;
        Failure::usage(format!(
            "{command}: {message}; see `zt-audit {command} --help`"
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
