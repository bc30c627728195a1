use crate::cost::Currency;

/// A layer that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChargeError {
    /// There is nothing to charge.
    #[error("a policy without budgets has nothing to charge")]
    NoBudgets,
    /// Nothing converts between currencies.
    #[error("the price is in {price}, and the budgets are in {budgets}")]
    Currency {
        /// The price's.
        price: Currency,
        /// The budgets'.
        budgets: Currency,
    },
    /// The same route has two prices.
    #[error("`{0}` has two prices")]
    Twice(String),
}
