//! Counters in a Redis server, shared by all instances: [`RedisCounters`].
//!
//! It keeps what every [`CounterStore`] keeps, over any number of processes. Each step is one
//! script, and so one atomic step and one trip; a request waits for one, its reservation. It ends
//! while the settlement waits in a queue in this process.
//!
//! # What it stands on
//!
//! 1. **One clock**, the server's. The clocks of instances may be wrong by hours: what a client
//!    believes is only a guess at the calendar window, which the script refuses where its own time
//!    is not in it. Rates are counted in microseconds, and their interval is rounded up to whole
//!    ones: a rate of more than a million a second becomes one of a million.
//! 2. **A generation**. [`initialise`](RedisCounters::initialise) begins counters,
//!    [`connect`](RedisCounters::connect) counts in those of one generation and no other, and a
//!    server that has lost it (restarted without persistence, flushed, another one) refuses with
//!    [`CounterError::Uninitialised`] until they are [rebuilt](RedisCounters::rebuild) from a
//!    ledger, under a generation with another number.
//! 3. **Records of windows**. A budget's window that is missing is new only where it is later than
//!    every window that the record of the budget has seen. Else what was spent in it is lost, and
//!    it refuses in the same way. Windows are kept until a day after the last hold of theirs can be
//!    corrected, and records a day longer. A budget whose window is changed in the policy begins
//!    with all that was used in the window before, also where it changes back, or instances have
//!    different policies for a while; holds of the window before grow no more.
//! 4. **Names of holds** that are random and made by the client before it asks. A copy of a
//!    reservation, an extension or a settlement, in whatever order, does nothing. What was waited
//!    for in vain is tried once more under the same name, and then taken back in the background; a
//!    copy that arrives later finds that it was.
//! 5. **No eviction**: every connection asks for the server's `maxmemory-policy`, where it may, and
//!    refuses any other than `noeviction`. A server that is full refuses ([`CounterError::Full`]).
//!
//! # What is guaranteed
//!
//! | the server | `spent + held + leased <= limit` |
//! |---|---|
//! | one, `appendonly yes` and `appendfsync always` | always, also when it is killed at any moment |
//! | one, without persistence | always: after a restart it refuses until it is rebuilt |
//! | one, with snapshots or `appendfsync everysec` | until it is killed; then what was counted since the last write (with `everysec` up to two seconds) may be spent again |
//! | a replica that took over | as far as it had come: what the old one had acknowledged and not yet passed on may be spent again, unless the counters are rebuilt under a new generation |
//! | rebuilt | as exact as the ledger; what was in flight has to stand in it as spent |
//!
//! A script cannot tell an older state of the same generation from the newest: in the third and
//! fourth row a budget is *bounded*, by what was admitted in the time that was lost. To be exact
//! there, rebuild before the new server is used.
//!
//! # What it does not do
//!
//! - One server, or a primary and replicas behind one address. All keys of a root have one hash
//!   tag, as a cluster wants them, but this client does not follow a cluster's redirections.
//! - No TLS of its own: a local socket, a private network, or a tunnel.
//! - The server's own clock is believed. Where it goes back, nothing is given twice; where it goes
//!   forward, windows end with it.
//! - What [`expire`](CounterStore::expire) tells is told once: an answer that is lost on the way is
//!   not told again, and of more than 10,000 holds of one bucket (a 64th of all roots) that ended
//!   and that nobody asked for the oldest are not told of. The money is charged all the same.
//! - It is not small: a settled hold is remembered for the grace period, with some 2 KB where it had
//!   four limits. A hundred requests a second are 700 MB in an hour; [leases](super::lease), or a
//!   shorter [grace](RedisOptions::grace), make that little.
//! - Nothing is answered without the server. What an application may choose instead for rates, and
//!   never for money, is [`Fallback`](super::fallback::Fallback).
//!
//! # Example
//!
//! ```no_run
//! use zt_ratelimit::counter::redis::{RedisCounters, RedisOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = RedisOptions::new("redis://127.0.0.1/")?;
//! // Once, by hand or when the server is set up:
//! RedisCounters::initialise(options.clone(), 1).await?;
//! // In every instance:
//! let counters = RedisCounters::connect(options, 1).await?;
//! // Before the process ends:
//! counters.drain().await;
//! # Ok(())
//! # }
//! ```

mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inner;
mod keys;
mod life;
mod link;
mod options;
mod queue;
mod script;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{error::RedisSetupError, life::Entry, options::RedisOptions};
use self::{
    inner::{Asked, Inner, refusal},
    script::Step,
    words::{Words, adjustment, garbled, policy},
};
use super::{
    Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, HoldId,
    HoldState, Moment, Refused, Reserve, Settle, Settled, Verdict,
};
use crate::limit::MAX_NANOS;

/// Counters in a Redis server; see the [module](self).
///
/// Clones share one connection and one queue.
#[derive(Clone)]
pub struct RedisCounters(Arc<Inner>);

impl RedisCounters {
    /// How many settlements found no place in the queue; their holds are charged when they end.
    #[must_use]
    pub fn settlements_dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// How many settlements wait for the server.
    #[must_use]
    pub fn settlements_waiting(&self) -> usize {
        self.0.queue.waiting()
    }

    /// Ready when no settlement waits: before a process ends, and in tests.
    pub async fn drain(&self) {
        self.0.queue.drained().await;
    }
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters")
            .field("options", &self.0.options)
            .field("generation", &self.0.generation)
            .field("waiting", &self.settlements_waiting())
            .field("dropped", &self.settlements_dropped())
            .finish_non_exhaustive()
    }
}

impl CounterStore for RedisCounters {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        let inner = Arc::clone(&self.0);
        let prepared = inner.prepare(ask);
        Answer::Later(Box::pin(async move {
            let reservation = prepared?;
            inner.reserve(reservation).await
        }))
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        _now: Moment,
    ) -> Answer<Extended> {
        let inner = Arc::clone(&self.0);
        Answer::Later(Box::pin(async move {
            let lives = inner.lives(expires_in)?;
            if more > MAX_NANOS {
                return Err(CounterError::Invalid("it costs more than can be counted"));
            }
            let Some(bucket) = keys::bucket_of(hold) else {
                return Ok(Extended::Gone);
            };
            let mut call = inner.call(Step::Extend, bucket);
            call.arg(hold.to_string()).arg(inner.token()?);
            call.arg(more).arg(lives);
            let mut words = Words::new(inner.ask_twice(&call).await?);
            match words.next()?.as_str() {
                "done" => Ok(Extended::Done {
                    held: words.number()?,
                }),
                "refused" => Ok(Extended::Refused(Refused {
                    violated: words.marks()?,
                    standings: words.standings()?,
                })),
                "gone" => Ok(Extended::Gone),
                other => Err(refusal(other)),
            }
        }))
    }

    fn settle(&self, hold: HoldId, how: Settle, _now: Moment) -> Answer<Settled> {
        let Some(call) = self.0.settlement(hold, how) else {
            return Answer::Now(Ok(Settled {
                counted: false,
                held: 0,
                charged: 0,
                budgets: Default::default(),
            }));
        };
        let Some(answer) = self.0.queue.put(call) else {
            return Answer::Now(Err(CounterError::Full));
        };
        Answer::Later(Box::pin(async move {
            let gone = |_| CounterError::Unavailable("nobody settles any more".into());
            let mut words = Words::new(answer.await.map_err(gone)??);
            match words.next()?.as_str() {
                "settled" => words.settled(),
                other => Err(refusal(other)),
            }
        }))
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        let inner = Arc::clone(&self.0);
        let asked = Asked::new(root, claims);
        Answer::Later(Box::pin(async move {
            let asked = asked?;
            let mut words = inner.ask_around(Step::Read, &asked, &[], now).await?;
            asked
                .claims
                .iter()
                .map(|(limit, _)| words.cell(policy(limit.kind())))
                .collect()
        }))
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        let inner = Arc::clone(&self.0);
        let asked = Asked::new(root, &[claim]);
        let said = adjustment(claim, how);
        Answer::Later(Box::pin(async move {
            let (asked, said) = (asked?, said?);
            let token = inner.token()?;
            let said = [token.as_str(), &said[0], &said[1], &said[2], &said[3]];
            let mut words = inner.ask_around(Step::Adjust, &asked, &said, now).await?;
            let limit = asked.claims.first().ok_or_else(garbled)?;
            words.cell(policy(limit.0.kind()))
        }))
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        _now: Moment,
    ) -> Answer<Vec<HoldState>> {
        let inner = Arc::clone(&self.0);
        let asked = Asked::new(root, &[claim]);
        let cell = inner.options.names.cell(root, claim);
        Answer::Later(Box::pin(async move {
            let bucket = keys::bucket(&asked?.root);
            let mut found = Vec::new();
            for which in ["ended", "due"] {
                let mut first = 0;
                loop {
                    let mut call = inner.call(Step::Holds, bucket);
                    call.arg(which).arg(&cell).arg(first).arg(PAGE);
                    let mut words = inner.ask(&call, "holds").await?;
                    let count = words.number()?;
                    while !words.is_empty() {
                        found.push(words.hold()?);
                    }
                    if count < PAGE {
                        break;
                    }
                    first += PAGE;
                }
            }
            found.sort_by_key(|(made, hold)| (*made, hold.hold));
            found.dedup_by_key(|(_, hold)| hold.hold);
            found.truncate(at_most);
            Ok(found.into_iter().map(|(_, hold)| hold).collect())
        }))
    }

    fn expire(&self, at_most: usize, _now: Moment) -> Answer<Vec<Expired>> {
        let inner = Arc::clone(&self.0);
        Answer::Later(Box::pin(async move {
            let mut all = Vec::new();
            for bucket in 0..keys::BUCKETS {
                let left = at_most.saturating_sub(all.len()).min(1000);
                if left == 0 {
                    break;
                }
                let mut call = inner.call(Step::Expire, bucket);
                call.arg(left);
                let mut words = match inner.ask(&call, "expired").await {
                    Ok(words) => words,
                    Err(error) if all.is_empty() => return Err(error),
                    // It is told only once; the next call says what is wrong.
                    Err(_) => break,
                };
                while !words.is_empty() {
                    all.push(words::expired(&words.next()?)?);
                }
            }
            Ok(all)
        }))
    }
}

/// So many holds are looked at in one step.
const PAGE: u64 = 256;
