//! The program `zt-audit`: reads, checks, shows and prunes a log from a command line.
//!
//! [`main`] is the whole program; `src/bin/zt-audit.rs` gives it the process's arguments, streams and
//! clock. A test gives it others.
//!
//! # What a reader of its output can count on
//!
//! 1. The exit code is the answer: 0 what was asked is so or was done, 1 the log or the proof is not
//!    as it should be, 2 it agrees with itself but not all of it is signed, or its end is torn, 3 the
//!    question was not understood or could not be answered. 1 is never said of a log that is merely
//!    being written, and 0 never of one that nobody signed.
//! 2. No command but `prune`, `erase` and `repair` writes to a log, or makes a file or a folder in
//!    one; `publish` and `prove --out` write where they are told.
//! 3. Whatever comes from a log, a file's name or an argument is shown escaped: controls, line
//!    separators, bidirectional and invisible characters cannot move the cursor, fake a line or hide
//!    text. Values with a space or a quote in them stand in quotes. JSON is escaped likewise, within
//!    JSON's own rules: what the log itself wrote passes unchanged, byte for byte.
//! 4. Personal fields that are sealed are opened only where `--open` names the vault. A person is
//!    found by pseudonym, and records of theirs whose key was destroyed are not told to be theirs.
//! 5. `--json` writes one JSON object a line to standard output and nothing else there. Errors,
//!    progress and remarks go to standard error; progress only where that is a terminal.
//! 6. Colour is for terminals: `--color never`, `NO_COLOR` and `TERM=dumb` turn it off.
//! 7. A reader who leaves (`| head`) ends the program quietly.
//!
//! # What it does not do
//!
//! It trusts the key it is given. A key that lies beside the log (`<LOG>.keys/vkey`) was perhaps put
//! there by whoever changed the log: `verify` says where its key came from, and auditors bring
//! their own. It does not reach into a running process: commands that write refuse while another
//! process has the log open.

mod arguments;
mod consistency;
mod erase;
mod escape;
mod export;
mod failure;
mod files;
mod help;
mod json;
mod keys;
mod line;
mod opening;
mod paint;
mod progress;
mod prove;
mod prune;
mod publish;
mod query;
mod reading;
mod repair;
mod status;
mod tail;
#[cfg(test)]
mod tests;
mod times;
mod verify;
mod whom;
mod writing;

use std::{
    ffi::OsString,
    fmt,
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use zt_core::clock::Clock;

use self::{
    arguments::{Arguments, Spec},
    failure::Failure,
    paint::Paint,
};

/// What the program stands in: its streams, its clock, and what it knows of the terminal.
pub struct Surroundings<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output; buffered by the caller, flushed by the program.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Whether standard output is a terminal that shows colours.
    pub colours: bool,
    /// Whether standard error is a terminal.
    pub shows_progress: bool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Waits so long; says whether to go on.
    pub wait: &'a mut dyn FnMut(Duration) -> bool,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("colours", &self.colours)
            .field("shows_progress", &self.shows_progress)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Runs the program with these arguments, its own name not among them, and answers its exit code.
#[must_use]
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &mut Surroundings<'_>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let code = match dispatch(arguments, surroundings) {
        Ok(code) => code,
        Err(failure) => {
            let code = failure.code();
            if let Some(message) = failure.message() {
                // Where this cannot be said, nothing can.
                let _ = writeln!(surroundings.err, "zt-audit: {}", escape::text(&message));
            }
            code
        }
    };
    // A verdict stays what it is where nobody reads it; that something went well must be heard.
    match surroundings.out.flush().map_err(Failure::output) {
        Err(failure) if code == 0 => failure.code(),
        _ => code,
    }
}

/// One command.
struct Command {
    name: &'static str,
    /// One line for the list of commands.
    about: &'static str,
    help: &'static str,
    spec: Spec,
    run: fn(&Arguments, &mut Io<'_, '_>) -> Result<u8, Failure>,
}

/// In the order in which a newcomer meets them.
static COMMANDS: [&Command; 12] = [
    &verify::COMMAND,
    &status::COMMAND,
    &tail::COMMAND,
    &query::COMMAND,
    &export::COMMAND,
    &prove::COMMAND,
    &consistency::COMMAND,
    &publish::COMMAND,
    &keys::COMMAND,
    &erase::COMMAND,
    &prune::COMMAND,
    &repair::COMMAND,
];

fn dispatch(arguments: Vec<OsString>, surroundings: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let (first, rest) = match arguments.split_first() {
        Some((first, rest)) => (first.to_string_lossy().into_owned(), rest.to_vec()),
        None => {
            write!(surroundings.err, "{}", help::program()).map_err(Failure::output)?;
            return Ok(failure::CANNOT);
        }
    };
    match first.as_str() {
        "-h" | "--help" | "help" => {
            let text = match rest.first().map(|name| name.to_string_lossy()) {
                Some(name) => help::command(find(&name)?),
                None => help::program(),
            };
            write!(surroundings.out, "{text}").map_err(Failure::output)?;
            return Ok(0);
        }
        "-V" | "--version" => {
            writeln!(surroundings.out, "zt-audit {}", env!("CARGO_PKG_VERSION"))
                .map_err(Failure::output)?;
            return Ok(0);
        }
        _ => {}
    }
    let command = find(&first)?;
    let arguments = Arguments::parse(command.name, &command.spec, rest)?;
    if arguments.flag("--help") {
        write!(surroundings.out, "{}", help::command(command)).map_err(Failure::output)?;
        return Ok(0);
    }
    let paint = Paint::chosen(&arguments, surroundings.colours)?;
    (command.run)(
        &arguments,
        &mut Io {
            around: surroundings,
            paint,
        },
    )
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    COMMANDS
        .iter()
        .copied()
        .find(|command| command.name == name)
        .ok_or_else(|| {
            let kind = if name.starts_with('-') {
                "option"
            } else {
                "command"
            };
            Failure::usage(format!(
                "there is no {kind} `{name}`; see `zt-audit --help`"
            ))
        })
}

/// What a command works with.
struct Io<'a, 's> {
    around: &'a mut Surroundings<'s>,
    paint: Paint,
}

impl Io<'_, '_> {
    /// A line for standard output; whatever in it came from outside is escaped already.
    fn say(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.around.out, "{line}").map_err(Failure::output)
    }

    /// A remark on standard error.
    fn remark(&mut self, line: impl fmt::Display) {
        // A remark that nobody can read changes nothing.
        let _ = writeln!(
            self.around.err,
            "zt-audit: {}",
            escape::text(&line.to_string())
        );
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.around.out.flush().map_err(Failure::output)
    }

    fn now(&self) -> Result<zt_core::clock::Timestamp, Failure> {
        let now = self.around.clock.now();
        now.map_err(|error| Failure::cannot(error.to_string()))
    }
}
