use std::{
    io,
    path::{Path, PathBuf},
};

use crate::tree::ProveError;

/// A log that was not published. What was published before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The log cannot be published as it is.
    #[error(transparent)]
    Log(#[from] ProveError),
    /// One of the two folders lies within the other.
    #[error("the log and the folder to publish in must not lie within each other")]
    Within,
    /// Another process publishes there.
    #[error("another process publishes in `{0}`")]
    InUse(PathBuf),
    /// The folder has another log.
    #[error("the folder has the log `{found}`")]
    OtherLog {
        /// Its origin.
        found: String,
    },
    /// What stands there as a checkpoint is none.
    #[error("the folder has a checkpoint that cannot be read")]
    Unreadable,
    /// The folder has more records than the log.
    #[error("{published} records are published, and the log has {size}: it was rolled back")]
    RolledBack {
        /// How many are published.
        published: u64,
        /// How many the log has.
        size: u64,
    },
    /// The log has another history than the one that is published.
    #[error("the first {size} records are not those that were published")]
    Forked {
        /// How many are published.
        size: u64,
    },
    /// A published file is not what it was.
    #[error("`{0}` was changed after it was published")]
    Differs(PathBuf),
    /// A file cannot be read or written.
    #[error("{action} `{path}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl PublishError {
    /// For `map_err`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
