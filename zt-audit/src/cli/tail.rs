//! `zt-audit tail`.

use std::{collections::VecDeque, time::Duration};

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    opening, reading,
    reading::Showing,
};

pub(super) const COMMAND: Command = Command {
    name: "tail",
    about: "show the last records, and follow new ones",
    help: "usage: zt-audit tail LOG [OPTIONS]

Shows records that are durable, one a line: time, index, kind, verdict, what it is about, the rest.
Personal fields stand as `sealed` unless the vault is named.

options:
  -n, --lines N     how many (default 10)
  -f, --follow      go on with new ones until interrupted
      --open KEYS   open sealed fields with the vault in the folder KEYS
      --json        one JSON object a line; without --open these are the stored bytes

exit codes:
  0  done
  1  a record is not as it was written
  3  the question was not understood, or the log cannot be read

examples:
  zt-audit tail audit -n 50
  zt-audit tail audit -f --open audit.keys
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--follow", "--json"],
        options: &["--lines", "--open"],
        short: &[('n', "--lines"), ('f', "--follow")],
    },
    run,
};

/// How often new records are looked for.
const INTERVAL: Duration = Duration::from_millis(200);

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let lines = arguments.number("--lines")?.unwrap_or(10);
    let keep = usize::try_from(lines).unwrap_or(usize::MAX);
    let showing = Showing {
        vault: opening::named(arguments)?,
        json: arguments.flag("--json"),
    };
    let start = reading::last_segment(&log)?.saturating_sub(lines);
    let mut reader = reading::from(&log, start)?;
    let mut last = VecDeque::new();
    while let Some(entry) = reading::next(&mut reader)? {
        last.push_back(entry);
        if last.len() > keep {
            last.pop_front();
        }
    }
    for entry in last {
        showing.show(&entry, io)?;
    }
    if !arguments.flag("--follow") {
        return Ok(0);
    }
    loop {
        io.flush()?;
        if !(io.around.wait)(INTERVAL) {
            return Ok(0);
        }
        while let Some(entry) = reading::next(&mut reader)? {
            showing.show(&entry, io)?;
        }
    }
}
