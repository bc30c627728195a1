//! `zt-audit verify`.

use std::{num::NonZeroUsize, path::Path};

use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{Failure, UNSIGNED},
    files,
    files::Keys,
    json,
    paint::Tone,
    progress::Meter,
    times,
};
use crate::verify::{Finding, Progress, Report, Trust, Unsigned, Verification};

pub(super) const COMMAND: Command = Command {
    name: "verify",
    about: "check every byte of a log against its hashes, and these against signatures",
    help: "usage: zt-audit verify LOG [OPTIONS]

Says whether the log is as it was written: every record, their order, the tree over them, and a
checkpoint over all of them signed by a key that you trust. It works on a log that is being written;
what was written since the last checkpoint (each second) is then not signed yet: 2, ask again.

Without --key it takes LOG.keys/vkey where that is there, and says so: whoever can change the log
can often change that file too. Keep the key, and now and then a checkpoint, in another place.
LOG.keys/signed is the last checkpoint that was signed: a copy of it is one to keep.

options:
      --key VKEY|FILE      a verifier key, or a file of them; may stand there several times
      --checkpoint FILE|-  a checkpoint kept elsewhere: the log must still contain what it says;
                           may stand there several times
      --max-age DURATION   the checkpoint must not be older: 5m, 1h
      --threads N          segments read at the same time (default: one a processor)
      --json               the verdict as one JSON object

exit codes:
  0  all of it is sound and signed
  1  something is not as it was written; the first bad record and its byte offset are named
  2  it agrees with itself, but its end is torn or not all of it is signed, or no key was given
  3  the question was not understood, or the log cannot be read

examples:
  zt-audit verify audit --key audit.vkey --max-age 5m
  zt-audit verify audit --key audit.vkey --checkpoint yesterday.checkpoint --json
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &["--key", "--checkpoint", "--max-age", "--threads"],
        short: &[('k', "--key")],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let keys = Keys::given(arguments, &log)?;
    let trust = trust(arguments, &keys, io)?;
    let threads = threads(arguments)?;
    let mut meter = Meter::new("verifying", io);
    let mut tell = |progress: Progress| meter.share(progress.bytes, progress.total, io);
    let mut verification = Verification::new(&trust).progress(&mut tell);
    if let Some(threads) = threads {
        verification = verification.threads(threads);
    }
    let report = verification.run(&log);
    meter.clear(io);
    let report = report.map_err(|error| {
        Failure::cannot(format_args!("cannot read `{}`: {error}", log.display()))
    })?;
    let code = report.exit_code();
    match say(&log, &keys, &report, arguments.flag("--json"), io) {
        // What is wrong with a log stays so where nobody reads it.
        Err(failure) if code == 0 => Err(failure),
        _ => Ok(code),
    }
}

fn say(
    log: &Path,
    keys: &Keys,
    report: &Report,
    json: bool,
    io: &mut Io<'_, '_>,
) -> Result<(), Failure> {
    let code = report.exit_code();
    if json {
        return io.say(as_json(log, keys, report, code));
    }
    let tone = match code {
        0 => Tone::Good,
        UNSIGNED => Tone::Warning,
        _ => Tone::Bad,
    };
    let shown = log.display().to_string();
    let verdict = report.to_string();
    let line = format!("{}: {}", escape::text(&shown), escape::text(&verdict));
    io.say(io.paint.tone(tone, &line))?;
    match &keys.beside {
        None => Ok(()),
        Some(file) => io.say(format_args!(
            "the key is the one beside the log, {}; it says as much as that file can be trusted",
            escape::word(&file.to_string_lossy())
        )),
    }
}

fn trust(arguments: &Arguments, keys: &Keys, io: &mut Io<'_, '_>) -> Result<Trust, Failure> {
    let mut trust = Trust::unsigned();
    for key in &keys.keys {
        trust = trust.and_key(key.clone());
    }
    let copies: Vec<_> = arguments.all("--checkpoint").collect();
    if copies.iter().filter(|name| **name == "-").count() > 1 {
        return Err(arguments.usage("`--checkpoint -` stands there more than once"));
    }
    for name in copies {
        trust = trust.at_least(files::checkpoint_of(name, io)?);
    }
    if let Some(text) = arguments.text("--max-age")? {
        let age = times::span(text).ok_or_else(|| {
            arguments.usage(format!("`--max-age`: `{text}` is not a span such as `5m`"))
        })?;
        trust = trust.no_older_than(io.now()?.saturating_sub(age));
    }
    Ok(trust)
}

fn threads(arguments: &Arguments) -> Result<Option<NonZeroUsize>, Failure> {
    let threads = arguments.number("--threads")?;
    threads
        .map(|threads| {
            usize::try_from(threads)
                .ok()
                .and_then(NonZeroUsize::new)
                .ok_or_else(|| arguments.usage("`--threads` is at least 1"))
        })
        .transpose()
}

fn as_json(log: &Path, keys: &Keys, report: &Report, code: u8) -> String {
    let mut out = json!({
        "log": log.to_string_lossy(),
        "exit": code,
        "origin": report.origin,
        "first": report.first,
        "records": report.records,
        "bytes": report.bytes,
        "segments": report.segments,
        "root": report.root.to_string(),
    });
    let more = match &report.finding {
        Finding::Sound => json!({"verdict": "sound"}),
        Finding::Unsigned { from, why } => json!({
            "verdict": "unsigned",
            "unsigned": {"from": from, "why": why_of(*why)},
        }),
        Finding::Torn {
            file,
            offset,
            bytes,
        } => json!({
            "verdict": "torn",
            "torn": {"file": file, "offset": offset, "bytes": bytes},
        }),
        Finding::Tampered(bad) => json!({
            "verdict": "tampered",
            "bad": {
                "index": bad.index,
                "file": bad.file,
                "offset": bad.offset,
                "reason": bad.reason.to_string(),
            },
        }),
    };
    let signed = report.signed.as_ref().map(|signed| {
        json!({
            "size": signed.size,
            "at": signed.at.map(|at| times::shown(at.as_micros())),
            "key": signed.key.to_string(),
        })
    });
    let beside = keys.beside.as_ref().map(|file| file.to_string_lossy());
    for (name, value) in [("signed", json!(signed)), ("key_from", json!(beside))] {
        if !value.is_null()
            && let Some(out) = out.as_object_mut()
        {
            out.insert(name.to_owned(), value);
        }
    }
    if let (Some(out), serde_json::Value::Object(more)) = (out.as_object_mut(), more) {
        out.extend(more);
    }
    json::line(&out)
}

const fn why_of(why: Unsigned) -> &'static str {
    match why {
        Unsigned::NoKey => "no-key",
        Unsigned::NoCheckpoint => "no-checkpoint",
        Unsigned::Newer => "newer",
        Unsigned::Stale => "stale",
        Unsigned::CopyPruned => "copy-pruned",
    }
}
