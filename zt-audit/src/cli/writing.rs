//! A log opened to write, by the commands that do.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use zeroize::Zeroizing;
use zt_core::clock::{Clock, ClockError, Sleep, Timestamp};

use super::{
    Io,
    arguments::Arguments,
    failure::{Failure, WRONG},
    files, opening, reading,
};
use crate::{
    AuditLog, OpenError, Options,
    format::name,
    note::{KeyError, SigningKey},
    seal::{Vault, VaultError, VaultOptions},
};

/// Opens the log. `instead` says what an application does that has it open itself.
pub(super) fn open(
    arguments: &Arguments,
    log: &Path,
    instead: &str,
    io: &Io<'_, '_>,
) -> Result<AuditLog, Failure> {
    // Opening makes a log, and keys, where there are none: a slip of the pen must not.
    reading::last_segment(log)?;
    let keys = keys(arguments, log)?;
    let sealed = is_sealed(log, &keys)?;
    let signing = signing_key(arguments)?;
    let mut options = Options::default().clock(clock(io)).keys_in(keys);
    if let Some(key) = signing {
        options = options.signing_key(key);
    }
    if !sealed {
        // The log was written without one, and is not given one on the way.
        options = options.insecure_personal_data_in_clear();
    }
    AuditLog::open(log, options).map_err(|error| refused(&error, instead))
}

/// The folder of the log's keys, which must be there.
pub(super) fn keys(arguments: &Arguments, log: &Path) -> Result<PathBuf, Failure> {
    let keys = match arguments.path("--keys")? {
        Some(keys) => keys.to_owned(),
        None => opening::keys_beside(log),
    };
    if !keys.join(SUBJECTS).exists() && !keys.join(SIGNING).exists() {
        return Err(Failure::cannot(format_args!(
            "the log's keys are not in `{}`: name their folder with `--keys`",
            keys.display()
        )));
    }
    Ok(keys)
}

/// Names within a folder of keys.
const SIGNING: &str = "signing.key";
const SUBJECTS: &str = "subjects";

/// The key that `--signing-key` names, where the application keeps it in a place of its own.
fn signing_key(arguments: &Arguments) -> Result<Option<SigningKey>, Failure> {
    arguments.path("--signing-key")?.map(read_key).transpose()
}

/// The key that signs the log: the one that was named, or the one among its keys.
pub(super) fn own_key(arguments: &Arguments, log: &Path) -> Result<SigningKey, Failure> {
    match signing_key(arguments)? {
        Some(key) => Ok(key),
        None => read_key(&keys(arguments, log)?.join(SIGNING)),
    }
}

/// The log's vault, to write; nothing where the log has none.
pub(super) fn vault(arguments: &Arguments, log: &Path) -> Result<Option<Vault>, Failure> {
    let keys = keys(arguments, log)?;
    if !is_sealed(log, &keys)? {
        return Ok(None);
    }
    Vault::open(&keys, VaultOptions::default())
        .map(Some)
        .map_err(|error| match error {
            VaultError::InUse => Failure::cannot("another process has the log open: stop it first"),
            other => Failure::cannot(other),
        })
}

/// Whether the log seals what is personal. Where it does, nothing is written without the vault: who
/// orders something would stand in it in clear.
fn is_sealed(log: &Path, keys: &Path) -> Result<bool, Failure> {
    if keys.join(SUBJECTS).exists() {
        return Ok(true);
    }
    for first in reading::segments(log)? {
        let file = log.join(name::segment(first));
        let found = match fs::metadata(&file) {
            Ok(there) if !there.is_file() => Err(io::Error::other("it is no file")),
            _ => File::open(&file).and_then(has_sealed),
        };
        let found = found.map_err(|error| {
            Failure::cannot(format_args!("cannot read `{}`: {error}", file.display()))
        })?;
        if found {
            return Err(Failure::cannot(format_args!(
                "personal fields of the log are sealed, and its vault is not in `{}`: name its \
                 folder with `--keys`",
                keys.display()
            )));
        }
    }
    Ok(false)
}

/// Whether a record in `segment`, which may be damaged, has a sealed part. No text in a record can
/// look like one: its quotes are escaped.
fn has_sealed(mut segment: impl Read) -> io::Result<bool> {
    const PART: &[u8] = b",\"sealed\":[[\"";
    let mut room = vec![0; 256 * 1024];
    let mut kept = 0;
    loop {
        let read = segment.read(room.get_mut(kept..).unwrap_or_default())?;
        let filled = kept + read;
        let seen = room.get(..filled).unwrap_or_default();
        if seen.windows(PART.len()).any(|bytes| bytes == PART) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        kept = filled.min(PART.len() - 1);
        room.copy_within(filled - kept..filled, 0);
    }
}

/// The program's clock.
pub(super) fn clock(io: &Io<'_, '_>) -> impl Clock + use<> {
    Borrowed(Arc::clone(&io.around.clock))
}

fn read_key(file: &Path) -> Result<SigningKey, Failure> {
    let bytes = Zeroizing::new(files::read(file)?);
    let key = std::str::from_utf8(&bytes)
        .map_err(|_| KeyError::Form("signing key"))
        .and_then(|text| SigningKey::parse(text.trim_end()));
    key.map_err(|error| Failure::cannot(format_args!("`{}`: {error}", file.display())))
}

/// Why a log could not be opened, and what to do.
pub(super) fn refused(error: &OpenError, instead: &str) -> Failure {
    match error {
        OpenError::InUse(_) => Failure::cannot(format_args!(
            "{error}: a log has one writer; {instead}, or stop it first"
        )),
        OpenError::Damaged { .. } | OpenError::RolledBack { .. } | OpenError::Forked { .. } => {
            Failure::Said(
                WRONG,
                format!("{error}; keep a copy, find out why, then see `zt-audit repair --help`"),
            )
        }
        other => Failure::cannot(other),
    }
}

/// Closes the log: what was done is durable and signed, or it is said.
pub(super) fn close(log: &AuditLog) -> Result<(), Failure> {
    log.close().map_err(Failure::cannot)
}

/// The program's clock, as the log wants one.
#[derive(Debug)]
struct Borrowed(Arc<dyn Clock>);

impl Clock for Borrowed {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.0.sleep(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_part_is_found_wherever_it_is_read_in_two() {
        for before in (256 * 1024 - 30)..(256 * 1024 + 3) {
            let mut segment = vec![0; before];
            segment.extend_from_slice(br#","sealed":[["00"#);
            assert!(has_sealed(segment.as_slice()).unwrap(), "{before}");
        }
        let text = br#"{"v":2,"path":"\",\"sealed\":[[\""}"#;
        assert!(!has_sealed(text.as_slice()).unwrap());
    }
}
