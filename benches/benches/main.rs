//! `cargo bench -p zt-benches [-- SECTION.. --quick --runs N]`

mod bare;
mod gate;
mod tower;

use std::{io, process::ExitCode};

use zt_benches::{BenchError, Options, Report};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use io::Write as _;
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BenchError> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut report = Report::new(io::stdout());
    if options.wants("tower") {
        tower::run(&options, &mut report)?;
    }
    if options.wants("gate") {
        gate::run(&options, &mut report)?;
    }
    report.finish()
}
