//! `zt-audit erase`.

use std::path::Path;

use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    json, opening, times,
    whom::Whom,
    writing,
};
use crate::seal::DataSubject;

pub(super) const COMMAND: Command = Command {
    name: "erase",
    about: "forget a person: destroy the key of their personal fields",
    help: "usage: zt-audit erase LOG --subject S [--issuer I] --author A --reason R [OPTIONS]
       zt-audit erase LOG --day YYYY-MM-DD --author A --reason R [OPTIONS]

Destroys the key under which the fields about a person are sealed, in every record, for good, and
records that it was done. The log still verifies. With --day it is everybody who came without a name
on that day (UTC). Copies of the vault, backups among them, must be dropped too.

Refuses while another process has the log open: let the application call `AuditLog::erase`.

options:
      --subject S     whom: the name of a principal
      --issuer I      who vouches for that name. What is recorded of the name alone (authors,
                      budgets) is forgotten too
      --day DAY       whoever came without a name on this day
      --author A      who orders it; recorded
      --reason R      why; recorded. Name no one in it
      --keys KEYS     the folder of the log's keys (default LOG.keys)
      --signing-key FILE  where the application keeps it in another place
      --json          what was done as one JSON object

exit codes:
  0  done, also where there was no key
  1  the log is damaged; nothing was erased
  3  the question was not understood, or the log or the vault cannot be written

examples:
  zt-audit erase audit --subject alice --issuer https://id.example --author dpo --reason 'case 17'
  zt-audit erase audit --day 2030-01-31 --author dpo --reason 'kept for 90 days'
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &[
            "--subject",
            "--issuer",
            "--day",
            "--author",
            "--reason",
            "--keys",
            "--signing-key",
        ],
        short: &[],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let folder = arguments.log()?;
    let author = arguments.required("--author")?;
    let reason = arguments.required("--reason")?;
    let subject = subject(arguments, &folder, io)?;
    let log = writing::open(
        arguments,
        &folder,
        "let the application that has it open call `AuditLog::erase`",
        io,
    )?;
    let erased = log.erase(subject, Some(author), reason);
    let closed = writing::close(&log);
    let keys = erased.map_err(Failure::cannot)?.keys;
    closed?;
    if arguments.flag("--json") {
        io.say(json::line(&json!({"erased": keys > 0, "keys": keys})))?;
    } else if keys > 0 {
        io.say("erased: the key was destroyed, and that is recorded")?;
    } else {
        io.say("there was no key to destroy; that it was asked for is recorded")?;
    }
    Ok(0)
}

/// Whom to forget.
fn subject<'a>(
    arguments: &'a Arguments,
    log: &Path,
    io: &mut Io<'_, '_>,
) -> Result<DataSubject<'a>, Failure> {
    let issuer = arguments.text("--issuer")?;
    match (arguments.text("--subject")?, arguments.text("--day")?) {
        (Some(subject), None) => {
            let whom = Whom::new(subject, issuer);
            let keys = writing::keys(arguments, log)?;
            whom.is_unambiguous(log, &opening::open(&keys)?, io)?;
            Ok(whom.subject())
        }
        (None, Some(_)) if issuer.is_some() => Err(arguments.usage("`--issuer` needs `--subject`")),
        (None, Some(text)) => {
            let day = times::day(text).ok_or_else(|| {
                arguments.usage(format!("`--day`: `{text}` is no day such as `2030-01-31`"))
            })?;
            Ok(DataSubject::Anonymous(day))
        }
        _ => Err(arguments.usage("it needs either `--subject` or `--day`")),
    }
}
