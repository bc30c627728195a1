//! Tasks that wait for a record.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use zt_core::state::RecordError;

#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
    /// Whether any ever failed.
    failed: AtomicBool,
}

/// A task that does not wait any more stays until its record is decided; so there are never more
/// than records in the queue.
#[derive(Debug, Default)]
struct State {
    /// By ticket, from `first` on.
    tasks: VecDeque<Option<Waker>>,
    first: u64,
    /// Tickets of records that never become durable, the latest ones.
    failed: VecDeque<(Range<u64>, RecordError)>,
    /// Of lower tickets it is not known any more whether they failed.
    forgotten: u64,
    /// Nothing that is not decided ever will be.
    ended: Option<RecordError>,
}

/// So many outages are remembered, for whoever asks late.
const MEMORY: usize = 64;

impl Waiters {
    pub(super) fn poll(
        &self,
        ticket: u64,
        settled: impl Fn() -> u64,
        waker: &Waker,
    ) -> Poll<Result<(), RecordError>> {
        if ticket < settled() {
            return Poll::Ready(self.decided(ticket));
        }
        let mut state = self.lock();
        // Again, since the writer looks for waiters after it has counted.
        if ticket < settled() {
            drop(state);
            return Poll::Ready(self.decided(ticket));
        }
        if let Some(ended) = &state.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        // Whoever cannot be woken only wants to know how things stand.
        let replaced = match waker.will_wake(Waker::noop()) {
            true => None,
            false => state.put(ticket, waker),
        };
        drop(state);
        // It may be the last to hold a task, and the task the last to hold the log.
        drop(replaced);
        Poll::Pending
    }

    fn decided(&self, ticket: u64) -> Result<(), RecordError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = self.lock();
        if let Some((_, error)) = state.failed.iter().find(|(some, _)| some.contains(&ticket)) {
            return Err(error.clone());
        }
        if ticket < state.forgotten {
            return Err(RecordError::Unavailable(
                "it was asked too late whether the record is durable".into(),
            ));
        }
        Ok(())
    }

    /// The records of these tickets never become durable. Said before they count as decided.
    pub(super) fn fail(&self, tickets: Range<u64>, why: &RecordError) {
        if tickets.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.failed.push_back((tickets, why.clone()));
        if state.failed.len() > MEMORY
            && let Some((oldest, _)) = state.failed.pop_front()
        {
            state.forgotten = oldest.end;
        }
        self.failed.store(true, Ordering::Release);
    }

    /// Wakes those whose tickets are below `settled`, outside of the lock.
    pub(super) fn wake(&self, settled: u64) {
        let due = {
            let mut state = self.lock();
            let due = settled.saturating_sub(state.first);
            let due = usize::try_from(due).unwrap_or(usize::MAX);
            let due = due.min(state.tasks.len());
            state.first = state.first.max(settled);
            state.tasks.drain(..due).flatten().collect::<Vec<_>>()
        };
        due.into_iter().for_each(Waker::wake);
    }

    pub(super) fn end(&self, why: &RecordError) {
        let due = {
            let mut state = self.lock();
            state.ended = Some(why.clone());
            std::mem::take(&mut state.tasks)
        };
        due.into_iter().flatten().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The task that waits for `ticket`, which is not decided; the one in whose place it comes.
    fn put(&mut self, ticket: u64, waker: &Waker) -> Option<Waker> {
        let place = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        if place >= self.tasks.len() {
            self.tasks.resize(place.saturating_add(1), None);
        }
        self.tasks.get_mut(place)?.replace(waker.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use super::*;

    /// Drops the last handle on something that takes the lock.
    struct Last(Arc<Waiters>, Arc<AtomicBool>);

    impl Wake for Last {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Last {
        fn drop(&mut self) {
            let free = self.0.state.try_lock().is_ok();
            self.1.store(free, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waker_that_another_takes_the_place_of_is_dropped_outside_of_the_lock() {
        let waiters = Arc::new(Waiters::default());
        let free = Arc::new(AtomicBool::new(false));
        let waker = Waker::from(Arc::new(Last(Arc::clone(&waiters), Arc::clone(&free))));
        assert!(waiters.poll(0, || 0, &waker).is_pending());
        drop(waker);
        let other = Waker::from(Arc::new(Last(Arc::clone(&waiters), Arc::default())));
        assert!(waiters.poll(0, || 0, &other).is_pending());
        assert!(free.load(Ordering::Relaxed));
        // Nor is one that is done.
        waiters.wake(1);
    }
}
