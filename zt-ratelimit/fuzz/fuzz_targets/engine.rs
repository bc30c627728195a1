//! Whatever is reserved, extended, settled, left to end, adjusted and carried over a restart, in
//! whatever order and with whatever clocks: no budget is used beyond its limit unless somebody
//! charged more than was held, charged by hand or lowered it, no money of prepaid budgets is lost
//! or made, memory stays within its bounds, and in the end nothing is held.
//!
//! Each step is a byte for what, and one for each of its numbers. After one whose highest bit is set
//! nothing is read, since reading charges what has ended.

#![no_main]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use zt_core::clock::Timestamp;
use zt_ratelimit::{
    Limit,
    cost::{Cost, Currency},
    counter::{
        Adjust, Answer, CellState, Claim, CounterError, CounterStore, Extended, HoldId,
        MemoryBounds, MemoryCounters, Moment, Purpose, Reserve, Settle, Verdict,
    },
    limit::{MAX_NANOS, Window},
};

fuzz_target!(|input: &[u8]| {
    let mut walk = Walk::new();
    let mut bytes = Bytes(input);
    for _ in 0..300 {
        let Some(what) = bytes.byte() else { break };
        walk.step(what, &mut bytes);
    }
    walk.end();
});

const BOUNDS: MemoryBounds = MemoryBounds {
    bytes: 1 << 20,
    holds: 12,
    grace: Duration::from_secs(600),
};

const SUBJECTS: [&str; 2] = ["acme", "key-7"];

/// The place of the prepaid budget among the limits.
const TOTAL: usize = 2;

struct Walk {
    counters: MemoryCounters,
    limits: Vec<Arc<Limit>>,
    now: Moment,
    holds: Vec<Hold>,
    /// What is settled of the prepaid budget, by subject; none where somebody has reset it.
    settled: [Option<u128>; 2],
    /// As last read, and what has happened since.
    before: BTreeMap<(usize, usize), CellState>,
    excuse: Excuse,
}

struct Hold {
    id: HoldId,
    /// Limits and subjects.
    claims: Vec<(usize, usize)>,
    nanos: u64,
    settled: bool,
}

/// Whether a step may take usage above a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excuse {
    None,
    /// It charged more than was held, by a settlement or by hand, or took up what a reset erased;
    /// or limits were changed and nothing was read in between.
    Given,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn next(&mut self) -> u8 {
        self.byte().unwrap_or_default()
    }

    /// Small, or one of the ends of what can be.
    fn amount(&mut self) -> u64 {
        match self.next() {
            255 => u64::MAX,
            254 => MAX_NANOS + 1,
            253 => MAX_NANOS,
            252 => u64::MAX / 2,
            small => small.into(),
        }
    }

    fn time(&mut self) -> Duration {
        let number = u64::from(self.next());
        match number >> 5 {
            0 => Duration::from_nanos(number),
            1 => Duration::from_millis(number),
            2 | 3 => Duration::from_secs(number - 64),
            4 => Duration::from_secs((number - 127) * 60),
            5 => Duration::from_secs((number - 159) * 3600),
            6 => Duration::from_secs((number - 191) * 86_400 * 60),
            _ if number == 255 => Duration::MAX,
            _ => Duration::from_secs((number - 223) << 28),
        }
    }
}

impl Walk {
    fn new() -> Self {
        let budget = |name, nanos, window| {
            Limit::budget(name, Cost::from_nanos(nanos, Currency::XTS), window).unwrap()
        };
        let rolling = |secs| Window::rolling(Duration::from_secs(secs)).unwrap();
        let day = Window::day().zone("Europe/Berlin").unwrap();
        let limits = [
            budget("day", 100, day),
            budget("roll", 90, rolling(1)),
            budget("total", 400, Window::total()),
            budget("week", MAX_NANOS, rolling(7 * 86_400)),
            budget("watch", 50, Window::month()).shadow(),
            Limit::rate("rate", 20, Duration::from_secs(10)).unwrap(),
            Limit::concurrency("parallel", 3).unwrap(),
        ];
        let mut walk = Self {
            counters: MemoryCounters::with_bounds(BOUNDS),
            limits: limits.map(Arc::new).into(),
            now: Moment {
                wall: Timestamp::from_secs(1_800_000_000),
                monotonic: Duration::from_secs(1000),
            },
            holds: Vec::new(),
            settled: [Some(0); 2],
            before: BTreeMap::new(),
            excuse: Excuse::None,
        };
        walk.before = walk.states();
        walk
    }

    fn step(&mut self, what: u8, bytes: &mut Bytes<'_>) {
        let (what, unseen) = (what & 0x7f, what & 0x80 != 0);
        let excuse = match what % 12 {
            3 => self.extend(bytes),
            4 | 5 => self.settle(bytes),
            6 => self.clock(bytes),
            7 => self.expire(bytes),
            8 | 9 => self.adjust(bytes),
            10 => self.restart(bytes),
            11 => self.list(bytes),
            _ => self.reserve(bytes),
        };
        if unseen {
            if excuse == Excuse::Given || matches!(what % 12, 6 | 8 | 9) {
                self.excuse = Excuse::Given;
            }
            return;
        }
        let seen = std::mem::replace(&mut self.excuse, Excuse::None) == Excuse::None;
        let states = self.states();
        let excuse = if seen { excuse } else { Excuse::Given };
        self.check(&states, excuse);
        self.before = states;
    }

    fn reserve(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let (mask, subjects) = (bytes.next(), bytes.next());
        let mut places = Vec::new();
        for limit in 0..self.limits.len() {
            if mask & (1 << limit) != 0 {
                places.push((limit, usize::from(subjects >> limit & 1)));
            }
        }
        let claims: Vec<_> = places
            .iter()
            .map(|(limit, subject)| self.claim(*limit, *subject))
            .collect();
        let ask = Reserve {
            root: SUBJECTS[0],
            claims: &claims,
            cost: bytes.amount(),
            weight: bytes.amount(),
            permits: bytes.next().into(),
            expires_in: bytes.time(),
            purpose: if mask & 0x80 == 0 {
                Purpose::Request
            } else {
                Purpose::Lease
            },
            now: self.now,
        };
        match now(self.counters.reserve(&ask)) {
            Ok(Verdict::Held(held)) => {
                assert!(ask.cost <= MAX_NANOS && !claims.is_empty());
                for (standing, claim) in held.standings.iter().zip(&claims) {
                    assert!(standing.remaining <= standing.limit);
                    if claim.limit.as_budget().is_some() && !claim.limit.is_shadow() {
                        assert!(ask.cost <= standing.limit);
                    }
                }
                let states = now(self.counters.read(ask.root, &claims, self.now)).unwrap();
                for (state, claim) in states.iter().zip(&claims) {
                    if claim.limit.as_budget().is_some() && !claim.limit.is_shadow() {
                        assert!(
                            used(state) <= u128::from(state.limit),
                            "granted beyond {state:?}"
                        );
                    }
                }
                let nanos = ask.cost;
                self.holds.push(Hold {
                    id: held.hold,
                    claims: places,
                    nanos,
                    settled: false,
                });
            }
            Ok(Verdict::Refused(refused)) => {
                assert!(!refused.violated.is_empty());
                for place in refused.violated.places() {
                    assert!(!claims[place].limit.is_shadow());
                }
            }
            Err(CounterError::Full | CounterError::Invalid(_)) => {}
            Err(error) => panic!("{error}"),
        }
        Excuse::None
    }

    fn extend(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let (at, more, time) = (bytes.next(), bytes.amount(), bytes.time());
        let Some(at) = usize::from(at).checked_rem(self.holds.len()) else {
            return Excuse::None;
        };
        let id = self.holds[at].id;
        match now(self.counters.extend(id, more, time, self.now)) {
            Ok(Extended::Done { held }) => {
                let hold = &mut self.holds[at];
                assert!(!hold.settled);
                assert_eq!(u128::from(held), u128::from(hold.nanos) + u128::from(more));
                hold.nanos = held;
                // What a reset had erased of a hold that had ended is held again.
                if more == 0 {
                    Excuse::Given
                } else {
                    Excuse::None
                }
            }
            Ok(Extended::Refused(_) | Extended::Gone) => Excuse::None,
            Err(CounterError::Full | CounterError::Invalid(_)) => Excuse::None,
            Err(error) => panic!("{error}"),
        }
    }

    fn settle(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let (at, how) = (bytes.next(), bytes.next());
        let how = match how % 4 {
            0 => Settle::Release,
            1 => Settle::ChargeHold,
            _ => Settle::Charge(bytes.amount()),
        };
        let Some(at) = usize::from(at).checked_rem(self.holds.len()) else {
            return Excuse::None;
        };
        let id = self.holds[at].id;
        let settled = now(self.counters.settle(id, how, self.now)).unwrap();
        let hold = &mut self.holds[at];
        if !settled.counted {
            return Excuse::None;
        }
        assert!(!std::mem::replace(&mut hold.settled, true), "settled twice");
        assert_eq!(settled.held, hold.nanos);
        assert_eq!(
            settled.charged,
            match how {
                Settle::Release => 0,
                Settle::ChargeHold => hold.nanos,
                Settle::Charge(nanos) => nanos,
            }
        );
        let charged = settled.charged;
        let excuse = if charged > hold.nanos {
            Excuse::Given
        } else {
            Excuse::None
        };
        hold.nanos = charged;
        excuse
    }

    fn clock(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let (which, time) = (bytes.next(), bytes.time().min(Duration::from_secs(1 << 33)));
        // The calendar ends in 9999.
        let later = (self.now.wall + time).min(Timestamp::from_secs(220_000_000_000));
        match which % 4 {
            0 => {
                self.now.wall = later;
                self.now.monotonic += time;
            }
            1 => self.now.wall = later,
            2 => self.now.wall = self.now.wall.saturating_sub(time),
            _ => self.now.monotonic += time.min(Duration::from_secs(86_400)),
        }
        Excuse::None
    }

    fn expire(&self, bytes: &mut Bytes<'_>) -> Excuse {
        let at_most = usize::from(bytes.next());
        let told = now(self.counters.expire(at_most, self.now)).unwrap();
        assert!(told.len() <= at_most);
        for expired in told {
            let known = self
                .holds
                .iter()
                .find(|known| known.id == expired.hold)
                .unwrap();
            assert!(!known.settled);
            assert_eq!(known.nanos, expired.nanos);
        }
        Excuse::None
    }

    fn adjust(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let (which, how) = (bytes.next(), bytes.next());
        let limit = usize::from(which >> 1) % self.limits.len();
        let subject = usize::from(which & 1);
        let until = self.now.wall + Duration::from_secs(u64::from(how >> 4) * 600);
        let name: Arc<str> = [
            "a", "b", "", "\n", "c", "d", "e", "f", "g", "h", "i", "j", "k",
        ][usize::from(how >> 4) % 13]
            .into();
        let how = match how % 7 {
            0 => Adjust::Override {
                limit: bytes.amount(),
                until: None,
            },
            1 => Adjust::Override {
                limit: bytes.amount(),
                until: Some(until),
            },
            2 => Adjust::ClearOverride,
            3 => Adjust::Grant {
                name,
                amount: bytes.amount(),
                until,
            },
            4 => Adjust::Revoke { name },
            5 => Adjust::Reset,
            _ => Adjust::Charge {
                nanos: bytes.amount(),
            },
        };
        let answer =
            now(self
                .counters
                .adjust(SUBJECTS[0], self.claim(limit, subject), &how, self.now));
        if answer.is_err() {
            return Excuse::None;
        }
        match how {
            Adjust::Reset if limit == TOTAL => {
                self.settled[subject] = None;
                Excuse::None
            }
            Adjust::Charge { nanos } => {
                if limit == TOTAL
                    && let Some(sum) = &mut self.settled[subject]
                {
                    *sum += u128::from(nanos);
                }
                Excuse::Given
            }
            _ => Excuse::None,
        }
    }

    /// What was held is charged, and no hold is known any more.
    fn restart(&mut self, bytes: &mut Bytes<'_>) -> Excuse {
        let snapshot = self.counters.snapshot(self.now);
        let text = serde_json::to_vec(&snapshot).unwrap();
        let snapshot = serde_json::from_slice(&text).unwrap();
        self.now.monotonic = Duration::from_secs(bytes.next().into());
        self.counters = MemoryCounters::restored(BOUNDS, &snapshot, self.now).unwrap();
        for hold in std::mem::take(&mut self.holds) {
            for (limit, subject) in hold.claims {
                if limit == TOTAL
                    && let Some(sum) = &mut self.settled[subject]
                {
                    *sum += u128::from(hold.nanos);
                }
            }
            let settled = now(self.counters.settle(hold.id, Settle::Release, self.now)).unwrap();
            assert!(!settled.counted, "a hold of an earlier process");
        }
        Excuse::None
    }

    fn list(&self, bytes: &mut Bytes<'_>) -> Excuse {
        let (which, at_most) = (bytes.next(), bytes.next());
        let limit = usize::from(which >> 1) % self.limits.len();
        let claim = self.claim(limit, usize::from(which & 1));
        let holds = now(self
            .counters
            .holds(SUBJECTS[0], claim, at_most.into(), self.now))
        .unwrap();
        assert!(holds.len() <= at_most.into());
        for hold in holds {
            let known = self
                .holds
                .iter()
                .find(|known| known.id == hold.hold)
                .unwrap();
            assert!(!known.settled);
            assert_eq!(known.nanos, hold.nanos);
        }
        Excuse::None
    }

    fn check(&self, states: &BTreeMap<(usize, usize), CellState>, excuse: Excuse) {
        for (place, state) in states {
            let limit = &self.limits[place.0];
            if limit.as_budget().is_none() || limit.is_shadow() {
                continue;
            }
            let before = &self.before[place];
            // Grants and overrides end, and then it was lowered.
            let lowered = state.limit < before.limit;
            let over = used(before) > u128::from(before.limit);
            assert!(
                used(state) <= u128::from(state.limit)
                    || lowered
                    || over
                    || excuse == Excuse::Given,
                "{} of {}: {before:?}, then {state:?}",
                limit.name(),
                SUBJECTS[place.1],
            );
        }
        for subject in 0..2 {
            if let Some(sum) = self.settled[subject] {
                let claimed = |hold: &&Hold| hold.claims.contains(&(TOTAL, subject));
                let holds = self.holds.iter().filter(claimed);
                let expected = sum + holds.map(|hold| u128::from(hold.nanos)).sum::<u128>();
                let state = &states[&(TOTAL, subject)];
                // Above it, sums are as large as can be.
                if expected <= u128::from(u64::MAX / 2) {
                    assert_eq!(used(state), expected, "money was lost or made: {state:?}");
                } else {
                    return;
                }
            }
        }
        assert!(self.counters.bytes() <= BOUNDS.bytes);
        assert!(self.counters.live_holds() <= BOUNDS.holds);
    }

    /// Long after, and everything settled: nothing is held, and permits are free.
    fn end(mut self) {
        for hold in &self.holds {
            drop(self.counters.settle(hold.id, Settle::Release, self.now));
        }
        self.now.monotonic += Duration::from_secs(1 << 34);
        drop(now(self.counters.expire(usize::MAX, self.now)));
        self.now.monotonic += BOUNDS.grace;
        drop(now(self.counters.expire(usize::MAX, self.now)));
        for ((limit, _), state) in self.states() {
            assert_eq!(
                (state.held, state.leased),
                (0, 0),
                "{}: {state:?}",
                self.limits[limit].name()
            );
        }
    }

    fn states(&self) -> BTreeMap<(usize, usize), CellState> {
        let places: Vec<_> = (0..2 * self.limits.len())
            .map(|place| (place / 2, place % 2))
            .collect();
        let claims: Vec<_> = places
            .iter()
            .map(|(limit, subject)| self.claim(*limit, *subject))
            .collect();
        let states = now(self.counters.read(SUBJECTS[0], &claims, self.now)).unwrap();
        places.into_iter().zip(states).collect()
    }

    fn claim(&self, limit: usize, subject: usize) -> Claim<'_> {
        Claim {
            limit: &self.limits[limit],
            subject: SUBJECTS[subject],
        }
    }
}

fn used(state: &CellState) -> u128 {
    u128::from(state.spent) + u128::from(state.held) + u128::from(state.leased)
}

fn now<T>(answer: Answer<T>) -> Result<T, CounterError> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(_) => panic!("it is in this process"),
    }
}
