//! What was refused while the log could not write, exactly.

use std::collections::BTreeMap;

use zt_core::{
    clock::Timestamp,
    state::{Acknowledgement, Event, Verdict},
};

use crate::{
    merkle::Hash,
    record::{Chain, Gap, Recovered},
    seal::VaultError,
};

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

    pub(super) fn add(&mut self, more: &Self) {
        for (kind, count) in &more.by_kind {
            *self.by_kind.entry(kind).or_default() += count;
        }
        self.broken += more.broken;
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

/// A segment that could not be written any more.
pub(super) struct GivenUp {
    pub(super) file: String,
    pub(super) why: String,
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// Events that never got a record.
pub(super) struct Missing {
    pub(super) events: Refused,
    pub(super) reason: &'static str,
    pub(super) since: Timestamp,
}

impl GivenUp {
    pub(super) fn append(
        &self,
        chain: &mut Chain,
        out: &mut Vec<u8>,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        chain.append_recovered(
            out,
            at,
            Recovered {
                cause: "segment",
                file: &self.file,
                bytes: self.bytes,
                records: self.records,
                sha256: None,
                why: Some(&self.why),
            },
        )
    }
}

impl Missing {
    pub(super) fn append(
        &self,
        chain: &mut Chain,
        out: &mut Vec<u8>,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        let counts: Vec<_> = self.events.by_kind().collect();
        chain.append_gap(
            out,
            at,
            Gap {
                from: self.since,
                to: at,
                reason: self.reason,
                refused: &counts,
                taken: self.events.taken(),
            },
        )
    }
}
