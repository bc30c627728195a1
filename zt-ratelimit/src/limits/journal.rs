use std::sync::Arc;

use smallvec::SmallVec;
use zt_core::{
    clock::Timestamp,
    context::RequestId,
    state::{BudgetEvent, BudgetPart, Durable, Event, Recorder},
};

use super::{Subjects, Tier, burn::Burn, policy::Slot};
use crate::counter::{Charged, Expired, HoldId, Marks, Moment, Settled};

/// Tells the audit record what happened to limits. Where there is none, nothing here exists.
pub(super) struct Journal {
    recorder: Arc<dyn Recorder>,
    burn: Burn,
}

/// For whom something was reserved, kept until it is settled.
pub(super) struct Facts {
    pub(super) names: SmallVec<[Arc<str>; 4]>,
    pub(super) request: Option<RequestId>,
}

impl Facts {
    pub(super) fn new(who: &Subjects<'_>, request: Option<RequestId>) -> Box<Self> {
        Box::new(Self {
            names: who.names().map(Arc::from).collect(),
            request,
        })
    }

    fn name(&self, level: usize) -> Arc<str> {
        self.names.get(level).cloned().unwrap_or_default()
    }
}

/// A hold as it stands in records.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) hold: HoldId,
    pub(super) tier: &'a Tier,
    pub(super) facts: &'a Facts,
}

impl Journal {
    pub(super) fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recorder,
            burn: Burn::default(),
        }
    }

    pub(super) fn record(&self, event: Event) -> Durable {
        self.recorder.record(event)
    }

    /// `held` and `extended`: `nanos` is all that is held.
    pub(super) fn held(&self, entry: Entry<'_>, action: &'static str, nanos: u64, now: Moment) {
        if entry.tier.currency().is_none() {
            return;
        }
        let slots = entry.tier.slots().iter();
        let budgets = slots.filter(|slot| slot.limit.as_budget().is_some());
        let parts = budgets.map(|slot| entry.part_at(slot, now.wall)).collect();
        self.tell(entry.event(now, action, parts, nanos));
    }

    /// `would-refuse`: limits that only watch had no room for `nanos`.
    pub(super) fn would_refuse(&self, entry: Entry<'_>, which: Marks, nanos: u64, now: Moment) {
        let slots = which.places().filter_map(|at| entry.tier.slots().get(at));
        let parts = slots.map(|slot| entry.part_at(slot, now.wall)).collect();
        self.tell(entry.event(now, "would-refuse", parts, nanos));
    }

    /// `settled`, and what follows from it. `above` is what could not be charged, because no more
    /// than the hold ever is.
    pub(super) fn settled(
        &self,
        entry: Entry<'_>,
        settled: &Settled,
        above: Option<u64>,
        now: Moment,
    ) {
        if !settled.counted || entry.tier.currency().is_none() {
            return;
        }
        let parts: Arc<[BudgetPart]> = settled
            .budgets
            .iter()
            .filter_map(|charged| Some(entry.part(entry.slot(charged)?, charged)))
            .collect();
        self.tell(entry.event(now, "settled", Arc::clone(&parts), settled.charged));
        let over = settled.charged.saturating_sub(settled.held);
        if let Some(above) = above {
            let mut event = entry.event(now, "overrun", Arc::clone(&parts), above);
            event.detail = Some("above what was promised, and not charged".to_owned());
            self.tell(event);
        } else if over > 0 {
            self.tell(entry.event(now, "overrun", Arc::clone(&parts), over));
        }
        for charged in &settled.budgets {
            self.thresholds(entry, charged, now);
            self.burning(entry, charged, settled.charged, now);
        }
    }

    fn thresholds(&self, entry: Entry<'_>, charged: &Charged, now: Moment) {
        if charged.crossed == 0 {
            return;
        }
        let Some(slot) = entry.slot(charged) else {
            return;
        };
        let thresholds = slot.limit.as_budget().map(|budget| budget.thresholds());
        for (place, percent) in thresholds.unwrap_or_default().iter().enumerate().take(8) {
            if charged.crossed & (1 << place) != 0 {
                let parts = [entry.part(slot, charged)].into();
                let mut event = entry.event(now, "threshold", parts, charged.spent);
                event.percent = Some((*percent).into());
                self.tell(event);
            }
        }
    }

    fn burning(&self, entry: Entry<'_>, charged: &Charged, nanos: u64, now: Moment) {
        let Some(slot) = entry.slot(charged) else {
            return;
        };
        // Other windows do not end: money of a rolling one comes back all the time.
        let window = slot.limit.as_budget().map(|budget| budget.window());
        if window.is_none_or(|window| window.is_total() || window.rolls_over().is_some()) {
            return;
        }
        let subject = entry.facts.name(slot.level);
        let root = entry.facts.name(0);
        let names = [&root, slot.limit.name(), &subject];
        if let Some(percent) = self.burn.note(names, charged, nanos, now) {
            let parts = [entry.part(slot, charged)].into();
            let mut event = entry.event(now, "burn", parts, charged.spent);
            event.percent = Some(percent);
            self.tell(event);
        }
    }

    /// `expired`: nobody settled it, and it was charged.
    pub(super) fn expired(&self, expired: &Expired, currency: Option<&Arc<str>>, now: Moment) {
        let part = |(limit, subject, span): &(Arc<str>, Arc<str>, crate::limit::Span)| BudgetPart {
            limit: Arc::clone(limit),
            subject: Arc::clone(subject),
            window: Some((span.start, span.end)),
        };
        if expired.budgets.is_empty() {
            return;
        }
        self.tell(BudgetEvent {
            at: now.wall,
            author: None,
            action: "expired",
            hold: Some(expired.hold.0),
            root: Arc::clone(&expired.root),
            budgets: expired.budgets.iter().map(part).collect(),
            currency: currency.cloned(),
            nanos: expired.nanos,
            percent: None,
            request: None,
            detail: None,
        });
    }

    fn tell(&self, event: BudgetEvent) {
        self.recorder.record(Event::Budget(event)).detach();
    }
}

impl<'a> Entry<'a> {
    fn slot(&self, charged: &Charged) -> Option<&'a Slot> {
        self.tier.slots().get(usize::from(charged.claim))
    }

    fn part(&self, slot: &Slot, charged: &Charged) -> BudgetPart {
        BudgetPart {
            limit: Arc::clone(slot.limit.name()),
            subject: self.facts.name(slot.level),
            window: Some((charged.span.start, charged.span.end)),
        }
    }

    fn part_at(&self, slot: &Slot, now: Timestamp) -> BudgetPart {
        BudgetPart {
            limit: Arc::clone(slot.limit.name()),
            subject: self.facts.name(slot.level),
            window: slot.span_at(now).map(|span| (span.start, span.end)),
        }
    }

    fn event(
        &self,
        now: Moment,
        action: &'static str,
        budgets: Arc<[BudgetPart]>,
        nanos: u64,
    ) -> BudgetEvent {
        BudgetEvent {
            at: now.wall,
            author: None,
            action,
            hold: (self.hold != HoldId::NONE).then_some(self.hold.0),
            root: self.facts.name(0),
            budgets,
            currency: self.tier.code().cloned(),
            nanos,
            percent: None,
            request: self.facts.request,
            detail: None,
        }
    }
}
