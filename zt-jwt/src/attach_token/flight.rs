//! One question at a time to the source, in a task that outlives whoever asked for it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::{runtime::Handle, sync::watch};
use zt_core::clock::Timestamp;

use super::{
    AttachableToken, SourceError, Unavailable,
    schedule::{back_off, micros, renew_after},
    tokens::{End, Held, Shared},
};

/// What is known about asking the source. Requests take the lock only where the token is due or
/// gone.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    flying: bool,
    editions: u64,
    failures: u32,
    last_error: Option<Arc<SourceError>>,
    /// After a failure the source is left alone until then.
    not_before: Duration,
    last_departure: Option<Duration>,
}

/// What a flight is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The token is due.
    Renewal,
    /// There is none.
    Token,
}

/// What came of wanting to ask.
#[derive(Debug)]
pub(super) enum Departure {
    /// The source is being asked, for us or for somebody before us.
    Flying(watch::Receiver<u64>),
    /// Somebody was quicker: what was needed is there.
    Needless,
    /// Not now.
    Paused(Unavailable),
}

/// An answer is worth something only if it can be used for this long.
const WORTHWHILE: Duration = Duration::from_secs(1);
/// The longest pause that an issuer may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many failures in a row, and the last of them.
    pub(super) fn last(&self) -> (u32, Option<Arc<SourceError>>) {
        let log = self.lock();
        (log.failures, log.last_error.clone())
    }

    /// Why there is no token.
    pub(super) fn why(&self, monotonic: Duration) -> Unavailable {
        self.lock().why(monotonic)
    }
}

impl Log {
    fn why(&self, monotonic: Duration) -> Unavailable {
        Unavailable::Source {
            cause: self
                .last_error
                .clone()
                .unwrap_or_else(|| Arc::new(SourceError::EndsSoon(Duration::ZERO))),
            retry_after: self.not_before.saturating_sub(monotonic),
        }
    }
}

impl Shared {
    /// Asks the source, unless it is being asked, need not be, or is to be left alone.
    pub(super) fn depart(self: &Arc<Self>, need: Need) -> Departure {
        let mut log = self.flights.lock();
        if log.flying {
            return Departure::Flying(self.landed.subscribe());
        }
        // Read under the lock: an answer may have come since the caller looked.
        let monotonic = self.clock.monotonic();
        let needless = match need {
            Need::Renewal => micros(monotonic) < self.due.load(Ordering::Relaxed),
            Need::Token => self.usable(),
        };
        if needless {
            return Departure::Needless;
        }
        if monotonic < log.not_before {
            return Departure::Paused(log.why(monotonic));
        }
        let Ok(runtime) = Handle::try_current() else {
            return Departure::Paused(Unavailable::NoRuntime);
        };
        log.flying = true;
        log.last_departure = Some(monotonic);
        // Nobody has to look again before it lands.
        self.due.store(u64::MAX, Ordering::Relaxed);
        // Subscribed before it can land.
        let landing = self.landed.subscribe();
        drop(log);
        runtime.spawn(fly(Flight(Some(Arc::clone(self)))));
        Departure::Flying(landing)
    }

    /// A called service says that the token of this edition is not good.
    pub(super) fn rejected(self: &Arc<Self>, edition: u64) {
        let monotonic = self.clock.monotonic();
        let log = self.flights.lock();
        // Answers to requests that left before a renewal speak of the token before it.
        if log.flying || log.editions != edition {
            return;
        }
        let cooled = log.last_departure.map_or(Duration::ZERO, |left| {
            left.saturating_add(self.settings.cooldown)
        });
        let earliest = micros(cooled.max(log.not_before).max(monotonic));
        self.due.fetch_min(earliest, Ordering::Relaxed);
    }

    fn land(&self, answer: Result<AttachableToken, SourceError>) {
        let judged = answer.and_then(|token| self.judge(token));
        let monotonic = self.clock.monotonic();
        let mut log = self.flights.lock();
        let mut failed = None;
        log.flying = false;
        match judged {
            Ok((token, remaining)) => {
                log.failures = 0;
                log.last_error = None;
                log.not_before = Duration::ZERO;
                log.editions += 1;
                let after = renew_after(remaining, token.ask_again(), &*self.entropy);
                let due = after.map_or(u64::MAX, |after| micros(monotonic.saturating_add(after)));
                let margin = self.settings.margin;
                let usable_until = token
                    .expires_at()
                    .zip(remaining)
                    .map(|(end, remaining)| End {
                        wall: end.saturating_sub(margin),
                        monotonic: monotonic.saturating_add(remaining.saturating_sub(margin)),
                    });
                self.current.store(Some(Arc::new(Held {
                    token,
                    usable_until,
                    edition: log.editions,
                })));
                self.due.store(due, Ordering::Relaxed);
            }
            Err(error) => {
                log.failures = log.failures.saturating_add(1);
                let asked = error
                    .retry_after()
                    .unwrap_or_default()
                    .min(LONGEST_RETRY_AFTER);
                let pause = back_off(log.failures, &*self.entropy).max(asked);
                log.not_before = monotonic.saturating_add(pause);
                self.due.store(micros(log.not_before), Ordering::Relaxed);
                let error = Arc::new(error);
                log.last_error = Some(Arc::clone(&error));
                failed = Some((error, log.failures));
            }
        }
        // Under the lock, so that whoever sees `flying` also hears this.
        self.landed
            .send_modify(|landed| *landed = landed.wrapping_add(1));
        drop(log);
        // Not under the lock: who writes logs may look at tokens, or need one.
        if let Some((error, failures)) = failed {
            tracing::warn!(%error, failures, "no new token to call others with");
        }
    }

    /// The token and for how long it is good.
    fn judge(
        &self,
        token: AttachableToken,
    ) -> Result<(AttachableToken, Option<Duration>), SourceError> {
        let Some(end) = token.expires_at() else {
            return Ok((token, None));
        };
        let now: Timestamp = self.clock.now()?;
        let remaining = end.since(now);
        if remaining < self.settings.margin + WORTHWHILE {
            return Err(SourceError::EndsSoon(remaining));
        }
        Ok((token, Some(remaining)))
    }
}

async fn fly(flight: Flight) {
    let Some(shared) = flight.0.clone() else {
        return;
    };
    let deadline = shared.settings.attempt;
    let fetch = pin!(shared.source.fetch(&*shared.clock));
    let answer = match select(fetch, shared.clock.sleep(deadline)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(SourceError::TooSlow(deadline)),
    };
    flight.land(answer);
}

/// Lands whatever happens: a source may panic, and a runtime may be shut down.
struct Flight(Option<Arc<Shared>>);

impl Flight {
    fn land(mut self, answer: Result<AttachableToken, SourceError>) {
        if let Some(shared) = self.0.take() {
            shared.land(answer);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.land(Err(SourceError::Interrupted));
        }
    }
}
