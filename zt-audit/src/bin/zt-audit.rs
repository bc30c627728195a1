//! The program `zt-audit`; see `zt-audit --help`.

use std::{
    io::{self, BufWriter, IsTerminal},
    process::ExitCode,
    sync::Arc,
    thread,
};

use zt_audit::cli::{Surroundings, main as run};
use zt_core::clock::SystemClock;

fn main() -> ExitCode {
    let (out, err) = (io::stdout(), io::stderr());
    let wants_none = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let code = run(
        std::env::args_os().skip(1),
        &mut Surroundings {
            colours: out.is_terminal() && !dumb && !wants_none("NO_COLOR"),
            shows_progress: err.is_terminal() && !dumb,
            input: &mut io::stdin().lock(),
            out: &mut BufWriter::new(out.lock()),
            err: &mut err.lock(),
            clock: Arc::new(SystemClock),
            wait: &mut |span| {
                thread::sleep(span);
                true
            },
        },
    );
    ExitCode::from(code)
}
