//! Small files: keys, checkpoints, proofs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Io, arguments::Arguments, failure::Failure, opening};
use crate::{
    format::name,
    note::{SignedCheckpoint, VerifierKey},
};

/// More than any of them needs (a signed note is at most 16 KiB).
const MOST: u64 = 256 * 1024;

/// A small file whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    found(path)?
        .ok_or_else(|| Failure::cannot(format_args!("there is no file `{}`", path.display())))
}

/// The same, where it is there.
pub(super) fn found(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| unreadable(path, &error))?,
    };
    bounded(file, path).map(Some)
}

/// The same within a log or beside it. Whoever made those may have put something there that never
/// ends, or never begins.
pub(super) fn regular(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(Failure::cannot(format_args!(
            "`{}` is no file",
            path.display()
        ))),
        _ => found(path),
    }
}

/// A file, or standard input where its name is `-`.
pub(super) fn read_or_input(name: &OsStr, io: &mut Io<'_, '_>) -> Result<Vec<u8>, Failure> {
    if name == "-" {
        bounded(&mut *io.around.input, Path::new("-"))
    } else {
        read(Path::new(name))
    }
}

fn bounded(from: impl Read, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::cannot(format_args!(
            "`{}` is longer than {MOST} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::cannot(format_args!("cannot read `{}`: {error}", path.display()))
}

/// Whom to believe, and where that was said.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) keys: Vec<VerifierKey>,
    /// The file beside the log, where nobody named a key.
    pub(super) beside: Option<PathBuf>,
}

impl Keys {
    /// The keys that `--key` names; where it names none, the one beside the log.
    pub(super) fn given(arguments: &Arguments, log: &Path) -> Result<Self, Failure> {
        let named = Self::named(arguments)?;
        if !named.is_empty() {
            return Ok(Self {
                keys: named,
                beside: None,
            });
        }
        let file = opening::keys_beside(log).join("vkey");
        Ok(match regular(&file) {
            Ok(Some(bytes)) => Self {
                keys: of_file(&file, &bytes)?,
                beside: Some(file),
            },
            // The folder of keys is the writer's; who only reads the log often may not look there.
            Ok(None) | Err(_) => Self {
                keys: Vec::new(),
                beside: None,
            },
        })
    }

    /// The keys that `--key` names.
    pub(super) fn named(arguments: &Arguments) -> Result<Vec<VerifierKey>, Failure> {
        let mut keys = Vec::new();
        for given in arguments.all("--key") {
            let key = given
                .to_str()
                .and_then(|text| VerifierKey::parse(text).ok());
            match key {
                Some(key) => keys.push(key),
                None => keys.extend(file_of_keys(given)?),
            }
        }
        Ok(keys)
    }
}

fn file_of_keys(given: &OsStr) -> Result<Vec<VerifierKey>, Failure> {
    let path = Path::new(given);
    match found(path) {
        Ok(Some(bytes)) => of_file(path, &bytes),
        // A name that no file can have is a key that is none.
        Ok(None) | Err(_) if !path.exists() => Err(Failure::usage(format_args!(
            "`{}` is neither a verifier key (`name+id+base64`) nor a file with one",
            path.display()
        ))),
        Ok(None) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn of_file(path: &Path, bytes: &[u8]) -> Result<Vec<VerifierKey>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let keys: Vec<VerifierKey> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            VerifierKey::parse(line).map_err(|error| {
                Failure::usage(format_args!(
                    "`{}`: `{line}` is no verifier key: {error}",
                    path.display()
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(Failure::usage(format_args!(
            "`{}` has no verifier key in it",
            path.display()
        )));
    }
    Ok(keys)
}

/// The log's own checkpoint, where it has one that can be read.
pub(super) fn checkpoint(log: &Path) -> Result<Option<SignedCheckpoint>, Failure> {
    let path = log.join(name::CHECKPOINT);
    regular(&path)?
        .map(|bytes| {
            SignedCheckpoint::parse(&bytes)
                .map_err(|error| Failure::wrong(format_args!("`{}`: {error}", path.display())))
        })
        .transpose()
}

/// A checkpoint kept elsewhere.
pub(super) fn checkpoint_of(
    name: &OsStr,
    io: &mut Io<'_, '_>,
) -> Result<SignedCheckpoint, Failure> {
    let bytes = read_or_input(name, io)?;
    SignedCheckpoint::parse(&bytes).map_err(|error| {
        Failure::usage(format_args!(
            "`{}` is no checkpoint: {error}",
            Path::new(name).display()
        ))
    })
}
