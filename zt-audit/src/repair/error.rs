use std::{fmt, io};

use zt_core::clock::ClockError;

use crate::{seal::VaultError, verify::BadRecord};

/// A log that was not repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It can be opened as it is.
    #[error("the log is not damaged")]
    NotDamaged,
    /// Another process has it.
    #[error("another process has the log open")]
    InUse,
    /// There is no good record from its beginning on.
    #[error("nothing good is left to go on from ({damage}): begin another log")]
    NothingLeft {
        /// What is damaged.
        damage: BadRecord,
    },
    /// The good part names another key as the one in force.
    #[error("`{given}` is not the key in force in what is left of the log")]
    Key {
        /// The one that is.
        in_force: Option<String>,
        /// The one that was given.
        given: String,
    },
    /// Nobody, or nothing, was named.
    #[error("a repair needs an author and a reason")]
    Unexplained,
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
    /// Who did it could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is no time.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl RepairError {
    pub(super) fn file<F: fmt::Display>(
        action: &'static str,
        file: F,
    ) -> impl Fn(io::Error) -> Self + use<F> {
        let file = file.to_string();
        move |source| Self::File {
            action,
            file: file.clone(),
            source,
        }
    }
}
