//! `ChargeBudget`: reserves what a request may cost, and charges what it did.

mod account;
mod check;
mod error;
mod guard;
mod keeping;
mod layer;
mod prices;
mod pricing;
mod tab;

pub use self::{
    error::ChargeError,
    guard::ChargeGuard,
    keeping::Keeping,
    layer::{ChargeBudget, ChargeBudgetLayer, Failure},
    prices::{PriceList, Prices},
    pricing::{PriceBy, Pricing, Quote},
    tab::{Exhausted, Tab},
};

#[cfg(test)]
mod tests;
