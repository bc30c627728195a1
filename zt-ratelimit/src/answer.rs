//! What callers are told of limits: refusals, and where they stand.

use std::time::Duration;

use http::StatusCode;
use zt_core::decision::{Code, Denial};

use crate::{
    counter::{CounterError, Standing},
    limit::{Kind, Limit},
    limits::Overspent,
};

/// The store cannot count, or cannot count this.
#[cold]
pub(crate) fn unavailable(error: &CounterError) -> Denial {
    match error {
        CounterError::Invalid(reason) => Denial::misordered(*reason),
        error => Denial::new(Code::StoreUnavailable).detail(error.to_string()),
    }
}

/// Which limits have no room. The narrowest level's are named; of them the one that is waited for
/// longest says what it is called.
#[cold]
pub(crate) fn overspent(overspent: &Overspent) -> Denial {
    let longest = overspent
        .violated()
        .map(|(limit, standing)| (limit, wait(limit, standing)))
        .max_by_key(|(_, wait)| wait.unwrap_or(Duration::MAX));
    // A refusal that names no limit is a fault of the store.
    let Some((limit, wait)) = longest else {
        return Denial::new(Code::StoreUnavailable).detail("the store refused and named no limit");
    };
    let denial = match (limit.kind(), wait) {
        (Kind::Concurrency(_), _) => Denial::new(Code::ConcurrencyLimited),
        (Kind::Budget(_), Some(_)) => Denial::new(Code::BudgetExhausted),
        (Kind::Budget(_), None) => unaffordable(),
        (_, Some(_)) => Denial::new(Code::RateLimited),
        // RFC 6585 section 4: `Retry-After` is optional, and here no wait would help.
        (_, None) => Denial::new(Code::RateLimited)
            .sentence("the request asks for more than the limit ever gives"),
    };
    let denial = match wait {
        Some(wait) => denial.retry_after(wait),
        None => denial,
    };
    overspent.violated().fold(denial, |denial, (limit, _)| {
        denial.violates(limit.name().clone())
    })
}

/// Money that no wait brings back.
#[cold]
pub(crate) fn unaffordable() -> Denial {
    // RFC 9110 section 15.5.3: reserved, and what clients take for "pay first" all the same.
    Denial::new(Code::BudgetExhausted).with_status(StatusCode::PAYMENT_REQUIRED)
}

/// How long until the request may fit. Nobody knows when somebody else's request ends.
fn wait(limit: &Limit, standing: Standing) -> Option<Duration> {
    match limit.kind() {
        Kind::Concurrency(_) => Some(standing.more_in.unwrap_or(Duration::from_secs(1))),
        _ => standing.more_in,
    }
}
