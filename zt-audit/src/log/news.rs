//! What the writer tells the keeper.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::merkle::{Frontier, Hash};

#[derive(Debug)]
pub(super) struct News {
    state: Mutex<Told>,
    changed: Condvar,
}

/// How far the log is durable, and what is to do.
#[derive(Debug)]
struct Told {
    /// The tree over all records, and its root.
    tree: Frontier,
    root: Hash,
    /// Leaf hashes of the last of them that nobody took yet.
    leaves: Vec<Hash>,
    /// A segment is full: to be signed now.
    rolled: bool,
    /// Zeros are wanted ahead.
    zeros: bool,
    /// The writer is gone.
    ended: bool,
}

/// So many leaf hashes wait for the keeper at most; whoever comes late makes them from the records.
const MOST_LEAVES: usize = 1 << 20;

impl News {
    pub(super) fn new(tree: Frontier) -> Self {
        Self {
            state: Mutex::new(Told {
                root: tree.root(),
                tree,
                leaves: Vec::new(),
                rolled: false,
                zeros: true,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// For the writer: `leaves` became durable, and the tree with them is this one. Wakes the
    /// keeper for `zeros`, and for the first news since it looked.
    pub(super) fn publish(&self, tree: &Frontier, root: Hash, leaves: &[Hash], zeros: bool) {
        let wake = {
            let mut told = self.look();
            let first = told.leaves.is_empty();
            told.tree.clone_from(tree);
            told.root = root;
            if told.leaves.len() < MOST_LEAVES {
                told.leaves.extend_from_slice(leaves);
            } else {
                // What is left does not end at the tree's any more, which tells that some are missing.
                told.leaves.truncate(1);
            }
            let zeros = zeros && !mem::replace(&mut told.zeros, zeros);
            first || zeros
        };
        if wake {
            self.changed.notify_one();
        }
    }

    pub(super) fn rolled(&self) {
        self.look().rolled = true;
        self.changed.notify_one();
    }

    pub(super) fn end(&self) {
        self.look().ended = true;
        self.changed.notify_one();
    }

    /// How many records are durable.
    pub(super) fn size(&self) -> u64 {
        self.look().tree.size()
    }

    /// The same, and the root of the tree over them.
    pub(super) fn standing(&self) -> (u64, Hash) {
        let told = self.look();
        (told.tree.size(), told.root)
    }

    /// For the keeper: the tree, and the leaf hashes of its end that were not taken yet.
    pub(super) fn take_leaves(&self) -> (Frontier, Vec<Hash>) {
        let mut told = self.look();
        (told.tree.clone(), mem::take(&mut told.leaves))
    }

    /// For the keeper: until there is something to do, at most so long. More than `signed` records
    /// are something to do, where that is given.
    pub(super) fn wait(&self, at_most: Duration, signed: Option<u64>) {
        let idle = |told: &mut Told| {
            let unsigned = signed.is_some_and(|signed| told.tree.size() > signed);
            !(told.ended || told.zeros || told.rolled || unsigned)
        };
        drop(self.changed.wait_timeout_while(self.look(), at_most, idle));
    }

    /// For the keeper: whether a segment was filled since it asked last, and whether the writer is
    /// gone. Zeros are wanted anew from now on.
    pub(super) fn take_tasks(&self) -> (bool, bool) {
        let mut told = self.look();
        told.zeros = false;
        (mem::take(&mut told.rolled), told.ended)
    }

    /// Never handed out: whoever held it while it takes another lock could wait for ever.
    fn look(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
