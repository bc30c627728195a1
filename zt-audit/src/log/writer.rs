//! The thread that writes.

use std::{collections::VecDeque, io, sync::Arc};

use zt_core::{
    clock::{Clock, Timestamp},
    state::Event,
};

use super::{
    queue::{Entry, Rooms},
    shared::Shared,
    sink::{Sink, commit},
};
use crate::record::{Chain, MAX_RECORD, RolledUp};

/// Most events of a batch.
const BATCH: usize = 1024;
/// Most bytes of a batch.
const BATCH_BYTES: usize = 1 << 20;

/// Takes what waits, writes it at once, makes it durable, says so, and begins again.
///
/// There is no timer: the next batch gathers while this one is flushed. It sleeps as soon as
/// nothing waits, rather than look again for a while: under load it is in a flush, and not asleep,
/// so that handing over costs no system call; without load the one who wakes it pays a few
/// microseconds beside a flush of some hundred, and the processor is left to the handlers.
pub(super) struct Writer {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    chain: Chain,
    clock: Arc<dyn Clock>,
    /// Events taken from the queue and not yet written.
    taken: VecDeque<Entry>,
    /// Events of this batch.
    batch: Vec<Event>,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        sink: Box<dyn Sink>,
        chain: Chain,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared,
            sink,
            chain,
            clock,
            taken: VecDeque::with_capacity(BATCH),
            batch: Vec::with_capacity(BATCH),
            bytes: Vec::with_capacity(BATCH_BYTES),
        }
    }

    /// Until the log is closed or cannot be written.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.shared));
        while let Some(rolled) = self.take() {
            if let Err(error) = self.write(&rolled) {
                self.shared.fail("writing failed", &error);
                break;
            }
        }
    }

    /// What had no place in the queue, once there is anything to write; `None` at the end.
    fn take(&mut self) -> Option<RolledUp> {
        let mut queue = if self.taken.is_empty() {
            let mut queue = self.shared.wait()?;
            std::mem::swap(&mut queue.entries, &mut self.taken);
            queue
        } else {
            self.shared.queue()
        };
        Some(std::mem::take(&mut queue.rolled))
    }

    fn write(&mut self, rolled: &RolledUp) -> io::Result<()> {
        let mut used = Rooms::NONE;
        while self.batch.len() < BATCH && self.bytes.len() < BATCH_BYTES - MAX_RECORD {
            let Some(entry) = self.taken.pop_front() else {
                break;
            };
            self.chain
                .append_event(&mut self.bytes, &entry.event)
                .map_err(sealing)?;
            used.add(&entry);
            self.batch.push(entry.event);
        }
        if !rolled.is_empty() {
            let now = now(&*self.clock);
            self.chain
                .append_rolled_up(&mut self.bytes, now, rolled)
                .map_err(sealing)?;
        }
        commit(&mut *self.sink, &self.bytes)?;
        self.bytes.clear();
        self.shared
            .advance(self.batch.len() as u64, &used, rolled.lost());
        if !self.shared.fanout.is_empty() {
            for event in &self.batch {
                self.shared.fanout.publish(event);
            }
        }
        self.batch.clear();
        Ok(())
    }
}

pub(super) fn sealing(error: crate::seal::VaultError) -> io::Error {
    io::Error::other(error)
}

/// The time for a record of the log's own; the epoch where the clock cannot say. Such a record
/// must not be missing because of that.
pub(super) fn now(clock: &dyn Clock) -> Timestamp {
    clock.now().unwrap_or(Timestamp::EPOCH)
}

/// Lets nobody wait for a writer that is gone.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .fail("the writer stopped", &io::Error::other("it panicked"));
        }
    }
}
