//! Random walks, each step compared with the same step in memory.

use super::*;
use crate::counter::{MemoryBounds, MemoryCounters};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

struct Walk {
    redis: RedisCounters,
    memory: MemoryCounters,
    ahead: Duration,
    limits: Vec<Arc<Limit>>,
    /// In both stores.
    holds: Vec<(HoldId, HoldId)>,
}

/// All that two stores say alike of a claim.
fn alike(standings: &[Standing]) -> Vec<(u64, u64, bool)> {
    let each = |it: &Standing| (it.limit, it.remaining, it.more_in.is_some());
    standings.iter().map(each).collect()
}

fn waits_are_near(one: &[Standing], other: &[Standing]) -> bool {
    one.iter().zip(other).all(|(one, other)| {
        let (one, other) = (
            one.more_in.unwrap_or_default(),
            other.more_in.unwrap_or_default(),
        );
        one.abs_diff(other) < Duration::from_secs(2)
    })
}

impl Walk {
    fn now(&self) -> Moment {
        let mut now = now();
        now.wall = now.wall + self.ahead;
        now.monotonic += self.ahead;
        now
    }

    async fn step(&mut self, random: &mut Random) -> String {
        let now = self.now();
        match random.below(12) {
            0..=3 => self.reserve(random, now).await,
            4..=6 if !self.holds.is_empty() => {
                let at = usize::try_from(random.below(self.holds.len() as u64)).unwrap();
                let (one, other) = self.holds[at];
                let how = match random.below(4) {
                    0 => Settle::Release,
                    1 => Settle::ChargeHold,
                    _ => Settle::Charge(random.below(40)),
                };
                let one = self.redis.settle(one, how, now).wait().await.unwrap();
                let other = self.memory.settle(other, how, now).wait().await.unwrap();
                assert_eq!(one.counted, other.counted, "{how:?}");
                if one.counted {
                    assert_eq!((one.held, one.charged), (other.held, other.charged));
                    // What is spent depends on which others were charged already.
                    let each = |it: &Settled| -> Vec<_> {
                        let budgets = it.budgets.iter();
                        budgets.map(|b| (b.claim, b.limit)).collect()
                    };
                    assert_eq!(each(&one), each(&other), "{how:?}");
                }
                format!("settled {at} {how:?}: {}", one.counted)
            }
            7 if !self.holds.is_empty() => {
                let at = usize::try_from(random.below(self.holds.len() as u64)).unwrap();
                let (one, other) = self.holds[at];
                let (more, lives) = (random.below(30), Duration::from_secs(90));
                let one = self.redis.extend(one, more, lives, now).wait().await;
                let other = self.memory.extend(other, more, lives, now).wait().await;
                match (one.unwrap(), other.unwrap()) {
                    (Extended::Refused(one), Extended::Refused(other)) => {
                        assert_eq!(one.violated, other.violated);
                    }
                    (one, other) => assert_eq!(one, other),
                }
                format!("extended {at} by {more}")
            }
            8 => {
                self.ahead += Duration::from_secs(60 * (1 + random.below(20)));
                format!("now {:?} ahead", self.ahead)
            }
            9 => {
                let one = self.redis.expire(1000, now).wait().await.unwrap();
                let other = self.memory.expire(1000, now).wait().await.unwrap();
                let each = |told: &[Expired], redis: bool| -> Vec<_> {
                    let mut each: Vec<_> = told
                        .iter()
                        .map(|it| {
                            let name = |(one, other): &(HoldId, HoldId)| {
                                if redis {
                                    *one == it.hold
                                } else {
                                    *other == it.hold
                                }
                            };
                            let at = self.holds.iter().position(name);
                            // Of a rolling window the one says its slot then, the other its slot
                            // now, and none where that has left it.
                            let mut budgets = it.budgets.clone();
                            budgets.retain(|(limit, ..)| &**limit != "roll");
                            (at, it.root.clone(), it.nanos, budgets)
                        })
                        .collect();
                    each.sort_by_key(|it| it.0);
                    each
                };
                assert_eq!(each(&one, true), each(&other, false));
                format!("expired {}", one.len())
            }
            10 => self.adjust(random, now).await,
            _ => self.compare(now).await,
        }
    }

    async fn reserve(&mut self, random: &mut Random, now: Moment) -> String {
        let mut claims: Vec<_> = self.limits.iter().map(|limit| claim(limit, "k")).collect();
        claims.retain(|_| random.below(3) > 0);
        if claims.is_empty() {
            return String::new();
        }
        let ask = Reserve {
            root: "root",
            claims: &claims,
            cost: random.below(40),
            weight: random.below(3),
            permits: u32::try_from(random.below(3)).unwrap(),
            expires_in: Duration::from_secs(90 + 300 * random.below(3)),
            purpose: match random.below(3) {
                0 => Purpose::Lease,
                _ => Purpose::Request,
            },
            now,
        };
        // Reading charges all that has ended, reserving only some.
        let _ = self.compare(now).await;
        let one = self.redis.reserve(&ask).wait().await.unwrap();
        let other = self.memory.reserve(&ask).wait().await.unwrap();
        match (one, other) {
            (Verdict::Held(one), Verdict::Held(other)) => {
                assert_eq!(one.would_refuse, other.would_refuse);
                assert_eq!(alike(&one.standings), alike(&other.standings));
                assert!(
                    waits_are_near(&one.standings, &other.standings),
                    "{one:?} {other:?}"
                );
                self.holds.push((one.hold, other.hold));
            }
            (Verdict::Refused(one), Verdict::Refused(other)) => {
                assert_eq!(one.violated, other.violated);
                assert_eq!(alike(&one.standings), alike(&other.standings));
                assert!(
                    waits_are_near(&one.standings, &other.standings),
                    "{one:?} {other:?}"
                );
            }
            (one, other) => panic!("{ask:?}: {one:?} {other:?}"),
        }
        format!("{} of {:?}", ask.cost, ask.purpose)
    }

    async fn adjust(&self, random: &mut Random, now: Moment) -> String {
        let at = usize::try_from(random.below(self.limits.len() as u64)).unwrap();
        let limit = &self.limits[at];
        let until = now.wall + Duration::from_secs(330);
        let how = match random.below(7) {
            0 => Adjust::Override {
                limit: random.below(150),
                until: Some(until).filter(|_| random.below(2) == 0),
            },
            1 => Adjust::ClearOverride,
            2 | 3 => Adjust::Grant {
                name: ["a", "b c"][usize::try_from(random.below(2)).unwrap()].into(),
                amount: random.below(50),
                until,
            },
            4 => Adjust::Revoke { name: "b c".into() },
            // After a reset the two put what is settled late in different slots.
            5 if &**limit.name() != "roll" => Adjust::Reset,
            _ => Adjust::Charge {
                nanos: random.below(20),
            },
        };
        let claim = claim(limit, "k");
        let one = self.redis.adjust("root", claim, &how, now).wait().await;
        let other = self.memory.adjust("root", claim, &how, now).wait().await;
        match (one, other) {
            (Ok(one), Ok(other)) => same(one, other, &how),
            (Err(CounterError::Invalid(_)), Err(CounterError::Invalid(_))) => {}
            (one, other) => panic!("{how:?}: {one:?} {other:?}"),
        }
        format!("{} {how:?}", limit.name())
    }

    async fn compare(&self, now: Moment) -> String {
        let claims: Vec<_> = self.limits.iter().map(|limit| claim(limit, "k")).collect();
        let one = self.redis.read("root", &claims, now).wait().await.unwrap();
        let other = self.memory.read("root", &claims, now).wait().await.unwrap();
        for ((one, other), limit) in one.into_iter().zip(other).zip(&self.limits) {
            same(one, other, limit);
        }
        String::new()
    }
}

/// Holds that have ended may be charged already, or not yet.
#[track_caller]
fn same(mut one: CellState, mut other: CellState, what: &dyn fmt::Debug) {
    for state in [&mut one, &mut other] {
        state.grants.sort();
        if state.span.is_some() {
            state.spent += state.held + state.leased;
            (state.held, state.leased) = (0, 0);
        }
    }
    assert_eq!(one, other, "{what:?}");
}

#[tokio::test]
async fn each_step_of_a_random_walk_does_what_it_does_in_memory() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let walks = std::env::var("ZT_WALKS").map_or(8, |walks| walks.parse().unwrap());
    for seed in 0..walks {
        let name = format!("walk-{seed}");
        let options = options(&server).namespace(&name).unwrap();
        RedisCounters::initialise(options.clone(), 1).await.unwrap();
        let mut random = Random(seed);
        let shadow = Limit::budget("shadow", usd(60), Window::total()).unwrap();
        let roll = Window::rolling(Duration::from_secs(3600)).unwrap();
        let slow = Limit::rate("rate", 1, Duration::from_millis(97_530)).unwrap();
        let mut walk = Walk {
            redis: RedisCounters::connect(options, 1).await.unwrap(),
            memory: MemoryCounters::with_bounds(MemoryBounds {
                grace: Duration::from_secs(3600),
                ..MemoryBounds::default()
            }),
            ahead: Duration::ZERO,
            limits: vec![
                budget("day", 100, Window::day()),
                budget("total", 400, Window::total()),
                budget("roll", 100, roll),
                Arc::new(shadow.shadow()),
                permits("seats", 5),
                Arc::new(slow.burst(6).unwrap()),
            ],
            holds: Vec::new(),
        };
        let mut log = Vec::new();
        for _ in 0..120 {
            let step = std::panic::AssertUnwindSafe(walk.step(&mut random));
            let done = futures_catch(step).await;
            shift_in(&server, &name, walk.ahead);
            match done {
                Ok(step) => log.push(step),
                Err(panic) => {
                    eprintln!("walk {seed}: {log:#?}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// Polls inside of `catch_unwind`.
async fn futures_catch<F: Future>(
    step: std::panic::AssertUnwindSafe<F>,
) -> Result<F::Output, Box<dyn std::any::Any + Send>> {
    let mut step = Box::pin(step.0);
    std::future::poll_fn(move |task| {
        let poll = std::panic::AssertUnwindSafe(|| step.as_mut().poll(task));
        match std::panic::catch_unwind(poll) {
            Ok(std::task::Poll::Ready(value)) => std::task::Poll::Ready(Ok(value)),
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}
