use std::time::Duration;

use super::{
    cell::Meter,
    holds::State,
    reserve::Around,
    shard::{RootKey, Shard},
};
use crate::counter::{Adjust, CellState, Claim, CounterError, HoldState, Moment};

impl Shard {
    pub(super) fn read(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        claims: &[Claim<'_>],
        now: Moment,
    ) -> Result<Vec<CellState>, CounterError> {
        let at = self.at(now);
        self.sweep(around, at, usize::MAX);
        let mut states = Vec::with_capacity(claims.len());
        for claim in claims {
            let cell = self.cell(around, key, *claim);
            if let Some(cell) = cell {
                self.turn(around.room, cell, claim.limit, at)?;
            }
            states.push(match cell.and_then(|cell| self.cells.get(cell)) {
                Some(cell) => cell.meter.state(claim.limit, at),
                None => Meter::new(claim.limit, at)?.state(claim.limit, at),
            });
        }
        Ok(states)
    }

    pub(super) fn adjust(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        claim: Claim<'_>,
        how: &Adjust,
        now: Moment,
    ) -> Result<CellState, CounterError> {
        let at = self.at(now);
        self.sweep(around, at, usize::MAX);
        let cell = match self.cell(around, key, claim) {
            Some(cell) => cell,
            None => {
                let hash = hash(around, key, claim);
                self.make(around.room, key, claim, hash, at, &())?
            }
        };
        self.turn(around.room, cell, claim.limit, at)?;
        let cell = self
            .cells
            .get_mut(cell)
            .ok_or(CounterError::Invalid("it has no such claim"))?;
        cell.meter.adjust(claim.limit, how, at.wall)?;
        Ok(cell.meter.state(claim.limit, at))
    }

    pub(super) fn list(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Vec<HoldState> {
        let at = self.at(now);
        self.sweep(around, at, usize::MAX);
        let Some(cell) = self.cell(around, key, claim) else {
            return Vec::new();
        };
        let mut found: Vec<_> = self
            .holds
            .iter()
            .filter(|(_, hold)| {
                hold.parts.iter().any(|part| part.cell == cell)
                    && at.nanos < hold.end.saturating_add(around.grace)
            })
            .collect();
        found.sort_unstable_by_key(|(_, hold)| hold.serial);
        let states = found
            .into_iter()
            .take(at_most)
            .map(|(index, hold)| HoldState {
                hold: around.names.name(index, hold.serial),
                purpose: hold.purpose,
                nanos: hold.nanos,
                expires_in: match hold.state {
                    State::Open => Duration::from_nanos(hold.end.saturating_sub(at.nanos)),
                    _ => Duration::ZERO,
                },
            });
        states.collect()
    }

    #[cfg(test)]
    pub(super) fn peek(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        claim: Claim<'_>,
        now: Moment,
    ) -> u64 {
        use super::cell::Count;
        let at = self.at(now);
        let cell = self.cell(around, key, claim);
        let Some(cell) = cell.and_then(|cell| self.cells.get_mut(cell)) else {
            return 0;
        };
        cell.turn(claim.limit, at).unwrap();
        match &cell.meter.count {
            Count::Rate(tat) => tat.saturating_sub(at.nanos),
            Count::Budget(spending) => spending.used(),
            Count::Permits(used) => *used,
        }
    }

    fn cell(&self, around: &Around<'_>, key: RootKey<'_>, claim: Claim<'_>) -> Option<u32> {
        let root = self.root(key)?;
        self.find(root, key, claim, hash(around, key, claim))
    }
}

fn hash(around: &Around<'_>, key: RootKey<'_>, claim: Claim<'_>) -> u32 {
    RootKey::claim(key.subject(around.secret, claim.subject), claim.limit)
}
