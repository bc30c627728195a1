//! The thread that writes.

use std::{collections::VecDeque, io, mem, ops::ControlFlow, sync::Arc, time::Duration};

use zt_core::{clock::Timestamp, state::RecordError};

use super::{
    core::Core,
    order::Order,
    outage::Refused,
    queue::{Entry, Rooms},
    segment::{Broken, Segment},
    shared::Work,
};
use crate::{
    format::{MAX_RECORD, name, write_commit},
    merkle::{Frontier, Hash},
    record::{Chain, Gap, Recovered, RolledUp},
    seal::VaultError,
};

/// Most records of a batch.
const BATCH: u64 = 1024;
/// Most bytes of a batch.
const BATCH_BYTES: usize = 1 << 20;
/// Segments end at a multiple of it, where nothing goes wrong.
const ALIGNED: u64 = 256;
/// After how long it is tried again whether the disk is well, at first and at most.
const FIRST_TRY: Duration = Duration::from_millis(50);
const LAST_TRY: Duration = Duration::from_secs(5);

/// Takes what waits, writes it at once, makes it durable, says so, and begins again; see the
/// [module](super).
pub(super) struct Writer {
    core: Arc<Core>,
    segment: Option<Segment>,
    chain: Chain,
    /// The tree over what is durable, and the leaf hash of the last record in it.
    durable: Frontier,
    last: Hash,
    /// The same with the batch.
    tree: Frontier,
    root: Hash,
    leaves: Vec<Hash>,
    bytes: Vec<u8>,
    /// Events taken from the queue and not yet in a batch.
    taken: VecDeque<Entry>,
    /// Events of this batch, kept until they are durable.
    batch: Vec<Entry>,
    rolled: RolledUp,
    orders: VecDeque<Order>,
    /// How many of them are in this batch.
    ordered: usize,
    /// Records that come before everything else.
    given_up: Option<GivenUp>,
    gap: Option<Missing>,
    halted: Option<Halt>,
}

/// A segment that could not be written any more.
struct GivenUp {
    file: String,
    why: String,
    bytes: u64,
    records: u64,
}

/// Events that never got a record.
struct Missing {
    events: Refused,
    reason: &'static str,
    since: Timestamp,
}

/// The log cannot write.
struct Halt {
    reason: &'static str,
    since: Timestamp,
    next_try: Duration,
}

/// Why a batch is not durable.
enum Failure {
    Broken(Broken),
    /// A personal field could not be sealed, or its key is not durable.
    Sealing(String),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::Sealing(error.to_string())
    }
}

impl Writer {
    /// Goes on in `segment`, behind the tree `durable` whose last leaf is `last`.
    pub(super) fn new(core: Arc<Core>, segment: Segment, durable: Frontier, last: Hash) -> Self {
        let vault = core.vault.clone();
        let chain = Chain::new(Arc::clone(&core.origin), durable.size(), last, vault);
        Self {
            core,
            segment: Some(segment),
            chain,
            tree: durable.clone(),
            root: Hash::EMPTY_TREE,
            durable,
            last,
            leaves: Vec::with_capacity(1024),
            bytes: Vec::with_capacity(BATCH_BYTES),
            taken: VecDeque::with_capacity(1024),
            batch: Vec::with_capacity(1024),
            rolled: RolledUp::default(),
            orders: VecDeque::new(),
            ordered: 0,
            given_up: None,
            gap: None,
            halted: None,
        }
    }

    /// Until the log is closed, or its evidence is gone.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.core));
        while self.turn().is_continue() {}
        if self.halted.is_some() {
            // What was refused should be told, where that can be.
            let _ = self.heal();
        }
        if let Some(Err(error)) = self.segment.take().map(Segment::finish) {
            tracing::warn!(%error, "the audit log's last segment keeps its zeros");
        }
    }

    fn turn(&mut self) -> ControlFlow<()> {
        let core = Arc::clone(&self.core);
        let mut state = if self.taken.is_empty() && self.orders.is_empty() && self.gap.is_none() {
            match core.shared.wait(self.halted.as_ref().map(|halt| halt.next_try)) {
                Work::Some(state) => state,
                Work::Heal => return self.heal(),
                Work::End => return ControlFlow::Break(()),
            }
        } else {
            core.shared.state()
        };
        if self.taken.is_empty() {
            core.shared.take(&mut state, &mut self.taken);
        }
        self.orders.append(&mut state.orders);
        if self.rolled.is_empty() {
            self.rolled = mem::take(&mut state.queue.rolled);
        }
        drop(state);
        self.write()
    }

    /// Writes a batch, into another segment where this one fails.
    fn write(&mut self) -> ControlFlow<()> {
        let mut result = self.attempt(false);
        if let Err(Failure::Broken(Broken::Disk(error))) = &result {
            self.give_up(error);
            result = self.attempt(false);
        }
        match result {
            Ok(zeros) => {
                self.accept(zeros);
                ControlFlow::Continue(())
            }
            Err(Failure::Broken(Broken::Evidence(tampered))) => {
                self.end(&format!("{} {tampered}", self.file()));
                ControlFlow::Break(())
            }
            Err(Failure::Broken(Broken::Full(error))) => {
                self.halt("no-space", &error.to_string());
                self.say_it_last();
                ControlFlow::Continue(())
            }
            Err(Failure::Broken(Broken::Disk(error))) => {
                self.give_up(&error);
                self.halt("write-error", &error.to_string());
                ControlFlow::Continue(())
            }
            Err(Failure::Sealing(error)) => {
                self.halt("sealing", &error);
                ControlFlow::Continue(())
            }
        }
    }

    /// One batch into the live segment, or into a new one where there is none. Whether zeros are
    /// wanted ahead.
    fn attempt(&mut self, last: bool) -> Result<bool, Failure> {
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let (storage, ground) = (&*self.core.storage, &self.core.ground);
                Segment::create(storage, ground, self.durable.size())?
            }
        };
        let full = segment.end() >= self.core.segment_bytes;
        let segment = self.segment.insert(segment);
        let records = if full {
            ALIGNED - self.durable.size() % ALIGNED
        } else {
            BATCH
        };
        // The borrow of the segment ends here; it is taken up again below.
        let _ = segment;
        self.compose(records)?;
        match &mut self.segment {
            Some(segment) => Ok(segment.commit(&self.bytes, last)?),
            None => Ok(false),
        }
    }

    /// Writes into memory what comes next: at most so many `records`, and a commit line.
    fn compose(&mut self, records: u64) -> Result<(), Failure> {
        let now = self.core.now();
        let most = self.durable.size().saturating_add(records);
        self.bytes.clear();
        self.leaves.clear();
        self.tree = self.durable.clone();
        if self.chain.next() != self.durable.size() || self.chain.prev() != self.last {
            let (origin, vault) = (Arc::clone(&self.core.origin), self.core.vault.clone());
            self.chain = Chain::new(origin, self.durable.size(), self.last, vault);
        }
        if let Some(given_up) = &self.given_up {
            let leaf = given_up.append(&mut self.chain, &mut self.bytes, now)?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
        }
        if let Some(gap) = &self.gap {
            let leaf = gap.append(&mut self.chain, &mut self.bytes, now)?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
        }
        if !self.rolled.is_empty() {
            let chain = &mut self.chain;
            let leaf = chain.append_rolled_up(&mut self.bytes, now, &self.rolled)?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
        }
        self.ordered = 0;
        for order in &mut self.orders {
            if self.chain.next() >= most {
                break;
            }
            let index = self.chain.next();
            let leaf = order.append(&mut self.chain, &mut self.bytes, index, now)?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
            self.ordered += 1;
        }
        for entry in &self.batch {
            let leaf = self.chain.append_event(&mut self.bytes, &entry.event)?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
        }
        while self.chain.next() < most && self.bytes.len() < BATCH_BYTES - MAX_RECORD {
            let Some(entry) = self.taken.pop_front() else {
                break;
            };
            let leaf = self.chain.append_event(&mut self.bytes, &entry.event);
            self.batch.push(entry);
            let leaf = leaf?;
            self.tree.append(leaf);
            self.leaves.push(leaf);
        }
        if let Some(vault) = &self.core.vault {
            let keys = vault.commit();
            keys.map_err(|error| Failure::Sealing(error.to_string()))?;
        }
        self.root = self.tree.root();
        write_commit(&mut self.bytes, self.tree.size(), &self.root);
        Ok(())
    }

    /// The batch is durable.
    fn accept(&mut self, zeros: bool) {
        mem::swap(&mut self.durable, &mut self.tree);
        self.last = self.chain.prev();
        self.given_up = None;
        self.gap = None;
        let told = mem::take(&mut self.rolled).lost();
        self.core
            .news
            .publish(self.durable.size(), self.root, &self.leaves, zeros);

        let mut used = Rooms::NONE;
        for entry in &self.batch {
            used.add(entry);
        }
        let count = self.batch.len() as u64;
        let shared = &self.core.shared;
        shared.advance(count, &used, told, !self.taken.is_empty());
        for order in self.orders.drain(..self.ordered) {
            order.done(Ok(()));
        }
        if !shared.fanout.is_empty() {
            for entry in &self.batch {
                shared.fanout.publish(&entry.event);
            }
        }
        self.batch.clear();
        self.roll();
    }

    /// Begins the next segment where this one is full and its end is aligned.
    fn roll(&mut self) {
        let full = |segment: &Segment| segment.end() >= self.core.segment_bytes;
        if !self.segment.as_ref().is_some_and(full) || self.durable.size() % ALIGNED != 0 {
            return;
        }
        // Everything in it is durable; what fails here fails again with the next batch, and is
        // answered then.
        if let Some(Err(error)) = self.segment.take().map(Segment::finish) {
            tracing::warn!(%error, "a segment of the audit log keeps its zeros");
        }
        let (storage, ground) = (&*self.core.storage, &self.core.ground);
        self.segment = Segment::create(storage, ground, self.durable.size()).ok();
        self.core.news.rolled();
    }

    /// The segment is never touched again: what a failed write or flush left in it cannot be known.
    fn give_up(&mut self, error: &io::Error) {
        self.core.ground.leave();
        let Some(segment) = self.segment.take() else {
            return;
        };
        let file = name::segment(segment.first());
        tracing::error!(%error, %file, "a segment of the audit log is given up");
        self.core.faults.count_given_up();
        self.given_up.get_or_insert(GivenUp {
            file,
            why: error.to_string(),
            bytes: self.bytes.len() as u64,
            records: self.leaves.len() as u64,
        });
    }

    /// Refuses from now on, and tries again later.
    fn halt(&mut self, reason: &'static str, error: &str) {
        let why = RecordError::Unavailable(format!("{reason}: {error}").into());
        tracing::error!(%why, "the audit log refuses until it can write again");
        self.refuse(&why);
        self.halted = Some(Halt {
            reason,
            since: self.core.now(),
            next_try: FIRST_TRY,
        });
    }

    fn refuse(&mut self, why: &RecordError) {
        let mut entries = mem::take(&mut self.batch);
        entries.extend(self.taken.drain(..));
        self.core.shared.suspend(why, entries);
        for order in self.orders.drain(..) {
            order.done(Err(why.clone()));
        }
    }

    /// Says in the room that was kept for it that records are missing from here on.
    fn say_it_last(&mut self) {
        if self.segment.is_none() {
            return;
        }
        let told = self.core.shared.refused();
        self.miss(&told);
        match self.attempt(true) {
            Ok(zeros) => {
                self.core.shared.told(&told);
                self.accept(zeros);
            }
            Err(Failure::Broken(Broken::Disk(error))) => self.give_up(&error),
            // It is told when there is room again.
            Err(_) => {}
        }
    }

    /// Tries whether the disk is well again; then says what is missing, and takes events again.
    fn heal(&mut self) -> ControlFlow<()> {
        let told = self.core.shared.refused();
        self.miss(&told);
        match self.attempt(false) {
            Ok(zeros) => {
                let halt = self.halted.take();
                let later = self.core.shared.resume(&told);
                self.accept(zeros);
                tracing::info!("the audit log can write again");
                if let Some(halt) = halt.filter(|_| !later.is_empty()) {
                    // Refused while the others were counted.
                    self.gap = Some(Missing {
                        events: later,
                        reason: halt.reason,
                        since: halt.since,
                    });
                }
            }
            Err(Failure::Broken(Broken::Evidence(tampered))) => {
                self.end(&format!("{} {tampered}", self.file()));
                return ControlFlow::Break(());
            }
            Err(failure) => {
                if let Failure::Broken(Broken::Disk(error)) = &failure {
                    self.give_up(error);
                }
                if let Some(halt) = &mut self.halted {
                    halt.next_try = (halt.next_try * 2).min(LAST_TRY);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn miss(&mut self, events: &Refused) {
        let Some(halt) = &self.halted else { return };
        self.gap = Some(Missing {
            events: events.clone(),
            reason: halt.reason,
            since: halt.since,
        });
    }

    /// Nothing is written any more, whatever the disk says.
    fn end(&mut self, why: &str) {
        let why = RecordError::Unavailable(why.into());
        tracing::error!(%why, "the audit log refuses from now on");
        self.refuse(&why);
        self.core.shared.end(&why);
        // It is not this log's any more; its end is left as it is.
        self.segment = None;
        self.core.ground.leave();
    }

    fn file(&self) -> String {
        let first = self.segment.as_ref().map_or(0, Segment::first);
        format!("`{}`", name::segment(first))
    }
}

impl GivenUp {
    fn append(
        &self,
        chain: &mut Chain,
        out: &mut Vec<u8>,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        chain.append_recovered(
            out,
            at,
            Recovered {
                cause: "segment",
                file: &self.file,
                bytes: self.bytes,
                records: self.records,
                sha256: None,
                why: Some(&self.why),
            },
        )
    }
}

impl Missing {
    fn append(
        &self,
        chain: &mut Chain,
        out: &mut Vec<u8>,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        let counts: Vec<_> = self.events.by_kind().collect();
        chain.append_gap(
            out,
            at,
            Gap {
                from: self.since,
                to: at,
                reason: self.reason,
                refused: &counts,
                taken: self.events.taken(),
            },
        )
    }
}

/// Lets nobody wait for a writer that is gone.
struct Watch(Arc<Core>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = RecordError::Unavailable("the writer panicked".into());
            self.0.shared.end(&why);
        }
        self.0.news.end();
    }
}
