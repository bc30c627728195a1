//! What counters should say, the naive way: a list of every hold and every charge, in `u128`, and
//! sums over it.

use std::collections::BTreeMap;

use super::*;

pub(super) const GRACE: u128 = 600 * SECOND;
pub(super) const SECOND: u128 = 1_000_000_000;
const DAY: u128 = 86_400_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Day,
    Month,
    /// Of so many microseconds, in 24 slots.
    Rolling(u128),
    /// Nanoseconds a unit.
    Rate(u128),
    Permits,
}

#[derive(Debug)]
pub(super) struct Limited {
    pub(super) kind: Kind,
    policy: u128,
    set: Option<(u128, Option<u128>)>,
    grants: BTreeMap<String, (u128, u128)>,
    tat: u128,
    charges: Vec<Charge>,
    /// An administrator or a settlement has taken usage above the limit.
    pub(super) excused: bool,
    pub(super) last_limit: u128,
}

#[derive(Debug)]
struct Charge {
    hold: usize,
    window: u128,
    amount: u128,
}

#[derive(Debug)]
pub(super) struct Hold {
    /// Limits, and the window of each that admitted it.
    pub(super) parts: Vec<(usize, u128)>,
    pub(super) amount: u128,
    permits: u128,
    lease: bool,
    end: u128,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Ended { told: bool },
    Settled,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) limits: Vec<Limited>,
    pub(super) holds: Vec<Hold>,
    /// Microseconds, the latest that was seen.
    pub(super) wall: u128,
    /// Nanoseconds.
    pub(super) nanos: u128,
}

pub(super) enum Extension {
    Done(u128),
    Refused(Vec<usize>),
    /// The store may have forgotten it.
    Old,
    Gone,
}

/// Charged by nobody's hold.
const NOBODY: usize = usize::MAX;

impl Limited {
    pub(super) fn new(kind: Kind, policy: u64) -> Self {
        Self {
            kind,
            policy: policy.into(),
            set: None,
            grants: BTreeMap::new(),
            tat: 0,
            charges: Vec::new(),
            excused: false,
            last_limit: policy.into(),
        }
    }

    pub(super) fn limit(&self, wall: u128) -> u128 {
        let set = self
            .set
            .filter(|(_, until)| until.is_none_or(|until| wall < until));
        let grants = self.grants.values().filter(|(_, until)| wall < *until);
        set.map_or(self.policy, |(limit, _)| limit) + grants.map(|(amount, _)| amount).sum::<u128>()
    }

    pub(super) fn is_budget(&self) -> bool {
        !matches!(self.kind, Kind::Rate(_) | Kind::Permits)
    }

    fn window(&self, wall: u128) -> u128 {
        match self.kind {
            Kind::Day => wall / DAY,
            Kind::Month => month(wall / DAY),
            Kind::Rolling(length) => wall / (length / 24),
            _ => 0,
        }
    }

    /// Whether what was spent in `window` counts at `wall`.
    fn counts(&self, window: u128, wall: u128) -> bool {
        let current = self.window(wall);
        match self.kind {
            Kind::Rolling(_) => window + 24 >= current,
            _ => window == current,
        }
    }
}

/// Months since the first of 1970, of a day since then.
fn month(day: u128) -> u128 {
    let (mut left, mut months) = (day, 0);
    loop {
        let year = 1970 + months / 12;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match months % 12 {
            1 => 28 + u128::from(leap),
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        if left < days {
            return months;
        }
        left -= days;
        months += 1;
    }
}

impl Model {
    /// Time goes on; whatever has ended is charged.
    pub(super) fn at(&mut self, wall: u128, nanos: u128) {
        self.wall = self.wall.max(wall);
        self.nanos = nanos;
        for index in 0..self.holds.len() {
            let hold = &mut self.holds[index];
            if hold.state == State::Open && hold.end <= nanos {
                hold.state = State::Ended { told: false };
                for (limit, window) in self.holds[index].parts.clone() {
                    let amount = self.holds[index].amount;
                    self.charge(limit, index, window, amount);
                }
            }
        }
        for limit in &mut self.limits {
            let now = limit.limit(self.wall);
            if now < limit.last_limit {
                limit.excused = true;
            }
            limit.last_limit = now;
        }
    }

    fn charge(&mut self, limit: usize, hold: usize, window: u128, amount: u128) {
        if self.limits[limit].is_budget() {
            self.limits[limit].charges.push(Charge {
                hold,
                window,
                amount,
            });
        }
    }

    pub(super) fn spent(&self, limit: usize) -> u128 {
        let of = &self.limits[limit];
        let counts = |charge: &&Charge| of.counts(charge.window, self.wall);
        of.charges
            .iter()
            .filter(counts)
            .map(|charge| charge.amount)
            .sum()
    }

    pub(super) fn held(&self, limit: usize, lease: bool) -> u128 {
        self.held_in(limit, self.limits[limit].window(self.wall), lease)
    }

    fn held_in(&self, limit: usize, window: u128, lease: bool) -> u128 {
        let rolling = matches!(self.limits[limit].kind, Kind::Rolling(_));
        let open = self
            .holds
            .iter()
            .filter(|hold| hold.state == State::Open && hold.lease == lease);
        open.filter(|hold| {
            hold.parts
                .iter()
                .any(|(of, in_)| *of == limit && (rolling || *in_ == window))
        })
        .map(|hold| hold.amount)
        .sum()
    }

    pub(super) fn permits(&self, limit: usize) -> u128 {
        let open = self.holds.iter().filter(|hold| hold.state == State::Open);
        open.filter(|hold| hold.parts.iter().any(|(of, _)| *of == limit))
            .map(|hold| hold.permits)
            .sum()
    }

    /// Nanoseconds until a rate is whole, permits in use, or all that counts against a budget.
    pub(super) fn used(&self, limit: usize) -> u128 {
        match self.limits[limit].kind {
            Kind::Rate(_) => self.limits[limit].tat.saturating_sub(self.nanos),
            Kind::Permits => self.permits(limit),
            _ => self.spent(limit) + self.held(limit, false) + self.held(limit, true),
        }
    }

    fn used_in(&self, limit: usize, window: u128) -> u128 {
        let of = &self.limits[limit];
        if of.window(self.wall) == window || matches!(of.kind, Kind::Rolling(_)) {
            return self.used(limit);
        }
        let spent = of.charges.iter().filter(|charge| charge.window == window);
        spent.map(|charge| charge.amount).sum::<u128>()
            + self.held_in(limit, window, false)
            + self.held_in(limit, window, true)
    }

    /// The places of the limits that refuse.
    pub(super) fn reserve(
        &mut self,
        limits: &[usize],
        (cost, weight, permits): (u128, u128, u128),
        life: u128,
        lease: bool,
    ) -> Vec<usize> {
        let mut violated = Vec::new();
        for (place, limit) in limits.iter().enumerate() {
            let most = self.limits[*limit].limit(self.wall);
            let (need, used) = match self.limits[*limit].kind {
                Kind::Rate(interval) => {
                    // No burst refuses everything.
                    if most == 0 || most * interval < self.used(*limit) + weight * interval {
                        violated.push(place);
                    }
                    continue;
                }
                Kind::Permits => (permits, self.permits(*limit)),
                _ => (cost, self.used(*limit)),
            };
            if used + need > most {
                violated.push(place);
            }
        }
        if violated.is_empty() {
            for limit in limits {
                let of = &mut self.limits[*limit];
                if let Kind::Rate(interval) = of.kind {
                    of.tat = of.tat.max(self.nanos) + weight * interval;
                }
            }
            let window = |limit: &usize| (*limit, self.limits[*limit].window(self.wall));
            self.holds.push(Hold {
                parts: limits.iter().map(window).collect(),
                amount: cost,
                permits,
                lease,
                end: self.nanos + life,
                state: State::Open,
            });
            // What lives for no time has ended.
            self.at(self.wall, self.nanos);
        }
        violated
    }

    fn is_live(&self, hold: usize) -> bool {
        let hold = &self.holds[hold];
        hold.state != State::Settled && self.nanos < hold.end + GRACE
    }

    /// Whether it counts.
    pub(super) fn settle(&mut self, hold: usize, actual: u128) -> bool {
        if !self.is_live(hold) {
            return false;
        }
        let was = std::mem::replace(&mut self.holds[hold].state, State::Settled);
        let held = self.holds[hold].amount;
        for (limit, window) in self.holds[hold].parts.clone() {
            if actual > held {
                self.limits[limit].excused = true;
            }
            match (was, self.take_charge(limit, hold)) {
                (State::Open, _) | (_, Some(_)) => self.charge(limit, hold, window, actual),
                (_, None) => {
                    let window = self.window_of_anew(limit, window);
                    self.charge(limit, hold, window, actual.saturating_sub(held));
                }
            }
        }
        true
    }

    fn window_of_anew(&self, limit: usize, window: u128) -> u128 {
        match self.limits[limit].kind {
            Kind::Rolling(_) => self.limits[limit].window(self.wall),
            _ => window,
        }
    }

    fn take_charge(&mut self, limit: usize, hold: usize) -> Option<u128> {
        let charges = &mut self.limits[limit].charges;
        let place = charges.iter().position(|charge| charge.hold == hold)?;
        Some(charges.remove(place).amount)
    }

    pub(super) fn extend(&mut self, hold: usize, more: u128, life: u128) -> Extension {
        if !self.is_live(hold) {
            return Extension::Gone;
        }
        let open = self.holds[hold].state == State::Open;
        let held = self.holds[hold].amount;
        let parts = self.holds[hold].parts.clone();
        let (mut violated, mut old) = (Vec::new(), false);
        for (place, (limit, window)) in parts.iter().enumerate() {
            let of = &self.limits[*limit];
            if !of.is_budget() || (open && more == 0) {
                continue;
            }
            let charged = of.charges.iter().any(|charge| charge.hold == hold);
            let rolling = matches!(of.kind, Kind::Rolling(_));
            if !of.counts(*window, self.wall) && (open || charged || !rolling) {
                if rolling {
                    return Extension::Gone;
                }
                old = true;
            }
            let again = if open || charged { 0 } else { held };
            let need = more + again;
            if need > 0 && self.used_in(*limit, *window) + need > of.limit(self.wall) {
                violated.push(place);
            }
        }
        if old {
            return Extension::Old;
        }
        if !violated.is_empty() {
            return Extension::Refused(violated);
        }
        self.extended(hold, more, life);
        Extension::Done(held + more)
    }

    pub(super) fn extended(&mut self, hold: usize, more: u128, life: u128) {
        let open = self.holds[hold].state == State::Open;
        for (place, (limit, window)) in self.holds[hold].parts.clone().into_iter().enumerate() {
            if !open && self.take_charge(limit, hold).is_none() {
                self.holds[hold].parts[place].1 = self.window_of_anew(limit, window);
            }
            if self.limits[limit].kind == Kind::Permits && !open {
                self.limits[limit].excused = true;
            }
        }
        self.holds[hold].amount += more;
        self.holds[hold].end = self.nanos + life;
        self.holds[hold].state = State::Open;
        self.at(self.wall, self.nanos);
    }

    pub(super) fn adjust(&mut self, limit: usize, how: &Adjust) {
        let current = self.limits[limit].window(self.wall);
        let of = &mut self.limits[limit];
        match how {
            Adjust::Override { limit, until } => {
                of.set = Some(((*limit).into(), until.map(|until| until.as_micros().into())));
            }
            Adjust::ClearOverride => of.set = None,
            Adjust::Grant {
                name,
                amount,
                until,
            } => {
                let grant = ((*amount).into(), until.as_micros().into());
                of.grants.insert(name.to_string(), grant);
            }
            Adjust::Revoke { name } => {
                of.grants.remove(&**name);
            }
            Adjust::Reset => {
                of.tat = 0;
                let rolling = matches!(of.kind, Kind::Rolling(_));
                of.charges
                    .retain(|charge| !rolling && charge.window != current);
                if rolling {
                    // What is held is held from now on.
                    for hold in self
                        .holds
                        .iter_mut()
                        .filter(|hold| hold.state == State::Open)
                    {
                        for part in hold.parts.iter_mut().filter(|part| part.0 == limit) {
                            part.1 = current;
                        }
                    }
                }
            }
            Adjust::Charge { nanos } => {
                of.excused = true;
                if of.is_budget() {
                    of.charges.push(Charge {
                        hold: NOBODY,
                        window: current,
                        amount: (*nanos).into(),
                    });
                }
            }
        }
        self.at(self.wall, self.nanos);
    }

    /// Those that have ended and nobody was told of.
    pub(super) fn untold(&self) -> Vec<usize> {
        let untold = |hold: &usize| self.holds[*hold].state == State::Ended { told: false };
        (0..self.holds.len()).filter(untold).collect()
    }

    pub(super) fn tell(&mut self, hold: usize) {
        self.holds[hold].state = State::Ended { told: true };
    }
}
