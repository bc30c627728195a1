//! Those who race: a store of counters, and what is done without one.

use std::{fmt, sync::Arc, time::Duration};

use redis::AsyncCommands as _;
use tokio::runtime::Handle;
use zt_core::clock::SystemClock;
use zt_ratelimit::{
    Cost, Limit,
    cost::Currency,
    counter::{
        Claim, CounterError, CounterStore, HoldId, Moment, Purpose, Reserve, Settle, Verdict,
        lease::{Leased, Leasing},
        redis::{RedisCounters, RedisOptions},
    },
    limit::Window,
};

use super::{COST, LIMIT};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Read, compare, and record when it is over.
    Naive,
    /// Reserve and settle.
    Reserve,
    /// The same, out of leases.
    Lease,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Naive => "check, then record",
            Self::Reserve => "reserve, then settle",
            Self::Lease => "the same, leased",
        })
    }
}

/// Where the budget stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    pub(crate) spent: u64,
    pub(crate) held: u64,
    pub(crate) leased: u64,
}

impl Standing {
    pub(crate) fn used(&self) -> u64 {
        self.spent + self.held + self.leased
    }
}

/// The answer to one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Admitted(Option<HoldId>),
    /// And how much was free then.
    Refused(u64),
    /// Try again.
    Unavailable,
}

#[derive(Clone)]
pub(crate) struct Contender {
    by: By,
    subject: Arc<str>,
    limit: Arc<Limit>,
}

#[derive(Clone)]
enum By {
    Naive(redis::aio::MultiplexedConnection),
    Store {
        store: Arc<dyn CounterStore>,
        counters: RedisCounters,
        leased: Option<Leased<RedisCounters>>,
    },
}

impl Contender {
    pub(crate) async fn connect(kind: Kind, url: &str, subject: &str) -> Self {
        let limit = Cost::from_nanos(LIMIT, Currency::USD);
        let counters = async || {
            let options = RedisOptions::new(url).unwrap();
            RedisCounters::connect(options, 1).await.unwrap()
        };
        let by = match kind {
            Kind::Naive => {
                let client = redis::Client::open(url).unwrap();
                let open = client.get_multiplexed_async_connection().await;
                By::Naive(open.unwrap())
            }
            Kind::Reserve => {
                let counters = counters().await;
                By::Store {
                    store: Arc::new(counters.clone()),
                    counters,
                    leased: None,
                }
            }
            Kind::Lease => {
                let counters = counters().await;
                let leasing = Leasing::among(4);
                let (clock, here) = (Arc::new(SystemClock), Handle::current());
                let leased = Leased::new(counters.clone(), leasing, clock, here).unwrap();
                By::Store {
                    store: Arc::new(leased.clone()),
                    counters,
                    leased: Some(leased),
                }
            }
        };
        Self {
            by,
            subject: subject.into(),
            limit: Arc::new(Limit::budget("race", limit, Window::total()).unwrap()),
        }
    }

    pub(crate) async fn ask(&self) -> Answer {
        match &self.by {
            By::Naive(connection) => {
                let mut connection = connection.clone();
                let spent: Option<u64> = connection.get(&*self.subject).await.unwrap();
                let free = LIMIT.saturating_sub(spent.unwrap_or(0));
                if free >= COST {
                    Answer::Admitted(None)
                } else {
                    Answer::Refused(free)
                }
            }
            By::Store { store, .. } => {
                let claims = [self.claim()];
                let ask = Reserve {
                    root: &self.subject,
                    claims: &claims,
                    cost: COST,
                    weight: 1,
                    permits: 1,
                    expires_in: Duration::from_secs(600),
                    purpose: Purpose::Request,
                    now: now(),
                };
                match store.reserve(&ask).wait().await {
                    Ok(Verdict::Held(held)) => Answer::Admitted(Some(held.hold)),
                    Ok(Verdict::Refused(refused)) => {
                        Answer::Refused(refused.standings[0].remaining)
                    }
                    Err(CounterError::Unavailable(_)) => Answer::Unavailable,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Ends a request that was admitted.
    pub(crate) async fn settle(&self, hold: Option<HoldId>, spent: u64) {
        match (&self.by, hold) {
            (By::Naive(connection), _) => {
                let mut connection = connection.clone();
                let _: u64 = connection.incr(&*self.subject, spent).await.unwrap();
            }
            (By::Store { store, .. }, Some(hold)) => {
                let how = match spent {
                    0 => Settle::Release,
                    COST => Settle::ChargeHold,
                    spent => Settle::Charge(spent),
                };
                // Nobody waits for it, as in a destructor.
                drop(store.settle(hold, how, now()));
            }
            (By::Store { .. }, None) => {}
        }
    }

    /// Waits until all is settled; how many settlements were dropped.
    pub(crate) async fn finish(&self) -> u64 {
        match &self.by {
            By::Naive(..) => 0,
            By::Store {
                counters, leased, ..
            } => {
                if let Some(leased) = leased {
                    leased.shutdown().await;
                }
                counters.drain().await;
                counters.settlements_dropped()
            }
        }
    }

    /// Where it stands; none while the server is away.
    pub(crate) async fn look(&self) -> Option<Standing> {
        match &self.by {
            By::Naive(connection) => {
                let mut connection = connection.clone();
                let spent: Option<u64> = connection.get(&*self.subject).await.ok()?;
                Some(Standing {
                    spent: spent.unwrap_or(0),
                    ..Standing::default()
                })
            }
            By::Store { store, .. } => {
                let claims = [self.claim()];
                let read = store.read(&self.subject, &claims, now()).wait().await;
                let cell = read.ok()?.pop()?;
                Some(Standing {
                    spent: cell.spent,
                    held: cell.held,
                    leased: cell.leased,
                })
            }
        }
    }

    /// How many holds nobody has settled.
    pub(crate) async fn holds(&self) -> usize {
        match &self.by {
            By::Naive(..) => 0,
            By::Store { store, .. } => {
                let holds = store.holds(&self.subject, self.claim(), 10_000, now());
                holds.wait().await.unwrap().len()
            }
        }
    }

    /// Whether one more is admitted; it is charged.
    pub(crate) async fn try_one(&self) -> bool {
        match self.ask().await {
            Answer::Admitted(hold) => {
                self.settle(hold, COST).await;
                self.finish().await;
                true
            }
            _ => false,
        }
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            limit: &self.limit,
            subject: &self.subject,
        }
    }
}

fn now() -> Moment {
    Moment::of(&SystemClock).unwrap()
}
