//! Events that only the layer can tell.

use std::sync::Arc;

use zt_core::{
    context::Trail,
    state::{BudgetEvent, Event},
};

use crate::{cost::Cost, limits::Limits};

/// The response did not say what the request cost.
#[cold]
pub(super) fn unmetered(limits: &Limits, trail: &Trail, held: Cost) {
    note(limits, trail, "unmetered", held);
}

/// It cost more than was held.
#[cold]
pub(super) fn overrun(limits: &Limits, trail: &Trail, actual: Cost, held: Cost) {
    let nanos = actual.nanos().saturating_sub(held.nanos());
    note(
        limits,
        trail,
        "overrun",
        Cost::from_nanos(nanos, held.currency()),
    );
}

fn note(limits: &Limits, trail: &Trail, action: &'static str, cost: Cost) {
    limits.record(|| {
        Event::Budget(BudgetEvent {
            at: trail.opened_at(),
            author: None,
            action,
            hold: None,
            root: "".into(),
            budgets: Arc::new([]),
            currency: Some(cost.currency().as_str().into()),
            nanos: cost.nanos(),
            percent: None,
            request: Some(trail.request_id()),
            detail: None,
        })
    });
}
