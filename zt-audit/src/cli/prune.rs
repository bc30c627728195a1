//! `zt-audit prune`.

use std::path::Path;

use serde_json::{Value, json};
use zt_core::clock::Timestamp;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    json,
    progress::Meter,
    reading, times, writing,
};
use crate::log::PruneError;

pub(super) const COMMAND: Command = Command {
    name: "prune",
    about: "drop the oldest segments of a log",
    help: "usage: zt-audit prune LOG --before INDEX --author A [OPTIONS]
       zt-audit prune LOG --older-than DURATION --author A [OPTIONS]

Drops whole segments whose records are all before INDEX, or all older, and records that it was
done. What is left still verifies, against the same keys and the same checkpoints.

Refuses while another process has the log open: let the application call `AuditLog::prune`.

options:
      --before INDEX         the first record that must stay
      --older-than DURATION  instead: 90d, 2160h
      --author A             who orders it; recorded
      --keys KEYS            the folder of the log's keys (default LOG.keys)
      --signing-key FILE     where the application keeps it in another place
      --json                 what was done as one JSON object

exit codes:
  0  done, also where no whole segment was old enough
  1  the log is damaged; nothing was dropped
  3  the question was not understood, or the log cannot be written

examples:
  zt-audit prune audit --older-than 90d --author ops
  zt-audit prune audit --before 1000000 --author ops
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &[
            "--before",
            "--older-than",
            "--author",
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
    let before = match (
        arguments.number("--before")?,
        arguments.text("--older-than")?,
    ) {
        (Some(before), None) => before,
        (None, Some(text)) => {
            let age = times::span(text).ok_or_else(|| {
                arguments.usage(format!(
                    "`--older-than`: `{text}` is not a span such as `90d`"
                ))
            })?;
            first_since(&folder, io.now()?.saturating_sub(age), io)?
        }
        _ => return Err(arguments.usage("it needs either `--before` or `--older-than`")),
    };
    let log = writing::open(
        arguments,
        &folder,
        "let the application that has it open call `AuditLog::prune`",
        io,
    )?;
    let pruned = match log.prune(before, Some(author)) {
        Ok(pruned) => Some(pruned),
        Err(PruneError::Nothing(_)) => None,
        Err(error) => {
            // The first reason is the one to hear.
            let _ = log.close();
            return Err(Failure::cannot(error));
        }
    };
    writing::close(&log)?;
    if arguments.flag("--json") {
        let done =
            pruned.map(|pruned| json!({"before": pruned.before, "segments": pruned.segments}));
        io.say(json::line(&json!({"pruned": done})))?;
    } else if let Some(pruned) = pruned {
        io.say(format_args!(
            "dropped {} segments: the first record is now {}",
            pruned.segments, pruned.before
        ))?;
    } else {
        io.say(format_args!(
            "dropped nothing: no whole segment lies before record {before}"
        ))?;
    }
    Ok(0)
}

/// The first record that is not older than `cutoff`: all before it are.
fn first_since(log: &Path, cutoff: Timestamp, io: &mut Io<'_, '_>) -> Result<u64, Failure> {
    let mut reader = reading::from(log, 0)?;
    let mut meter = Meter::new("reading", io);
    while let Some(entry) = reading::next(&mut reader)? {
        meter.at(entry.index, io);
        let at = reading::fields_of(&entry)?
            .get("ts")
            .and_then(Value::as_u64);
        // A record whose time the clock could not tell is no reason to stop.
        if at.is_some_and(|at| at >= cutoff.as_micros()) {
            meter.clear(io);
            return Ok(entry.index);
        }
    }
    meter.clear(io);
    Ok(reader.position())
}
