//! Several instances over one store, with everything that can go wrong.

use std::sync::Mutex;

use super::*;
use crate::counter::{HoldState, lease::id::SHARDS};

/// What a request got, and from whom.
#[derive(Debug, Clone, Copy)]
struct Got {
    instance: usize,
    hold: HoldId,
    nanos: u64,
    /// It does not end before.
    until: Duration,
}

struct World {
    wire: Wire,
    server: ManualClock,
    shops: Vec<Instance>,
    /// Total of the organisation, then others.
    limits: Vec<Arc<Limit>>,
    got: Arc<Mutex<Vec<Got>>>,
    /// Settlements that have not been answered.
    unanswered: Vec<(Got, Settle)>,
    random: Random,
    /// What was settled, and what was charged from leases that crashed.
    ledger: u64,
    crashed: u64,
    hard: bool,
    born: usize,
    served: u64,
    asked: Arc<Mutex<u64>>,
}

const KEYS: u64 = 4;

impl World {
    fn new(seed: u64, hard: bool) -> Self {
        let mut random = Random(seed);
        let server = noon();
        let wire = Wire::new(&server);
        let limits = vec![
            budget("org-total", 400 * DOLLAR, Window::total()),
            day("org-day", 90),
            day("key-day", 30),
            Arc::new(Limit::rate("key-rate", 6000, MINUTE).unwrap()),
            Arc::new(Limit::concurrency("key-at-once", 40).unwrap()),
        ];
        let faults = random.next();
        wire.faults(|it| it.random = Random(faults));
        let mut world = Self {
            wire,
            server,
            shops: Vec::new(),
            limits,
            got: Arc::default(),
            unanswered: Vec::new(),
            random,
            ledger: 0,
            crashed: 0,
            hard,
            born: 0,
            served: 0,
            asked: Arc::default(),
        };
        for _ in 0..3 {
            let shop = world.instance();
            world.shops.push(shop);
        }
        world
    }

    /// An instance whose wall clock is up to half a second off.
    fn instance(&mut self) -> Instance {
        let clock = ManualClock::default();
        let wall = self.server.now().unwrap();
        let off = Duration::from_millis(self.random.below(1000));
        clock.set_wall((wall + off).saturating_sub(Duration::from_millis(500)));
        self.born += 1;
        Instance::new(&self.wire, &clock, Leasing::among(3))
    }

    fn key(&self, key: u64) -> Vec<(Arc<Limit>, String)> {
        let subjects = ["acme".into(), "acme".into()];
        let key = format!("k{key}");
        let subjects = subjects.into_iter().chain([key.clone(), key.clone(), key]);
        self.limits.iter().cloned().zip(subjects).collect()
    }

    fn request(&mut self) {
        let instance = usize::try_from(self.random.below(3)).unwrap();
        let key = self.random.below(KEYS);
        let claims = self.key(key);
        let cost = match self.random.below(10) {
            0 => self.random.below(10 * DOLLAR),
            _ => self.random.below(20 * CENT),
        };
        let weight = self.random.below(3);
        let expires_in = seconds(1 + self.random.below(120));
        let leased = self.shops[instance].leased.clone();
        let now = self.shops[instance].now();
        let (got, asked, id) = (
            Arc::clone(&self.got),
            Arc::clone(&self.asked),
            self.ids()[instance],
        );
        tokio::spawn(async move {
            let claims: Vec<_> = claims
                .iter()
                .map(|(limit, subject)| Claim { limit, subject })
                .collect();
            let answer = leased.reserve(&Reserve {
                root: "acme",
                claims: &claims,
                cost,
                weight,
                permits: 1,
                expires_in,
                purpose: Purpose::Request,
                now,
            });
            *asked.lock().unwrap() += 1;
            if let Ok(Verdict::Held(held)) = answer.wait().await {
                let hold = held.hold;
                got.lock().unwrap().push(Got {
                    instance: id,
                    hold,
                    nanos: cost,
                    until: now.monotonic + expires_in,
                });
            }
        });
    }

    /// Instances by when they were born: the place of one that crashed is taken by another.
    fn ids(&self) -> Vec<usize> {
        let ids = self
            .shops
            .iter()
            .map(|shop| Arc::as_ptr(&shop.leased.0) as usize);
        ids.collect()
    }

    async fn settle_one(&mut self) {
        let one = {
            let mut got = self.got.lock().unwrap();
            if got.is_empty() {
                return;
            }
            let place = usize::try_from(self.random.below(got.len() as u64)).unwrap();
            got.swap_remove(place)
        };
        let how = match self.random.below(4) {
            0 => Settle::Release,
            1 => Settle::ChargeHold,
            2 if !self.hard => Settle::Charge(self.random.below(2 * one.nanos + 1)),
            _ => Settle::Charge(self.random.below(one.nanos + 1)),
        };
        self.unanswered.push((one, how));
        self.settle_again().await;
    }

    /// A settlement is repeated until it was answered, and counts once.
    async fn settle_again(&mut self) {
        let ids = self.ids();
        for (one, how) in std::mem::take(&mut self.unanswered) {
            let Some(place) = ids.iter().position(|id| *id == one.instance) else {
                continue;
            };
            let shop = &self.shops[place];
            let answer = shop.leased.settle(one.hold, how, shop.now()).wait().await;
            match answer {
                Ok(settled) => {
                    self.served += 1;
                    let local = shop.leased.0.ids.has(one.hold);
                    self.ledger += match how {
                        // Nobody corrected it in time.
                        _ if local && !settled.counted => one.nanos,
                        Settle::Release => 0,
                        Settle::ChargeHold => one.nanos,
                        Settle::Charge(nanos) => nanos,
                    };
                }
                Err(_) => self.unanswered.push((one, how)),
            }
        }
    }

    async fn extend_one(&mut self) {
        let (ids, more) = (self.ids(), self.random.below(DOLLAR));
        let Some(mut one) = self.got.lock().unwrap().pop() else {
            return;
        };
        if let Some(place) = ids.iter().position(|id| *id == one.instance) {
            let shop = &self.shops[place];
            let until = shop.now().monotonic + MINUTE;
            let answer = shop
                .leased
                .extend(one.hold, more, MINUTE, shop.now())
                .wait()
                .await;
            match answer {
                Ok(Extended::Done { held }) => (one.nanos, one.until) = (held, until),
                // It may hold more than we know: `ChargeHold` could be any sum.
                Err(_) => {
                    self.unanswered.push((one, Settle::Charge(one.nanos)));
                    return;
                }
                Ok(_) => {}
            }
        }
        self.got.lock().unwrap().push(one);
    }

    async fn crash(&mut self) {
        let place = usize::try_from(self.random.below(3)).unwrap();
        if self.shops[place].leased.leases() != known(&self.shops[place]) {
            // What is on its way cannot be told apart later.
            return;
        }
        // What ended by itself is charged by now, or will never be.
        let (id, now) = (self.ids()[place], self.shops[place].now().monotonic);
        let over = |got: &Got| got.instance == id && got.until <= now;
        let over: Vec<_> = {
            let mut got = self.got.lock().unwrap();
            let (over, rest) = got.drain(..).partition(over);
            *got = rest;
            over
        };
        self.unanswered
            .extend(over.into_iter().map(|got| (got, Settle::Charge(got.nanos))));
        self.settle_again().await;
        if self.shops[place].leased.leases() != known(&self.shops[place]) {
            return;
        }
        let fresh = self.instance();
        let shop = std::mem::replace(&mut self.shops[place], fresh);
        shop.wire.cut();
        for path in paths(&shop) {
            self.crashed += path
                .lock()
                .stock
                .leases()
                .iter()
                .map(|it| it.charged)
                .sum::<u64>();
        }
        // Holds of the store itself can be settled by anybody.
        let (ids, other) = (
            shop.leased.0.ids,
            Arc::as_ptr(&self.shops[place].leased.0) as usize,
        );
        let moved = |got: &mut Got| {
            let mine = got.instance == id;
            if mine && !ids.has(got.hold) {
                got.instance = other;
            }
            !(mine && ids.has(got.hold))
        };
        self.got.lock().unwrap().retain_mut(moved);
        self.unanswered.retain_mut(|(got, _)| moved(got));
        // Kept, so that no other has its address.
        std::mem::forget(shop.leased.clone());
    }

    async fn pass(&mut self, time: Duration) {
        self.server.advance(time);
        for shop in &self.shops {
            shop.clock.advance(time);
        }
        tokio::task::yield_now().await;
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.request(),
            45..75 => self.settle_one().await,
            75..80 => self.extend_one().await,
            80..90 => {
                let time = Duration::from_millis(self.random.below(2000));
                self.pass(time).await;
            }
            90..92 => {
                let time = seconds(self.random.below(100));
                self.pass(time).await;
            }
            92 => self.settle_again().await,
            93 => {
                let (lost, delay) = (self.random.below(20), self.random.below(12));
                let down = self.random.percent(10);
                self.wire.faults(|faults| {
                    faults.lost_requests = lost;
                    faults.lost_answers = lost;
                    faults.delay = delay;
                    faults.down = down;
                });
            }
            94 if self.random.percent(10) => self.crash().await,
            95 if self.random.percent(5) => self.pass(seconds(20_000)).await,
            _ => tokio::task::yield_now().await,
        }
        self.wire.release_orphans();
        self.check();
    }

    /// What holds at every instant.
    fn check(&self) {
        let now = Moment::of(&self.server).unwrap();
        for key in 0..KEYS {
            let claims = self.key(key);
            let claims: Vec<_> = claims
                .iter()
                .map(|(limit, subject)| Claim { limit, subject })
                .collect();
            let Answer::Now(Ok(states)) = self.wire.store().read("acme", &claims, now) else {
                unreachable!("memory answers");
            };
            for (claim, state) in claims.iter().zip(states) {
                let sum = state.spent + state.held + state.leased;
                assert!(!self.hard || sum <= state.limit, "{claim:?}: {state:?}");
            }
        }
        let holds = self.holds();
        for shop in &self.shops {
            let now = shop.now();
            for path in paths(shop) {
                for lease in path.lock().stock.leases() {
                    let handed_out = lease.charged + lease.out;
                    assert!(!self.hard || handed_out <= lease.granted, "{lease:?}");
                    if now.monotonic >= lease.deadline {
                        continue;
                    }
                    let hold = holds.iter().find(|it| it.hold == lease.id);
                    let hold = hold.unwrap_or_else(|| panic!("served, and not held: {lease:?}"));
                    assert!(lease.granted <= hold.nanos, "{lease:?}: {hold:?}");
                    assert!(!hold.expires_in.is_zero(), "{lease:?}: {hold:?}");
                }
            }
        }
    }

    fn holds(&self) -> Vec<HoldState> {
        let now = Moment::of(&self.server).unwrap();
        let claim = Claim {
            limit: &self.limits[0],
            subject: "acme",
        };
        match self.wire.store().holds("acme", claim, 100_000, now) {
            Answer::Now(Ok(holds)) => holds,
            _ => unreachable!("memory answers"),
        }
    }

    /// Everything ends well, but for what crashed.
    async fn finish(mut self) -> (u64, u64, u64) {
        self.wire.faults(|faults| {
            faults.lost_requests = 0;
            faults.lost_answers = 0;
            faults.delay = 3;
            faults.down = false;
        });
        for _ in 0..50 {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            self.pass(Duration::from_millis(200)).await;
        }
        while !self.got.lock().unwrap().is_empty() || !self.unanswered.is_empty() {
            self.settle_one().await;
            self.settle_again().await;
        }
        let stops: Vec<_> = self
            .shops
            .iter()
            .map(|shop| {
                let leased = shop.leased.clone();
                tokio::spawn(async move { leased.shutdown().await })
            })
            .collect();
        let mut patience = 0;
        while stops.iter().any(|stop| !stop.is_finished()) {
            patience += 1;
            assert!(patience < 1000, "it does not end");
            self.pass(seconds(1)).await;
            self.shops[0].rest().await;
            self.check();
        }
        self.wire.release_orphans();
        // What is left had a life of its own.
        self.pass(seconds(600)).await;
        let left: u64 = self.holds().iter().map(|hold| hold.nanos).sum();
        let total = self.limits[0].clone();
        let state = self.shops[0].state(&total, "acme").await;
        assert_eq!((state.held, state.leased), (0, 0));
        assert_eq!(state.spent, self.ledger - self.crashed + left);
        let crashes = self.born as u64 - 3;
        assert!(crashes > 0 || left == 0, "{:?}", self.holds());
        (self.served, *self.asked.lock().unwrap(), crashes)
    }
}

/// The leases that serve or will.
fn known(shop: &Instance) -> usize {
    let paths = paths(shop);
    paths
        .iter()
        .map(|path| path.lock().stock.leases().len())
        .sum()
}

fn paths(shop: &Instance) -> Vec<Arc<super::super::path::Path>> {
    let table = &shop.leased.0.table;
    (0..SHARDS).flat_map(|shard| table.paths(shard)).collect()
}

fn walk(seeds: std::ops::Range<u64>, steps: u32, hard: bool) {
    let (mut served, mut asked, mut crashes) = (0, 0, 0);
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let counts = runtime.block_on(async {
            let mut world = World::new(seed, hard);
            for _ in 0..steps {
                world.step().await;
            }
            world.finish().await
        });
        served += counts.0;
        asked += counts.1;
        crashes += counts.2;
    }
    println!("{asked} requests, {served} settled, {crashes} crashes");
    assert!(served > 0 && crashes > 0);
}

#[test]
fn whatever_goes_wrong_nothing_is_overspent_and_sums_agree_to_the_nano_unit() {
    walk(0..24, 1500, true);
}

#[test]
fn with_actuals_above_their_holds_sums_agree_to_the_nano_unit() {
    walk(1000..1012, 1500, false);
}
