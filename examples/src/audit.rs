//! Reading the audit logs that the examples leave.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zt_audit::{
    note::VerifierKey,
    open_record,
    read::LogReader,
    seal::Vault,
    verify::{Report, Trust, verify},
};

use crate::Result;

/// Where the keys of the log at `log` are, unless its options say otherwise.
#[must_use]
pub fn keys(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

/// Checks the log at `log`, believing the key beside it.
///
/// # Errors
///
/// When it cannot be read. What is wrong with it stands in the report.
pub fn check(log: &Path) -> Result<Report> {
    check_against(log, &keys(log))
}

/// Checks the log at `log`, believing the key in the folder `keys`.
///
/// # Errors
///
/// When either cannot be read.
pub fn check_against(log: &Path, keys: &Path) -> Result<Report> {
    let key = std::fs::read_to_string(keys.join("vkey"))?;
    Ok(verify(log, &Trust::key(VerifierKey::parse(key.trim())?))?)
}

/// The records of the log at `log`, with what is personal in them opened by the keys beside it.
///
/// # Errors
///
/// When it, or its keys, cannot be read.
pub fn records(log: &Path) -> Result<Vec<Value>> {
    let vault = Vault::read_only(keys(log))?;
    let mut reader = LogReader::open(log, 0)?;
    let mut records = Vec::new();
    while let Some(entry) = reader.next()? {
        records.push(Value::Object(open_record(&entry.bytes, &vault)?));
    }
    Ok(records)
}

/// Removes the log at `log` and its keys, where they are.
///
/// # Errors
///
/// When something of it cannot be removed.
pub fn remove(log: &Path) -> std::io::Result<()> {
    for folder in [log.to_owned(), keys(log)] {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
