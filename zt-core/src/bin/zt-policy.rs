//! The program `zt-policy`; see `zt-policy --help`.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};

use zt_core::cli::{Surroundings, main as run};

fn main() -> ExitCode {
    let (out, err) = (io::stdout(), io::stderr());
    let code = run(
        std::env::args_os().skip(1),
        &mut Surroundings {
            out: &mut BufWriter::new(out.lock()),
            err: &mut err.lock(),
        },
    );
    ExitCode::from(code)
}
