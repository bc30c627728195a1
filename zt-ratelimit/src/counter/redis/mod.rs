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
//!    corrected, and records a day longer.
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
//!   not told again. The money is charged all the same.
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
mod keys;
mod life;
mod link;
mod options;
mod queue;
mod script;
#[cfg(test)]
mod tests;
mod words;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use redis::Cmd;
use zt_core::{clock::Timestamp, random};

pub use self::{error::RedisSetupError, life::Entry, options::RedisOptions};
use self::{
    link::{Failure, Link},
    queue::Queue,
    script::Step,
    words::{Words, garbled, micros, push_claims},
};
use super::{
    Adjust, Answer, CellState, Claim, CounterError, CounterStore, Expired, Extended, Held, HoldId,
    HoldState, Moment, Purpose, Refused, Reserve, Settle, Settled, Verdict, check, check_subject,
};
use crate::limit::{Kind, MAX_NANOS};

/// Counters in a Redis server; see the [module](self).
///
/// Clones share one connection and one queue.
#[derive(Clone)]
pub struct RedisCounters(Arc<Inner>);

struct Inner {
    options: RedisOptions,
    generation: String,
    link: Arc<Link>,
    queue: Queue,
    /// By how many microseconds the server's clock is ahead of the one that callers read.
    ahead: AtomicI64,
}

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
                    first += count;
                    if count < PAGE {
                        break;
                    }
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
                let mut words = inner.ask(&call, "expired").await?;
                while !words.is_empty() {
                    all.push(words::expired(&words.next()?)?);
                }
            }
            Ok(all)
        }))
    }
}

/// A reservation, ready to be asked for.
struct Reservation {
    hold: HoldId,
    bucket: u8,
    head: Cmd,
    asked: Asked,
    now: Moment,
}

/// Claims that outlive those who made them.
struct Asked {
    root: Box<str>,
    claims: Vec<(Arc<crate::Limit>, Box<str>)>,
}

impl Asked {
    fn new(root: &str, claims: &[Claim<'_>]) -> Result<Self, CounterError> {
        check_subject(root)?;
        for claim in claims {
            check_subject(claim.subject)?;
        }
        let owned = |claim: &Claim<'_>| (Arc::clone(claim.limit), claim.subject.into());
        Ok(Self {
            root: root.into(),
            claims: claims.iter().map(owned).collect(),
        })
    }

    /// Adds them to a call.
    fn push(&self, call: &mut Cmd, inner: &Inner, wall: Timestamp) -> Result<(), CounterError> {
        let claims: Vec<_> = self
            .claims
            .iter()
            .map(|(limit, subject)| Claim { limit, subject })
            .collect();
        push_claims(call, &inner.options.names, &self.root, &claims, wall)
    }
}

impl Inner {
    fn prepare(&self, ask: &Reserve<'_>) -> Result<Reservation, CounterError> {
        check(ask)?;
        let lives = self.lives(ask.expires_in)?;
        let bucket = keys::bucket(ask.root);
        let hold = keys::hold(bucket, self.random()?);
        let purpose = match ask.purpose {
            Purpose::Request => "r",
            Purpose::Lease => "l",
        };
        let mut head = self.call(Step::Reserve, bucket);
        head.arg(hold.to_string());
        let asked = Asked::new(ask.root, ask.claims)?;
        let mut all = format!("{} {} {} {lives}", ask.cost, ask.weight, ask.permits);
        for claim in ask.claims {
            all += &self.options.names.cell(ask.root, *claim);
        }
        head.arg(format!("{:016x}", keys::fnv(all.as_bytes())));
        head.arg(ask.cost).arg(ask.weight).arg(ask.permits);
        head.arg(lives).arg(purpose);
        Ok(Reservation {
            hold,
            bucket,
            head,
            asked,
            now: ask.now,
        })
    }

    async fn reserve(self: Arc<Self>, it: Reservation) -> Result<Verdict, CounterError> {
        // Whoever goes away in between leaves nothing behind.
        let mut guard = TakeBack {
            inner: &self,
            hold: Some(it.hold),
        };
        let mut doubled = false;
        for _ in 0..MAX_GUESSES {
            let mut call = it.head.clone();
            it.asked.push(&mut call, &self, self.believed(it.now))?;
            let (answer, twice) = self.ask_maybe_twice(&call).await;
            doubled |= twice;
            let words = match answer {
                Ok(words) => words,
                Err(Failure::Unknown(why)) => return Err(CounterError::Unavailable(why)),
                Err(failure) => {
                    guard.keep(doubled);
                    return Err(failure.into());
                }
            };
            let mut words = Words::new(words);
            match words.next()?.as_str() {
                "held" => {
                    let would_refuse = words.marks()?;
                    let standings = words.standings()?;
                    guard.hold = None;
                    return Ok(Verdict::Held(Held {
                        hold: it.hold,
                        standings,
                        would_refuse,
                    }));
                }
                "refused" => {
                    let violated = words.marks()?;
                    let standings = words.standings()?;
                    // A copy that is still on its way might fit when it arrives.
                    guard.keep(doubled);
                    return Ok(Verdict::Refused(Refused {
                        standings,
                        violated,
                    }));
                }
                "clock" => self.learn(it.now, words.number()?),
                "lost" => {
                    guard.keep(doubled);
                    let place = usize::try_from(words.number()?).unwrap_or_default();
                    let limit = it.asked.claims.get(place).map_or("", |(it, _)| it.name());
                    let why = format!("a window of `{limit}` in bucket {}", it.bucket);
                    return Err(CounterError::Uninitialised(why.into()));
                }
                other => {
                    guard.keep(doubled);
                    return Err(refusal(other));
                }
            }
        }
        Err(no_agreement())
    }

    /// Asks around the window that is believed, and once more around the server's.
    async fn ask_around(
        &self,
        step: Step,
        asked: &Asked,
        said: &[&str],
        now: Moment,
    ) -> Result<Words, CounterError> {
        for _ in 0..MAX_GUESSES {
            let mut call = self.call(step, keys::bucket(&asked.root));
            for word in said {
                call.arg(word);
            }
            asked.push(&mut call, self, self.believed(now))?;
            let mut words = Words::new(self.ask_twice(&call).await?);
            match words.next()?.as_str() {
                "cells" => {
                    let _server = words.number()?;
                    return Ok(words);
                }
                "clock" => self.learn(now, words.number()?),
                other => return Err(refusal(other)),
            }
        }
        Err(no_agreement())
    }

    async fn ask(&self, call: &Cmd, expected: &str) -> Result<Words, CounterError> {
        let mut words = Words::new(self.link.ask(call).await?);
        match words.next()?.as_str() {
            word if word == expected => Ok(words),
            other => Err(refusal(other)),
        }
    }

    async fn ask_twice(&self, call: &Cmd) -> Result<Vec<String>, CounterError> {
        Ok(self.ask_maybe_twice(call).await.0?)
    }

    /// Asks again where there was no answer; whether a copy of the call may still be on its way.
    async fn ask_maybe_twice(&self, call: &Cmd) -> (Result<Vec<String>, Failure>, bool) {
        match self.link.ask(call).await {
            Err(Failure::Unknown(_)) => match self.link.ask(call).await {
                // The first one may have been carried out.
                Err(Failure::NotSent(why)) => (Err(Failure::Unknown(why)), true),
                other => (other, true),
            },
            Err(Failure::NotSent(_)) => (self.link.ask(call).await, false),
            other => (other, false),
        }
    }

    /// None where no hold can be meant.
    fn settlement(&self, hold: HoldId, how: Settle) -> Option<Cmd> {
        let mut call = self.call(Step::Settle, keys::bucket_of(hold)?);
        call.arg(hold.to_string());
        match how {
            Settle::Release => call.arg("r").arg(0),
            Settle::ChargeHold => call.arg("h").arg(0),
            // More than can be counted stays at what can.
            Settle::Charge(nanos) => call.arg("c").arg(nanos.min(MAX_NANOS)),
        };
        Some(call)
    }

    fn call(&self, step: Step, bucket: u8) -> Cmd {
        let key = self.options.names.generation(bucket);
        let grace = micros(self.options.grace);
        self.link.scripts.call(step, &key, &self.generation, grace)
    }

    fn lives(&self, expires_in: Duration) -> Result<u64, CounterError> {
        if expires_in > self.options.longest_hold {
            return Err(CounterError::Invalid("it is held for longer than any may"));
        }
        Ok(micros(expires_in))
    }

    fn random(&self) -> Result<[u8; 16], CounterError> {
        let none = |_| CounterError::Unavailable("there is no randomness".into());
        random::bytes(&*self.options.entropy).map_err(none)
    }

    /// What makes copies of one call known.
    fn token(&self) -> Result<String, CounterError> {
        Ok(format!("{:032x}", u128::from_be_bytes(self.random()?)))
    }

    /// The server's time, as far as is known.
    fn believed(&self, now: Moment) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_micros(now.wall.as_micros().saturating_add_signed(ahead))
    }

    fn learn(&self, now: Moment, server: u64) {
        let ahead = i128::from(server) - i128::from(now.wall.as_micros());
        let ahead = i64::try_from(ahead).unwrap_or_default();
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

/// Takes a reservation back that nobody will hear of.
struct TakeBack<'a> {
    inner: &'a Inner,
    hold: Option<HoldId>,
}

impl TakeBack<'_> {
    /// There is something to take back only where a copy may still be on its way.
    const fn keep(&mut self, doubled: bool) {
        if !doubled {
            self.hold = None;
        }
    }
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        let Some(hold) = self.hold else { return };
        if let Some(call) = self.inner.settlement(hold, Settle::Release) {
            self.inner.queue.put_silently(call);
        }
    }
}

/// What an answer that is no answer means.
fn refusal(word: &str) -> CounterError {
    match word {
        "generation" => CounterError::Uninitialised("they are of another generation".into()),
        "lost" => CounterError::Uninitialised("a window is missing".into()),
        "kind" => CounterError::Invalid("the limit is of another kind or currency"),
        "late" => CounterError::Unavailable("it was taken back before it came".into()),
        "other" => CounterError::Invalid("its name is that of another reservation"),
        "full" => CounterError::Invalid("there are too many grants"),
        "invalid" => CounterError::Invalid("only a budget can be charged"),
        _ => garbled(),
    }
}

fn no_agreement() -> CounterError {
    CounterError::Unavailable("the clocks do not agree on a window".into())
}

fn policy(kind: &Kind) -> u64 {
    match kind {
        Kind::Budget(budget) => budget.amount().nanos(),
        Kind::Rate(rate) => rate.burst_size(),
        Kind::Concurrency(concurrency) => concurrency.permits().into(),
    }
}

/// Verb, amount, end and name, as the script reads them.
fn adjustment(claim: Claim<'_>, how: &Adjust) -> Result<[String; 4], CounterError> {
    let counted = |amount: u64| {
        if amount > MAX_NANOS {
            return Err(CounterError::Invalid("it is more than can be counted"));
        }
        Ok(amount.to_string())
    };
    let said = |verb: &str, amount: String, until: String, name: &str| {
        Ok([verb.to_owned(), amount, until, name.to_owned()])
    };
    let none = String::new;
    match how {
        Adjust::Override { limit, until } => {
            let until = until.map_or_else(none, |until| until.as_micros().to_string());
            said("set", counted(*limit)?, until, "")
        }
        Adjust::ClearOverride => said("clear", none(), none(), ""),
        Adjust::Grant {
            name,
            amount,
            until,
        } => {
            check_subject(name)?;
            let until = until.as_micros().to_string();
            said("grant", counted(*amount)?, until, name)
        }
        Adjust::Revoke { name } => said("revoke", none(), none(), name),
        Adjust::Reset => said("reset", none(), none(), ""),
        Adjust::Charge { nanos } if claim.limit.as_budget().is_some() => {
            said("charge", counted(*nanos)?, none(), "")
        }
        Adjust::Charge { .. } => Err(CounterError::Invalid("only a budget can be charged")),
    }
}

/// The window of a client's clock, the window of the server's, and once more where it ended just
/// then.
const MAX_GUESSES: usize = 3;

/// So many holds are looked at in one step.
const PAGE: u64 = 256;
