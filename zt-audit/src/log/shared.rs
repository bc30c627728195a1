//! What a log's handles, its writer and everything that waits share.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use zt_core::{
    clock::Clock,
    state::{Acknowledgement, Durable, DurableProgress, Event, Fanout, RecordError},
};

use super::{
    order::Order,
    outage::Refused,
    queue::{Entry, Queue, Rooms},
    waiters::Waiters,
};

pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// A copy of [`State::rest`], for whoever waits.
    resting: AtomicU8,
    /// How many events are decided: durable, or known never to be. Those with a lower ticket.
    settled: AtomicU64,
    durable: AtomicU64,
    waiters: Waiters,
    pub(super) fanout: Fanout,
    clock: Arc<dyn Clock>,
    batch_delay: Duration,
    /// So many entries wake a writer that dozes.
    heap: usize,
}

pub(super) struct State {
    pub(super) queue: Queue,
    /// Records of the log's own that somebody waits for.
    pub(super) orders: VecDeque<Order>,
    rest: Rest,
    /// When the oldest event in the queue was taken.
    queued_since: Option<Duration>,
    /// The same of those that the writer has and that are not durable.
    flushing_since: Option<Duration>,
    /// What was refused since the log cannot write.
    pub(super) outage: Option<Refused>,
    /// What ends the log for good; a log that was closed still writes what it took.
    ended: Option<RecordError>,
}

/// How the writer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Rest {
    /// It does not.
    Awake = 0,
    /// It looks again by itself soon; only what somebody waits for wakes it.
    Dozing = 1,
    /// It has to be woken.
    Asleep = 2,
}

/// Of `batch_delay`: how often the writer looks by itself.
const LOOKS: u32 = 4;
/// How long it goes on looking while nothing comes: so many times.
const PATIENCE: u32 = 256;

/// What the writer goes on with.
pub(super) enum Work<'a> {
    /// Something waits.
    Some(MutexGuard<'a, State>),
    /// Time to try whether the disk is well again.
    Heal,
    /// The log was closed and nothing waits.
    End,
}

impl Shared {
    pub(super) fn new(
        records: usize,
        bytes: usize,
        clock: Arc<dyn Clock>,
        batch_delay: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Queue::new(records, bytes),
                orders: VecDeque::new(),
                rest: Rest::Awake,
                queued_since: None,
                flushing_since: None,
                outage: None,
                ended: None,
            }),
            work: Condvar::new(),
            resting: AtomicU8::new(Rest::Awake as u8),
            settled: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            waiters: Waiters::default(),
            fanout: Fanout::default(),
            clock,
            batch_delay,
            heap: (records / 8).min(1024),
        }
    }

    pub(super) fn record(self: &Arc<Self>, event: Event) -> Durable {
        let how = acknowledgement(&event);
        let entry = Entry::new(event);
        let now = self.clock.monotonic();
        let mut state = self.state();
        let (result, refused) = match state.queue.admit(&entry) {
            Ok(ticket) => {
                state.queue.entries.push_back(entry);
                let oldest = *state.queued_since.get_or_insert(now);
                let oldest = state.flushing_since.unwrap_or(oldest);
                let behind = now.saturating_sub(oldest) > self.batch_delay;
                (Ok((ticket, behind)), None)
            }
            Err(error) => {
                if let Some(outage) = &mut state.outage {
                    outage.count(&entry.event);
                }
                // The last handle on a request's facts; it is let go outside of the lock.
                (Err(error), Some(entry))
            }
        };
        let heaped = state.queue.entries.len() >= self.heap;
        self.wake(
            state,
            how == Some(Acknowledgement::Sync) && result.is_ok() || heaped,
        );
        drop(refused);
        match (result, how) {
            (Err(error), _) => Durable::done(Err(error)),
            (Ok(_), Some(Acknowledgement::Async))
            | (Ok((_, false)), Some(Acknowledgement::Batched)) => Durable::done(Ok(())),
            (Ok((ticket, _)), _) => {
                Durable::waiting(Arc::clone(self) as Arc<dyn DurableProgress>, ticket)
            }
        }
    }

    /// Has the writer write a record of the log's own.
    pub(super) fn order(&self, order: Order) {
        let mut state = self.state();
        let refusal = state.ended.clone().or_else(|| state.queue.end.clone());
        match refusal {
            Some(refusal) => {
                drop(state);
                order.done(Err(refusal));
            }
            None => {
                state.orders.push_back(order);
                self.wake(state, true);
            }
        }
    }

    /// No more is taken; the writer writes what waits and ends.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.queue.end = Some(RecordError::Closed);
        state.ended.get_or_insert(RecordError::Closed);
        self.wake(state, true);
    }

    /// Why nothing more is taken, where that is so for good.
    pub(super) fn ended(&self) -> Option<RecordError> {
        self.state().ended.clone()
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the writer: waits while there is nothing to do; with `heal`, at most so long.
    pub(super) fn wait(&self, heal: Option<Duration>) -> Work<'_> {
        let mut state = self.state();
        let mut looks = 0;
        loop {
            if let Some(wait) = heal {
                // While the log cannot write it takes nothing.
                if state.ended.is_some() {
                    return Work::End;
                }
                let waited = self.work.wait_timeout(state, wait);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                return if state.ended.is_some() {
                    Work::End
                } else {
                    Work::Heal
                };
            }
            if state.has_work() {
                self.rest(&mut state, Rest::Awake);
                return Work::Some(state);
            }
            if state.ended.is_some() {
                return Work::End;
            }
            if looks < PATIENCE {
                looks += 1;
                self.rest(&mut state, Rest::Dozing);
                let doze = self.batch_delay / LOOKS;
                let waited = self.work.wait_timeout(state, doze);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                self.rest(&mut state, Rest::Asleep);
                let waited = self.work.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// For the writer: `count` events with `used` room are durable, and so is the count of `told`
    /// losses.
    pub(super) fn advance(&self, count: u64, used: &Rooms, told: u64, rest_of_it: bool) {
        self.durable.fetch_add(count, Ordering::Release);
        let settled = self.settled.fetch_add(count, Ordering::Release) + count;
        self.waiters.wake(settled);
        let mut state = self.state();
        state.queue.release(used, told);
        if !rest_of_it {
            state.flushing_since = None;
        }
    }

    /// For the writer: takes all that waits.
    pub(super) fn take(&self, state: &mut State, taken: &mut VecDeque<Entry>) {
        std::mem::swap(&mut state.queue.entries, taken);
        state.flushing_since = state.queued_since.take();
    }

    /// For the writer: it cannot write, `why` says why. What it has (`taken`) and what waits never
    /// becomes durable; from now on everything is refused and counted.
    pub(super) fn suspend(&self, why: &RecordError, mut taken: Vec<Entry>) {
        let orders = {
            let mut state = self.state();
            if state.ended.is_none() {
                state.queue.end = Some(why.clone());
            }
            taken.extend(std::mem::take(&mut state.queue.entries));
            state.queued_since = None;
            state.flushing_since = None;
            let mut used = Rooms::NONE;
            let outage = state.outage.get_or_insert_default();
            for entry in &taken {
                outage.count(&entry.event);
                outage.broken(acknowledgement(&entry.event));
                used.add(entry);
            }
            state.queue.release(&used, 0);
            std::mem::take(&mut state.orders)
        };
        let count = taken.len() as u64;
        let from = self.settled.load(Ordering::Acquire);
        self.waiters.fail(from..from.saturating_add(count), why);
        let settled = self.settled.fetch_add(count, Ordering::Release) + count;
        self.waiters.wake(settled);
        for order in orders {
            order.done(Err(why.clone()));
        }
        drop(taken);
    }

    /// For the writer: what was refused so far, to be told.
    pub(super) fn refused(&self) -> Refused {
        self.state().outage.clone().unwrap_or_default()
    }

    /// For the writer: it can write again, and `told` stands in a durable record; what was refused
    /// since then is answered, to be told next.
    pub(super) fn resume(&self, told: &Refused) -> Refused {
        let mut state = self.state();
        state.queue.end = state.ended.clone();
        let all = state.outage.take().unwrap_or_default();
        all.without(told)
    }

    /// For the writer: `told` stands in a durable record, and the log still cannot write.
    pub(super) fn told(&self, told: &Refused) {
        let mut state = self.state();
        if let Some(outage) = &mut state.outage {
            *outage = outage.without(told);
        }
    }

    /// For the writer: nothing is ever written again.
    pub(super) fn end(&self, why: &RecordError) {
        let orders = {
            let mut state = self.state();
            state.ended = Some(why.clone());
            state.queue.end = Some(why.clone());
            std::mem::take(&mut state.orders)
        };
        self.suspend(why, Vec::new());
        self.waiters.end(why);
        for order in orders {
            order.done(Err(why.clone()));
        }
    }

    /// Wakes the writer where it sleeps, or where it dozes and this is `urgent`. While it writes,
    /// handing over an event costs no system call.
    fn wake(&self, mut state: MutexGuard<'_, State>, urgent: bool) {
        let wake = match state.rest {
            Rest::Awake => false,
            Rest::Dozing => urgent,
            Rest::Asleep => true,
        };
        if wake {
            self.rest(&mut state, Rest::Awake);
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    fn rest(&self, state: &mut State, rest: Rest) {
        state.rest = rest;
        self.resting.store(rest as u8, Ordering::Relaxed);
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.queue.entries.is_empty() || !self.queue.rolled.is_empty() || !self.orders.is_empty()
    }

    /// Why the log takes no more, where that is so for good.
    pub(super) const fn ended(&self) -> Option<&RecordError> {
        self.ended.as_ref()
    }
}

impl DurableProgress for Shared {
    fn poll_durable(&self, ticket: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        let settled = || self.settled();
        let polled = self.waiters.poll(ticket, settled, task.waker());
        // Whoever waits does not wait for the writer to look by itself.
        if polled.is_pending() && self.resting.load(Ordering::Relaxed) != Rest::Awake as u8 {
            self.wake(self.state(), true);
        }
        polled
    }
}

/// What an effect waits for; `None` where nothing has to wait.
fn acknowledgement(event: &Event) -> Option<Acknowledgement> {
    match event {
        Event::Decision(event) => event.acknowledge,
        Event::Admin(_) | Event::Grant(_) | Event::Sanction(_) | Event::Config(_) => {
            Some(Acknowledgement::Sync)
        }
        _ => None,
    }
}
