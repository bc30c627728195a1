//! The engine under shuttle: its locks hand every interleaving of their threads to a scheduler
//! that draws thousands of them.

use std::sync::Mutex as StdMutex;

use shuttle::{sync::Mutex, thread};

use super::*;
use crate::counter::memory::{
    engine::{Engine, Lock},
    shard::Shard,
};

impl Lock for Mutex<Shard> {
    fn new(shard: Shard) -> Self {
        Self::new(shard)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shard) -> T) -> T {
        act(&mut self.lock().unwrap())
    }
}

struct Tree {
    engine: Engine<Mutex<Shard>>,
    key: Arc<Limit>,
    team: Arc<Limit>,
    seats: Arc<Limit>,
    /// What every settlement and every expiry said was charged, and what was charged from outside.
    ledger: StdMutex<u64>,
}

const SUBJECTS: [&str; 2] = ["k0", "k1"];
const KEY: u64 = 30;
const TEAM: u64 = 50;

impl Tree {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            engine: Engine::new(MemoryBounds::default(), 2),
            key: budget("key", "0.000000030 USD", Window::day()),
            team: budget("team", "0.000000050 USD", Window::total()),
            seats: Arc::new(Limit::concurrency("seats", 2).unwrap()),
            ledger: StdMutex::new(0),
        })
    }

    fn reserve(&self, key: usize, cost: u64, nanos: u64) -> Option<HoldId> {
        let subject = SUBJECTS[key];
        let claims = [
            (&self.key, subject),
            (&self.team, "acme"),
            (&self.seats, subject),
        ]
        .map(|(limit, subject)| Claim { limit, subject });
        let verdict = self.engine.reserve(&Reserve {
            root: "acme",
            claims: &claims,
            cost,
            weight: 1,
            permits: 1,
            expires_in: Duration::from_nanos(10),
            purpose: Purpose::Request,
            now: at(nanos),
        });
        match verdict.unwrap() {
            Verdict::Held(held) => Some(held.hold),
            Verdict::Refused(_) => None,
        }
    }

    fn settle(&self, hold: HoldId, how: Settle, nanos: u64) -> bool {
        let settled = self.engine.settle(hold, how, at(nanos));
        if settled.counted {
            *self.ledger.lock().unwrap() += settled.charged;
        }
        settled.counted
    }

    fn state(&self, limit: &Arc<Limit>, subject: &str, nanos: u64) -> CellState {
        let claims = [Claim { limit, subject }];
        let states = self.engine.read("acme", &claims, at(nanos));
        states.unwrap().remove(0)
    }

    /// At every instant, as any thread sees it.
    fn holds_together(&self, nanos: u64) {
        let claims = [
            (&self.key, SUBJECTS[0], KEY),
            (&self.key, SUBJECTS[1], KEY),
            (&self.team, "acme", TEAM),
        ];
        let all: Vec<Claim<'_>> = claims
            .iter()
            .map(|(limit, subject, _)| Claim { limit, subject })
            .collect();
        let states = self.engine.read("acme", &all, at(nanos)).unwrap();
        let used: Vec<u64> = states.iter().map(|s| s.spent + s.held + s.leased).collect();
        for (used, (limit, _, most)) in used.iter().zip(claims) {
            assert!(*used <= most, "{used} of {}", limit.name());
        }
        assert_eq!(used[0] + used[1], used[2], "half of a step was seen");
    }
}

fn at(nanos: u64) -> Moment {
    Moment {
        wall: Timestamp::from_secs(1_893_456_000),
        monotonic: Duration::from_nanos(86_400_000_000_000 + nanos),
    }
}

/// Threads that reserve, extend, settle, settle twice, and come back after their holds have ended.
fn work(tree: &Tree, key: usize) {
    let mut nanos = 0;
    for (cost, more, how) in [
        (12, 5, Settle::Charge(9)),
        (20, 15, Settle::Release),
        (15, 0, Settle::ChargeHold),
    ] {
        if let Some(hold) = tree.reserve(key, cost, nanos) {
            nanos += 4;
            let extended = tree
                .engine
                .extend(hold, more, Duration::from_nanos(10), at(nanos));
            let held = match extended.unwrap() {
                Extended::Done { held } => held,
                _ => cost,
            };
            assert!(held == cost || held == cost + more);
            tree.holds_together(nanos);
            assert!(tree.settle(hold, how, nanos));
            assert!(!tree.settle(hold, Settle::ChargeHold, nanos));
        }
    }
    tree.holds_together(nanos);
}

#[test]
fn no_interleaving_spends_more_or_counts_twice() {
    let run = || {
        let tree = Tree::new();
        let workers = [0, 1, 1].map(|key| {
            let tree = Arc::clone(&tree);
            thread::spawn(move || work(&tree, key))
        });
        for worker in workers {
            worker.join().unwrap();
        }
        let team = tree.state(&tree.team, "acme", 0);
        assert_eq!((team.held, team.leased), (0, 0));
        assert_eq!(team.spent, *tree.ledger.lock().unwrap());
        for subject in SUBJECTS {
            assert_eq!(tree.state(&tree.seats, subject, 0).held, 0);
        }
        assert_eq!(tree.engine.room().holds(), 0);
    };
    shuttle::check_random(run, 3000);
    shuttle::check_pct(run, 1000, 3);
}

/// One hold that ends while it is settled, extended, told of and charged for by four threads.
#[test]
fn a_hold_that_ends_is_charged_or_settled_and_never_both() {
    let run = || {
        let tree = Tree::new();
        let hold = tree.reserve(0, 20, 0).unwrap();
        let settle = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.settle(hold, Settle::Charge(7), 9))
        };
        let again = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.settle(hold, Settle::Charge(11), 12))
        };
        let expire = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.engine.expire(10, at(11)))
        };
        let extend = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || {
                let extended = tree
                    .engine
                    .extend(hold, 3, Duration::from_nanos(10), at(11));
                let claim = Claim {
                    limit: &tree.team,
                    subject: "acme",
                };
                let charge = Adjust::Charge { nanos: 5 };
                let _ = tree.engine.adjust("acme", claim, &charge, at(11)).unwrap();
                *tree.ledger.lock().unwrap() += 5;
                extended
            })
        };
        let counted = [settle.join().unwrap(), again.join().unwrap()];
        assert!(counted[0] != counted[1], "it was settled once");
        let told = expire.join().unwrap();
        let extended = extend.join().unwrap().unwrap();
        assert!(!matches!(extended, Extended::Refused(_)));
        assert!(told.len() <= 1);
        let spent = tree.state(&tree.team, "acme", 12).spent;
        assert_eq!(spent, *tree.ledger.lock().unwrap());
        assert_eq!(spent, 5 + if counted[0] { 7 } else { 11 });
        assert_eq!(tree.state(&tree.seats, SUBJECTS[0], 12).held, 0);
        assert_eq!(tree.engine.room().holds(), 0);
        assert!(tree.engine.expire(10, at(1000)).is_empty());
    };
    shuttle::check_random(run, 5000);
    shuttle::check_pct(run, 2000, 3);
}
