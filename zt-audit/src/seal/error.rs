use std::io;

/// A vault that cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The disk.
    #[error("cannot {action} `{file}` of the vault: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is none, and there is a log that may have been sealed by it.
    #[error(
        "there is none, and the log goes on: put it back, or make another one (`Vault::open`), which \
         opens nothing of what was sealed before"
    )]
    Missing,
    /// Another process has it.
    #[error("another process has the vault open")]
    InUse,
    /// It was opened to read.
    #[error("the vault was opened to read")]
    ReadOnly,
    /// A file is not what it should be.
    #[error("the vault is damaged: {0}")]
    Damaged(String),
    /// The sealing key is not one, is readable for others, or belongs to another vault.
    #[error("the sealing key {0}")]
    SealingKey(&'static str),
    /// What was sealed does not open: it was altered, or belongs to another record or subject.
    #[error("what was sealed does not open")]
    Sealed,
    /// There is no room for the key of another subject.
    #[error("there is no room for another subject's key")]
    Full,
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
    /// There is no time, and so no key of the day.
    #[error(transparent)]
    Clock(#[from] zt_core::clock::ClockError),
}

impl VaultError {
    pub(crate) fn file(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::File {
            action,
            file,
            source,
        }
    }
}
