use super::GrantState;
use crate::{
    clock::ClockError,
    random::EntropyError,
    state::{FeedError, RecordError},
    store::StoreError,
};

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing could be asked for.
    #[error("no scopes are named")]
    NoScopes,
    /// Not a scope.
    #[error(
        "`{0}` is not a scope: words of lower-case letters and digits, joined by one of `.:-_`"
    )]
    Scope(String),
    /// It could never be granted, or for ever.
    #[error("`longest_seconds` of `{0}` is not between a second and a year")]
    Duration(String),
    /// It could never be taken alone, or for longer than others give it.
    #[error("`break_glass_seconds` of `{0}` is not between 1 and its `longest_seconds`")]
    BreakGlass(String),
    /// Nobody would ever know.
    #[error("`{0}` may be taken alone, and there is no recorder to tell")]
    Unrecorded(String),
    /// Requests would lapse at once, or never.
    #[error("`request_life_seconds` is not between a second and a year")]
    RequestLife,
    /// Nothing could be held.
    #[error("`{0}` is zero")]
    Zero(&'static str),
    /// Everybody would hold it, or nobody.
    #[error("a right has no name")]
    Right,
    /// A layer asks for a grant that nobody can have.
    #[error("`{0}` is not among the scopes that may be asked for")]
    NotGranted(String),
}

/// A step that did not happen, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The step could not be recorded, so it was not done.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The clock cannot answer.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// There is no randomness for an id.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The feed cannot answer.
    #[error("other instances cannot be reached: {0}")]
    Feed(#[from] FeedError),
    /// The grant is revoked, here and in the store, but other instances have not been told. They are
    /// told as soon as the feed answers.
    #[error("the grant is revoked, but other instances have not been told: {0}")]
    Unannounced(FeedError),
    /// What this process knows of the grants is too old.
    #[error("what is known of the grants is too old")]
    Stale,
    /// A part of what was asked cannot be used.
    #[error("`{field}` cannot be used: {reason}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such grant, or none that this caller may know of.
    #[error("there is no such grant")]
    Unknown,
    /// Nobody in particular asks.
    #[error("nobody is named")]
    Nobody,
    /// The credential has ended.
    #[error("the credential has ended")]
    CredentialEnded,
    /// Only people decide.
    #[error("a program decides nothing")]
    NotPerson,
    /// The issuer is not one that knows people.
    #[error("the issuer is not one that knows people")]
    ForeignIssuer,
    /// The caller does not hold the right to do this.
    #[error("the caller does not hold the right to do this")]
    NotAllowed,
    /// Whoever asked, or somebody who acts for them, cannot be the one who says yes.
    #[error("it takes somebody else than whoever asked")]
    SamePerson,
    /// Who acts for whom cannot be told from the credential's claims.
    #[error("who acts for whom cannot be told")]
    ActorsUnreadable,
    /// It has been decided already, or is over.
    #[error("the grant is {} already", .state.as_str())]
    Decided {
        /// What it is.
        state: GrantState,
    },
    /// It was reviewed before.
    #[error("the grant was reviewed already")]
    Reviewed,
    /// Another instance is deciding about it.
    #[error("another instance is deciding about the grant")]
    Underway,
    /// Others changed it at the same time; what they did holds.
    #[error("the grant was changed by others at the same time")]
    Contended,
    /// The caller has too many requests that wait for an answer.
    #[error("too many requests of this caller wait for an answer")]
    TooManyOpen,
    /// The caller has too many grants taken alone that nobody has reviewed.
    #[error("too many grants that this caller took alone have not been reviewed")]
    Unreviewed,
    /// There is no place for more.
    #[error("there are too many grants")]
    Full,
}
