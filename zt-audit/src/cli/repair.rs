//! `zt-audit repair`.

use std::sync::Arc;

use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{CANNOT, Failure, WRONG},
    json, reading, writing,
};
use crate::repair::{Repair, RepairError, Repaired};

pub(super) const COMMAND: Command = Command {
    name: "repair",
    about: "go on with a log that was damaged, once somebody has taken note of it",
    help: "usage: zt-audit repair LOG --acknowledge --author A --reason R [OPTIONS]

A log that is damaged is not opened for writing. Keep a copy of it, find out what happened, and then
let this set aside what is not good, and all that came after it, in LOG/torn. It records what was
lost and who took note of it, and signs what is left. It hides nothing: whoever kept a checkpoint
that covered what is gone will see that it is.

A torn end is not damage: opening the log sets it aside. A log that has less than its key has
signed, as one from a backup does, is repaired in the same way, by what LOG.keys/signed says.

options:
      --acknowledge       that you know that records are given up
      --author A          who takes note; recorded
      --reason R          why; recorded
      --keys KEYS         the folder of the log's keys (default LOG.keys)
      --signing-key FILE  where the application keeps it in another place
      --json              what was done as one JSON object

exit codes:
  0  done, also where there was nothing to repair
  1  nothing good is left to go on from, or the key is not the log's
  3  the question was not understood, or the log cannot be written

examples:
  zt-audit verify audit; cp -a audit audit.damaged
  zt-audit repair audit --acknowledge --author ops --reason 'disk replaced, ticket 17'
  zt-audit repair audit --acknowledge --author ops --reason 'ticket 17' --keys /etc/shop/audit.keys
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--acknowledge", "--json"],
        options: &["--author", "--reason", "--keys", "--signing-key"],
        short: &[],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let author = arguments.required("--author")?;
    let reason = arguments.required("--reason")?;
    if !arguments.flag("--acknowledge") {
        return Err(arguments.usage("it gives records up: say `--acknowledge`"));
    }
    reading::last_segment(&log)?;
    let mut repair = Repair::new(writing::own_key(arguments, &log)?).clock(writing::clock(io));
    if let Some(vault) = writing::vault(arguments, &log)? {
        repair = repair.sealing(Arc::new(vault));
    }
    if let Ok(keys) = writing::keys(arguments, &log) {
        repair = repair.keys_in(keys);
    }
    match repair.run(&log, author, reason) {
        Ok(repaired) => say(arguments, &repaired, io)?,
        Err(RepairError::NotDamaged) if arguments.flag("--json") => {
            io.say(json::line(&json!({"repaired": null})))?;
        }
        Err(RepairError::NotDamaged) => {
            io.say("there is nothing to repair: the log can be opened as it is")?;
        }
        Err(error) => return Err(refused(&error)),
    }
    Ok(0)
}

fn say(arguments: &Arguments, repaired: &Repaired, io: &mut Io<'_, '_>) -> Result<(), Failure> {
    let lost = repaired
        .was
        .as_ref()
        .map(|was| was.size.saturating_sub(repaired.kept));
    if arguments.flag("--json") {
        return io.say(json::line(&json!({
            "repaired": {
                "damage": repaired.damage.to_string(),
                "kept": repaired.kept,
                "signed_and_lost": lost,
                "aside": repaired.aside,
                "size": repaired.checkpoint.checkpoint().size,
            },
        })));
    }
    let damage = repaired.damage.to_string();
    io.say(format_args!("damaged: {}", escape::text(&damage)))?;
    io.say(format_args!(
        "kept: the {} records before it",
        repaired.kept
    ))?;
    if let Some(lost) = lost {
        io.say(format_args!("lost: {lost} records that were signed"))?;
    }
    for name in &repaired.aside {
        io.say(format_args!("set aside: {}", escape::word(name)))?;
    }
    Ok(())
}

fn refused(error: &RepairError) -> Failure {
    let (code, more) = match error {
        RepairError::InUse => (CANNOT, ": stop it first"),
        RepairError::NothingLeft { .. } | RepairError::Key { .. } => (WRONG, ""),
        _ => (CANNOT, ""),
    };
    Failure::Said(code, format!("{error}{more}"))
}
