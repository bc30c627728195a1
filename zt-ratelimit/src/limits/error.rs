use crate::{
    cost::{Cost, Currency},
    limit::LimitError,
};

/// A policy, or a use of it, that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// A limit is wrong.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Nobody says what a request costs.
    #[error("a limit of rates has no use for budgets: charge them")]
    Budgets,
    /// There is nothing to limit by.
    #[error("a policy has at least one level and at least one limit")]
    Empty,
    /// One request can claim so many limits and no more.
    #[error("a path through the tree has {0} limits, and at most 16 are taken in one step")]
    TooManyLimits(usize),
    /// A name stands for one limit.
    #[error("the limit `{0}` is there twice")]
    Twice(String),
    /// A limit of a configuration is wrong.
    #[error("the limit `{limit}`: {why}")]
    InLimit {
        /// Its name.
        limit: String,
        /// What is wrong.
        why: LimitError,
    },
    /// A setting of a configuration is wrong.
    #[error("the limit `{limit}`: {why}")]
    Setting {
        /// The limit's name.
        limit: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What is counted under a name stays what it was.
    #[error("the limit `{0}` has another level, kind or window than one of the same name")]
    Changed(String),
    /// What was counted stays in its currency.
    #[error("these limits are in {found}, and what was spent so far in {expected}")]
    Currency {
        /// The new policy's.
        found: Currency,
        /// What holds.
        expected: Currency,
    },
    /// Tiers, and policies that follow each other, differ in limits, not in the shape of the tree.
    #[error("the tier `{0}` has other levels than there are")]
    Levels(String),
    /// Money does not add up over currencies.
    #[error("`{limit}` is in {found}, and the tree in {expected}")]
    Mismatch {
        /// The limit.
        limit: String,
        /// Its currency.
        found: Currency,
        /// The others'.
        expected: Currency,
    },
}

/// A settlement that is not what was reserved. What was held is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// More than the upper bound that was given.
    #[error("{actual} was spent, and at most {held} was reserved")]
    AboveHold {
        /// What was to be charged.
        actual: Cost,
        /// What was held, and is charged.
        held: Cost,
    },
    /// Another currency.
    #[error("what was spent is in {0}, and what was reserved in {1}")]
    Mismatch(Currency, Currency),
}
