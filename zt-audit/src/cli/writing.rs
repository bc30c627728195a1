//! A log opened to write, by the commands that do.

use std::path::{Path, PathBuf};

use super::{
    Io,
    arguments::Arguments,
    failure::{Failure, WRONG},
    opening, reading,
};
use crate::{AuditLog, OpenError, Options};

/// Opens the log. `instead` says what an application does that has it open itself.
pub(super) fn open(
    arguments: &Arguments,
    log: &Path,
    instead: &str,
    io: &Io<'_, '_>,
) -> Result<AuditLog, Failure> {
    // Opening makes a log, and keys, where there are none: a slip of the pen must not.
    reading::last_segment(log)?;
    let keys = keys_of(arguments, log)?;
    let clock = Shared(std::sync::Arc::clone(&io.around.clock));
    let options = Options::default().keys_in(&keys).clock(clock);
    AuditLog::open(log, options).map_err(|error| refused(&error, instead))
}

/// The folder of the log's keys, which must be there.
pub(super) fn keys_of(arguments: &Arguments, log: &Path) -> Result<PathBuf, Failure> {
    let keys = match arguments.path("--keys")? {
        Some(keys) => keys.to_owned(),
        None => opening::keys_beside(log),
    };
    if !keys.join("signing.key").exists() {
        return Err(Failure::cannot(format_args!(
            "the log's keys are not in `{}`: name their folder with `--keys`",
            keys.display()
        )));
    }
    Ok(keys)
}

/// Why a log could not be opened, and what to do.
pub(super) fn refused(error: &OpenError, instead: &str) -> Failure {
    match error {
        OpenError::InUse(_) => Failure::cannot(format_args!(
            "{error}: a log has one writer; {instead}, or stop it first"
        )),
        OpenError::Damaged { .. } => Failure::Said(
            WRONG,
            format!("{error}; keep a copy, find out why, then see `zt-audit repair --help`"),
        ),
        other => Failure::cannot(other),
    }
}

/// Closes the log: what was done is durable and signed, or it is said.
pub(super) fn close(log: &AuditLog) -> Result<(), Failure> {
    log.close().map_err(Failure::cannot)
}

/// The program's clock, as the log wants one.
#[derive(Debug)]
struct Shared(std::sync::Arc<dyn zt_core::clock::Clock>);

impl zt_core::clock::Clock for Shared {
    fn now(&self) -> Result<zt_core::clock::Timestamp, zt_core::clock::ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> std::time::Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: std::time::Duration) -> zt_core::clock::Sleep {
        self.0.sleep(span)
    }
}
