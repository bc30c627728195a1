use std::hash::RandomState;

use smallvec::SmallVec;

use super::{
    bounds::Room,
    cell::{At, Meter, Need},
    holds::{Hold, Part},
    shard::{Keep, RootKey, Shard, nanos},
};
use crate::{
    counter::{
        Claim, CounterError, Held, HoldId, Marks, Purpose, Refused, Reserve, Standings, Verdict,
    },
    limit::Kind,
};

/// What a step needs to know of the store around its shard.
pub(super) struct Around<'a> {
    pub(super) room: &'a Room,
    pub(super) secret: &'a RandomState,
    pub(super) names: Names,
    /// Nanoseconds.
    pub(super) grace: u64,
}

/// Makes the names of a shard's holds: who made them, which shard, which index, which serial number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) store: u32,
    pub(super) shard: u16,
}

impl Names {
    pub(super) fn name(self, index: u32, serial: u64) -> HoldId {
        let place = (u128::from(self.store) << 96) | (u128::from(self.shard) << 80);
        HoldId(place | (u128::from(index) << 48) | u128::from(serial))
    }
}

/// The parts of a name: store, shard, index, serial number.
#[expect(clippy::cast_possible_truncation, reason = "it takes bits apart")]
pub(super) const fn parts(hold: HoldId) -> (u32, u16, u32, u64) {
    let HoldId(bits) = hold;
    (
        (bits >> 96) as u32,
        (bits >> 80) as u16,
        (bits >> 48) as u32,
        bits as u64 & ((1 << 48) - 1),
    )
}

/// Where each claim is counted.
type Places = SmallVec<[Place; 8]>;

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    cell: Option<u32>,
}

impl Keep for Places {
    fn keeps(&self, cell: u32) -> bool {
        self.iter().any(|place| place.cell == Some(cell))
    }
}

/// Which claims do not fit.
struct Checked {
    violated: Marks,
    would_refuse: Marks,
}

impl Shard {
    /// All checks first, then all writes.
    pub(super) fn reserve(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        ask: &Reserve<'_>,
    ) -> Result<Verdict, CounterError> {
        let at = self.at(ask.now);
        self.sweep(around, at, SWEPT);
        let mut places = self.places(around, key, ask);
        let mut checked = self.check(around, &places, ask, at)?;
        if !checked.violated.is_empty() && self.holds.due(at.nanos).is_some() {
            self.sweep(around, at, usize::MAX);
            checked = self.check(around, &places, ask, at)?;
        }
        if !checked.violated.is_empty() {
            return Ok(Verdict::Refused(Refused {
                standings: self.standings(&places, ask, checked.violated, at)?,
                violated: checked.violated,
            }));
        }
        for (claim, place) in ask.claims.iter().zip(0..) {
            let Some(Place { hash, cell: None }) = places.get(place).copied() else {
                continue;
            };
            let made = self.make(around.room, key, *claim, hash, at, &places)?;
            if let Some(place) = places.get_mut(place) {
                place.cell = Some(made);
            }
        }
        let (hold, standings) = self.hold(around, &places, ask, at)?;
        Ok(Verdict::Held(Held {
            hold,
            standings,
            would_refuse: checked.would_refuse,
        }))
    }

    fn places(&self, around: &Around<'_>, key: RootKey<'_>, ask: &Reserve<'_>) -> Places {
        let root = self.root(key);
        let mut places = Places::new();
        let mut subject = None;
        for claim in ask.claims {
            // Neighbours are often of one subject.
            let of = match subject {
                Some((name, of)) if name == claim.subject => of,
                _ => key.subject(around.secret, claim.subject),
            };
            subject = Some((claim.subject, of));
            let hash = RootKey::claim(of, claim.limit);
            let cell = root.and_then(|root| self.find(root, key, *claim, hash));
            places.push(Place { hash, cell });
        }
        places
    }

    fn check(
        &mut self,
        around: &Around<'_>,
        places: &Places,
        ask: &Reserve<'_>,
        at: At,
    ) -> Result<Checked, CounterError> {
        let mut checked = Checked {
            violated: Marks::default(),
            would_refuse: Marks::default(),
        };
        let need = need(ask);
        for (place, (counted, claim)) in places.iter().zip(ask.claims).enumerate() {
            if let Some(cell) = counted.cell {
                self.turn(around.room, cell, claim.limit, at)?;
            }
            let fits = match counted.cell.and_then(|cell| self.cells.get(cell)) {
                Some(cell) => cell.meter.fits(claim.limit, need, at),
                None => Meter::new(claim.limit, at)?.fits(claim.limit, need, at),
            };
            if !fits && claim.limit.is_shadow() {
                checked.would_refuse.mark(place);
            } else if !fits {
                checked.violated.mark(place);
            }
        }
        Ok(checked)
    }

    /// Where each claim of a refusal stands.
    fn standings(
        &self,
        places: &Places,
        ask: &Reserve<'_>,
        violated: Marks,
        at: At,
    ) -> Result<Standings, CounterError> {
        let need = need(ask);
        let mut standings = Standings::new();
        for (place, (counted, claim)) in places.iter().zip(ask.claims).enumerate() {
            let violated = violated.has(place);
            let standing = |meter: &Meter| meter.standing(claim.limit, need, violated, at);
            standings.push(match counted.cell.and_then(|cell| self.cells.get(cell)) {
                Some(cell) => standing(&cell.meter),
                None => standing(&Meter::new(claim.limit, at)?),
            });
        }
        Ok(standings)
    }

    /// Writes what fits. Each place has a cell.
    fn hold(
        &mut self,
        around: &Around<'_>,
        places: &Places,
        ask: &Reserve<'_>,
        at: At,
    ) -> Result<(HoldId, Standings), CounterError> {
        if is_of_rates(ask) {
            return Ok((HoldId::NONE, self.spend(places, need(ask), at)));
        }
        self.make_hold_room(around.room)?;
        let end = at.nanos.saturating_add(nanos(ask.expires_in));
        let mut hold = Hold::new(end, ask.cost, ask.permits, ask.purpose);
        let mut standings = Standings::new();
        let need = need(ask);
        for index in places.iter().filter_map(|place| place.cell) {
            if let Some(cell) = self.cells.get_mut(index) {
                let window = cell.take(need, ask.purpose, at);
                if cell.limit.is_shadow() {
                    hold.shadows.mark(hold.parts.len());
                }
                hold.parts.push(Part {
                    cell: index,
                    window,
                });
                standings.push(cell.meter.standing(&cell.limit, need, false, at));
            }
        }
        let (index, serial) = self.holds.insert(hold);
        Ok((around.names.name(index, serial), standings))
    }

    /// Takes what comes back by itself.
    fn spend(&mut self, places: &Places, need: Need, at: At) -> Standings {
        let mut standings = Standings::new();
        for index in places.iter().filter_map(|place| place.cell) {
            if let Some(cell) = self.cells.get_mut(index) {
                cell.spend(need, at);
                standings.push(cell.meter.standing(&cell.limit, need, false, at));
            }
        }
        standings
    }
}

/// How many holds that have ended one reservation charges, so that they never pile up.
const SWEPT: usize = 4;

/// Whether nothing of it would have to be settled.
fn is_of_rates(ask: &Reserve<'_>) -> bool {
    let is_rate = |claim: &Claim<'_>| matches!(claim.limit.kind(), Kind::Rate(_));
    ask.purpose == Purpose::Request && ask.claims.iter().all(is_rate)
}

const fn need(ask: &Reserve<'_>) -> Need {
    Need {
        cost: ask.cost,
        weight: ask.weight,
        permits: ask.permits,
    }
}
