//! `zt-audit export`.

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    json, opening,
    progress::Meter,
    reading,
    reading::Showing,
};
use crate::follow::ocsf;

pub(super) const COMMAND: Command = Command {
    name: "export",
    about: "write every record as JSON or as OCSF events",
    help: "usage: zt-audit export LOG --json|--ocsf [OPTIONS]

Writes each durable record as one JSON object a line: with --json as it is stored, with --ocsf as an
event of the Open Cybersecurity Schema Framework. Personal fields stay sealed, or are left out,
unless the vault is named.

options:
      --json            records; without --open these are the stored bytes
      --ocsf            OCSF events: API Activity 6003, Authentication 3002, Authorize Session 3003
      --from-index N    begin at record N, to go on where an earlier export ended
      --open KEYS       open sealed fields with the vault in the folder KEYS

exit codes:
  0  done
  1  a record is not as it was written; those before it were written out
  3  the question was not understood, or the log or the vault cannot be read

examples:
  zt-audit export audit --ocsf > events.jsonl
  zt-audit export audit --json --from-index 4096 --open audit.keys
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json", "--ocsf"],
        options: &["--from-index", "--open"],
        short: &[],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let ocsf = match (arguments.flag("--json"), arguments.flag("--ocsf")) {
        (true, false) => false,
        (false, true) => true,
        _ => return Err(arguments.usage("it needs either `--json` or `--ocsf`")),
    };
    let showing = Showing {
        vault: opening::named(arguments)?,
        json: true,
    };
    let mut reader = match arguments.number("--from-index")? {
        Some(index) => reading::exactly(&log, index)?,
        None => reading::from(&log, 0)?,
    };
    let mut meter = Meter::new("exporting", io);
    while let Some(entry) = reading::next(&mut reader)? {
        meter.at(entry.index, io);
        if ocsf {
            let fields = showing.fields(&entry)?;
            io.say(json::line(&ocsf::event(&fields, &entry.leaf)))?;
        } else {
            showing.show(&entry, io)?;
        }
    }
    meter.clear(io);
    Ok(0)
}
