//! What models cost: a table in the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use zt_ratelimit::{
    Cost,
    cost::{Bill, CostError, Currency, Price},
};

/// The price of each model that may be asked; of others nobody knows what they cost, so they are
/// refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, ModelPrice>);

/// What a model costs.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    input_per_million: Cost,
    output_per_million: Cost,
}

impl Prices {
    /// The price of `model`.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<ModelPrice> {
        self.0.get(model).copied()
    }

    /// What a token of the dearest model costs.
    #[must_use]
    pub fn dearest_token(&self) -> Price {
        let prices = self.0.values().map(ModelPrice::output);
        let dearest = prices.max_by_key(|price| price.picos());
        dearest.unwrap_or(Price::from_picos(0, Currency::USD))
    }

    /// The models.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl ModelPrice {
    /// Of a token that is answered.
    #[must_use]
    pub const fn output(&self) -> Price {
        Price::per_million(self.output_per_million)
    }

    /// Of which currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.output_per_million.currency()
    }

    /// What a request costs that sends so many tokens and is answered so many.
    ///
    /// # Errors
    ///
    /// When it is more than can be counted.
    pub fn cost(&self, input: u64, output: u64) -> Result<Cost, CostError> {
        let mut bill = Bill::new(self.input_per_million.currency());
        bill.add(Price::per_million(self.input_per_million), input)?;
        bill.add(self.output(), output)?;
        bill.total()
    }
}
