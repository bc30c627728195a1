//! `zt-audit query`.

use serde_json::Value;
use zt_core::clock::Timestamp;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    failure::Failure,
    opening,
    progress::Meter,
    reading,
    reading::Showing,
    times,
    whom::Whom,
};
use crate::{read::Entry, seal::Vault};

pub(super) const COMMAND: Command = Command {
    name: "query",
    about: "show the records that match",
    help: "usage: zt-audit query LOG [OPTIONS]

Reads the whole log and shows each record that every option matches. A person is found by their
pseudonym, which only the vault can tell; after they were erased, nobody finds them.

options:
      --kind KIND       decision, outcome, admin, grant, budget, sanction, config, alert, started,
                        recovered, gap, rolled-up, erased, prune, key; may stand there several times
      --subject S       records about this principal; needs the vault (default LOG.keys)
      --issuer I        who vouches for S (default: whoever the record names)
      --code CODE       the reason of a denial: policy-denied, rate-limited, ..
      --decision D      permit, deny or undecided
      --request ID      the records of one request
      --from TIME       not before: 2030-01-31T12:00:00Z, 2030-01-31, or so long ago: 15m, 7d
      --to TIME         before
      --origin O        the log's origin
      --limit N         at most N records
      --open KEYS       open sealed fields with the vault in the folder KEYS
      --json            one JSON object a line; without --open these are the stored bytes

exit codes:
  0  done, also where nothing matches
  1  a record is not as it was written
  3  the question was not understood, or the log or the vault cannot be read

examples:
  zt-audit query audit --decision deny --from 1h
  zt-audit query audit --subject alice --issuer https://id.example --open audit.keys
",
    spec: Spec {
        positionals: &["LOG"],
        flags: &["--json"],
        options: &[
            "--kind",
            "--subject",
            "--issuer",
            "--code",
            "--decision",
            "--request",
            "--from",
            "--to",
            "--origin",
            "--limit",
            "--open",
        ],
        short: &[],
    },
    run,
};

/// Every kind of record.
pub(super) const KINDS: [&str; 15] = [
    "decision",
    "outcome",
    "admin",
    "grant",
    "budget",
    "sanction",
    "config",
    "alert",
    "started",
    "recovered",
    "gap",
    "rolled-up",
    "erased",
    "prune",
    "key",
];

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let mut question = Question::of(arguments, io.now()?)?;
    let limit = arguments.number("--limit")?.unwrap_or(u64::MAX);
    let open = opening::named(arguments)?;
    let beside = match (&question.whom, &open) {
        (Some(_), None) => opening::beside(&log),
        _ => None,
    };
    let showing = Showing {
        vault: open,
        json: arguments.flag("--json"),
    };
    let mut reader = reading::from(&log, 0)?;
    let mut meter = Meter::new("reading", io);
    let mut found = 0;
    while found < limit {
        let Some(entry) = reading::next(&mut reader)? else {
            break;
        };
        meter.at(entry.index, io);
        let vault = showing.vault.as_ref().or(beside.as_ref());
        if question.matches(&entry, vault)? {
            found += 1;
            meter.clear(io);
            showing.show(&entry, io)?;
        }
    }
    meter.clear(io);
    Ok(0)
}

/// What records are asked for.
struct Question<'a> {
    kinds: Vec<&'a str>,
    words: Vec<(&'static str, &'a str)>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    whom: Option<Whom<'a>>,
}

impl<'a> Question<'a> {
    fn of(arguments: &'a Arguments, now: Timestamp) -> Result<Self, Failure> {
        let mut kinds = Vec::new();
        for kind in arguments.all("--kind") {
            let kind = kind
                .to_str()
                .filter(|kind| KINDS.contains(kind))
                .ok_or_else(|| {
                    arguments.usage(format!(
                        "there is no kind `{}`",
                        super::arguments::shown(kind)
                    ))
                })?;
            kinds.push(kind);
        }
        let moment = |name: &str| -> Result<Option<Timestamp>, Failure> {
            arguments
                .text(name)?
                .map(|text| {
                    times::moment(text, now).ok_or_else(|| {
                        arguments.usage(format!(
                            "{name}: `{text}` is neither a time nor a span such as `15m`"
                        ))
                    })
                })
                .transpose()
        };
        let issuer = arguments.text("--issuer")?;
        let subject = arguments.text("--subject")?;
        if issuer.is_some() && subject.is_none() {
            return Err(arguments.usage("`--issuer` needs `--subject`"));
        }
        if let Some(decision) = arguments.text("--decision")?
            && !["permit", "deny", "undecided"].contains(&decision)
        {
            return Err(arguments.usage(format!(
                "`--decision` is `permit`, `deny` or `undecided`, not `{decision}`"
            )));
        }
        let mut words = Vec::new();
        for (option, field) in [
            ("--code", "code"),
            ("--decision", "decision"),
            ("--request", "request_id"),
            ("--origin", "origin"),
        ] {
            if let Some(word) = arguments.text(option)? {
                words.push((field, word));
            }
        }
        Ok(Self {
            kinds,
            words,
            from: moment("--from")?,
            to: moment("--to")?,
            whom: subject.map(|subject| Whom::new(subject, issuer)),
        })
    }

    fn matches(&mut self, entry: &Entry, vault: Option<&Vault>) -> Result<bool, Failure> {
        let fields = reading::fields_of(entry)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let kind = text("kind").unwrap_or_default();
        if !self.kinds.is_empty() && !self.kinds.contains(&kind) {
            return Ok(false);
        }
        if self
            .words
            .iter()
            .any(|(name, word)| text(name) != Some(word))
        {
            return Ok(false);
        }
        let at = fields.get("ts").and_then(Value::as_u64).unwrap_or(0);
        let at = Timestamp::from_micros(at);
        if self.from.is_some_and(|from| at < from) || self.to.is_some_and(|to| at >= to) {
            return Ok(false);
        }
        match &mut self.whom {
            Some(whom) => whom.is_in(entry, &fields, vault),
            None => Ok(true),
        }
    }
}
