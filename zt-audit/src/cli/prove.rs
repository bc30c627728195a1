//! `zt-audit prove`.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use zt_core::clock::Timestamp;

use super::{
    Command, Io,
    arguments::{Arguments, Spec},
    escape,
    failure::{CANNOT, Failure, UNSIGNED, WRONG},
    files,
    files::Keys,
    json,
    paint::Tone,
    times,
};
use crate::{
    note::SignedCheckpoint,
    read::ReadError,
    tree::{Inclusion, ProveError, Prover},
};

pub(super) const COMMAND: Command = Command {
    name: "prove",
    about: "prove that a record is in a log, or check such a proof without the log",
    help: "usage: zt-audit prove LOG INDEX [OPTIONS]
       zt-audit prove --check PROOF --key VKEY [--record FILE]

The first form writes a C2SP tlog-proof that the record INDEX is in the log as of its last
checkpoint. The second checks one, anywhere: it needs the proof, the verifier key, and the record,
which is its line as `export --json` writes it.

options:
      --size N          the proof must be about a log of N records: that of the last checkpoint
      --out FILE        write the proof into a new file
      --check PROOF     check the proof in this file, or `-`
      --key VKEY|FILE   a verifier key, or a file of them; may stand there several times. Without
                        --check: the checkpoint must be by one of them
      --record FILE     the record; `-` for standard input
      --json            the answer as one JSON object

exit codes:
  0  the proof is made, or is good
  1  the proof is not good, or the log is not what was signed
  2  the checkpoint of the proof is good, but no record was given to find in it
  3  the question was not understood, the record is not signed yet, or was pruned

examples:
  zt-audit prove audit 4711 --out 4711.proof
  zt-audit prove --check 4711.proof --key audit.vkey --record 4711.json
",
    spec: Spec {
        positionals: &["LOG", "INDEX"],
        flags: &["--json"],
        options: &["--size", "--out", "--check", "--key", "--record"],
        short: &[('k', "--key"), ('o', "--out")],
    },
    run,
};

fn run(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    match arguments.one("--check")? {
        Some(proof) => check(arguments, proof, io),
        None => make(arguments, io),
    }
}

fn make(arguments: &Arguments, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    if arguments.one("--record")?.is_some() {
        return Err(arguments.usage("`--record` needs `--check`"));
    }
    let log = arguments.log()?;
    let index = arguments.needed(1)?.to_string_lossy();
    let index = arguments.digits("INDEX", &index)?;
    let prover = prover(arguments, &log)?;
    let size = prover.checkpoint().checkpoint().size;
    if let Some(asked) = arguments.number("--size")?
        && asked != size
    {
        return Err(Failure::cannot(format_args!(
            "the log's checkpoint is of {size} records: nobody signed a log of {asked} that is here"
        )));
    }
    let proof = prover.inclusion(index).map_err(refused)?;
    let text = if arguments.flag("--json") {
        json::line(&as_json(&proof)) + "\n"
    } else {
        proof.encode()
    };
    match arguments.path("--out")? {
        Some(file) => create(file, &text)?,
        // Names in it are a log's: without controls, as signed notes demand.
        None => write!(io.around.out, "{text}").map_err(Failure::output)?,
    }
    Ok(0)
}

/// What makes proofs about the log, whose checkpoint is by one of the keys where any was given.
pub(super) fn prover(arguments: &Arguments, log: &Path) -> Result<Prover, Failure> {
    let keys = Keys::named(arguments)?;
    let prover = Prover::open(log).map_err(refused)?;
    if !keys.is_empty()
        && !keys
            .iter()
            .any(|key| prover.checkpoint().verify(key).is_ok())
    {
        return Err(Failure::wrong(
            "the log's checkpoint is not signed by the key",
        ));
    }
    Ok(prover)
}

/// Why there is no proof.
pub(super) fn refused(error: ProveError) -> Failure {
    let code = match &error {
        ProveError::Damaged | ProveError::Checkpoint(_) => WRONG,
        ProveError::Read(ReadError::Damaged { .. }) => WRONG,
        _ => CANNOT,
    };
    Failure::Said(code, error.to_string())
}

fn create(file: &Path, text: &str) -> Result<(), Failure> {
    let mut options = File::options();
    options
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .map_err(|error: io::Error| {
            Failure::cannot(format_args!("cannot write `{}`: {error}", file.display()))
        })
}

fn check(arguments: &Arguments, name: &OsStr, io: &mut Io<'_, '_>) -> Result<u8, Failure> {
    if arguments.positionals() > 0 || arguments.one("--out")?.is_some() {
        return Err(arguments.usage("`--check` takes a proof, and neither a log nor `--out`"));
    }
    let keys = Keys::named(arguments)?;
    if keys.is_empty() {
        return Err(arguments.usage("`--check` needs `--key`: whom to believe"));
    }
    let record = arguments.one("--record")?;
    if record.is_some_and(|record| record == "-" && name == "-") {
        return Err(arguments.usage("`-` stands there more than once"));
    }
    let text = files::read_or_input(name, io)?;
    let record = record
        .map(|record| files::read_or_input(record, io))
        .transpose()?;
    let line = record.as_deref().unwrap_or_default();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let proof = Inclusion::parse(&text, line).map_err(|error| {
        let name = Path::new(name).display();
        Failure::usage(format_args!("`{name}`: {error}"))
    })?;
    let signed = keys
        .iter()
        .find_map(|key| proof.checkpoint.verify(key).ok())
        .ok_or_else(|| Failure::wrong("the proof's checkpoint is not signed by the key"))?;
    if record.is_none() {
        return answer(arguments, &proof, signed, UNSIGNED, io);
    }
    let good = keys.iter().any(|key| proof.verify(key).is_ok());
    answer(arguments, &proof, signed, if good { 0 } else { WRONG }, io)
}

fn answer(
    arguments: &Arguments,
    proof: &Inclusion,
    signed: Option<Timestamp>,
    code: u8,
    io: &mut Io<'_, '_>,
) -> Result<u8, Failure> {
    let checkpoint = proof.checkpoint.checkpoint();
    let (index, size) = (proof.index, checkpoint.size);
    if arguments.flag("--json") {
        let verdict = match code {
            0 => "proved",
            UNSIGNED => "no-record",
            _ => "not-proved",
        };
        io.say(json::line(&json!({
            "verdict": verdict,
            "exit": code,
            "index": index,
            "origin": checkpoint.origin,
            "size": size,
            "signed": signed.map(|at| times::shown(at.as_micros())),
        })))?;
        return Ok(code);
    }
    let log = escape::word(&checkpoint.origin);
    let at = match signed {
        Some(at) => format!(", signed {}", times::shown(at.as_micros())),
        None => String::new(),
    };
    let (tone, line) = match code {
        0 => (
            Tone::Good,
            format!("proved: this is record {index} of the {size} records of {log}{at}"),
        ),
        UNSIGNED => (
            Tone::Warning,
            format!(
                "the checkpoint of {size} records of {log} is by the key{at}; whether a record is \
                 in it needs `--record`"
            ),
        ),
        _ => (
            Tone::Bad,
            format!("NOT proved: this is not record {index} of the {size} records of {log}{at}"),
        ),
    };
    io.say(io.paint.tone(tone, &line))?;
    Ok(code)
}

fn as_json(proof: &Inclusion) -> serde_json::Value {
    json!({
        "index": proof.index,
        "leaf": proof.leaf.to_string(),
        "hashes": proof
            .hashes
            .iter()
            .map(|hash| BASE64_STANDARD.encode(hash.as_bytes()))
            .collect::<Vec<_>>(),
        "size": proof.checkpoint.checkpoint().size,
        "root": proof.checkpoint.checkpoint().root.to_string(),
        "checkpoint": SignedCheckpoint::encode(&proof.checkpoint),
    })
}
