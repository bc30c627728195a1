use std::{io, path::PathBuf};

use zt_core::{clock::ClockError, state::RecordError};

use crate::{note::KeyError, seal::VaultError, verify::BadRecord};

/// A log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A bound is too small to work with.
    #[error("`{name}` is {value}, and must be at least {least}")]
    Bound {
        /// Which.
        name: &'static str,
        /// What it was set to.
        value: u64,
        /// What it must be at least.
        least: u64,
    },
    /// A span of time is too short to work with.
    #[error("`{name}` must be at least a millisecond")]
    Span {
        /// Which.
        name: &'static str,
    },
    /// Another process, or another part of this one, writes the log.
    #[error("somebody else writes `{}`", .0.display())]
    InUse(PathBuf),
    /// The log is not as it was written; nothing is appended to it. Keep it, find out why, and
    /// repair it or begin another.
    #[error("`{}` is damaged: {record}", .path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Its first bad record.
        record: BadRecord,
    },
    /// The log was cut, or exchanged for an earlier state of itself: it has less than its key has
    /// signed. To go on with it would sign two different logs under one name. Where it was restored
    /// from a backup, `zt-audit repair` goes on with it and records who took note of that.
    #[error(
        "`{}` was rolled back: {signed} records of it were signed, as `{}` says, and its checkpoint \
         covers {found}", .path.display(), .mark.display()
    )]
    RolledBack {
        /// The log.
        path: PathBuf,
        /// So many records were signed.
        signed: u64,
        /// So many the log's own checkpoint covers.
        found: u64,
        /// The file beside the keys that says so.
        mark: PathBuf,
    },
    /// The log went another way than the one that its key has signed: two logs have one name. Find out
    /// which is the right one; where it is this one, remove the file beside the keys.
    #[error(
        "`{}` is another log than the one that was signed: its first {signed} records are not those \
         that `{}` says", .path.display(), .mark.display()
    )]
    Forked {
        /// The log.
        path: PathBuf,
        /// So many records were signed.
        signed: u64,
        /// The file beside the keys that says so.
        mark: PathBuf,
    },
    /// The keys would lie within the log: whoever carries the log away would have them too.
    #[error("the keys may not lie within the log, in `{}`", .0.display())]
    KeysInside(PathBuf),
    /// The log has a name of its own.
    #[error("the log's origin is `{found}`, not `{given}`")]
    Origin {
        /// The log's.
        found: String,
        /// The one that was given.
        given: String,
    },
    /// The key does not sign for the log.
    #[error(
        "the log is signed by `{in_force}`, and the key that was given is `{given}`: open it with \
         the key in force and rotate to the other"
    )]
    KeyNotInForce {
        /// The verifier key that the log names last.
        in_force: String,
        /// That of the key that was given.
        given: String,
    },
    /// A key cannot be read or made.
    #[error("the signing key: {0}")]
    Key(#[from] KeyError),
    /// The vault of subjects' keys cannot be opened.
    #[error("the vault: {0}")]
    Vault(#[from] VaultError),
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
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A checkpoint could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The time cannot be trusted; a signature says when it was made.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The checkpoint is not durable.
    #[error("cannot write the checkpoint: {0}")]
    File(String),
    /// It is durable in the log's folder, and not beside the keys.
    #[error("cannot write the mark beside the keys: {0}")]
    Mark(String),
    /// Nothing can be signed any more.
    #[error(transparent)]
    Log(#[from] RecordError),
}

/// The key was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The new key has another name than the log.
    #[error("the new key signs as `{given}`, and the log is `{origin}`")]
    Name {
        /// The log's.
        origin: String,
        /// The key's.
        given: String,
    },
    /// It is the key in force.
    #[error("the key signs already")]
    Same,
    /// The new key could not be kept among the log's keys.
    #[error("cannot keep the new key: {0}")]
    Keep(#[source] io::Error),
    /// The record of it is not durable.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It is in force, and its first checkpoint is not durable yet.
    #[error("the new key is in force, and did not sign yet: {0}")]
    Sign(#[from] SignError),
}

/// A person was not forgotten, or that is not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// The log seals nothing: it was opened with personal data in clear.
    #[error("the log has no vault: personal data stands in it in clear")]
    NoVault,
    /// The key may still be there.
    #[error("the key could not be destroyed: {0}")]
    Vault(#[from] VaultError),
    /// A record of it is not durable. Ask again: erasing twice does no harm.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Nothing, or not everything, was pruned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// No whole segment lies before that record.
    #[error("no whole segment that can be dropped lies before record {0}")]
    Nothing(u64),
    /// The hashes that the tree goes on from could not be had, or are not those of the records.
    #[error("the hashes of what would be dropped: {0}")]
    Hashes(#[source] io::Error),
    /// A record of it is not durable.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No checkpoint covers what would be dropped.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A file could not be written or removed. What the log says was dropped may still be there;
    /// ask again.
    #[error("cannot {action}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}
