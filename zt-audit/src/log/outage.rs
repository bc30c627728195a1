//! What was refused while the log could not write, exactly.

use std::collections::BTreeMap;

use zt_core::state::{Acknowledgement, Event, Verdict};

/// Counts by kind; decisions by what was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refused {
    by_kind: BTreeMap<&'static str, u64>,
    /// Of them, those whose effect did not wait: they were acknowledged at once, or told
    /// afterwards.
    broken: u64,
}

impl Refused {
    pub(super) fn count(&mut self, event: &Event) {
        let kind = match event {
            Event::Decision(event) => match event.verdict {
                Verdict::Permit(_) => "permit",
                Verdict::Deny(_) => "denial",
                Verdict::Undecided => "undecided",
            },
            other => other.kind().as_str(),
        };
        *self.by_kind.entry(kind).or_default() += 1;
    }

    /// An event that was taken and acknowledged so is lost.
    pub(super) const fn broken(&mut self, how: Option<Acknowledgement>) {
        if !matches!(how, Some(Acknowledgement::Sync)) {
            self.broken += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_kind.values().all(|count| *count == 0)
    }

    pub(super) fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.by_kind
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| (*kind, *count))
    }

    /// How many had been taken.
    pub(super) const fn taken(&self) -> u64 {
        self.broken
    }

    /// What is left when `told` is told.
    pub(super) fn without(&self, told: &Self) -> Self {
        let mut left = self.clone();
        for (kind, count) in &told.by_kind {
            if let Some(all) = left.by_kind.get_mut(kind) {
                *all = all.saturating_sub(*count);
            }
        }
        left.broken = left.broken.saturating_sub(told.broken);
        left
    }
}
