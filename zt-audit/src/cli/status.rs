//! `zt-audit status`.

use std::path::Path;

use serde_json::{Value, json};
use zt_core::clock::Timestamp;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{Failure, WRONG},
    files,
    files::Keys,
    json,
    paint::Tone,
    reading, times,
};
use crate::{
    format::{Pruned, name},
    note::SignedCheckpoint,
};

pub(super) const COMMAND: Command = Command {
    name: "status",
    about: "show how far a log has come and what of it is signed",
    help: "usage: zt-audit status LOG [OPTIONS]

Shows the log's origin, its records, its last checkpoint and how many records came after it. It
reads the end of the log only and is no proof of anything: that is what `verify` is for.

options:
      --key VKEY|FILE  whose checkpoint it should be (default LOG.keys/vkey); may stand there
                       several times
      --json           the same as one JSON object

exit codes:
  0  done
  1  the checkpoint is not by that key, or the end of the log is not as it was written
  3  the question was not understood, or the log cannot be read

examples:
  zt-audit status audit
  zt-audit status audit --json
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &["--key"],
        short: &[('k', "--key")],
    },
    run,
};

/// Where a log stands.
struct Standing {
    origin: String,
    first: u64,
    records: u64,
    segments: usize,
    newest: Option<u64>,
    checkpoint: Option<Signed>,
}

/// Its checkpoint.
struct Signed {
    size: u64,
    /// By one of the keys; when, where it says so.
    by: Option<(String, Option<Timestamp>)>,
    /// Somebody else signed it, or nobody.
    foreign: bool,
}

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let keys = Keys::given(arguments, &log)?;
    let standing = Standing::of(&log, &keys)?;
    let foreign = standing
        .checkpoint
        .as_ref()
        .is_some_and(|signed| signed.foreign);
    if arguments.flag("--json") {
        io.say(standing.json(&log))?;
    } else {
        let now = io.now()?;
        for (name, value) in standing.lines(now) {
            let name = io.paint.tone(Tone::Faint, &format!("{name:<11}"));
            io.say(format_args!("{name} {}", escape::text(&value)))?;
        }
    }
    Ok(if foreign { WRONG } else { 0 })
}

impl Standing {
    fn of(log: &Path, keys: &Keys) -> Result<Self, Failure> {
        // Read first: what came after it can only be more.
        let checkpoint = files::checkpoint(log)?;
        let segments = reading::segments(log)?;
        let mut reader = reading::from(log, segments.last().copied().unwrap_or(0))?;
        let mut origin = None;
        let mut newest = None;
        while let Some(entry) = reading::next(&mut reader)? {
            let fields = reading::fields_of(&entry)?;
            let text = fields.get("origin").and_then(Value::as_str);
            origin = text.map(str::to_owned);
            newest = fields.get("ts").and_then(Value::as_u64);
        }
        let said = checkpoint
            .as_ref()
            .map(|signed| &signed.checkpoint().origin);
        Ok(Self {
            origin: origin.or_else(|| said.cloned()).unwrap_or_default(),
            first: first_of(log)?,
            records: reader.position(),
            segments: segments.len(),
            newest,
            checkpoint: checkpoint.map(|signed| Signed::of(&signed, keys)),
        })
    }

    /// How many records no checkpoint covers.
    fn lag(&self) -> u64 {
        let signed = self.checkpoint.as_ref().map_or(0, |signed| signed.size);
        self.records.saturating_sub(signed)
    }

    fn lines(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let pruned = match self.first {
            0 => String::new(),
            first => format!(", of which {first} were pruned"),
        };
        let newest = match self.newest {
            Some(micros) => times::aged(Timestamp::from_micros(micros), now),
            None => "-".to_owned(),
        };
        vec![
            ("origin", self.origin.clone()),
            ("records", format!("{}{pruned}", self.records)),
            ("segments", self.segments.to_string()),
            ("newest", newest),
            (
                "checkpoint",
                match &self.checkpoint {
                    None => "none".to_owned(),
                    Some(signed) => signed.line(now),
                },
            ),
            ("lag", format!("{} records are not signed yet", self.lag())),
        ]
    }

    fn json(&self, log: &Path) -> String {
        let checkpoint = self.checkpoint.as_ref().map(|signed| {
            let by = signed.by.as_ref();
            json!({
                "size": signed.size,
                "by": by.map(|(key, _)| key),
                "at": by.and_then(|(_, at)| *at).map(|at| times::shown(at.as_micros())),
            })
        });
        json::line(&json!({
            "log": log.to_string_lossy(),
            "origin": self.origin,
            "first": self.first,
            "records": self.records,
            "segments": self.segments,
            "newest": self.newest.map(times::shown),
            "checkpoint": checkpoint,
            "lag": self.lag(),
        }))
    }
}

impl Signed {
    fn of(signed: &SignedCheckpoint, keys: &Keys) -> Self {
        let by = keys.keys.iter().find_map(|key| {
            let at = signed.verify(key).ok()?;
            Some((key.to_string(), at))
        });
        Self {
            size: signed.checkpoint().size,
            foreign: by.is_none() && !keys.keys.is_empty(),
            by,
        }
    }

    fn line(&self, now: Timestamp) -> String {
        let size = self.size;
        match &self.by {
            Some((key, Some(at))) => {
                format!("{size} records, signed {} by {key}", times::aged(*at, now))
            }
            Some((key, None)) => format!("{size} records, signed by {key}"),
            None if self.foreign => format!("{size} records, NOT signed by the key"),
            None => format!("{size} records, its signature not looked at: no key was given"),
        }
    }
}

/// The first record that is there.
fn first_of(log: &Path) -> Result<u64, Failure> {
    let file = log.join(name::PRUNED);
    match files::regular(&file)? {
        None => Ok(0),
        Some(bytes) => Pruned::parse(&bytes)
            .map(|pruned| pruned.before())
            .ok_or_else(|| {
                Failure::wrong(format_args!(
                    "`{}` is not as it was written",
                    file.display()
                ))
            }),
    }
}
