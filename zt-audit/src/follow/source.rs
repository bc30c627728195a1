use std::{io, path::PathBuf, sync::Arc};

use zt_core::clock::Timestamp;

use super::Record;
use crate::{
    format::{Line, name},
    note::SignedCheckpoint,
    read::{Entry, LogReader, ReadError, small},
    record::{OpenRecordError, open_record},
    seal::{Vault, VaultError},
    storage::{Folder, Storage},
    verify::MAX_CHECKPOINT,
};

/// Where records are read from; blocks.
pub(super) trait Source: Send + 'static {
    /// How many records the log has signed for.
    fn signed(&mut self) -> Result<u64, ReadError>;

    /// The next record is number `from`.
    fn seek(&mut self, from: u64) -> Result<(), ReadError>;

    /// The next record; `None` where there is none yet.
    fn next(&mut self) -> Result<Option<Entry>, ReadError>;
}

/// The files of a log.
pub(super) struct LogFiles {
    folder: PathBuf,
    storage: Option<Arc<dyn Storage>>,
    reader: Option<LogReader>,
}

impl LogFiles {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            storage: None,
            reader: None,
        }
    }

    #[cfg(test)]
    pub(super) fn over(storage: impl Storage) -> Self {
        Self {
            folder: PathBuf::new(),
            storage: Some(Arc::new(storage)),
            reader: None,
        }
    }

    /// The folder, as soon as it is there.
    fn storage(&mut self) -> Result<Arc<dyn Storage>, ReadError> {
        if let Some(storage) = &self.storage {
            return Ok(Arc::clone(storage));
        }
        let opened = Folder::read_only(&self.folder);
        let opened =
            opened.map_err(|error| failed("open", &self.folder.to_string_lossy(), error))?;
        Ok(Arc::clone(self.storage.insert(Arc::new(opened))))
    }
}

fn failed(action: &'static str, file: &str, source: io::Error) -> ReadError {
    ReadError::File {
        action,
        file: file.to_owned(),
        source,
    }
}

impl Source for LogFiles {
    fn signed(&mut self) -> Result<u64, ReadError> {
        let storage = self.storage()?;
        let failed = |error| failed("read", name::CHECKPOINT, error);
        let Some(bytes) = small(&*storage, name::CHECKPOINT, MAX_CHECKPOINT).map_err(failed)?
        else {
            return Ok(0);
        };
        let note = SignedCheckpoint::parse(&bytes);
        let note =
            note.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(note.checkpoint().size)
    }

    fn seek(&mut self, from: u64) -> Result<(), ReadError> {
        self.reader = None;
        let storage = self.storage()?;
        self.reader = Some(LogReader::over(storage, from)?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        match &mut self.reader {
            Some(reader) => reader.next(),
            None => Ok(None),
        }
    }
}

/// A source, and what makes its records ready for a sink.
pub(super) struct Reading {
    source: Box<dyn Source>,
    vault: Option<Arc<Vault>>,
    origin: Option<Arc<str>>,
    /// The number of the record that the source gives next, where that is known.
    at: Option<u64>,
}

/// Records to deliver, and how far the log is.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) signed: u64,
}

/// Why there is no batch.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The log.
    Log(ReadError),
    /// The log has signed for fewer records than were delivered of it.
    WentBack { signed: u64 },
    /// A record of another log.
    Origin { found: String },
    /// A record that cannot be read or opened.
    Unreadable { index: u64, why: String },
    /// The vault cannot be read.
    Vault(String),
}

impl From<ReadError> for ReadFailure {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

impl Reading {
    pub(super) fn new(source: Box<dyn Source>, vault: Option<Arc<Vault>>) -> Self {
        Self {
            source,
            vault,
            origin: None,
            at: None,
        }
    }

    /// The record at `index`, if the log has it.
    pub(super) fn look(&mut self, index: u64) -> Result<Option<Entry>, ReadError> {
        self.at = None;
        self.source.seek(index)?;
        let found = self.source.next()?;
        self.at = Some(index + u64::from(found.is_some()));
        Ok(found)
    }

    /// Every record from now on is of the log `origin`.
    pub(super) fn expect_origin(&mut self, origin: &str) {
        self.origin = Some(origin.into());
    }

    /// How many records the log has signed for.
    pub(super) fn signed(&mut self) -> Result<u64, ReadError> {
        self.source.signed()
    }

    /// Signed records from `from` on: at most `most`, and no more once there are `bytes` bytes.
    pub(super) fn batch(
        &mut self,
        from: u64,
        most: usize,
        bytes: usize,
    ) -> Result<Batch, ReadFailure> {
        let signed = self.source.signed()?;
        if signed < from {
            return Err(ReadFailure::WentBack { signed });
        }
        let batch = self.collect(from, signed, most, bytes);
        if batch.is_err() {
            self.at = None;
        }
        batch.map(|records| Batch { records, signed })
    }

    fn collect(
        &mut self,
        from: u64,
        signed: u64,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<Record>, ReadFailure> {
        let mut records = Vec::new();
        let mut taken = 0;
        let mut at = from;
        while at < signed && records.len() < most && taken < bytes {
            let entry = self.signed_for(at)?;
            at += 1;
            self.at = Some(at);
            taken += entry.bytes.len();
            records.push(self.record(entry)?);
        }
        Ok(records)
    }

    /// The record at `index`, which a checkpoint covers: it must be there.
    fn signed_for(&mut self, index: u64) -> Result<Entry, ReadFailure> {
        if self.at == Some(index)
            && let Some(entry) = self.source.next()?
        {
            return Ok(entry);
        }
        // A reader that waits for the rest of a batch may wait for what it has seen change.
        self.source.seek(index)?;
        self.source.next()?.ok_or_else(|| ReadFailure::Unreadable {
            index,
            why: "the log has signed for it, and it is not there".to_owned(),
        })
    }

    fn record(&mut self, entry: Entry) -> Result<Record, ReadFailure> {
        let unreadable = |why: &str| ReadFailure::Unreadable {
            index: entry.index,
            why: why.to_owned(),
        };
        let Ok(Line::Record(head)) = Line::read(&entry.bytes) else {
            return Err(unreadable("it is not a record"));
        };
        let origin = match &self.origin {
            Some(origin) if **origin == *head.origin => Arc::clone(origin),
            Some(_) => {
                return Err(ReadFailure::Origin {
                    found: head.origin.to_owned(),
                });
            }
            None => Arc::clone(self.origin.insert(head.origin.into())),
        };
        let opened = match &self.vault {
            None => None,
            Some(vault) => match open_record(&entry.bytes, vault) {
                Ok(fields) => Some(fields),
                Err(OpenRecordError::Vault(error @ VaultError::File { .. })) => {
                    return Err(ReadFailure::Vault(error.to_string()));
                }
                Err(error) => return Err(unreadable(&error.to_string())),
            },
        };
        Ok(Record {
            origin,
            time: Timestamp::from_micros(head.micros),
            kind: head.kind.into(),
            opened,
            entry,
        })
    }
}
