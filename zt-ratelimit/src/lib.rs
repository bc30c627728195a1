//! Rates and budgets for zt: has this caller spent its rate, or its money?
//!
//! [`LimitRateLayer`] limits by peer before anything expensive happens, and by principal once it
//! is known who asks; [`Quota`] says how much. Memory is bounded from the start, and nothing that
//! a stranger sends makes the limiter forget a caller who has used up its quota.
//!
//! [`counter`] is the engine under budgets: one atomic step over rates, money and permits, of a
//! key, its team and its organisation at once.

mod answer;
pub mod charge_budget;
pub mod cost;
pub mod counter;
mod fields;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod limit;
pub mod limit_rate;
pub mod limits;
mod who;

pub use self::{
    charge_budget::{ChargeBudget, ChargeBudgetLayer},
    cost::Cost,
    limit::Limit,
    limit_rate::{LimitRate, LimitRateLayer, Quota},
    limits::Limits,
    who::Who,
};
