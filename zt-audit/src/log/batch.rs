//! What is written next, kept until it is durable.

use std::{collections::VecDeque, io, mem, sync::Arc};

use zt_core::state::RecordError;

use super::{
    core::Core,
    order::Order,
    outage::{GivenUp, Missing},
    queue::{Entry, Rooms},
    shared::{GROUP, State},
};
use crate::{
    format::{MAX_RECORD, write_commit},
    merkle::{Frontier, Hash},
    record::{Chain, RolledUp},
    seal::VaultError,
};

/// Most records of a batch.
pub(super) const MOST: u64 = 1024;
/// Most events of a batch that are written while another is flushed.
const MOST_AHEAD: usize = 512;
/// Most bytes of a batch.
const MOST_BYTES: usize = 1 << 20;

pub(super) struct Batch {
    core: Arc<Core>,
    chain: Chain,
    /// The tree over what is durable, and the leaf hash of the last record in it.
    durable: Frontier,
    last: Hash,
    /// The same with the batch.
    tree: Frontier,
    end: Hash,
    root: Hash,
    leaves: Vec<Hash>,
    bytes: Vec<u8>,
    /// Events taken from the queue, and those of them that are in the batch.
    taken: VecDeque<Entry>,
    events: Vec<Entry>,
    /// The beginning of the next one, made while this one is flushed.
    ahead: Ahead,
    /// Events that are durable, to be let go.
    spent: Vec<Entry>,
    /// Counts of what has no record, and how many of them are in the batch.
    rolled: VecDeque<RolledUp>,
    rolled_in: usize,
    orders: VecDeque<Order>,
    /// How many of them are in the batch.
    ordered: usize,
    /// Records that come before everything else.
    given_up: Option<GivenUp>,
    pub(super) gap: Option<Missing>,
}

/// Records that follow on a batch that is being flushed.
#[derive(Default)]
struct Ahead {
    tree: Frontier,
    leaves: Vec<Hash>,
    bytes: Vec<u8>,
    events: Vec<Entry>,
}

impl Batch {
    pub(super) fn new(core: Arc<Core>, durable: Frontier, last: Hash) -> Self {
        Self {
            chain: chain(&core, &durable, last),
            core,
            tree: Frontier::new(),
            end: last,
            root: Hash::EMPTY_TREE,
            durable,
            last,
            leaves: Vec::with_capacity(1024),
            bytes: Vec::with_capacity(MOST_BYTES),
            taken: VecDeque::with_capacity(1024),
            events: Vec::with_capacity(1024),
            ahead: Ahead::default(),
            spent: Vec::with_capacity(1024),
            rolled: VecDeque::new(),
            rolled_in: 0,
            orders: VecDeque::new(),
            ordered: 0,
            given_up: None,
            gap: None,
        }
    }

    /// How many records are durable.
    pub(super) const fn durable(&self) -> u64 {
        self.durable.size()
    }

    pub(super) const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many events are in it.
    pub(super) const fn events(&self) -> usize {
        self.events.len()
    }

    /// Whether anything is left from before to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
            && self.ahead.events.is_empty()
            && self.orders.is_empty()
            && self.rolled.is_empty()
            && self.gap.is_none()
    }

    /// Takes what waits.
    pub(super) fn take(&mut self, state: &mut State) {
        if self.taken.is_empty() {
            self.core.shared.take(state, &mut self.taken);
        }
        self.orders.append(&mut state.orders);
        self.core.shared.take_rolled_up(state, &mut self.rolled);
    }

    /// Writes at most so many records into memory, and a commit line. After a failure, and after
    /// another segment was begun, it is written anew.
    pub(super) fn compose(&mut self, most: u64) -> Result<(), VaultError> {
        let now = self.core.now();
        let most = self.durable().saturating_add(most);
        self.bytes.clear();
        self.leaves.clear();
        self.ordered = 0;
        self.rolled_in = 0;
        self.tree.clone_from(&self.durable);
        let begun = self.ahead.events.len() as u64;
        let fits = self.events.is_empty() && self.given_up.is_none() && self.gap.is_none();
        let goes_on = begun > 0 && fits && begun <= most.saturating_sub(self.durable());
        let most = if goes_on {
            mem::swap(&mut self.tree, &mut self.ahead.tree);
            mem::swap(&mut self.leaves, &mut self.ahead.leaves);
            mem::swap(&mut self.bytes, &mut self.ahead.bytes);
            mem::swap(&mut self.events, &mut self.ahead.events);
            // The rest is written while this is flushed.
            most.min(self.chain.next().saturating_add(GROUP as u64))
        } else {
            self.put_back();
            most
        };
        let written = self.events.len();
        if !goes_on && (self.chain.next() != self.durable() || self.chain.prev() != self.last) {
            self.chain = chain(&self.core, &self.durable, self.last);
        }

        let (chain, out) = (&mut self.chain, &mut self.bytes);
        let mut leaf = |leaf| {
            self.tree.append(leaf);
            self.leaves.push(leaf);
        };
        if let Some(given_up) = &self.given_up {
            leaf(given_up.append(chain, out, now)?);
        }
        if let Some(gap) = &self.gap {
            leaf(gap.append(chain, out, now)?);
        }
        for rolled in &self.rolled {
            if chain.next() >= most || out.len() >= MOST_BYTES / 2 {
                break;
            }
            leaf(chain.append_rolled_up(out, now, rolled)?);
            self.rolled_in += 1;
        }
        for order in &mut self.orders {
            let index = chain.next();
            if index >= most {
                break;
            }
            leaf(order.append(chain, out, index, now)?);
            self.ordered += 1;
        }
        if !goes_on {
            for entry in self.events.iter().take(written) {
                leaf(chain.append_event(out, &entry.event)?);
            }
        }
        while chain.next() < most && out.len() < MOST_BYTES - MAX_RECORD {
            let Some(entry) = self.taken.pop_front() else {
                break;
            };
            let written = chain.append_event(out, &entry.event);
            // Also where that failed: it is answered with the others.
            self.events.push(entry);
            leaf(written?);
        }
        if let Some(vault) = &self.core.vault {
            vault
                .commit()
                .map_err(VaultError::file("write", "subjects"))?;
        }
        self.end = self.chain.prev();
        self.root = self.tree.root();
        write_commit(&mut self.bytes, self.tree.size(), &self.root);
        Ok(())
    }

    /// While the batch is flushed: takes what waits, to go on with.
    pub(super) fn take_ahead(&mut self, state: &mut State) {
        if self.taken.is_empty() {
            self.core.shared.take_ahead(state, &mut self.taken);
        }
    }

    /// Whether events were taken that are in no batch yet.
    pub(super) fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// While the batch is flushed: writes the record of one more event into memory. Whether there
    /// was one, and room. What cannot be sealed is tried, and answered, with its batch.
    pub(super) fn go_on(&mut self) -> bool {
        let ahead = &mut self.ahead;
        if ahead.events.is_empty() {
            ahead.tree.clone_from(&self.tree);
            ahead.leaves.clear();
            ahead.bytes.clear();
        }
        // Room is left for what the log itself has to say.
        if ahead.events.len() >= MOST_AHEAD || ahead.bytes.len() >= MOST_BYTES / 2 - MAX_RECORD {
            return false;
        }
        let Some(entry) = self.taken.pop_front() else {
            return false;
        };
        match self.chain.append_event(&mut ahead.bytes, &entry.event) {
            Ok(leaf) => {
                ahead.tree.append(leaf);
                ahead.leaves.push(leaf);
                ahead.events.push(entry);
                true
            }
            Err(_) => {
                self.taken.push_front(entry);
                false
            }
        }
    }

    /// What was written ahead does not follow on what is durable; it is written anew.
    fn put_back(&mut self) {
        for entry in self.ahead.events.drain(..).rev() {
            self.taken.push_front(entry);
        }
    }

    /// It is durable; `zeros` are wanted ahead.
    pub(super) fn accept(&mut self, zeros: bool) {
        mem::swap(&mut self.durable, &mut self.tree);
        self.last = self.end;
        self.given_up = None;
        self.gap = None;
        let told = self.rolled.drain(..self.rolled_in);
        let told = told.map(|rolled| rolled.lost()).sum();
        // Before anybody is woken, who may ask for a signature.
        self.core
            .news
            .publish(&self.durable, self.root, &self.leaves, zeros);

        let mut used = Rooms::NONE;
        for entry in &self.events {
            used.add(entry);
        }
        let shared = &self.core.shared;
        let count = self.events.len() as u64;
        let rest_of_it = !self.taken.is_empty() || !self.ahead.events.is_empty();
        shared.advance(count, &used, told, rest_of_it);
        for order in self.orders.drain(..self.ordered) {
            order.done(Ok(()));
        }
        if !shared.fanout.is_empty() {
            for entry in &self.events {
                shared.fanout.publish(&entry.event);
            }
        }
        self.spent.append(&mut self.events);
    }

    /// Whether the next one is begun, and can be flushed at once.
    pub(super) const fn is_begun(&self) -> bool {
        !self.ahead.events.is_empty()
    }

    /// Wakes whoever waits for what is durable, and lets that go.
    pub(super) fn wake(&mut self) {
        if !self.spent.is_empty() {
            self.core.shared.wake_settled();
            self.spent.clear();
        }
    }

    /// Whether there are counts that stand in no record.
    pub(super) fn has_untold(&self) -> bool {
        let gap = self.gap.as_ref();
        !self.rolled.is_empty() || gap.is_some_and(|gap| !gap.events.is_empty())
    }

    /// It was written into `file`, and what of it is there cannot be known.
    pub(super) fn give_up(&mut self, file: String, error: &io::Error) {
        self.given_up.get_or_insert(GivenUp {
            file,
            why: error.to_string(),
            bytes: self.bytes.len() as u64,
            records: self.leaves.len() as u64,
        });
    }

    /// Once nothing more is taken: what was counted to the end. Whether there is anything left.
    pub(super) fn take_last(&mut self) -> bool {
        let shared = &self.core.shared;
        shared.take_rolled_up(&mut shared.state(), &mut self.rolled);
        self.rolled.extend(shared.flood.end());
        !self.is_empty()
    }

    /// Nothing of it becomes durable, nor what waits.
    pub(super) fn refuse(&mut self, why: &RecordError) {
        self.put_back();
        let mut events = mem::take(&mut self.events);
        events.extend(self.taken.drain(..));
        let untold = self.gap.take().map(|gap| gap.events);
        self.core.shared.suspend(why, events, untold);
        for order in self.orders.drain(..) {
            order.done(Err(why.clone()));
        }
    }
}

fn chain(core: &Core, durable: &Frontier, last: Hash) -> Chain {
    let (origin, vault) = (Arc::clone(&core.origin), core.vault.clone());
    Chain::new(origin, durable.size(), last, vault)
}
