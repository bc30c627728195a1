//! The vault, where somebody may open it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{arguments::Arguments, failure::Failure};
use crate::{
    OpenRecordError, open_record,
    seal::{Vault, VaultError},
};

/// `<LOG>.keys`, beside the log.
pub(super) fn keys_beside(log: &Path) -> PathBuf {
    // Without the slash that shells put behind a folder's name.
    let mut name: std::ffi::OsString = log.components().as_path().as_os_str().to_owned();
    name.push(".keys");
    PathBuf::from(name)
}

/// The vault that `--open` names.
pub(super) fn named(arguments: &Arguments) -> Result<Option<Vault>, Failure> {
    arguments.path("--open")?.map(open).transpose()
}

/// The vault beside the log, where there is one and it may be read.
pub(super) fn beside(log: &Path) -> Option<Vault> {
    open(&keys_beside(log)).ok()
}

/// The vault in `folder`, to read.
pub(super) fn open(folder: &Path) -> Result<Vault, Failure> {
    Vault::read_only(folder).map_err(|error| {
        Failure::cannot(format_args!(
            "cannot open the vault `{}`: {error}",
            folder.display()
        ))
    })
}

/// The record with what the vault can open.
pub(super) fn opened(bytes: &[u8], vault: &Vault) -> Result<Map<String, Value>, Failure> {
    open_record(bytes, vault).map_err(|error| match error {
        OpenRecordError::Vault(error @ (VaultError::File { .. } | VaultError::Damaged(_))) => {
            Failure::cannot(error)
        }
        other => Failure::wrong(format_args!("{}: {other}", which(bytes))),
    })
}

/// Which record this is, for a message.
fn which(bytes: &[u8]) -> String {
    let fields = serde_json::from_slice::<Map<String, Value>>(bytes);
    match fields.ok().and_then(|fields| fields.get("idx").cloned()) {
        Some(index) => format!("record {index}"),
        None => "a record".to_owned(),
    }
}
