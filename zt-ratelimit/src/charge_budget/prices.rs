use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use http::{Method, request::Parts};
use zt_core::{
    context::SecurityContext,
    decision::{Code, Denial},
    state::Route,
};

use super::{ChargeError, Pricing, Quote};
use crate::cost::{Cost, Currency};

/// A table of prices by route, which can be swapped whole while requests use it; clones are the
/// same table.
///
/// It names routes as the stack does, by method and template, and prices what the stack's request
/// validation has resolved. A request whose route has no price is refused, unless a price
/// [`otherwise`](PriceList::otherwise) is named; what costs nothing is named [`free`](PriceList::free).
///
/// ```
/// use http::Method;
/// use zt_ratelimit::charge_budget::{PriceList, Prices};
///
/// let list = PriceList::new()
///     .price("/orders", "0.002 USD".parse()?)
///     .method_price(Method::POST, "/orders", "0.01 USD".parse()?)
///     .free(Method::GET, "/health");
/// let prices = Prices::new(list)?;
/// prices.swap(PriceList::new().otherwise("0.05 USD".parse()?))?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prices {
    table: Arc<ArcSwap<Table>>,
    currency: Option<Currency>,
}

impl Prices {
    /// The prices of `list`.
    ///
    /// # Errors
    ///
    /// When a route is there twice, or prices are in several currencies.
    pub fn new(list: PriceList) -> Result<Self, ChargeError> {
        let (table, currency) = list.check(None)?;
        Ok(Self {
            table: Arc::new(ArcSwap::from_pointee(table)),
            currency,
        })
    }

    /// Other prices, for requests that come from now on.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and when the currency is another one; the old prices stay.
    pub fn swap(&self, list: PriceList) -> Result<(), ChargeError> {
        let (table, _) = list.check(self.currency)?;
        self.table.store(Arc::new(table));
        Ok(())
    }
}

impl Pricing for Prices {
    fn price(&self, parts: &Parts, cx: &SecurityContext) -> Result<Quote, Denial> {
        let table = self.table.load();
        let found = cx
            .route()
            .and_then(|route| table.find(route, &parts.method));
        found
            .or(table.otherwise)
            .ok_or_else(|| unpriced(cx.route()))
    }

    fn currency(&self) -> Option<Currency> {
        self.currency
    }
}

#[cold]
fn unpriced(route: Option<&Route>) -> Denial {
    let detail = match route {
        Some(route) => format!("the route `{}` has no price", route.template()),
        None => "the request has no route, and there is no price otherwise".to_owned(),
    };
    Denial::new(Code::PolicyDenied).detail(detail)
}

/// Prices by route, in the making.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PriceList {
    rows: Vec<(Option<Method>, Arc<str>, Quote)>,
    otherwise: Option<Cost>,
}

impl PriceList {
    /// An empty one: every request is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// The routes that were declared with this template, of every method that has no price of its
    /// own there.
    pub fn price(self, template: impl Into<Arc<str>>, cost: Cost) -> Self {
        self.row(None, template, Quote::Cost(cost))
    }

    /// Requests of this method to the routes that were declared with this template.
    pub fn method_price(self, method: Method, template: impl Into<Arc<str>>, cost: Cost) -> Self {
        self.row(Some(method), template, Quote::Cost(cost))
    }

    /// Requests of this method there cost nothing, come under no limit, and may be for a public
    /// route.
    pub fn free(self, method: Method, template: impl Into<Arc<str>>) -> Self {
        self.row(Some(method), template, Quote::Free)
    }

    /// What everything else costs, that which has no route too.
    pub const fn otherwise(mut self, cost: Cost) -> Self {
        self.otherwise = Some(cost);
        self
    }

    fn row(mut self, method: Option<Method>, template: impl Into<Arc<str>>, quote: Quote) -> Self {
        self.rows.push((method, template.into(), quote));
        self
    }

    fn check(
        self,
        mut currency: Option<Currency>,
    ) -> Result<(Table, Option<Currency>), ChargeError> {
        let rows = self.rows.iter().map(|(_, _, quote)| *quote);
        let costs = rows.chain(self.otherwise.map(Quote::Cost));
        for cost in costs {
            let Quote::Cost(cost) = cost else { continue };
            let budgets = *currency.get_or_insert(cost.currency());
            if budgets != cost.currency() {
                let price = cost.currency();
                return Err(ChargeError::Currency { price, budgets });
            }
        }
        let mut table = Table {
            templates: HashMap::new(),
            otherwise: self.otherwise.map(Quote::Cost),
        };
        for (method, template, quote) in self.rows {
            let rows: &mut Vec<_> = table.templates.entry(Arc::clone(&template)).or_default();
            if rows.iter().any(|(known, _)| *known == method) {
                let method = method.as_ref().map_or("*", Method::as_str);
                return Err(ChargeError::Twice(format!("{method} {template}")));
            }
            rows.push((method, quote));
        }
        Ok((table, currency))
    }
}

#[derive(Debug)]
struct Table {
    templates: HashMap<Arc<str>, Vec<(Option<Method>, Quote)>>,
    otherwise: Option<Quote>,
}

impl Table {
    fn find(&self, route: &Route, method: &Method) -> Option<Quote> {
        let rows = self.templates.get(route.template())?;
        let of = |wanted: Option<&Method>| {
            let mut rows = rows.iter();
            rows.find(|(method, _)| method.as_ref() == wanted)
                .map(|(_, quote)| *quote)
        };
        // RFC 9110 section 9.3.2: HEAD does what GET does.
        let as_get = || {
            (*method == Method::HEAD)
                .then(|| of(Some(&Method::GET)))
                .flatten()
        };
        of(Some(method)).or_else(as_get).or_else(|| of(None))
    }
}
