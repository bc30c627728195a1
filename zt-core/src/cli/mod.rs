//! The program `zt-policy`: checks, explains and reviews policies from a command line, and renders
//! database roles.
//!
//! [`main`] is the whole program; `src/bin/zt-policy.rs` gives it the process's arguments and streams.
//!
//! # What a reader of its output can count on
//!
//! 1. The exit code is the answer: 0 the policy is sound and its cases hold, or the question was
//!    answered; 1 it is refused, or a case does not hold; 2 the command line was not understood, or a
//!    file cannot be read.
//! 2. Why a policy is refused stands on standard error, a line for each thing, with file, line and hint.
//! 3. `--json` writes one JSON object to standard output and nothing else there.
//! 4. Whatever comes from a file or an argument is shown escaped: controls, bidirectional and invisible
//!    characters cannot move the cursor, fake a line or hide text. SQL is written as it is, and has no
//!    control characters but the ends of its lines.
//! 5. Nothing is written to any file, and nothing is reached over a network.
//! 6. A reader who leaves (`| head`) ends the program quietly.
//!
//! # What the application would say
//!
//! A policy asks for grants and attributes where the application runs. Here each question declares its
//! own (`--grant`, `--attribute`, or in the file of cases); what is not declared is not held or not
//! known, and denies. So `check` needs no application.

mod arguments;
mod check;
mod escape;
mod explain;
mod failure;
mod help;
mod load;
mod question;
mod review;
mod sql;

use std::{ffi::OsString, fmt, io::Write};

use serde_json::Value;

use self::{
    arguments::{Arguments, Spec},
    failure::Failure,
};

/// Where the program writes.
pub struct Surroundings<'a> {
    /// Standard output; buffered by the caller, flushed by the program.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Runs the program with these arguments, its own name not among them, and answers its exit code.
#[must_use]
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &mut Surroundings<'_>,
) -> u8 {
    let code = match dispatch(arguments.into_iter().collect(), surroundings) {
        Ok(code) => code,
        Err(failure) => {
            let code = failure.code();
            for line in failure.lines() {
                // Where this cannot be said, nothing can.
                let _ = writeln!(surroundings.err, "zt-policy: {}", escape::line(&line));
            }
            code
        }
    };
    // A refusal stays one where nobody reads it; that something is sound must be heard.
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
    run: fn(&Arguments, &mut Surroundings<'_>) -> Result<u8, Failure>,
}

/// In the order in which a newcomer meets them.
static COMMANDS: [&Command; 5] = [
    &check::COMMAND,
    &explain::COMMAND,
    &review::WHO_CAN,
    &review::WHAT_CAN,
    &sql::COMMAND,
];

fn dispatch(arguments: Vec<OsString>, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let Some((first, rest)) = arguments.split_first() else {
        write!(around.err, "{}", help::program()).map_err(Failure::output)?;
        return Ok(failure::USAGE);
    };
    let first = first.to_string_lossy().into_owned();
    match first.as_str() {
        "-h" | "--help" | "help" => {
            let text = match rest.first().map(|name| name.to_string_lossy()) {
                Some(name) => help::command(find(&name)?),
                None => help::program(),
            };
            write!(around.out, "{text}").map_err(Failure::output)?;
            return Ok(0);
        }
        "-V" | "--version" => {
            let version = env!("CARGO_PKG_VERSION");
            writeln!(around.out, "zt-policy {version}").map_err(Failure::output)?;
            return Ok(0);
        }
        _ => {}
    }
    let command = find(&first)?;
    let arguments = Arguments::parse(command.name, &command.spec, rest.to_vec())?;
    if arguments.flag("--help") {
        write!(around.out, "{}", help::command(command)).map_err(Failure::output)?;
        return Ok(0);
    }
    (command.run)(&arguments, around)
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    let found = COMMANDS
        .iter()
        .copied()
        .find(|command| command.name == name);
    found.ok_or_else(|| {
        let kind = if name.starts_with('-') {
            "option"
        } else {
            "command"
        };
        Failure::usage(format!(
            "there is no {kind} `{name}`; see `zt-policy --help`"
        ))
    })
}

impl Surroundings<'_> {
    /// Text of several lines, escaped, or the value as one line of JSON.
    fn say(&mut self, json: bool, text: impl fmt::Display, value: &Value) -> Result<(), Failure> {
        if json {
            return writeln!(self.out, "{}", escape::json(&value.to_string()))
                .map_err(Failure::output);
        }
        for line in text.to_string().lines() {
            writeln!(self.out, "{}", escape::line(line)).map_err(Failure::output)?;
        }
        Ok(())
    }

    /// A remark on standard error.
    fn remark(&mut self, line: impl fmt::Display) {
        // A remark that nobody can read changes nothing.
        let _ = writeln!(self.err, "zt-policy: {}", escape::line(&line.to_string()));
    }
}

/// For the output of whatever can be serialized; what cannot be is a mistake of the program.
fn value(of: impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::usage(error.to_string()))
}
