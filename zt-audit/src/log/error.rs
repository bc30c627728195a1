use std::{io, path::PathBuf};

use crate::first_form::BadRecord;

/// A log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A bound of the queue is too small to work with.
    #[error("`{name}` is {value}, and must be at least {least}")]
    Bound {
        /// Which.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// What it must be at least.
        least: usize,
    },
    /// Another process, or another part of this one, writes the log.
    #[error("somebody else writes `{}`", .0.display())]
    InUse(PathBuf),
    /// The log is not as it was written; nothing is appended to it. Keep the file, find out why,
    /// and begin another.
    #[error("`{}` is damaged: {record}", .path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Its first bad record.
        record: BadRecord,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The sink did not take the log's first record.
    #[error("the sink failed: {0}")]
    Sink(#[source] io::Error),
    /// The writer's thread could not be started.
    #[error("cannot start the writer: {0}")]
    Thread(#[source] io::Error),
}
