//! What a client does in the steps: names, guesses at windows, second tries, taking back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use redis::Cmd;
use zt_core::{clock::Timestamp, random};

use super::{
    RedisOptions, keys,
    link::{Failure, Link},
    queue::Queue,
    script::Step,
    words::{Words, garbled, micros, push_claims},
};
use crate::{
    Limit,
    counter::{
        Claim, CounterError, Held, HoldId, Moment, Purpose, Refused, Reserve, Settle, Verdict,
        check, check_subject,
    },
    limit::MAX_NANOS,
};

pub(super) struct Inner {
    pub(super) options: RedisOptions,
    pub(super) generation: String,
    pub(super) link: Arc<Link>,
    pub(super) queue: Queue,
    /// By how many microseconds the server's clock is ahead of the one that callers read.
    pub(super) ahead: AtomicI64,
}

/// A reservation, ready to be asked for.
pub(super) struct Reservation {
    pub(super) hold: HoldId,
    pub(super) bucket: u8,
    pub(super) head: Cmd,
    pub(super) asked: Asked,
    pub(super) now: Moment,
}

/// Claims that outlive those who made them.
pub(super) struct Asked {
    pub(super) root: Box<str>,
    pub(super) claims: Vec<(Arc<Limit>, Box<str>)>,
}

impl Asked {
    pub(super) fn new(root: &str, claims: &[Claim<'_>]) -> Result<Self, CounterError> {
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
    pub(super) fn prepare(&self, ask: &Reserve<'_>) -> Result<Reservation, CounterError> {
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

    pub(super) async fn reserve(self: Arc<Self>, it: Reservation) -> Result<Verdict, CounterError> {
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
    pub(super) async fn ask_around(
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

    pub(super) async fn ask(&self, call: &Cmd, expected: &str) -> Result<Words, CounterError> {
        let mut words = Words::new(self.link.ask(call).await?);
        match words.next()?.as_str() {
            word if word == expected => Ok(words),
            other => Err(refusal(other)),
        }
    }

    pub(super) async fn ask_twice(&self, call: &Cmd) -> Result<Vec<String>, CounterError> {
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
    pub(super) fn settlement(&self, hold: HoldId, how: Settle) -> Option<Cmd> {
        let mut call = self.call(Step::Settle, keys::bucket_of(hold)?);
        call.arg(hold.to_string());
        match how {
            Settle::Release => call.arg("r").arg(0),
            Settle::ChargeHold => call.arg("h").arg(0),
            // More than can be counted stays at what can.
            Settle::Charge(nanos) => call.arg("c").arg(nanos.min(MAX_NANOS)),
        };
        // Without one it counts all the same; a copy of it cannot be told from another settlement.
        call.arg(self.token().unwrap_or_default());
        Some(call)
    }

    pub(super) fn call(&self, step: Step, bucket: u8) -> Cmd {
        let key = self.options.names.generation(bucket);
        let grace = micros(self.options.grace);
        self.link.scripts.call(step, &key, &self.generation, grace)
    }

    pub(super) fn lives(&self, expires_in: Duration) -> Result<u64, CounterError> {
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
    pub(super) fn token(&self) -> Result<String, CounterError> {
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
pub(super) fn refusal(word: &str) -> CounterError {
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

/// The window of a client's clock, the window of the server's, and once more where it ended just
/// then.
const MAX_GUESSES: usize = 3;
