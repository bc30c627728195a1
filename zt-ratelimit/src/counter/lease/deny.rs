//! Refusals of the store, repeated for a moment without asking it. Nothing is admitted by them.

use std::time::Duration;

use super::stock::Need;
use crate::{
    counter::{Claim, Marks, Refused},
    limit::Kind,
};

/// A refusal, for what, and until when.
#[derive(Debug)]
pub(super) struct Denied {
    refused: Refused,
    need: Need,
    at: Duration,
    until: Duration,
    /// How often something was given back under its root before the store was asked.
    epoch: u64,
}

impl Denied {
    /// `None` where it is not to be repeated.
    pub(super) fn new(
        refused: &Refused,
        need: Need,
        epoch: u64,
        now: Duration,
        at_most: Duration,
    ) -> Option<Self> {
        let waits = refused
            .violated
            .places()
            .filter_map(|place| refused.standings.get(place)?.more_in);
        let lasts = waits.fold(at_most, Duration::min);
        (!lasts.is_zero()).then(|| Self {
            refused: refused.clone(),
            need,
            at: now,
            until: now.saturating_add(lasts),
            epoch,
        })
    }

    /// The refusal, for a request that is at least as expensive in something that was violated.
    pub(super) fn again(
        &self,
        claims: &[Claim<'_>],
        need: Need,
        epoch: u64,
        now: Duration,
    ) -> Option<Refused> {
        if now < self.at || now >= self.until || epoch != self.epoch {
            return None;
        }
        let mut violated = Marks::default();
        for place in self.refused.violated.places() {
            let as_much = match claims.get(place)?.limit.kind() {
                Kind::Rate(_) => need.weight >= self.need.weight,
                Kind::Budget(_) => need.cost >= self.need.cost,
                Kind::Concurrency(_) => need.permits >= self.need.permits,
            };
            if as_much {
                violated.mark(place);
            }
        }
        if violated.is_empty() {
            return None;
        }
        let mut standings = self.refused.standings.clone();
        for standing in &mut standings {
            let passed = now.saturating_sub(self.at);
            standing.more_in = standing.more_in.map(|more| more.saturating_sub(passed));
        }
        Some(Refused {
            standings,
            violated,
        })
    }
}
