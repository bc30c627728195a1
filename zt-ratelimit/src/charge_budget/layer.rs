use std::{fmt, marker::PhantomData, sync::Arc};

use bytes::Bytes;
use http::HeaderName;
use tower_layer::Layer;
use zt_core::{
    gate::{Gate, Link, Root},
    stack::slots::Spends,
};

use super::{ChargeError, Keeping, Pricing};
use crate::{
    cost::{Cost, Currency, Price},
    limits::{Bounded, Hard, Limits},
    who::Who,
};

/// What a [`ChargeBudgetLayer`] makes of a service.
pub type ChargeBudget<S, G, P> = <ChargeBudgetLayer<G, P> as Layer<S>>::Service;

/// Reserves what a request costs, and charges it; see the [module](super).
pub struct ChargeBudgetLayer<G, P> {
    pub(super) rules: Arc<Rules>,
    pub(super) pricing: Arc<P>,
    guarantee: PhantomData<fn() -> G>,
}

/// What a layer was told.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) who: Who,
    pub(super) actual: Actual,
    pub(super) tab: bool,
    pub(super) failure: Failure,
    pub(super) headers: bool,
    pub(super) public_is_free: bool,
}

/// Where it is told what a request really cost.
#[derive(Clone)]
pub(super) enum Actual {
    /// Nowhere: it is what was held.
    Hold,
    /// In a header of the response.
    Header(HeaderName),
    /// In its body.
    Body(Meter),
}

#[derive(Clone)]
pub(super) struct Meter {
    pub(super) price: Price,
    pub(super) units: Arc<Units>,
    pub(super) step: u64,
}

type Units = dyn Fn(&Bytes) -> u64 + Send + Sync;

/// What a request is charged that the service failed to serve: it was answered with a status of
/// 500 or above, with an error instead of an answer, or the handler panicked.
///
/// A request that its caller abandoned, or whose answer broke off, is charged what was metered, and
/// where nothing was, what was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Failure {
    /// What was metered or said, and where nothing was, what was held.
    #[default]
    ChargeMetered,
    /// What was held.
    ChargeHold,
    /// Nothing.
    Release,
}

impl<P: Pricing> ChargeBudgetLayer<Hard, P> {
    /// Nothing is ever overspent: `pricing` gives upper bounds, or the answer is
    /// [metered](Self::metered).
    ///
    /// # Errors
    ///
    /// When the policy of `limits` has no budgets, or they are in another currency.
    pub fn hard(limits: Limits, who: Who, pricing: P) -> Result<Self, ChargeError> {
        Self::new(limits, who, pricing)
    }
}

impl<P: Pricing> ChargeBudgetLayer<Bounded, P> {
    /// Overspent by no more than the estimates of `pricing` were too low, over the requests that
    /// were in flight together.
    ///
    /// # Errors
    ///
    /// As for [`hard`](ChargeBudgetLayer::hard).
    pub fn bounded(limits: Limits, who: Who, pricing: P) -> Result<Self, ChargeError> {
        Self::new(limits, who, pricing)
    }
}

impl<G: Keeping, P: Pricing> ChargeBudgetLayer<G, P> {
    fn new(limits: Limits, who: Who, pricing: P) -> Result<Self, ChargeError> {
        check_currency(&limits, pricing.currency())?;
        Ok(Self {
            rules: Arc::new(Rules {
                limits,
                who,
                actual: Actual::Hold,
                tab: false,
                failure: Failure::default(),
                headers: false,
                public_is_free: false,
            }),
            pricing: Arc::new(pricing),
            guarantee: PhantomData,
        })
    }

    /// The response says in this header what the request really cost: whole micro-units (`12300`)
    /// or an amount (`0.0123 USD`). The header goes no further. Where it is missing or cannot be
    /// read, what was held is charged, and an event says so.
    ///
    /// [`Hard`]: an answer that says more than was held does not leave.
    #[must_use]
    pub fn actual_from(self, header: HeaderName) -> Self {
        self.with(|rules| rules.actual = Actual::Header(header))
    }

    /// The request costs `price` times what `units` finds in each piece of the answer's body.
    ///
    /// [`Hard`]: the hold is extended before a piece goes out for which it has no room; where the
    /// budget has none either, the answer is cut off there. An answer that upgrades the connection
    /// is refused, because nobody could meter what follows. Answers to HEAD
    /// and those of 304 have no body and are charged what was held.
    ///
    /// # Errors
    ///
    /// When `price` is of another currency than the budgets.
    pub fn metered(
        self,
        price: Price,
        units: impl Fn(&Bytes) -> u64 + Send + Sync + 'static,
    ) -> Result<Self, ChargeError> {
        check_currency(&self.rules.limits, Some(price.currency()))?;
        Ok(self.with(|rules| {
            rules.actual = Actual::Body(Meter {
                price,
                units: Arc::new(units),
                step: 0,
            });
        }))
    }

    /// A metered answer's hold is extended by at least so much at a time, where the budget has room
    /// for it, so that a shared store is not asked for each piece.
    #[must_use]
    pub fn in_steps_of(self, cost: Cost) -> Self {
        self.with(|rules| {
            if let Actual::Body(meter) = &mut rules.actual
                && meter.price.currency() == cost.currency()
            {
                meter.step = cost.nanos();
            }
        })
    }

    /// The handler finds a [`Tab`](super::Tab) in the request's extensions: what it puts there is
    /// what the request costs.
    #[must_use]
    pub fn with_tab(self) -> Self {
        self.with(|rules| rules.tab = true)
    }

    /// What is charged for a request that failed; what was metered, or the hold, unless said.
    #[must_use]
    pub fn on_failure(self, failure: Failure) -> Self {
        self.with(|rules| rules.failure = failure)
    }

    /// Answers say where the caller stands with the limits of the innermost level, money in
    /// micro-units.
    #[must_use]
    pub fn with_headers(self) -> Self {
        self.with(|rules| rules.headers = true)
    }

    /// Requests to public routes, of which nobody knows who would pay, are served for nothing. They
    /// are refused unless this is said, or the route is named free in [`Prices`](super::Prices).
    #[must_use]
    pub fn public_is_free(self) -> Self {
        self.with(|rules| rules.public_is_free = true)
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

fn check_currency(limits: &Limits, price: Option<Currency>) -> Result<(), ChargeError> {
    let budgets = limits.policy().currency().ok_or(ChargeError::NoBudgets)?;
    match price {
        Some(price) if price != budgets => Err(ChargeError::Currency { price, budgets }),
        _ => Ok(()),
    }
}

impl<G, P> Clone for ChargeBudgetLayer<G, P> {
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            pricing: Arc::clone(&self.pricing),
            guarantee: PhantomData,
        }
    }
}

impl<G: Keeping, P: Pricing> fmt::Debug for ChargeBudgetLayer<G, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeBudgetLayer")
            .field("guarantee", &G::NAME)
            .field("limits", &self.rules.limits)
            .field("who", &self.rules.who)
            .field("pricing", &self.pricing)
            .finish_non_exhaustive()
    }
}

impl<S, G: Keeping, P: Pricing> Layer<S> for ChargeBudgetLayer<G, P> {
    type Service = Gate<S, Link<Root, Self>>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Link::first(self.clone()))
    }
}

impl<G: Keeping, P: Pricing> Spends for ChargeBudgetLayer<G, P> {}
