//! What a log's handles, its writer and everything that waits share.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use zt_core::{
    clock::Clock,
    state::{Acknowledgement, Durable, DurableProgress, Event, Fanout, RecordError},
};

use super::{
    flood::{Admission, Flood, Rules},
    order::Order,
    outage::Refused,
    queue::{Entry, Lane, Queue, Rooms},
    waiters::Waiters,
};
use crate::record::RolledUp;

pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Copies of [`State::rest`] and [`State::urgent`], for whoever has not the lock.
    resting: AtomicU8,
    urgent: AtomicBool,
    /// How many events the writer took from the queue.
    taken: AtomicU64,
    /// How many events are decided: durable, or known never to be. Those with a lower ticket.
    settled: AtomicU64,
    durable: AtomicU64,
    waiters: Waiters,
    pub(super) fanout: Fanout,
    pub(super) flood: Flood,
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
    /// Somebody waits for something in the queue, or for room in it.
    urgent: bool,
    /// When the oldest event in the queue was taken.
    queued_since: Option<Duration>,
    /// The same of those that the writer has and that are not durable.
    flushing_since: Option<Duration>,
    /// The same of those that the writer took while a batch was flushed.
    ahead_since: Option<Duration>,
    /// The number of the last flush beside the writer that has ended.
    flushed: u64,
    /// What was refused since the log cannot write.
    pub(super) outage: Option<Refused>,
    /// The writer ended, and counts of what has no record stand nowhere.
    untold: bool,
    /// What ends the log for good; a log that was closed still writes what it took.
    ended: Option<RecordError>,
}

/// How the writer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Rest {
    /// It does not.
    Awake = 0,
    /// It looks again by itself soon; only what somebody waits for, or a heap, wakes it.
    Dozing = 1,
    /// It has to be woken.
    Asleep = 2,
    /// A batch is being flushed beside it; a [`GROUP`] of entries that somebody waits for wakes it.
    Flushing = 3,
}

/// So many entries are written into memory while the batch before is flushed.
pub(super) const GROUP: usize = 8;

/// Of `batch_delay`: how often the writer looks by itself.
const LOOKS: u32 = 4;
/// How long it goes on looking while nothing comes: so many times.
const PATIENCE: u32 = 256;

impl Shared {
    pub(super) fn new(
        records: usize,
        bytes: usize,
        clock: Arc<dyn Clock>,
        batch_delay: Duration,
        flood: Rules,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Queue::new(records, bytes),
                orders: VecDeque::new(),
                rest: Rest::Awake,
                urgent: false,
                queued_since: None,
                flushing_since: None,
                ahead_since: None,
                flushed: 0,
                outage: None,
                untold: false,
                ended: None,
            }),
            work: Condvar::new(),
            resting: AtomicU8::new(Rest::Awake as u8),
            urgent: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            waiters: Waiters::default(),
            fanout: Fanout::default(),
            flood: Flood::new(flood),
            clock,
            batch_delay,
            heap: (records / 8).min(1024),
        }
    }

    pub(super) fn record(self: &Arc<Self>, event: Event) -> Durable {
        let how = acknowledgement(&event);
        let lane = Lane::of(&event);
        if lane == Lane::Denial && self.flood.admit(&event) == Admission::Counted {
            // Not while the writer is awake: it looks by itself, and a storm that took the lock over
            // and over would keep it from looking. Should both miss each other, the keeper sees it.
            if self.flood.is_due() && self.sleeps() {
                self.wake(self.state(), true);
            }
            return Durable::done(Err(RecordError::Full));
        }
        let entry = Entry::new(event, lane);
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
        // Whoever hands over `Batched` and is behind waits too.
        let waits = match (how, &result) {
            (Some(Acknowledgement::Sync), Ok(_)) => true,
            (Some(Acknowledgement::Batched), Ok((_, behind))) => *behind,
            _ => false,
        };
        // What had no place may be told only by what the writer writes next; until then no permit has one.
        let hurries = waits || matches!(result, Err(RecordError::Full));
        if hurries {
            self.hurry(&mut state);
        }
        let heaped = state.queue.entries.len() >= self.heap;
        self.wake(state, hurries || heaped);
        if let (Err(RecordError::Full), Lane::Denial, Some(entry)) = (&result, lane, &refused) {
            self.flood.count(&entry.event);
        }
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
        if state.ended.is_none() {
            state.queue.end = Some(RecordError::Closed);
            state.ended = Some(RecordError::Closed);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Why something that was handed over may not be durable, where that is so.
    pub(super) fn broken(&self) -> Option<RecordError> {
        let state = self.state();
        let ended = state
            .ended
            .clone()
            .filter(|end| *end != RecordError::Closed);
        ended.or_else(|| {
            let refused = |outage: &Refused| !outage.is_empty();
            let untold = state.untold || state.outage.as_ref().is_some_and(refused);
            untold.then(|| {
                RecordError::Unavailable("records are missing, and no record says so".into())
            })
        })
    }

    /// For the writer, at its end: what it counted could not be written.
    pub(super) fn leave_untold(&self) {
        self.state().untold = true;
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

    /// For the writer: waits while there is nothing to do; `None` when there never will be. What
    /// nobody waits for is left to gather for a moment: a flush costs as much for one as for many.
    pub(super) fn wait(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state();
        let mut looks = 0;
        let mut gathered = false;
        loop {
            let has_work = state.has_work();
            let heaped = state.queue.entries.len() >= self.heap;
            let now = gathered || heaped || state.is_urgent();
            if has_work && now || self.flood.is_due() {
                self.rest(&mut state, Rest::Awake);
                return Some(state);
            }
            if state.ended.is_some() {
                return None;
            }
            if has_work || looks < PATIENCE {
                looks += 1;
                self.rest(&mut state, Rest::Dozing);
                let doze = self.batch_delay / LOOKS;
                let waited = self.work.wait_timeout(state, doze);
                let (next, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                state = next;
                // What came while it dozed has had its time.
                gathered = waited.timed_out();
            } else {
                self.rest(&mut state, Rest::Asleep);
                let waited = self.work.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// For the thread that flushes: flush `number` is over.
    pub(super) fn flushed(&self, number: u64) {
        let mut state = self.state();
        state.flushed = number;
        let waits = state.rest == Rest::Flushing;
        drop(state);
        if waits {
            self.work.notify_one();
        }
    }

    /// For the writer, while flush `number` is under way: waits for events to go on with; `None`
    /// when it is over.
    pub(super) fn beside(&self, number: u64) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state();
        loop {
            let flushed = state.flushed == number;
            if flushed || state.has_group() {
                self.rest(&mut state, Rest::Awake);
                return (!flushed).then_some(state);
            }
            self.rest(&mut state, Rest::Flushing);
            let waited = self.work.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the writer: what has no record of its own and is to be told now.
    pub(super) fn take_rolled_up(&self, state: &mut State, all: &mut VecDeque<RolledUp>) {
        if self.flood.is_due() {
            all.extend(self.flood.take());
        }
        if !state.queue.lost.is_empty() {
            all.push_back(std::mem::take(&mut state.queue.lost));
        }
    }

    /// Has what was counted of refusals written, where its time has come.
    pub(super) fn sweep(&self, now: Duration) {
        if self.flood.sweep(now) {
            self.wake(self.state(), true);
        }
    }

    /// For a writer that cannot write: waits so long, or until the log is closed.
    pub(super) fn pause(&self, span: Duration) -> ControlFlow<()> {
        let open = |state: &mut State| state.ended.is_none();
        let waited = self.work.wait_timeout_while(self.state(), span, open);
        match waited.unwrap_or_else(PoisonError::into_inner).0.ended {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// For the writer: `count` events with `used` room are durable, and so is the count of `told`
    /// losses. Whoever waits is woken by [`wake_settled`](Self::wake_settled).
    pub(super) fn advance(&self, count: u64, used: &Rooms, told: u64, rest_of_it: bool) {
        self.durable.fetch_add(count, Ordering::Release);
        self.settled.fetch_add(count, Ordering::Release);
        let mut state = self.state();
        state.queue.release(used, told);
        let ahead = state.ahead_since.take();
        if !rest_of_it {
            state.flushing_since = None;
        } else if ahead.is_some() {
            state.flushing_since = ahead;
        }
    }

    /// For the writer: wakes whoever waits for what is decided.
    pub(super) fn wake_settled(&self) {
        self.waiters.wake(self.settled());
    }

    /// For the writer: it cannot write, `why` says why. What it has (`taken`) and what waits never
    /// becomes durable; from now on everything is refused and counted.
    /// What is `untold` of an earlier time is told with it.
    pub(super) fn suspend(
        &self,
        why: &RecordError,
        mut taken: Vec<Entry>,
        untold: Option<Refused>,
    ) {
        let orders = {
            let mut state = self.state();
            if state.ended.is_none() {
                state.queue.end = Some(why.clone());
            }
            taken.extend(std::mem::take(&mut state.queue.entries));
            self.took(&mut state);
            state.queued_since = None;
            state.flushing_since = None;
            state.ahead_since = None;
            let mut used = Rooms::NONE;
            let outage = state.outage.get_or_insert_default();
            if let Some(untold) = untold {
                outage.add(&untold);
            }
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
        // Nobody will ask for them any more.
        drop(self.flood.end());
        self.suspend(why, Vec::new(), None);
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
            Rest::Flushing => state.has_group(),
        };
        if wake {
            self.rest(&mut state, Rest::Awake);
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Nothing in the queue is left to gather.
    fn hurry(&self, state: &mut State) {
        state.urgent = true;
        self.urgent.store(true, Ordering::Release);
    }

    /// For the writer: it has everything that was in the queue.
    fn took(&self, state: &mut State) {
        state.urgent = false;
        self.urgent.store(false, Ordering::Release);
        self.taken.store(state.queue.tickets(), Ordering::Release);
    }

    /// For the writer: all events that wait.
    pub(super) fn take(&self, state: &mut State, taken: &mut VecDeque<Entry>) {
        std::mem::swap(&mut state.queue.entries, taken);
        self.took(state);
        let queued = state.queued_since.take();
        state.flushing_since = state.flushing_since.or(queued);
    }

    /// The same while a batch is flushed.
    pub(super) fn take_ahead(&self, state: &mut State, taken: &mut VecDeque<Entry>) {
        std::mem::swap(&mut state.queue.entries, taken);
        self.took(state);
        let queued = state.queued_since.take();
        state.ahead_since = state.ahead_since.or(queued);
    }

    fn sleeps(&self) -> bool {
        let resting = self.resting.load(Ordering::Relaxed);
        resting == Rest::Dozing as u8 || resting == Rest::Asleep as u8
    }

    fn rest(&self, state: &mut State, rest: Rest) {
        state.rest = rest;
        self.resting.store(rest as u8, Ordering::Relaxed);
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.queue.entries.is_empty() || !self.queue.lost.is_empty() || !self.orders.is_empty()
    }

    fn is_urgent(&self) -> bool {
        self.urgent || !self.orders.is_empty() || self.ended.is_some()
    }

    /// Whether the next batch is worth beginning while another is flushed.
    fn has_group(&self) -> bool {
        self.urgent && self.queue.entries.len() >= GROUP
    }
}

impl DurableProgress for Shared {
    fn poll_durable(&self, ticket: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        let settled = || self.settled();
        let polled = self.waiters.poll(ticket, settled, task.waker());
        // Whoever waits does not wait for what nobody waits for to gather. Most were in a hurry when
        // they handed over, and need no lock here.
        let hurries = self.urgent.load(Ordering::Acquire);
        if polled.is_pending() && !hurries && ticket >= self.taken.load(Ordering::Acquire) {
            let mut state = self.state();
            if !state.queue.entries.is_empty() {
                self.hurry(&mut state);
            }
            self.wake(state, true);
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
