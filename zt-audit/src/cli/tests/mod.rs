//! The program in-process: what needs no log.

mod arguments;
mod escape;
mod keys;
mod line;
mod progress;
mod streams;
mod times;

use std::{io, sync::Arc};

use zt_core::clock::ManualClock;

use super::Surroundings;

/// What a run answered.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs the program with these arguments.
pub(super) fn run(arguments: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = super::main(
        arguments.iter().map(Into::into),
        &mut Surroundings {
            input: &mut io::empty(),
            out: &mut out,
            err: &mut err,
            colours: false,
            shows_progress: false,
            clock: Arc::new(ManualClock::default()),
            wait: &mut |_| false,
        },
    );
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}
