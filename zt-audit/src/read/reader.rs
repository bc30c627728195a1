use std::{io, path::Path};

use crate::merkle::Hash;

/// Reads the records of a log in order; see the [module](super).
#[derive(Debug)]
pub struct LogReader {
    _todo: (),
}

impl LogReader {
    /// Reads the log in `folder` from the record `from` on.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or `from` was pruned.
    pub fn open(_folder: impl AsRef<Path>, _from: u64) -> Result<Self, ReadError> {
        todo!()
    }

    /// The next committed record; `None` where there is none yet. Asked again, it looks for new ones.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or is not as it was written.
    pub fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        todo!()
    }

    /// The index of the record that [`next`](Self::next) will give.
    #[must_use]
    pub fn position(&self) -> u64 {
        todo!()
    }
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// Its line without the newline. Personal fields in it are sealed.
    pub bytes: Vec<u8>,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// The first index of its segment.
    pub segment: u64,
    /// Where its line begins in the segment's file.
    pub offset: u64,
}

impl Entry {
    /// Its fields.
    ///
    /// # Errors
    ///
    /// Where it is not JSON.
    pub fn fields(&self) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }
}

/// A log that cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk.
    #[error("{action} `{file}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no log in the folder.
    #[error("there is no log in `{0}`")]
    Absent(String),
    /// The records before `first` were pruned.
    #[error("the records before {first} were pruned")]
    Pruned {
        /// The first record that is there.
        first: u64,
    },
    /// A line is not as it was written.
    #[error("record {index} at byte {offset} of `{file}`: {reason}")]
    Damaged {
        /// The first record that is not good.
        index: u64,
        /// The file.
        file: String,
        /// Where its line begins.
        offset: u64,
        /// What is wrong.
        reason: crate::verify::Reason,
    },
}
