//! What is written next, kept until it is durable.

use std::{collections::VecDeque, io, mem, sync::Arc};

use zt_core::state::RecordError;

use super::{
    core::Core,
    order::Order,
    outage::{GivenUp, Missing},
    queue::{Entry, Rooms},
    shared::State,
};
use crate::{
    format::{MAX_RECORD, write_commit},
    merkle::{Frontier, Hash},
    record::{Chain, RolledUp},
    seal::VaultError,
};

/// Most records of a batch.
pub(super) const MOST: u64 = 1024;
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
    root: Hash,
    leaves: Vec<Hash>,
    bytes: Vec<u8>,
    /// Events taken from the queue, and those of them that are in the batch.
    taken: VecDeque<Entry>,
    events: Vec<Entry>,
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

impl Batch {
    pub(super) fn new(core: Arc<Core>, durable: Frontier, last: Hash) -> Self {
        Self {
            chain: chain(&core, &durable, last),
            core,
            tree: Frontier::new(),
            root: Hash::EMPTY_TREE,
            durable,
            last,
            leaves: Vec::with_capacity(1024),
            bytes: Vec::with_capacity(MOST_BYTES),
            taken: VecDeque::with_capacity(1024),
            events: Vec::with_capacity(1024),
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

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether anything is left from before to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
            && self.orders.is_empty()
            && self.rolled.is_empty()
            && self.gap.is_none()
    }

    /// Takes what waits.
    pub(super) fn take(&mut self, state: &mut State) {
        if self.taken.is_empty() {
            state.take(&mut self.taken);
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
        if self.chain.next() != self.durable() || self.chain.prev() != self.last {
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
        for entry in &self.events {
            leaf(chain.append_event(out, &entry.event)?);
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
        self.root = self.tree.root();
        write_commit(&mut self.bytes, self.tree.size(), &self.root);
        Ok(())
    }

    /// It is durable; `zeros` are wanted ahead.
    pub(super) fn accept(&mut self, zeros: bool) {
        mem::swap(&mut self.durable, &mut self.tree);
        self.last = self.chain.prev();
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
        shared.advance(count, &used, told, !self.taken.is_empty());
        for order in self.orders.drain(..self.ordered) {
            order.done(Ok(()));
        }
        if !shared.fanout.is_empty() {
            for entry in &self.events {
                shared.fanout.publish(&entry.event);
            }
        }
        self.events.clear();
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
