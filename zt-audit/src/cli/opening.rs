//! The vault, where somebody may open it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{arguments::Arguments, failure::Failure};
use crate::seal::{Vault, VaultError};

/// `<LOG>.keys`, beside the log.
pub(super) fn keys_beside(log: &Path) -> PathBuf {
    // Without the slash that shells put behind a folder's name.
    let mut name: std::ffi::OsString = log.components().as_path().as_os_str().to_owned();
    name.push(".keys");
    PathBuf::from(name)
}

/// The vault that `--open` names.
pub(super) fn named(arguments: &Arguments) -> Result<Option<Vault>, Failure> {
    arguments
        .path("--open")?
        .map(|folder| open(folder))
        .transpose()
}

/// The vault beside the log, where there is one and it may be read.
pub(super) fn beside(log: &Path) -> Option<Vault> {
    open(&keys_beside(log)).ok()
}

fn open(folder: &Path) -> Result<Vault, Failure> {
    Vault::read_only(folder).map_err(|error| refused(folder, &error))
}

/// For a message.
pub(super) fn refused(folder: &Path, error: &VaultError) -> Failure {
    Failure::cannot(format_args!(
        "cannot open the vault `{}`: {error}",
        folder.display()
    ))
}

/// The record with what the vault can open.
pub(super) fn opened(bytes: &[u8], vault: &Vault) -> Result<Map<String, Value>, Failure> {
    crate::open_record(bytes, vault).map_err(Failure::wrong)
}
