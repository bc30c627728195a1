//! Settlements leave the request's path at once and are carried out here, in batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::Cmd;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};
use zt_core::clock::Clock;

use super::link::{Failure, Link};
use crate::counter::CounterError;

type Reply = Result<Vec<String>, CounterError>;

/// A settlement that waits.
#[derive(Debug)]
struct Job {
    call: Cmd,
    until: Duration,
    reply: Option<oneshot::Sender<Reply>>,
}

/// Where settlements wait.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<watch::Sender<usize>>,
    dropped: AtomicU64,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl Queue {
    /// Carries out what comes on `runtime`; each is tried for `patience`.
    pub(super) fn start(
        link: Arc<Link>,
        clock: Arc<dyn Clock>,
        size: usize,
        patience: Duration,
        runtime: &Handle,
    ) -> Self {
        let (jobs, coming) = mpsc::channel(size);
        let waiting = Arc::new(watch::Sender::new(0));
        let worker = Worker {
            link,
            clock: Arc::clone(&clock),
            waiting: Arc::clone(&waiting),
        };
        runtime.spawn(worker.run(coming));
        Self {
            jobs,
            waiting,
            dropped: AtomicU64::new(0),
            clock,
            patience,
        }
    }

    /// Takes a call down; what it answered comes later. `None` where there is no place.
    pub(super) fn put(&self, call: Cmd) -> Option<oneshot::Receiver<Reply>> {
        let (reply, answer) = oneshot::channel();
        self.push(call, Some(reply)).then_some(answer)
    }

    /// Takes a call down that nobody waits for.
    pub(super) fn put_silently(&self, call: Cmd) {
        self.push(call, None);
    }

    fn push(&self, call: Cmd, reply: Option<oneshot::Sender<Reply>>) -> bool {
        let until = self.clock.monotonic().saturating_add(self.patience);
        self.waiting.send_modify(|waiting| *waiting += 1);
        let job = Job { call, until, reply };
        let taken = self.jobs.try_send(job).is_ok();
        if !taken {
            done(&self.waiting, 1);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// How many found no place.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Ready when none waits.
    pub(super) async fn drained(&self) {
        // The sender lives as long as this.
        let _ = self
            .waiting
            .subscribe()
            .wait_for(|waiting| *waiting == 0)
            .await;
    }
}

struct Worker {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Worker {
    async fn run(self, mut coming: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        while coming.recv_many(&mut batch, BATCH).await > 0 {
            let mut pause = FIRST_PAUSE;
            loop {
                self.settle(&mut batch).await;
                if batch.is_empty() {
                    break;
                }
                self.clock.sleep(pause).await;
                pause = LAST_PAUSE.min(pause * 2);
            }
        }
    }

    /// Tries all of `batch` once; what has to be tried again stays in it.
    async fn settle(&self, batch: &mut Vec<Job>) {
        let mut calls = redis::pipe();
        for job in &*batch {
            calls.add_command(job.call.clone());
        }
        calls.ignore_errors();
        let mut answers = match self.link.ask_all(&calls).await {
            Ok(answers) => answers.into_iter(),
            Err(failure) => vec![Err(failure); batch.len()].into_iter(),
        };
        let now = self.clock.monotonic();
        let before = batch.len();
        let mut again = Vec::new();
        for job in batch.drain(..) {
            let missing = || Err(Failure::Unknown("no answer".into()));
            let answer = answers.next().unwrap_or_else(missing);
            match answer {
                // A server that is loading, or no longer the first one, may answer later.
                Err(Failure::NotSent(_) | Failure::Unknown(_) | Failure::Busy(_))
                    if now < job.until =>
                {
                    again.push(job);
                }
                answer => {
                    if let Some(reply) = job.reply {
                        let _ = reply.send(answer.map_err(CounterError::from));
                    }
                }
            }
        }
        done(&self.waiting, before - again.len());
        *batch = again;
    }
}

fn done(waiting: &watch::Sender<usize>, count: usize) {
    waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(count));
}

/// So many in one trip.
const BATCH: usize = 128;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);
