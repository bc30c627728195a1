//! What the writer tells the keeper.

use std::{
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
pub(super) struct Told {
    /// The tree over all records, and its root.
    pub(super) tree: Frontier,
    pub(super) root: Hash,
    /// Leaf hashes of the last of them that nobody took yet.
    pub(super) leaves: Vec<Hash>,
    /// A segment is full: to be signed now.
    pub(super) rolled: bool,
    /// Zeros are wanted ahead.
    pub(super) zeros: bool,
    /// The writer is gone.
    pub(super) ended: bool,
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
            let zeros = zeros && !std::mem::replace(&mut told.zeros, zeros);
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

    pub(super) fn look(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the keeper: until `until` says that there is something to do, at most so long.
    pub(super) fn wait(
        &self,
        at_most: Duration,
        until: impl Fn(&Told) -> bool,
    ) -> MutexGuard<'_, Told> {
        let told = self.look();
        let waited = self
            .changed
            .wait_timeout_while(told, at_most, |told| !until(told));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
