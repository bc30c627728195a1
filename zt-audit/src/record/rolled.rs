//! What had no place in the queue.

use std::collections::BTreeMap;

use zt_core::{
    clock::Timestamp,
    decision::Code,
    state::{Event, Verdict},
};

use super::{Chain, time_of};
use crate::{merkle::Hash, seal::VaultError};

/// How many events had no place in the queue, exactly. Decisions and outcomes count apart: of one
/// request the one may have found a place and the other not.
#[derive(Debug, Clone, Default)]
pub(crate) struct RolledUp {
    span: Option<(Timestamp, Timestamp)>,
    denied: BTreeMap<Code, u64>,
    undecided: u64,
    outcomes: u64,
    lost_decisions: u64,
    lost_outcomes: u64,
}

impl RolledUp {
    pub(crate) const fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    /// Counts an event of a request whose handler did not run.
    pub(crate) fn roll(&mut self, event: &Event) {
        self.widen(event);
        match event {
            Event::Decision(event) => match &event.verdict {
                Verdict::Deny(denial) => *self.denied.entry(denial.code()).or_default() += 1,
                _ => self.undecided += 1,
            },
            _ => self.outcomes += 1,
        }
    }

    /// Counts an event of a request whose handler ran.
    pub(crate) fn lose(&mut self, event: &Event) {
        self.widen(event);
        match event {
            Event::Decision(_) => self.lost_decisions += 1,
            _ => self.lost_outcomes += 1,
        }
    }

    /// How many events of requests whose handler ran are counted.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost_decisions + self.lost_outcomes
    }

    fn widen(&mut self, event: &Event) {
        let at = time_of(event);
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at), to.max(at)));
    }
}

impl Chain {
    /// Writes how many events had no place.
    pub(crate) fn append_rolled_up(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        rolled: &RolledUp,
    ) -> Result<Hash, VaultError> {
        self.append(out, "rolled-up", at, |record| {
            let mut record = record.clear();
            record.time("from", rolled.span.map(|(from, _)| from));
            record.time("to", rolled.span.map(|(_, to)| to));
            let denied = rolled
                .denied
                .iter()
                .map(|(code, count)| (code.as_str(), *count));
            record.numbers("denied", denied, Code::ALL.len());
            record.number("undecided", rolled.undecided);
            record.number("outcomes", rolled.outcomes);
            record.number("lost_decisions", rolled.lost_decisions);
            record.number("lost_outcomes", rolled.lost_outcomes);
            Ok(())
        })
    }
}
