//! `zt-audit publish`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{CANNOT, Failure, WRONG},
    files,
    files::Keys,
    json,
    progress::Meter,
    prove, reading,
};
use crate::publish::{Publish, PublishError};

pub(super) const COMMAND: Command = Command {
    name: "publish",
    about: "write a log as C2SP tlog-tiles, which other programs verify",
    help: "usage: zt-audit publish --log LOG --out DIR [OPTIONS]
       zt-audit publish LOG DIR [OPTIONS]

Writes DIR/checkpoint, DIR/tile/.. and DIR/tile/entries/.. for what the log's checkpoint covers, to
be served as plain files. Run again, it writes what is new and compares the rest. Personal fields
stay sealed.

options:
      --only-new        do not compare again what was published before
      --key VKEY|FILE   the checkpoint must be by one of these; may stand there several times
      --json            what was done as one JSON object

exit codes:
  0  done
  1  the log is not what was signed, or not the one that was published there
  3  the question was not understood, or a folder cannot be read or written

examples:
  zt-audit publish --log audit --out /srv/audit
  zt-audit publish audit /srv/audit --only-new
",
    spec: Spec {
        positionals: &["LOG", "DIR"],
        flags: &["--only-new", "--json"],
        options: &["--log", "--out", "--key"],
        short: &[('k', "--key"), ('o', "--out")],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let (log, out) = folders(arguments)?;
    is_apart(&log, &out)?;
    let keys = Keys::named(arguments)?;
    let mut meter = Meter::new("publishing", io);
    let mut tell = |done, total| meter.share(done, total, io);
    let mut publish = Publish::new().progress(&mut tell);
    if arguments.flag("--only-new") {
        publish = publish.only_new();
    }
    if !keys.is_empty() {
        let signed = files::checkpoint(&log)?;
        let by = keys
            .into_iter()
            .find(|key| {
                signed
                    .as_ref()
                    .is_some_and(|signed| signed.verify(key).is_ok())
            })
            .ok_or_else(|| Failure::wrong("the log's checkpoint is not signed by the key"))?;
        publish = publish.trusting(by);
    }
    let published = publish.run(&log, &out);
    meter.clear(io);
    let published = published.map_err(refused)?;
    if arguments.flag("--json") {
        io.say(json::line(&json!({
            "origin": published.origin,
            "first": published.first,
            "size": published.size,
            "written": published.written,
            "unchanged": published.unchanged,
        })))?;
    } else {
        io.say(format_args!(
            "published {} records of {}: {} files written, {} as they were",
            published.size,
            escape::word(&published.origin),
            published.written,
            published.unchanged
        ))?;
    }
    Ok(0)
}

/// The log, and where to: named, or one after the other.
fn folders(arguments: &Arguments) -> Result<(PathBuf, PathBuf), Failure> {
    let named = (arguments.one("--log")?, arguments.one("--out")?);
    let (log, out): (&OsStr, &OsStr) = match (arguments.positionals(), named) {
        (0, (Some(log), Some(out))) => (log, out),
        (1, (None, Some(out))) => (arguments.needed(0)?, out),
        (1, (Some(log), None)) => (log, arguments.needed(0)?),
        (2, (None, None)) => (arguments.needed(0)?, arguments.needed(1)?),
        _ => return Err(arguments.usage("it needs a log and a folder: `--log LOG --out DIR`")),
    };
    Ok((PathBuf::from(log), PathBuf::from(out)))
}

/// Refuses a folder within the log before it is made there.
fn is_apart(log: &Path, out: &Path) -> Result<(), Failure> {
    let Ok(log) = log.canonicalize() else {
        return Err(reading::absent(log));
    };
    let out = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let there = out
        .ancestors()
        .find_map(|folder| folder.canonicalize().ok());
    match there {
        Some(there) if there.starts_with(&log) => Err(refused(PublishError::Within)),
        _ => Ok(()),
    }
}

fn refused(error: PublishError) -> Failure {
    let code = match error {
        PublishError::Log(error) => return prove::refused(error),
        PublishError::OtherLog { .. }
        | PublishError::Unreadable
        | PublishError::RolledBack { .. }
        | PublishError::Forked { .. }
        | PublishError::Differs(_) => WRONG,
        PublishError::Within | PublishError::InUse(_) | PublishError::File { .. } => CANNOT,
    };
    Failure::Said(code, error.to_string())
}
