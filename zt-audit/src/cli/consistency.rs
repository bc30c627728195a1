//! `zt-audit consistency`.

use std::{ffi::OsStr, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{
    Command, Io,
    arguments::{Arguments, Spec, shown},
    failure::Failure,
    files,
    files::Keys,
    json,
    paint::Tone,
    prove,
};
use crate::{merkle::Hash, note::SignedCheckpoint, tree::Consistency};

pub(super) const COMMAND: Command = Command {
    name: "consistency",
    about: "prove that a log goes on from an earlier state of it",
    help: "usage: zt-audit consistency LOG OLD [NEW] [OPTIONS]

Proves that the first OLD records are the beginning of the first NEW (default: all that the log's
checkpoint covers). OLD and NEW are numbers of records, or files with a checkpoint that was kept
elsewhere: then its root must be that of the log, too.

options:
      --key VKEY|FILE   every checkpoint must be by one of these; may stand there several times
      --json            the proof as one JSON object

exit codes:
  0  it goes on
  1  it does not: the log is not the one of which the checkpoint was kept
  3  the question was not understood, or the log cannot be read or has no such records

examples:
  zt-audit consistency audit yesterday.checkpoint --key audit.vkey
  zt-audit consistency audit 1000 2000 --json
",
    spec: Spec {
        positionals: &["LOG", "OLD", "NEW"],
        flags: &["--json"],
        options: &["--key"],
        short: &[('k', "--key")],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    let log = arguments.log()?;
    let old = State::read(arguments.needed(1)?, arguments, io)?;
    let new = arguments
        .positional(2)
        .map(|new| State::read(new, arguments, io))
        .transpose()?;
    let prover = prove::prover(arguments, &log)?;
    let signed = prover.checkpoint().checkpoint();
    for state in [Some(&old), new.as_ref()].into_iter().flatten() {
        state.is_of(&signed.origin)?;
        state.is_within(signed.size)?;
    }
    let size = new.as_ref().map_or(signed.size, State::size);
    let proof = prover
        .consistency(old.size(), size)
        .map_err(prove::refused)?;
    old.has(&proof.old_root)?;
    if let Some(new) = &new {
        new.has(&proof.new_root)?;
    }
    if arguments.all("--key").next().is_none() {
        io.remark("no key was given: nobody's signature was looked at");
    }
    if arguments.flag("--json") {
        io.say(as_json(&proof))?;
        return Ok(0);
    }
    let (old, new) = (proof.old, proof.new);
    let line = format!("consistent: the first {old} records are the beginning of the first {new}");
    io.say(io.paint.tone(Tone::Good, &line))?;
    io.say(format_args!("old {old} {}", proof.old_root))?;
    io.say(format_args!("new {new} {}", proof.new_root))?;
    for hash in &proof.hashes {
        io.say(BASE64_STANDARD.encode(hash.as_bytes()))?;
    }
    Ok(0)
}

/// A state of the log, as it was asked for.
enum State {
    Size(u64),
    Kept(String, SignedCheckpoint),
}

impl State {
    fn read(text: &OsStr, arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<Self, Failure> {
        let digits = text
            .to_str()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(digits) = digits {
            return match arguments.digits("records", digits)? {
                0 => Err(arguments.usage("every log goes on from 0 records")),
                size => Ok(Self::Size(size)),
            };
        }
        if text != "-" && !Path::new(text).exists() {
            return Err(arguments.usage(format!(
                "`{}` is neither a number of records nor a file with a checkpoint",
                shown(text)
            )));
        }
        let kept = files::checkpoint_of(text, io)?;
        let keys = Keys::named(arguments)?;
        if !keys.is_empty() && !keys.iter().any(|key| kept.verify(key).is_ok()) {
            return Err(Failure::wrong(format_args!(
                "the checkpoint in `{}` is not signed by the key",
                shown(text)
            )));
        }
        Ok(Self::Kept(shown(text), kept))
    }

    const fn size(&self) -> u64 {
        match self {
            Self::Size(size) => *size,
            Self::Kept(_, kept) => kept.checkpoint().size,
        }
    }

    fn is_of(&self, origin: &str) -> Result<(), Failure> {
        match self {
            Self::Kept(file, kept) if kept.checkpoint().origin != origin => {
                Err(Failure::wrong(format_args!(
                    "the checkpoint in `{file}` is of `{}`, and the log is `{origin}`",
                    kept.checkpoint().origin
                )))
            }
            _ => Ok(()),
        }
    }

    fn is_within(&self, signed: u64) -> Result<(), Failure> {
        match self {
            Self::Kept(file, kept) if kept.checkpoint().size > signed => {
                Err(Failure::wrong(format_args!(
                    "the checkpoint in `{file}` covers {} records, and the log's own only {signed}",
                    kept.checkpoint().size
                )))
            }
            _ => Ok(()),
        }
    }

    fn has(&self, root: &Hash) -> Result<(), Failure> {
        match self {
            Self::Kept(file, kept) if kept.checkpoint().root != *root => {
                Err(Failure::wrong(format_args!(
                    "the first {} records of the log are not those of the checkpoint in `{file}`",
                    kept.checkpoint().size
                )))
            }
            _ => Ok(()),
        }
    }
}

fn as_json(proof: &Consistency) -> String {
    let hashes: Vec<String> = proof
        .hashes
        .iter()
        .map(|hash| BASE64_STANDARD.encode(hash.as_bytes()))
        .collect();
    json::line(&json!({
        "old": {"size": proof.old, "root": proof.old_root.to_string()},
        "new": {"size": proof.new, "root": proof.new_root.to_string()},
        "hashes": hashes,
        "checkpoint": proof.checkpoint.encode(),
    }))
}
