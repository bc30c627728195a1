//! What customers may spend: labels are paid for, a day's worth of them at most.

use axum::http::Method;
use zt_audit::AuditLog;
use zt_core::clock::Clock;
use zt_ratelimit::{
    ChargeBudgetLayer, Limit, Limits, Who,
    charge_budget::{PriceList, Prices},
    counter::MemoryCounters,
    limit::Window,
    limits::{Hard, Level, Policy},
};

use crate::Result;

/// Two labels of $0.40 a day, to each customer. What has no price, and is not said to be free, is
/// refused.
pub(super) fn by_day(log: &AuditLog, clock: impl Clock) -> Result<ChargeBudgetLayer<Hard, Prices>> {
    let day = Limit::budget("customer-day", "1 USD".parse()?, Window::day())?;
    let limits = Limits::builder(MemoryCounters::default())
        .clock(clock)
        .recorder(log.clone())
        .build(Policy::new([Level::new("customer", [day])])?)?;
    let free = [
        (Method::GET, "/health"),
        (Method::GET, "/orders/{id}"),
        (Method::POST, "/orders"),
        (Method::POST, "/upload"),
        (Method::GET, "/reports"),
        (Method::POST, "/refunds"),
        (Method::GET, "/whoami"),
        (Method::GET, "/boom"),
        (Method::GET, "/slow"),
    ];
    let label = PriceList::new().price("/orders/{id}/label", "0.40 USD".parse()?);
    let prices = free.into_iter().fold(label, |list, (method, template)| {
        list.free(method, template)
    });
    let layer = ChargeBudgetLayer::hard(limits, Who::by_principal(), Prices::new(prices)?)?;
    Ok(layer.with_headers())
}
