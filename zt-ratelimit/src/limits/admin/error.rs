use zt_core::{clock::ClockError, state::RecordError};

use crate::{cost::Currency, counter::CounterError};

/// An administrator's act that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Whoever acts has a name in the record.
    #[error("an author has a name of 1 to 256 bytes without control characters")]
    Author,
    /// There is no such tier.
    #[error("there is no tier `{0}`")]
    Tier(String),
    /// There is no such limit in the tier.
    #[error("there is no limit `{0}`")]
    Limit(String),
    /// The path is too short or too long for the tree.
    #[error("the limit `{limit}` is of the level `{level}`, and nobody is named there")]
    Subject {
        /// The limit.
        limit: String,
        /// Its level.
        level: String,
    },
    /// More subjects than levels.
    #[error("there are more subjects than levels")]
    Path,
    /// Money for what is no budget, or units for a budget.
    #[error("the limit `{limit}` is {expected}")]
    Kind {
        /// The limit.
        limit: String,
        /// What it counts.
        expected: &'static str,
    },
    /// Another currency than the budget's.
    #[error("the limit `{limit}` is in {expected}, and not in {found}")]
    Currency {
        /// The limit.
        limit: String,
        /// Its currency.
        expected: Currency,
        /// The amount's.
        found: Currency,
    },
    /// More than is counted exactly.
    #[error("{0} is more than can be counted, 2^53 - 1")]
    TooMuch(u64),
    /// It would be over before it begins.
    #[error("the end is not in the future")]
    Past,
    /// A grant cannot have this name.
    #[error("a grant has a name of 1 to 256 bytes without control characters")]
    Name,
    /// There is no time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// It could not be recorded, so nothing was changed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store refused or could not answer. Where it is unavailable, nobody knows whether it was
    /// done: read before it is tried again.
    #[error(transparent)]
    Counter(#[from] CounterError),
}
