//! Why a command ends without its answer.

use std::{fmt, io};

/// What was asked for is not so: the log or the proof is not what it should be.
pub(super) const WRONG: u8 = 1;
/// The log agrees with itself, but nobody trusted signed all of it, or its end is torn.
pub(super) const UNSIGNED: u8 = 2;
/// The question was not understood, or it could not be answered.
pub(super) const CANNOT: u8 = 3;

/// A command that did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// With this exit code, saying this.
    Said(u8, String),
    /// Whoever read the output has left.
    Left,
}

impl Failure {
    /// The log or the proof is not what it should be.
    pub(super) fn wrong(message: impl fmt::Display) -> Self {
        Self::Said(WRONG, message.to_string())
    }

    /// It could not be answered.
    pub(super) fn cannot(message: impl fmt::Display) -> Self {
        Self::Said(CANNOT, message.to_string())
    }

    /// It was not understood.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::Said(CANNOT, message.to_string())
    }

    /// Output that was not taken.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Left,
            _ => Self::cannot(format_args!("cannot write the output: {error}")),
        }
    }

    /// The exit code. Who leaves early has what they wanted.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Said(code, _) => *code,
            Self::Left => 0,
        }
    }

    pub(super) fn message(self) -> Option<String> {
        match self {
            Self::Said(_, message) => Some(message),
            Self::Left => None,
        }
    }
}
