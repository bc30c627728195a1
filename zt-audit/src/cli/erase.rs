//! `zt-audit erase`.

use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    json, query, times, writing,
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
      --issuer I      who vouches for that name; without it also the name standing alone
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
  zt-audit erase audit --subject alice --issuer https://id.example --author dpo --reason 'request 17'
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
    let subjects = whom(arguments)?;
    let author = arguments.required("--author")?;
    let reason = arguments.required("--reason")?;
    let log = writing::open(
        arguments,
        &folder,
        "let the application that has it open call `AuditLog::erase`",
        io,
    )?;
    let mut keys = 0;
    let mut failure = None;
    for subject in subjects {
        match log.erase(subject, Some(author), reason) {
            Ok(erased) => keys += erased.keys,
            Err(error) => failure = failure.or(Some(Failure::cannot(error))),
        }
    }
    writing::close(&log)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if arguments.flag("--json") {
        io.say(json::line(&json!({"erased": keys > 0, "keys": keys})))?;
    } else if keys > 0 {
        io.say("erased: the key was destroyed, and that is recorded")?;
    } else {
        io.say("there was no key to destroy; that it was asked for is recorded")?;
    }
    Ok(0)
}

fn whom(arguments: &Arguments) -> Result<Vec<DataSubject<'_>>, Failure> {
    let subject = arguments.text("--subject")?;
    let issuer = arguments.text("--issuer")?;
    match (subject, arguments.text("--day")?) {
        (Some(subject), None) => Ok(query::subjects(subject, issuer)),
        (None, Some(_)) if issuer.is_some() => Err(arguments.usage("`--issuer` needs `--subject`")),
        (None, Some(text)) => {
            let day = times::day(text).ok_or_else(|| {
                arguments.usage(format!("`--day`: `{text}` is no day such as `2030-01-31`"))
            })?;
            Ok(vec![DataSubject::Anonymous(day)])
        }
        _ => Err(arguments.usage("it needs either `--subject` or `--day`")),
    }
}
