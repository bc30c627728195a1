use std::sync::Arc;

use zt_core::store::postgres;

/// A database that cannot be used, or says something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// It cannot be used, or cannot be asked.
    #[error(transparent)]
    Database(#[from] postgres::PostgresError),
    /// A copy that is not what was copied.
    #[error("the copy of record {index} of `{origin}` was altered")]
    Altered {
        /// The log.
        origin: String,
        /// The record.
        index: u64,
    },
    /// The checkpoint is not signed by whom it should be.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] crate::note::NoteError),
}

impl PostgresError {
    /// Nobody knows whether it happened.
    pub(super) const fn unavailable(why: Arc<str>) -> Self {
        Self::Database(postgres::PostgresError::Unavailable(why))
    }

    pub(super) const fn format(found: i32) -> Self {
        Self::Database(postgres::PostgresError::Format(found))
    }
}
