//! `cargo bench -p zt-benches [-- SECTION.. --quick --runs N]`

mod audit;
mod authorize;
mod bare;
mod budget;
mod gate;
mod headers;
mod jwt;
mod limit;
mod mtls;
mod policy;
mod raw_log;
mod service_token;
mod signature;
mod stack;
mod tower;
mod validate;
mod whole;

use std::{
    io::{self, Stdout, Write as _},
    process::ExitCode,
};

use zt_benches::{Options, Outcome, Report};

type Section = fn(&Options, &mut Report<Stdout>) -> Outcome;

const RUNS: &[(&str, Section)] = &[
    ("tower", tower::run),
    ("gate", gate::run),
    ("headers", headers::run),
    ("validate", validate::run),
    ("limit", limit::run),
    ("budget", budget::run),
    ("service_token", service_token::run),
    ("jwt", jwt::run),
    ("signature", signature::run),
    ("mtls", mtls::run),
    ("authorize", authorize::run),
    ("policy", policy::run),
    ("audit", audit::run),
    ("stack", stack::run),
    ("whole", whole::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut report = Report::new(io::stdout());
    // The floors come first whatever was asked for: absolute bars are scaled by them.
    for (name, section) in RUNS {
        if *name == "tower" || options.wants(name) {
            section(&options, &mut report)?;
        }
    }
    report.finish()?;
    Ok(())
}
