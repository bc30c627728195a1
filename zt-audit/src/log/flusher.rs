//! The thread that flushes, while the writer makes the next batch.
//!
//! There is never more than one batch under way, and the writer knows how it ended before it hands
//! over the next: so order and failures are the same as if it flushed by itself.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{
    segment::{Broken, Segment},
    shared::Shared,
};

pub(super) struct Flusher {
    post: Arc<Post>,
    /// Of the flush that was begun last.
    number: u64,
    thread: Option<JoinHandle<()>>,
}

struct Post {
    state: Mutex<State>,
    changed: Condvar,
    /// The number of the last flush that has ended.
    done: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    answer: Option<Result<Flushed, Box<dyn Any + Send>>>,
    /// The writer has nothing else to do.
    waits: bool,
    ended: bool,
}

struct Job {
    number: u64,
    segment: Segment,
    bytes: Vec<u8>,
    last: bool,
}

/// What became of a batch, with what was handed over.
pub(super) struct Flushed {
    pub(super) segment: Segment,
    pub(super) bytes: Vec<u8>,
    pub(super) result: Result<bool, Broken>,
}

impl Flusher {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let post = Arc::new(Post {
            state: Mutex::default(),
            changed: Condvar::new(),
            done: AtomicU64::new(0),
            shared: Arc::clone(shared),
        });
        let worker = Arc::clone(&post);
        let thread = thread::Builder::new()
            .name("zt-audit-flush".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            post,
            number: 0,
            thread: Some(thread),
        })
    }

    /// Makes `bytes` durable in `segment`; [`finish`](Self::finish) has to be called before the
    /// next.
    pub(super) fn begin(&mut self, segment: Segment, bytes: Vec<u8>, last: bool) {
        self.number += 1;
        self.post.lock().job = Some(Job {
            number: self.number,
            segment,
            bytes,
            last,
        });
        self.post.changed.notify_all();
    }

    pub(super) fn is_done(&self) -> bool {
        self.post.done.load(Ordering::Acquire) == self.number
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Waits for what was begun. Panics where the storage did.
    pub(super) fn finish(&self) -> Flushed {
        let mut state = self.post.lock();
        loop {
            match state.answer.take() {
                Some(Ok(flushed)) => return flushed,
                Some(Err(panic)) => {
                    drop(state);
                    resume_unwind(panic)
                }
                None => {
                    state.waits = true;
                    let waited = self.post.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.post.lock().ended = true;
        self.post.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It answers a panic as it answers everything else.
            let _ = thread.join();
        }
    }
}

impl Post {
    fn run(&self) {
        while let Some(job) = self.next() {
            let number = job.number;
            let answer = catch_unwind(AssertUnwindSafe(|| {
                let mut segment = job.segment;
                let result = segment.commit(&job.bytes, job.last);
                Flushed {
                    segment,
                    bytes: job.bytes,
                    result,
                }
            }));
            let waits = {
                let mut state = self.lock();
                state.answer = Some(answer);
                std::mem::take(&mut state.waits)
            };
            self.done.store(number, Ordering::Release);
            if waits {
                self.changed.notify_all();
            }
            self.shared.flushed(number);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.job.take() {
                return Some(job);
            }
            if state.ended {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
