//! Records one after the other, from a log's files to a line of output.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Io, failure::Failure, json, line, opening};
use crate::{
    format::name,
    read::{Entry, LogReader, ReadError},
    seal::Vault,
};

/// How records are shown.
pub(super) struct Showing {
    /// What opens sealed fields; nothing where nobody asked.
    pub(super) vault: Option<Vault>,
    /// As JSON instead of a line for people.
    pub(super) json: bool,
}

impl Showing {
    /// Says `entry`.
    pub(super) fn show(&self, entry: &Entry, io: &mut Io<'_, '_>) -> Result<(), Failure> {
        let text = match (&self.vault, self.json) {
            (None, true) => {
                // The stored bytes as they are, so that their hash can be checked.
                fields_of(entry)?;
                super::escape::json(&String::from_utf8_lossy(&entry.bytes)).into_owned()
            }
            (_, json) => {
                let fields = self.fields(entry)?;
                if json {
                    json::record(&fields)
                } else {
                    line::of(&fields, io.paint)
                }
            }
        };
        io.say(text)
    }

    /// The fields of `entry`, opened where somebody asked.
    pub(super) fn fields(&self, entry: &Entry) -> Result<Map<String, Value>, Failure> {
        match &self.vault {
            Some(vault) => opening::opened(&entry.bytes, vault),
            None => fields_of(entry),
        }
    }
}

/// The fields of a record, sealed ones not opened.
pub(super) fn fields_of(entry: &Entry) -> Result<Map<String, Value>, Failure> {
    entry.fields().map_err(|_| {
        Failure::wrong(format_args!(
            "record {} at byte {} of `{}`: it is not JSON",
            entry.index,
            entry.offset,
            name::segment(entry.segment)
        ))
    })
}

/// A reader from the record `from` on, or from the first that is there.
pub(super) fn from(log: &Path, from: u64) -> Result<LogReader, Failure> {
    match LogReader::open(log, from) {
        Err(ReadError::Pruned { first }) => LogReader::open(log, first),
        other => other,
    }
    .map_err(failed)
}

/// A reader from the record `from` on, which must be there.
pub(super) fn exactly(log: &Path, from: u64) -> Result<LogReader, Failure> {
    LogReader::open(log, from).map_err(failed)
}

/// The next record.
pub(super) fn next(reader: &mut LogReader) -> Result<Option<Entry>, Failure> {
    reader.next().map_err(failed)
}

pub(super) fn failed(error: ReadError) -> Failure {
    match error {
        ReadError::Damaged { .. } => Failure::wrong(error),
        other => Failure::cannot(other),
    }
}

/// The first indices of the segments, in order; at least one.
pub(super) fn segments(log: &Path) -> Result<Vec<u64>, Failure> {
    let folder = log.join(name::LOG);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => absent(log),
        _ => Failure::cannot(format_args!("cannot read `{}`: {error}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        found.extend(entry.file_name().to_str().and_then(name::first_of));
    }
    found.sort_unstable();
    if found.is_empty() {
        return Err(absent(log));
    }
    Ok(found)
}

/// The first index of the last segment: a place near the end to begin at.
pub(super) fn last_segment(log: &Path) -> Result<u64, Failure> {
    Ok(segments(log)?.last().copied().unwrap_or(0))
}

/// For a folder that is no log.
pub(super) fn absent(log: &Path) -> Failure {
    Failure::cannot(format_args!("there is no log in `{}`", log.display()))
}
