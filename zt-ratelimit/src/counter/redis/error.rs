use std::sync::Arc;

use crate::counter::CounterError;

/// Counters that cannot be opened, or are not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisSetupError {
    /// The address is none; it is not repeated, since it may have a password in it.
    #[error(
        "the address of the server cannot be read: `redis://host:port/` or `redis+unix:///path`"
    )]
    Address,
    /// The namespace cannot stand in a key.
    #[error("`{0}` cannot be a namespace: 1 to 32 letters, digits and hyphens")]
    Namespace(String),
    /// A time is zero, or longer than 366 days.
    #[error("`{0}` is zero or longer than 366 days")]
    Time(&'static str),
    /// There are counters, and nothing was changed.
    #[error("there are counters of generation {0}: rebuild them to count anew")]
    Exists(Arc<str>),
    /// A generation is used once.
    #[error("generation {0} is the one that is there: the next one has another number")]
    SameGeneration(u64),
    /// Somebody else has begun to rebuild them, after this one.
    #[error("they are being rebuilt by somebody else")]
    Overtaken,
    /// They cannot be reached, or are of another generation.
    #[error(transparent)]
    Counter(#[from] CounterError),
}
