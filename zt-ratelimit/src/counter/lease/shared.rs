//! What the handles of one [`Leased`](super::Leased) share, and how a request is served.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;
use tokio::runtime::Handle;
use zt_core::clock::{Clock, Timestamp};

use super::{
    deny::Denied,
    direct::Directs,
    id::{Ids, Place, SHARDS},
    opens::Opens,
    path::{Flight, Landing, Path, State, shadows},
    settings::Leasing,
    stock::{Stuck, Taken},
    table::Table,
};
use crate::counter::{
    Answer, Claim, CounterError, CounterStore, Expired, Extended, Held, HoldId, Moment, Purpose,
    Reserve, Settle, Settled, Verdict,
};

#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) backing: C,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
    pub(super) leasing: Leasing,
    pub(super) table: Table,
    pub(super) ids: Ids,
    pub(super) directs: Directs,
    pub(super) opens: Opens,
    pub(super) ended: EndedHolds,
    pub(super) told: OnceLock<Told>,
    pub(super) closed: AtomicBool,
    /// The wall clock, when it could be read last.
    pub(super) wall: AtomicU64,
}

/// Local holds that ended by themselves, until somebody asks; the oldest go where nobody does.
#[derive(Debug, Default)]
pub(super) struct EndedHolds(Mutex<VecDeque<Expired>>);

type Tell = dyn Fn(&str, &[Claim<'_>], &Settled) + Send + Sync;

/// Who wants to hear what the settlement of a lease did.
pub(super) struct Told(pub(super) Box<Tell>);

/// What a request asks for, without its claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    cost: u64,
    weight: u64,
    permits: u32,
    expires_in: Duration,
    purpose: Purpose,
    now: Moment,
}

/// How a request is served.
enum Served {
    Here(Result<Verdict, CounterError>),
    /// When what is under way has come.
    After(Flight),
    ByTheStore,
}

impl<C: CounterStore> Shared<C> {
    pub(super) fn reserve(self: &Arc<Self>, ask: &Reserve<'_>) -> Answer<Verdict> {
        let asked = Asked::of(ask);
        if ask.purpose == Purpose::Lease {
            return self.backing.reserve(ask);
        }
        let now = match self.now() {
            Ok(now) => now,
            Err(error) => return Answer::Now(Err(error)),
        };
        let spot = self.table.spot(ask);
        let path = match self.table.find(spot, ask) {
            Some(path) => path,
            None => {
                if let Err(error) = crate::counter::check(ask) {
                    return Answer::Now(Err(error));
                }
                let returned = |path: Arc<Path>, finishes| {
                    self.finish_all(&path, finishes);
                };
                let leasing = &self.leasing;
                let at = now.monotonic;
                match self.table.insert(spot, ask, leasing, at, returned) {
                    Some(path) => path,
                    // Not in the table: nothing is leased for it.
                    None => {
                        let path = Path::new(ask, (spot.shard, 0), 0, leasing, at);
                        path.lock().gone = true;
                        Arc::new(path)
                    }
                }
            }
        };
        match self.serve(&path, &asked, now, true) {
            Served::Here(result) => Answer::Now(result),
            Served::After(flight) => {
                let shared = Arc::clone(self);
                Answer::Later(Box::pin(
                    async move { shared.wait(&path, &asked, flight).await },
                ))
            }
            Served::ByTheStore => {
                let shared = Arc::clone(self);
                Answer::Later(Box::pin(async move { shared.direct(&path, &asked).await }))
            }
        }
    }

    /// Serves a request from what is here, or says how else.
    fn serve(
        self: &Arc<Self>,
        path: &Arc<Path>,
        asked: &Asked,
        now: Moment,
        first: bool,
    ) -> Served {
        let need = path.need(asked.cost, asked.weight, asked.permits);
        if need.cost > crate::limit::MAX_NANOS {
            let error = CounterError::Invalid("it costs more than can be counted");
            return Served::Here(Err(error));
        }
        let mut state = path.lock();
        state.used = now.monotonic;
        if first {
            state.demand.add(need);
        }
        let until = now.monotonic.saturating_add(asked.expires_in);
        match state.stock.take(need, until, now) {
            Ok(taken) => {
                if let Some(short) = path.low(&state, now, &self.leasing)
                    && !self.is_closed()
                    && let Some(fetch) = path.plan(&mut state, need, short, now, &self.leasing)
                {
                    let _: Flight = self.take_off(path, &mut state, fetch);
                }
                Served::Here(Ok(Verdict::Held(self.held(path, &state, taken, now))))
            }
            Err(short) => {
                let epoch = self
                    .table
                    .shard(path.shard)
                    .map_or(0, |shard| shard.epoch());
                if let Some(refused) = state.denied(path, need, epoch, now.monotonic) {
                    return Served::Here(Ok(Verdict::Refused(refused)));
                }
                if self.is_closed() {
                    return Served::ByTheStore;
                }
                if let Some(flight) = state.flying() {
                    return Served::After(flight);
                }
                match path.plan(&mut state, need, short, now, &self.leasing) {
                    Some(fetch) => Served::After(self.take_off(path, &mut state, fetch)),
                    None => Served::ByTheStore,
                }
            }
        }
    }

    fn held(&self, path: &Path, state: &State, taken: Taken, now: Moment) -> Held {
        let hold = self.ids.name(Place {
            shard: path.shard,
            path: path.place,
            slot: taken.slot,
            serial: taken.serial,
        });
        Held {
            hold,
            standings: path.standings(state, now),
            would_refuse: shadows(path, taken.would_refuse),
        }
    }

    /// Waits for what is under way, a few times where that many others wait; then asks the store.
    async fn wait(
        self: &Arc<Self>,
        path: &Arc<Path>,
        asked: &Asked,
        mut flight: Flight,
    ) -> Result<Verdict, CounterError> {
        for _ in 0..WAITS {
            let landing = match flight.wait_for(Option::is_some).await {
                Ok(landing) => landing.clone(),
                // Its runtime is gone.
                Err(_) => None,
            };
            if let Some(Landing::Failed(error)) = landing {
                return Err(error);
            }
            let came = matches!(landing, Some(Landing::Done));
            match self.serve(path, asked, self.now()?, false) {
                Served::Here(result) => return result,
                Served::After(next) if came => flight = next,
                _ => break,
            }
        }
        self.direct(path, asked).await
    }

    /// Asks the store for this request alone.
    async fn direct(
        self: &Arc<Self>,
        path: &Arc<Path>,
        asked: &Asked,
    ) -> Result<Verdict, CounterError> {
        match self.ask_directly(path, asked).await? {
            (Verdict::Refused(refused), epoch) => {
                if self.give_back(path, refused.violated).await {
                    let (verdict, epoch) = self.ask_directly(path, asked).await?;
                    self.remember(path, asked, &verdict, epoch);
                    return Ok(verdict);
                }
                let verdict = Verdict::Refused(refused);
                self.remember(path, asked, &verdict, epoch);
                Ok(verdict)
            }
            (held, _) => Ok(held),
        }
    }

    async fn ask_directly(
        self: &Arc<Self>,
        path: &Arc<Path>,
        asked: &Asked,
    ) -> Result<(Verdict, u64), CounterError> {
        let epoch = self
            .table
            .shard(path.shard)
            .map_or(0, |shard| shard.watch());
        let sent = self.clock.monotonic();
        let answer = {
            let claims = path.claims();
            self.backing.reserve(&Reserve {
                root: &path.root,
                claims: &claims,
                cost: asked.cost,
                weight: asked.weight,
                permits: asked.permits,
                expires_in: asked.expires_in,
                purpose: asked.purpose,
                now: asked.now,
            })
        };
        let verdict = answer.wait().await?;
        let standings = match &verdict {
            Verdict::Held(held) if held.hold == HoldId::NONE => &held.standings,
            Verdict::Held(held) => {
                if self.ids.has(held.hold) {
                    // One of a million millions; it ends by itself.
                    return Err(CounterError::Unavailable("two holds have one name".into()));
                }
                let until = sent
                    .saturating_add(asked.expires_in)
                    .saturating_add(self.leasing.grace);
                self.directs.put(held.hold, path.shard, until);
                &held.standings
            }
            Verdict::Refused(refused) => &refused.standings,
        };
        path.lock().learn(standings, sent);
        Ok((verdict, epoch))
    }

    fn remember(&self, path: &Path, asked: &Asked, verdict: &Verdict, epoch: u64) {
        if let Verdict::Refused(refused) = verdict {
            let need = path.need(asked.cost, asked.weight, asked.permits);
            let now = self.clock.monotonic();
            let denied = Denied::new(refused, need, epoch, now, self.leasing.denials);
            path.lock().denied = denied;
        }
    }

    pub(super) fn settle(
        self: &Arc<Self>,
        hold: HoldId,
        how: Settle,
        now: Moment,
    ) -> Answer<Settled> {
        match self.ids.place(hold) {
            Some(place) => Answer::Now(Ok(self.settle_here(place, how, now))),
            None => self.settle_there(hold, how, now),
        }
    }

    /// `now` only says where the budgets stand: no clock is asked.
    fn settle_here(self: &Arc<Self>, place: Place, how: Settle, now: Moment) -> Settled {
        let nothing = Settled {
            counted: false,
            held: 0,
            charged: 0,
            budgets: SmallVec::new(),
        };
        let Some(path) = self.table.at(place.shard, place.path) else {
            return nothing;
        };
        let mut state = path.lock();
        let Some(ended) = state.stock.settle(place.slot, place.serial, how) else {
            return nothing;
        };
        state.used = state.used.max(now.monotonic);
        let budgets = path.charged(&state, &ended, now);
        drop(state);
        if ended.freed {
            self.gave_back(path.shard);
        }
        match ended.finish {
            Some(finish) => drop(self.finish(&path, finish.into())),
            None => self.surplus(&path),
        }
        Settled {
            counted: true,
            held: ended.held,
            charged: ended.charged,
            budgets,
        }
    }

    fn settle_there(self: &Arc<Self>, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        let shard = self.directs.take(hold);
        match self.backing.settle(hold, how, now) {
            Answer::Now(result) => {
                self.gave_back_somewhere(shard);
                Answer::Now(result)
            }
            Answer::Later(answer) => {
                // Whoever settles in a destructor drops the answer; it is heard all the same.
                let shared = Arc::clone(self);
                let answer = self.runtime.spawn(async move {
                    let result = answer.await;
                    shared.gave_back_somewhere(shard);
                    result
                });
                Answer::Later(Box::pin(async move {
                    answer.await.unwrap_or_else(|_| Err(no_runtime()))
                }))
            }
        }
    }

    fn gave_back_somewhere(&self, shard: Option<u32>) {
        match shard {
            Some(shard) => self.gave_back(shard),
            None => (0..SHARDS).for_each(|shard| self.gave_back(shard)),
        }
    }

    pub(super) fn extend(
        self: &Arc<Self>,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        let monotonic = self.clock.monotonic();
        let Some(place) = self.ids.place(hold) else {
            let until = monotonic.saturating_add(expires_in);
            self.directs
                .renew(hold, until.saturating_add(self.leasing.grace));
            return self.backing.extend(hold, more, expires_in, now);
        };
        let Some(path) = self.table.at(place.shard, place.path) else {
            return Answer::Now(Ok(Extended::Gone));
        };
        let grow = move |state: &mut State, now: Duration| {
            let until = now.saturating_add(expires_in);
            state.stock.grow(place.slot, place.serial, more, until, now)
        };
        let grown = grow(&mut path.lock(), monotonic);
        match grown {
            Ok(held) => Answer::Now(Ok(Extended::Done { held })),
            Err(Stuck::Gone) => Answer::Now(Ok(Extended::Gone)),
            Err(Stuck::Short { lease, number }) => {
                let shared = Arc::clone(self);
                Answer::Later(Box::pin(async move {
                    let mut grown = Err(Stuck::Gone);
                    let now = shared.now()?;
                    // All of it, so that it is there whoever takes what was left meanwhile.
                    let then = |state: &mut State| grown = grow(state, now.monotonic);
                    match shared
                        .top_up(&path, (number, lease), more, now, then)
                        .await?
                    {
                        Extended::Done { .. } => Ok(match grown {
                            Ok(held) => Extended::Done { held },
                            Err(_) => Extended::Gone,
                        }),
                        other => Ok(other),
                    }
                }))
            }
        }
    }

    pub(super) fn expire(self: &Arc<Self>, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        let monotonic = self.clock.monotonic();
        for shard in 0..SHARDS {
            for path in self.table.paths(shard) {
                let mut state = path.lock();
                self.expire_path(&path, &mut state, monotonic);
            }
        }
        let mut expired = self.ended.take(at_most);
        let left = at_most.saturating_sub(expired.len());
        let answer = self.backing.expire(left, now);
        // What was taken out to be told is told, whether or not the store answers.
        let with = move |result: Result<Vec<Expired>, CounterError>| match result {
            Err(error) if expired.is_empty() => Err(error),
            more => {
                expired.extend(more.unwrap_or_default());
                Ok(expired)
            }
        };
        match answer {
            Answer::Now(result) => Answer::Now(with(result)),
            Answer::Later(answer) => Answer::Later(Box::pin(async move { with(answer.await) })),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn now(&self) -> Result<Moment, CounterError> {
        match Moment::of(&*self.clock) {
            Ok(now) => {
                self.wall.store(now.wall.as_micros(), Ordering::Relaxed);
                Ok(now)
            }
            Err(error) => Err(CounterError::Unavailable(error.to_string().into())),
        }
    }

    /// The time of what has to happen whether or not the wall clock can be read: the windows of a
    /// hold are those that admitted it.
    pub(super) fn settlement_moment(&self) -> Moment {
        let (wall, monotonic) = self.clock.read();
        let last = || Timestamp::from_micros(self.wall.load(Ordering::Relaxed));
        Moment {
            wall: wall.unwrap_or_else(|_| last()),
            monotonic,
        }
    }
}

impl Asked {
    const fn of(ask: &Reserve<'_>) -> Self {
        Self {
            cost: ask.cost,
            weight: ask.weight,
            permits: ask.permits,
            expires_in: ask.expires_in,
            purpose: ask.purpose,
            now: ask.now,
        }
    }
}

impl EndedHolds {
    pub(super) fn put(&self, expired: Expired) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= MAX_ENDED {
            ended.pop_front();
        }
        ended.push_back(expired);
    }

    fn take(&self, at_most: usize) -> Vec<Expired> {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let some = at_most.min(ended.len());
        ended.drain(..some).collect()
    }
}

impl Told {
    pub(super) fn tell(&self, root: &str, claims: &[Claim<'_>], settled: &Settled) {
        (self.0)(root, claims, settled);
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

pub(super) fn no_runtime() -> CounterError {
    CounterError::Unavailable("the runtime of the leases has ended".into())
}

/// How often a request waits for a fetch: a burst on a path that is quiet needs more than one.
const WAITS: u32 = 3;
const MAX_ENDED: usize = 4096;
