//! `zt-audit keys`.

use serde_json::{Value, json};

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{Failure, WRONG},
    json,
    paint::Tone,
    progress::Meter,
    reading, times,
};
use crate::{note::VerifierKey, read::Entry, verify::KeyChange};

pub(super) const COMMAND: Command = Command {
    name: "keys",
    about: "show which keys signed a log, and where they were rotated",
    help: "usage: zt-audit keys LOG [OPTIONS]

Shows each verifier key of the log with the record that brought it. A key that came later must be
endorsed by the one before it; whether the first one is to be trusted, the log cannot say.

options:
      --json   one JSON object a key

exit codes:
  0  done
  1  a key is not endorsed by the one before it, or a record is not as it was written
  3  the question was not understood, or the log cannot be read

examples:
  zt-audit keys audit
  zt-audit keys audit --json
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &[],
        short: &[],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let mut reader = reading::from(&log, 0)?;
    let mut meter = Meter::new("reading", io);
    let mut before: Option<VerifierKey> = None;
    let mut pruned = reader.position() > 0;
    let mut code = 0;
    while let Some(entry) = reading::next(&mut reader)? {
        meter.at(entry.index, io);
        let kind = reading::fields_of(&entry)?.remove("kind");
        if kind.as_ref().and_then(Value::as_str) != Some("key") {
            continue;
        }
        let found = Found::of(&entry, before.as_ref(), pruned)?;
        pruned = false;
        if found.standing == Standing::Broken {
            code = WRONG;
        }
        meter.clear(io);
        if arguments.flag("--json") {
            io.say(found.json())?;
        } else {
            let line = found.line(io);
            io.say(line)?;
        }
        before = VerifierKey::parse(&found.vkey).ok();
    }
    meter.clear(io);
    if before.is_none() {
        io.remark(
            "the records that named the log's keys were pruned; `status` tells who signs now",
        );
    }
    Ok(code)
}

/// A `key` record.
pub(super) struct Found {
    index: u64,
    micros: u64,
    action: String,
    vkey: String,
    pub(super) standing: Standing,
}

/// How a key came to be the log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The log began with it.
    First,
    /// The one before it vouches for it.
    Endorsed,
    /// The one before it was pruned.
    Unknown,
    /// Nobody whom the log knows vouches for it.
    Broken,
}

impl Standing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Endorsed => "endorsed by the key before it",
            Self::Unknown => "the key before it was pruned",
            Self::Broken => "not endorsed by the key before it",
        }
    }
}

impl Found {
    pub(super) fn of(
        entry: &Entry,
        before: Option<&VerifierKey>,
        pruned: bool,
    ) -> Result<Self, Failure> {
        let fields = reading::fields_of(entry)?;
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let change = KeyChange::parse(entry.index, &entry.bytes);
        let endorser = change
            .as_ref()
            .and_then(|change| change.endorser(&text("origin")));
        let standing = match (change, before, endorser) {
            (Some(change), None, None) if change.is_first() => Standing::First,
            (Some(_), None, Some(_)) if pruned => Standing::Unknown,
            (Some(_), Some(before), Some(by)) if *before == by => Standing::Endorsed,
            _ => Standing::Broken,
        };
        Ok(Self {
            index: entry.index,
            micros: fields.get("ts").and_then(Value::as_u64).unwrap_or(0),
            action: text("action"),
            vkey: text("vkey"),
            standing,
        })
    }

    fn line(&self, io: &Io<'_, '_>) -> String {
        let tone = match self.standing {
            Standing::Broken => Tone::Bad,
            _ => Tone::Plain,
        };
        format!(
            "{} {:>8} {:<8} {} ({})",
            io.paint.tone(Tone::Faint, &times::shown(self.micros)),
            self.index,
            escape::word(&self.action),
            escape::word(&self.vkey),
            io.paint.tone(tone, self.standing.as_str()),
        )
    }

    fn json(&self) -> String {
        json::line(&json!({
            "index": self.index,
            "at": times::shown(self.micros),
            "action": self.action,
            "vkey": self.vkey,
            "standing": match self.standing {
                Standing::First => "first",
                Standing::Endorsed => "endorsed",
                Standing::Unknown => "unknown",
                Standing::Broken => "broken",
            },
        }))
    }
}
