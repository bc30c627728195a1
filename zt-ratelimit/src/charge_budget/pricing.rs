use std::fmt;

use http::request::Parts;
use zt_core::{context::SecurityContext, decision::Denial};

use crate::cost::{Cost, Currency};

/// What a request costs, as far as its head tells: [`Cost`] for all alike, a [`PriceBy`] function,
/// or a table of [`Prices`](super::Prices) by route.
pub trait Pricing: fmt::Debug + Send + Sync + 'static {
    /// What is reserved for the request: for [`Hard`](crate::limits::Hard) an upper bound, unless
    /// its answer is metered; for [`Bounded`](crate::limits::Bounded) an estimate.
    ///
    /// # Errors
    ///
    /// The refusal of a request whose cost cannot be told.
    fn price(&self, parts: &Parts, cx: &SecurityContext) -> Result<Quote, Denial>;

    /// The currency, where all prices have one.
    fn currency(&self) -> Option<Currency>;
}

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// So much, which may be nothing.
    Cost(Cost),
    /// It was said that it is free: nobody is asked who pays, and no limit is claimed.
    Free,
}

/// Every request costs the same.
impl Pricing for Cost {
    fn price(&self, _: &Parts, _: &SecurityContext) -> Result<Quote, Denial> {
        Ok(Quote::Cost(*self))
    }

    fn currency(&self) -> Option<Currency> {
        Some((*self).currency())
    }
}

/// A price by a function of the request; the function refuses what it cannot price.
///
/// ```
/// use zt_core::decision::{Code, Denial};
/// use zt_ratelimit::{charge_budget::PriceBy, cost::Price};
///
/// let token = Price::per_million("0.40 USD".parse().unwrap());
/// let by_tokens = PriceBy::new(move |parts, _cx| {
///     // Exactly one: of two, the service might read the other.
///     let mut values = parts.headers.get_all("x-max-tokens").iter();
///     let (Some(most), None) = (values.next(), values.next()) else {
///         return Err(Denial::new(Code::RequestMalformed));
///     };
///     let most = most.to_str().ok().and_then(|most| most.parse().ok());
///     let most: u64 = most.ok_or_else(|| Denial::new(Code::RequestMalformed))?;
///     token.times(most).map_err(|_| Denial::new(Code::RequestMalformed))
/// });
/// # let _ = by_tokens;
/// ```
pub struct PriceBy<F>(F);

impl<F> PriceBy<F>
where
    F: Fn(&Parts, &SecurityContext) -> Result<Cost, Denial> + Send + Sync + 'static,
{
    /// What `price` says.
    pub const fn new(price: F) -> Self {
        Self(price)
    }
}

impl<F> Pricing for PriceBy<F>
where
    F: Fn(&Parts, &SecurityContext) -> Result<Cost, Denial> + Send + Sync + 'static,
{
    fn price(&self, parts: &Parts, cx: &SecurityContext) -> Result<Quote, Denial> {
        (self.0)(parts, cx).map(Quote::Cost)
    }

    fn currency(&self) -> Option<Currency> {
        None
    }
}

impl<F> fmt::Debug for PriceBy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PriceBy")
    }
}
