use crate::{
    clock::{ClockError, Timestamp},
    random::EntropyError,
    state::{FeedError, RecordError},
    store::StoreError,
};

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The environment's name cannot stand in a token.
    #[error("the environment `{0}` is not 1 to 16 lower-case letters and digits")]
    Environment(String),
    /// The issuer is empty or has control characters.
    #[error("the issuer cannot be used")]
    Issuer,
    /// No token could be held.
    #[error("`max_tokens` is zero")]
    NoTokens,
    /// A pepper can be guessed.
    #[error("pepper {0} is shorter than 32 bytes")]
    PepperTooShort(u32),
    /// Two peppers have the same version.
    #[error("pepper {0} is there twice")]
    PepperTwice(u32),
    /// Every request would be hashed more than four times.
    #[error("there are more than four versions of the pepper")]
    TooManyPeppers,
}

/// An administrative act that did not happen, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The act could not be recorded, so it was not done.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The clock cannot answer.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// There is no randomness for a new secret.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The feed cannot answer.
    #[error("other instances cannot be reached: {0}")]
    Feed(#[from] FeedError),
    /// The token is revoked, here and in the store, but other instances have not been told. They
    /// are told as soon as the feed answers; revoking again tries at once.
    #[error("the token is revoked, but other instances have not been told: {0}")]
    Unannounced(FeedError),
    /// A part of the request cannot be used.
    #[error("`{field}` cannot be used: {reason}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no token with this id.
    #[error("there is no such service token")]
    Unknown,
    /// The value was imported before.
    #[error("the value is a service token already")]
    Exists,
    /// The token was revoked, and stays so.
    #[error("the service token is revoked")]
    Revoked,
    /// The token has expired, and stays so.
    #[error("the service token has expired")]
    Expired,
    /// The secret before the current one is still good; wait, or rotate without overlap.
    #[error("the previous secret is still good until {until:?}")]
    RotationUnderway {
        /// Until when.
        until: Timestamp,
    },
    /// There is no place for more tokens.
    #[error("there are too many service tokens")]
    Full,
    /// Others changed the token again and again at the same time.
    #[error("the service token is being changed by others")]
    Contended,
}
