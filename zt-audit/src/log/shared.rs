//! What a log's handles, its writer and everything that waits share.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use zt_core::state::{Durable, DurableProgress, Event, Fanout, RecordError};

use super::{
    flood::{Admission, Flood, Rules},
    queue::{Entry, Lane, Queue, Rooms},
};
use crate::record::RolledUp;

pub(super) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    /// How many events are durable: those with a lower ticket.
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    pub(super) fanout: Fanout,
    pub(super) flood: Flood,
}

/// Tasks that wait for a record, by ticket. One that nobody waits for any more stays until its
/// record is durable; so there are never more than records in the queue.
#[derive(Default)]
struct Waiters {
    tasks: BTreeMap<u64, Waker>,
    failed: Option<RecordError>,
}

impl Shared {
    pub(super) fn new(records: usize, bytes: usize, flood: Rules) -> Self {
        Self {
            queue: Mutex::new(Queue::new(records, bytes)),
            work: Condvar::new(),
            durable: AtomicU64::new(0),
            waiters: Mutex::default(),
            fanout: Fanout::default(),
            flood: Flood::new(flood),
        }
    }

    pub(super) fn record(self: &Arc<Self>, event: Event) -> Durable {
        let lane = Lane::of(&event);
        if lane == Lane::Denial && self.flood.admit(&event) == Admission::Counted {
            if self.flood.is_due() {
                self.wake(self.queue());
            }
            return Durable::done(Err(RecordError::Full));
        }
        let entry = Entry::new(event, lane);
        let mut queue = self.queue();
        let (ticket, refused) = match queue.admit(&entry) {
            Ok(ticket) => {
                queue.entries.push_back(entry);
                (Ok(ticket), None)
            }
            // The last handle on a request's facts; it is let go outside of the lock.
            Err(error) => (Err(error), Some(entry)),
        };
        self.wake(queue);
        if let (Err(RecordError::Full), Some(entry)) = (&ticket, &refused)
            && lane == Lane::Denial
        {
            self.flood.count(&entry.event);
        }
        drop(refused);
        match ticket {
            Ok(ticket) => Durable::waiting(Arc::clone(self) as Arc<dyn DurableProgress>, ticket),
            Err(error) => Durable::done(Err(error)),
        }
    }

    /// No more is taken; the writer writes what waits and ends.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.end.get_or_insert(RecordError::Closed);
        self.wake(queue);
    }

    /// Why nothing more can be written, where that is so.
    pub(super) fn failure(&self) -> Option<RecordError> {
        self.waiters().failed.clone()
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the writer: waits while there is nothing to do; `None` when there never will be.
    pub(super) fn wait(&self) -> Option<MutexGuard<'_, Queue>> {
        let mut queue = self.queue();
        while queue.entries.is_empty() && queue.lost.is_empty() && !self.flood.is_due() {
            if queue.end.is_some() {
                return None;
            }
            queue.sleeping = true;
            queue = self
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.sleeping = false;
        }
        Some(queue)
    }

    /// For the writer: what has no record of its own and is to be told now.
    pub(super) fn take_rolled_up(&self, queue: &mut Queue) -> Vec<RolledUp> {
        let mut all = if self.flood.is_due() {
            self.flood.take()
        } else {
            Vec::new()
        };
        if !queue.lost.is_empty() {
            all.push(std::mem::take(&mut queue.lost));
        }
        all
    }

    /// Has what was counted of refusals written, where its time has come.
    pub(super) fn sweep(&self, now: Duration) {
        if self.flood.sweep(now) {
            self.wake(self.queue());
        }
    }

    /// For the writer: `count` events with `used` room are durable, and so is the count of `told`
    /// losses.
    pub(super) fn advance(&self, count: u64, used: &Rooms, told: u64) {
        let durable = self.durable.fetch_add(count, Ordering::Release) + count;
        let due = {
            let mut waiters = self.waiters();
            let later = waiters.tasks.split_off(&durable);
            std::mem::replace(&mut waiters.tasks, later)
        };
        due.into_values().for_each(Waker::wake);
        self.queue().release(used, told);
    }

    /// For the writer: nothing that is not durable ever will be.
    pub(super) fn fail(&self, action: &str, error: &io::Error) {
        let failure = RecordError::Unavailable(format!("{action}: {error}").into());
        tracing::error!(%failure, "the audit log refuses from now on");
        let due = {
            let mut waiters = self.waiters();
            waiters.failed = Some(failure.clone());
            std::mem::take(&mut waiters.tasks)
        };
        let dropped = {
            let mut queue = self.queue();
            queue.end = Some(failure);
            // Nobody will ask for them any more.
            drop(self.flood.end());
            std::mem::take(&mut queue.entries)
        };
        due.into_values().for_each(Waker::wake);
        drop(dropped);
    }

    /// Wakes the writer where it sleeps. While it writes, handing over an event costs no system
    /// call.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let sleeping = std::mem::take(&mut queue.sleeping);
        drop(queue);
        if sleeping {
            self.work.notify_one();
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DurableProgress for Shared {
    fn poll_durable(&self, ticket: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        if ticket < self.durable() {
            return Poll::Ready(Ok(()));
        }
        let mut waiters = self.waiters();
        // Again, since the writer looks for waiters after it has counted.
        if ticket < self.durable() {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = &waiters.failed {
            return Poll::Ready(Err(failure.clone()));
        }
        // Whoever cannot be woken only wants to know how things stand.
        if !task.waker().will_wake(Waker::noop()) {
            waiters.tasks.insert(ticket, task.waker().clone());
        }
        Poll::Pending
    }
}
