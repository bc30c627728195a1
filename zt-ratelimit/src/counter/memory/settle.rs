use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{
    cell::{At, Cell, Count, Need, fits},
    holds::{Hold, Part, State},
    reserve::Around,
    shard::{Shard, nanos},
    spending::Settlement,
    table::Table,
};
use crate::counter::{
    Charged, CounterError, Expired, Extended, Marks, Moment, Refused, Settle, Settled, Standings,
};

impl Shard {
    pub(super) fn settle(
        &mut self,
        around: &Around<'_>,
        (index, serial): (u32, u64),
        how: Settle,
        now: Moment,
    ) -> Settled {
        let at = self.at(now);
        if !self.is_live(around, index, serial, at) {
            return nothing();
        }
        let Some(hold) = self.holds.at(index) else {
            return nothing();
        };
        let held = hold.nanos;
        let charged = match how {
            Settle::Release => 0,
            Settle::ChargeHold => held,
            Settle::Charge(actual) => actual,
        };
        let budgets = charge(&mut self.cells, hold, charged, at);
        self.holds.forget(index);
        around.room.give_hold();
        Settled {
            counted: true,
            held,
            charged,
            budgets,
        }
    }

    pub(super) fn extend(
        &mut self,
        around: &Around<'_>,
        (index, serial): (u32, u64),
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Result<Extended, CounterError> {
        let at = self.at(now);
        if !self.is_live(around, index, serial, at) {
            return Ok(Extended::Gone);
        }
        self.sweep(around, at, usize::MAX);
        let Some(hold) = self.holds.get(index, serial) else {
            return Ok(Extended::Gone);
        };
        let (open, nanos_held, permits) = (hold.state == State::Open, hold.nanos, hold.permits);
        let (parts, purpose, shadows) = (hold.parts.clone(), hold.purpose, hold.shadows);
        let need = Need {
            cost: more,
            weight: 0,
            permits: if open { 0 } else { permits },
        };
        let mut violated = Marks::default();
        for (place, part) in parts.iter().enumerate() {
            match self.part_fits(*part, open, nanos_held, need, at)? {
                None => return Ok(Extended::Gone),
                // As it was for who holds it: other tiers have other limits of the same name.
                Some(false) if !shadows.has(place) => violated.mark(place),
                Some(_) => {}
            }
        }
        if !violated.is_empty() {
            return Ok(Extended::Refused(Refused {
                standings: self.part_standings(&parts, need, violated, at),
                violated,
            }));
        }
        for part in &parts {
            let Some(cell) = self.cells.get_mut(part.cell) else {
                continue;
            };
            match &mut cell.meter.count {
                Count::Budget(spending) => {
                    spending.extend(part.window, open, nanos_held, more, purpose);
                }
                Count::Permits(used) => *used = used.saturating_add(need.permits.into()),
                Count::Rate(_) => {}
            }
        }
        let held = nanos_held.saturating_add(more);
        if let Some(hold) = self.holds.at_mut(index) {
            hold.nanos = held;
        }
        self.holds
            .renew(index, at.nanos.saturating_add(nanos(expires_in)));
        Ok(Extended::Done { held })
    }

    /// Whether more of a hold fits; `None` where its window is too long ago.
    fn part_fits(
        &mut self,
        part: Part,
        open: bool,
        held: u64,
        need: Need,
        at: At,
    ) -> Result<Option<bool>, CounterError> {
        let Some(cell) = self.cells.get_mut(part.cell) else {
            return Ok(None);
        };
        let limit = Arc::clone(&cell.limit);
        cell.turn(&limit, at)?;
        let most = cell.meter.limit(&limit, at.wall);
        let fits = match &cell.meter.count {
            Count::Budget(spending) => {
                let Some(room) = spending.room(part.window, open) else {
                    // What only lives on asks nothing of a window that counts no more.
                    return Ok((open && need.cost == 0).then_some(true));
                };
                let again = if open || room.charged { 0 } else { held };
                let more = need.cost.saturating_add(again);
                more == 0 || fits(room.used, more, most)
            }
            Count::Permits(_) | Count::Rate(_) => true,
        };
        Ok(Some(fits))
    }

    fn part_standings(&self, parts: &[Part], need: Need, violated: Marks, at: At) -> Standings {
        parts
            .iter()
            .enumerate()
            .filter_map(|(place, part)| {
                let cell = self.cells.get(part.cell)?;
                let violated = violated.has(place);
                Some(cell.meter.standing(&cell.limit, need, violated, at))
            })
            .collect()
    }

    /// Whether there is such a hold, and it can be settled.
    fn is_live(&mut self, around: &Around<'_>, index: u32, serial: u64, at: At) -> bool {
        let Some(hold) = self.holds.get(index, serial) else {
            return false;
        };
        if at.nanos < hold.end.saturating_add(around.grace) {
            if hold.state == State::Open && hold.end <= at.nanos {
                self.end(index, at);
            }
            return true;
        }
        false
    }

    /// Charges a hold whose time is over.
    fn end(&mut self, index: u32, at: At) {
        let Some(hold) = self.holds.at_mut(index) else {
            return;
        };
        for part in &mut hold.parts {
            let Some(cell) = self.cells.get_mut(part.cell) else {
                continue;
            };
            cell.turn_as_is(at);
            match &mut cell.meter.count {
                Count::Budget(spending) => {
                    spending.settle(part.window, true, hold.nanos, hold.nanos, hold.purpose);
                    part.window = spending.charged_as(part.window);
                }
                Count::Permits(used) => *used = used.saturating_sub(hold.permits.into()),
                Count::Rate(_) => {}
            }
        }
        self.holds.end(index);
    }

    /// Charges at most `at_most` holds that have ended, and forgets as many that can no longer be
    /// corrected.
    pub(super) fn sweep(&mut self, around: &Around<'_>, at: At, at_most: usize) -> usize {
        let mut ended = 0;
        while ended < at_most
            && let Some(index) = self.holds.due(at.nanos)
        {
            self.end(index, at);
            ended += 1;
        }
        for _ in 0..at_most {
            let Some(index) = self.holds.stale(at.nanos, around.grace) else {
                break;
            };
            self.drop_hold(around.room, index);
        }
        ended
    }

    pub(super) fn expire(
        &mut self,
        around: &Around<'_>,
        at_most: usize,
        now: Moment,
        out: &mut Vec<Expired>,
    ) {
        let at = self.at(now);
        self.sweep(around, at, at_most);
        while out.len() < at_most
            && let Some(index) = self.holds.tell()
        {
            let Some(hold) = self.holds.at(index) else {
                break;
            };
            let budgets = hold.parts.iter().filter_map(|part| {
                let cell = self.cells.get(part.cell)?;
                let Count::Budget(spending) = &cell.meter.count else {
                    return None;
                };
                let span = spending.span_of(part.window)?;
                let subject = Arc::from(self.subject(cell));
                Some((Arc::clone(cell.limit.name()), subject, span))
            });
            let cell = hold
                .parts
                .first()
                .and_then(|part| self.cells.get(part.cell));
            out.push(Expired {
                hold: around.names.name(index, hold.serial),
                root: cell.map_or("", |cell| self.root_name(cell)).into(),
                nanos: hold.nanos,
                budgets: budgets.collect(),
            });
        }
    }
}

/// Charges `actual` for a hold that goes, in each of its budgets, and gives its permits
/// back.
fn charge(cells: &mut Table<Cell>, hold: &Hold, actual: u64, at: At) -> SmallVec<[Charged; 4]> {
    let mut budgets = SmallVec::new();
    let open = hold.state == State::Open;
    for (claim, part) in (0..).zip(&hold.parts) {
        let Some(cell) = cells.get_mut(part.cell) else {
            continue;
        };
        cell.turn_as_is(at);
        let limit = cell.meter.limit(&cell.limit, at.wall);
        match &mut cell.meter.count {
            Count::Budget(spending) => {
                let settled = spending.settle(part.window, open, hold.nanos, actual, hold.purpose);
                if let Some(Settlement {
                    span,
                    spent,
                    before,
                }) = settled
                {
                    let budget = cell.limit.as_budget();
                    let thresholds = budget.map_or(&[][..], |budget| budget.thresholds());
                    budgets.push(Charged {
                        claim,
                        span,
                        spent,
                        limit,
                        crossed: spending.cross(thresholds, limit, before),
                    });
                }
            }
            Count::Permits(used) if open => {
                *used = used.saturating_sub(hold.permits.into());
            }
            _ => {}
        }
        cell.let_go();
    }
    budgets
}

/// The answer about a hold that there is not.
pub(super) fn nothing() -> Settled {
    Settled {
        counted: false,
        held: 0,
        charged: 0,
        budgets: SmallVec::new(),
    }
}
