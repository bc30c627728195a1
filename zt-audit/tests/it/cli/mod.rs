//! The program `zt-audit`, run as one, on logs that the library wrote.

mod checks;
mod proofs;
mod records;
mod streams;
mod writes;

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// What a run answered.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output, a JSON object a line.
    fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "`{text}`: {self:?}"
        );
        self
    }
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_zt-audit"));
    program.stdin(Stdio::null()).env_remove("NO_COLOR");
    program
}

/// Runs the program: command, log, further arguments.
fn run<S: AsRef<OsStr>>(command: &str, log: &Path, arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut program = program();
    program.arg(command).arg(log).args(arguments);
    Ran::of(program.output().unwrap())
}

const NOTHING: [&str; 0] = [];
