//! `zt-audit verify FILE` checks an audit log.
//!
//! Exit status: 0 where every record is as it was written, 1 where one is not (it is named by
//! index and byte offset), 2 where the last record has no end, 3 where the question or the file
//! cannot be read.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    process::ExitCode,
};

use zt_audit::{Finding, Report};

const USAGE: &str = "usage: zt-audit verify FILE";

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program prints"
)]
fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [command, file] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(3);
    };
    if command != "verify" {
        eprintln!("{USAGE}");
        return ExitCode::from(3);
    }
    match verify(file) {
        Ok(report) => {
            println!("{}: {report}", shown(file));
            ExitCode::from(match report.finding {
                Finding::Intact => 0,
                Finding::Torn { .. } => 2,
                _ => 1,
            })
        }
        Err(error) => {
            eprintln!("{}: {error}", shown(file));
            ExitCode::from(3)
        }
    }
}

/// As long as the file is now, so that a log that is being written can be read too.
fn verify(file: &OsStr) -> io::Result<Report> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    zt_audit::verify(file.take(length))
}

/// Safe to print on a terminal.
fn shown(file: &OsStr) -> String {
    file.to_string_lossy().escape_default().to_string()
}
