//! A path: the claims that come together, from a key to its organisation, and what this instance
//! has for them.

use std::{
    hash::Hasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;
use tokio::sync::watch;
use zt_core::clock::Timestamp;

use super::{
    chunk::{Demand, Left},
    deny::Denied,
    settings::Leasing,
    stock::{Ended, Kinds, MAX_LEASES, Need, Short, Stock, serving},
};
use crate::{
    counter::{
        Charged, Claim, CounterError, HoldId, Marks, Moment, Refused, Reserve, Standing, Standings,
    },
    limit::{Kind, Limit, Rate, Span},
};

/// The claims, and the state behind a lock.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) root: Box<str>,
    claims: Box<[(Arc<Limit>, Box<str>)]>,
    pub(super) kinds: Kinds,
    pub(super) shard: u32,
    pub(super) place: u32,
    /// For how long units of its rates may be kept.
    units_live: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) stock: Stock,
    pub(super) demand: Demand,
    /// What the store said last about each claim, and when.
    known: Standings,
    known_at: Duration,
    pub(super) denied: Option<Denied>,
    /// What is being fetched now.
    flight: Option<Flight>,
    /// Nothing is fetched before.
    pub(super) not_before: Duration,
    /// Counts how often everything had to be given back.
    pub(super) retired: u64,
    pub(super) used: Duration,
    /// It is not in the table any more.
    pub(super) gone: bool,
}

/// A fetch that is under way, and how it ends.
pub(super) type Flight = watch::Receiver<Option<Landing>>;

#[derive(Debug, Clone)]
pub(super) enum Landing {
    /// Something came.
    Done,
    /// The store did not give it.
    Refused,
    /// The store did not answer.
    Failed(CounterError),
}

/// What to fetch.
#[derive(Debug, Clone)]
pub(super) enum Fetch {
    Lease {
        cost: u64,
        weight: u64,
        permits: u32,
        window: Span,
        spans: SmallVec<[Span; 4]>,
    },
    Money {
        number: u32,
        id: HoldId,
        more: u64,
    },
    Units {
        weight: u64,
    },
}

impl Path {
    pub(super) fn new(
        ask: &Reserve<'_>,
        (shard, place): (u32, u32),
        serial: u64,
        leasing: &Leasing,
        now: Duration,
    ) -> Self {
        let mut kinds = Kinds::default();
        let mut window = u64::MAX;
        for claim in ask.claims {
            match claim.limit.kind() {
                Kind::Rate(rate) => {
                    kinds.rates = true;
                    window = window.min(Rate::window_nanos(rate));
                }
                Kind::Budget(_) => kinds.budgets = true,
                Kind::Concurrency(_) => kinds.concurrency = true,
            }
        }
        let units_live = u128::from(window) * u128::from(leasing.ahead) / 100;
        let claims = ask.claims.iter();
        Self {
            root: ask.root.into(),
            claims: claims
                .map(|claim| (Arc::clone(claim.limit), claim.subject.into()))
                .collect(),
            kinds,
            shard,
            place,
            units_live: Duration::from_nanos(u64::try_from(units_live).unwrap_or(u64::MAX)),
            state: Mutex::new(State {
                stock: Stock::new(kinds, serial),
                demand: Demand::new(now),
                known: Standings::new(),
                known_at: now,
                denied: None,
                flight: None,
                not_before: Duration::ZERO,
                retired: 0,
                used: now,
                gone: false,
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these are its claims, with these values of their limits.
    pub(super) fn is(&self, ask: &Reserve<'_>) -> bool {
        let same = |(mine, theirs): (&(Arc<Limit>, Box<str>), &Claim<'_>)| {
            *mine.1 == *theirs.subject
                && (Arc::ptr_eq(&mine.0, theirs.limit) || mine.0 == *theirs.limit)
        };
        self.claims.len() == ask.claims.len()
            && *self.root == *ask.root
            && self.claims.iter().zip(ask.claims).all(same)
    }

    pub(super) fn claims(&self) -> SmallVec<[Claim<'_>; 8]> {
        let claims = self.claims.iter();
        claims
            .map(|(limit, subject)| Claim { limit, subject })
            .collect()
    }

    /// Whether it has `claim`, whatever the value of its limit.
    pub(super) fn has(&self, claim: Claim<'_>) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|(limit, subject)| {
            limit.name() == claim.limit.name() && **subject == *claim.subject
        })
    }

    /// What of `ask` its limits count.
    pub(super) const fn need(&self, cost: u64, weight: u64, permits: u32) -> Need {
        Need {
            cost,
            weight: if self.kinds.rates { weight } else { 0 },
            permits: if self.kinds.concurrency { permits } else { 0 },
        }
    }

    /// Where each claim stands, as far as this instance knows.
    pub(super) fn standings(&self, state: &State, now: Moment) -> Standings {
        let free = state.stock.free(now);
        let passed = now.monotonic.saturating_sub(state.known_at);
        let known = self.claims.iter().zip(&state.known);
        known
            .map(|((limit, _), known)| {
                let here = match limit.kind() {
                    Kind::Rate(_) => free.weight,
                    Kind::Budget(_) => free.cost,
                    Kind::Concurrency(_) => free.permits.into(),
                };
                Standing {
                    limit: known.limit,
                    remaining: known.remaining.saturating_add(here).min(known.limit),
                    more_in: known.more_in.map(|more| more.saturating_sub(passed)),
                }
            })
            .collect()
    }

    /// The budgets after the settlement of a local hold, as far as this instance knows.
    pub(super) fn charged(
        &self,
        state: &State,
        ended: &Ended,
        now: Moment,
    ) -> SmallVec<[Charged; 4]> {
        let free = state.stock.free(now).cost;
        let known = (0_u8..).zip(self.claims.iter().zip(&state.known));
        let budgets = known.filter(|(_, ((limit, _), _))| limit.as_budget().is_some());
        budgets
            .zip(&ended.spans)
            .map(|((claim, (_, known)), span)| {
                let remaining = known.remaining.saturating_add(free);
                Charged {
                    claim,
                    span: *span,
                    spent: known.limit.saturating_sub(remaining),
                    limit: known.limit,
                    crossed: 0,
                }
            })
            .collect()
    }

    /// What to fetch for a request that found something missing; `None` where it goes to the store
    /// by itself.
    pub(super) fn plan(
        &self,
        state: &mut State,
        need: Need,
        short: Short,
        now: Moment,
        leasing: &Leasing,
    ) -> Option<Fetch> {
        let rates = self.kinds.rates;
        if now.monotonic < state.not_before || state.gone || (rates && self.units_live.is_zero()) {
            return None;
        }
        // A request that comes once takes no lease.
        if state.known.is_empty() && state.demand.requests() < 2 {
            return None;
        }
        let out = state.stock.permits_out();
        let left = self.left(state);
        let want = state
            .demand
            .forecast(need, out, self.units_live, now.monotonic, leasing);
        let cut = left.cut(want, need, leasing);
        // Without any one of them, the others are of no use.
        let (cost, weight, permits) = (cut.cost?, cut.weight, cut.permits?);
        let aged = |born: Duration| now.monotonic.saturating_sub(born) >= leasing.life / 2;
        let newest = state.stock.newest(now);
        let several = short.permits || (short.money && short.units);
        match newest.filter(|lease| !several && !aged(lease.born)) {
            Some(lease) if short.money && cost > 0 => Some(Fetch::Money {
                number: lease.number,
                id: lease.id,
                more: cost,
            }),
            // Two trips either way; a lease brings money too, unless streams keep the old ones.
            Some(_) if short.units && (!self.kinds.budgets || state.stock.leases().len() > 1) => {
                weight.map(|weight| Fetch::Units { weight })
            }
            // Nothing but a request that no chunk serves.
            Some(_) if !short.lease && !short.units => None,
            _ if state.stock.leases().len() >= MAX_LEASES => None,
            _ => {
                let (window, spans) = self.windows(now.wall, leasing)?;
                let units = state.stock.units_left(now.monotonic);
                Some(Fetch::Lease {
                    cost: if self.kinds.budgets { cost } else { 0 },
                    weight: match weight {
                        Some(weight) if rates && (short.units || units < weight / 4) => weight,
                        None if short.units => return None,
                        _ => 0,
                    },
                    permits: if self.kinds.concurrency { permits } else { 0 },
                    window,
                    spans,
                })
            }
        }
    }

    /// What soon will be missing, after a request was served.
    pub(super) fn low(&self, state: &State, now: Moment, leasing: &Leasing) -> Option<Short> {
        if state.flight.is_some() || now.monotonic < state.not_before {
            return None;
        }
        let newest = state.stock.newest(now)?;
        let before = state.demand.before();
        let short = Short {
            lease: now.monotonic.saturating_sub(newest.born) >= leasing.life / 2,
            money: self.kinds.budgets && newest.free() < before.cost.min(newest.granted) / 4,
            units: self.kinds.rates
                && (state.stock.units_left(now.monotonic) < before.weight / 4
                    || state.stock.units_are_old(now.monotonic, self.units_live)),
            permits: self.kinds.concurrency && newest.permits_out >= newest.permits,
        };
        (short != Short::default()).then_some(short)
    }

    pub(super) const fn units_live(&self) -> Duration {
        self.units_live
    }

    /// The least that is left of the limits, for everybody. Shadow limits bound nothing.
    fn left(&self, state: &State) -> Left {
        let mut left = Left {
            cost: crate::limit::MAX_NANOS,
            weight: u64::MAX,
            permits: u64::MAX,
        };
        for (place, (limit, _)) in self.claims.iter().enumerate() {
            let (bound, whole) = match limit.kind() {
                _ if limit.is_shadow() => continue,
                Kind::Rate(rate) => (&mut left.weight, rate.burst_size()),
                Kind::Budget(budget) => (&mut left.cost, budget.amount().nanos()),
                Kind::Concurrency(limit) => (&mut left.permits, limit.permits().into()),
            };
            let known = state.known.get(place).map(|known| known.remaining);
            *bound = (*bound).min(known.unwrap_or(whole));
        }
        left
    }

    /// The window of each budget, and when requests can be served from a lease of them.
    fn windows(&self, wall: Timestamp, leasing: &Leasing) -> Option<(Span, SmallVec<[Span; 4]>)> {
        let budgets = self
            .claims
            .iter()
            .filter_map(|(limit, _)| limit.as_budget());
        let spans = budgets
            .map(|budget| budget.window().span_at(wall))
            .collect::<Result<SmallVec<[Span; 4]>, _>>()
            .ok()?;
        Some((serving(&spans, leasing.margin, wall)?, spans))
    }
}

impl State {
    /// What the store says.
    pub(super) fn learn(&mut self, standings: &Standings, now: Duration) {
        self.known.clone_from(standings);
        self.known_at = now;
    }

    /// What the store says of a larger hold, which needs nothing of rates.
    pub(super) fn learn_but_rates(&mut self, path: &Path, standings: &Standings, now: Duration) {
        let known = path.claims.iter().zip(&mut self.known).zip(standings);
        for (((limit, _), known), standing) in known {
            if !matches!(limit.kind(), Kind::Rate(_)) {
                *known = *standing;
            }
        }
        self.known_at = now;
    }

    /// That the store gave so much more.
    pub(super) fn learn_less(&mut self, path: &Path, cost: u64, weight: u64) {
        for ((limit, _), known) in path.claims.iter().zip(&mut self.known) {
            let less = match limit.kind() {
                Kind::Rate(_) => weight,
                Kind::Budget(_) => cost,
                Kind::Concurrency(_) => 0,
            };
            known.remaining = known.remaining.saturating_sub(less);
        }
    }

    /// The fetch that is under way.
    pub(super) fn flying(&mut self) -> Option<Flight> {
        // One whose runtime is gone has no end.
        if self
            .flight
            .as_ref()
            .is_some_and(|it| it.has_changed().is_err())
        {
            self.flight = None;
        }
        self.flight.clone()
    }

    pub(super) fn take_off(&mut self) -> watch::Sender<Option<Landing>> {
        let (tell, flight) = watch::channel(None);
        self.flight = Some(flight);
        tell
    }

    pub(super) fn land(&mut self) {
        self.flight = None;
    }

    /// A refusal that is still good, for a request like this one.
    pub(super) fn denied(
        &self,
        path: &Path,
        need: Need,
        epoch: u64,
        now: Duration,
    ) -> Option<Refused> {
        self.denied
            .as_ref()?
            .again(&path.claims(), need, epoch, now)
    }
}

/// Nothing is marked that is not in a shadow.
pub(super) fn shadows(path: &Path, marks: Marks) -> Marks {
    let mut shadows = Marks::default();
    for (place, (limit, _)) in path.claims.iter().enumerate() {
        if limit.is_shadow() && marks.has(place) {
            shadows.mark(place);
        }
    }
    shadows
}

/// Feeds what tells paths of one root apart.
pub(super) fn hash_claims(claims: &[Claim<'_>], state: &mut impl Hasher) {
    let mut last = "";
    for claim in claims {
        // A key's limits come together, and one time is enough.
        if claim.subject != last {
            state.write(claim.subject.as_bytes());
            state.write_u8(0xff);
            last = claim.subject;
        }
    }
    state.write_usize(claims.len());
}
