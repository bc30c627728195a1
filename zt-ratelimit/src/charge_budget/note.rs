//! Events that only the layer can tell.

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
    let Some(recorder) = limits.recorder() else {
        return;
    };
    let event = BudgetEvent {
        at: trail.opened_at(),
        author: None,
        action,
        hold: None,
        root: "".into(),
        budgets: [].into(),
        currency: Some(cost.currency().as_str().into()),
        nanos: cost.nanos(),
        percent: None,
        detail: None,
        request: Some(trail.request_id()),
    };
    recorder.record(Event::Budget(event)).detach();
}
