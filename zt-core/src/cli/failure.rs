//! Why a command ends without its answer.

use std::{fmt, io};

use crate::policy::PolicyErrors;

/// The policy is refused, or a case does not hold.
pub(super) const REFUSED: u8 = 1;
/// The command line was not understood, or a file cannot be read.
pub(super) const USAGE: u8 = 2;

/// A command that did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The policy is refused, for these reasons.
    Refused(Vec<String>),
    /// Not understood, or not to be read.
    Usage(String),
    /// Whoever read the output has left.
    Left,
}

impl Failure {
    pub(super) fn refused(errors: &PolicyErrors) -> Self {
        Self::Refused(errors.iter().map(ToString::to_string).collect())
    }

    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Output that was not taken.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Left,
            _ => Self::usage(format_args!("cannot write the output: {error}")),
        }
    }

    /// The exit code. Who leaves early has what they wanted.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Usage(_) => USAGE,
            Self::Left => 0,
        }
    }

    pub(super) fn lines(self) -> Vec<String> {
        match self {
            Self::Refused(lines) => lines,
            Self::Usage(message) => vec![message],
            Self::Left => Vec::new(),
        }
    }
}
