//! Entries by hash.
//!
//! Chains through the entries themselves: an entry that goes leaves nothing behind, so a table in
//! which strangers come and go neither grows nor has to be built anew, and one that may not grow
//! any more still takes entries in.

use super::slab::Slab;

/// What an entry keeps for its table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    hash: u32,
    next: u32,
}

impl Link {
    pub(super) const fn new(hash: u32) -> Self {
        Self { hash, next: NONE }
    }
}

pub(super) trait Linked {
    fn link(&self) -> Link;
    fn link_mut(&mut self) -> &mut Link;
}

pub(super) struct Table<T> {
    slab: Slab<T>,
    /// The first of each chain: a power of two of them, or none.
    heads: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// The least number of chains.
const LEAST: usize = 16;

impl<T: Linked> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            heads: Vec::new(),
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.slab.get(index)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slab.get_mut(index)
    }

    pub(super) const fn slots(&self) -> usize {
        self.slab.slots()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slab.iter()
    }

    pub(super) fn find(&self, hash: u32, is: impl Fn(&T) -> bool) -> Option<u32> {
        let mut at = self.head(hash)?;
        while let Some(entry) = self.slab.get(at) {
            let link = entry.link();
            if link.hash == hash && is(entry) {
                return Some(at);
            }
            at = link.next;
        }
        None
    }

    /// The bytes that one more entry takes, besides what it refers to.
    pub(super) fn need(&self) -> usize {
        let chunk = if self.slab.is_full() {
            Slab::<T>::CHUNK_BYTES + size_of::<usize>() * 4
        } else {
            0
        };
        let first = if self.heads.is_empty() { LEAST } else { 0 };
        chunk + first * size_of::<u32>()
    }

    /// The bytes of more chains, where that many are wanted.
    pub(super) fn want(&self) -> usize {
        if self.heads.is_empty() || self.slab.len() < self.heads.len() {
            return 0;
        }
        self.heads.len() * size_of::<u32>()
    }

    pub(super) fn bytes(&self) -> usize {
        let chunks = self.slab.slots() / Slab::<T>::CHUNK;
        chunks * (Slab::<T>::CHUNK_BYTES + size_of::<usize>() * 4)
            + self.heads.len() * size_of::<u32>()
    }

    /// Takes `entry` in, which is not there; `None` where indices have come to their end.
    pub(super) fn insert(&mut self, mut entry: T) -> Option<u32> {
        if self.heads.is_empty() {
            self.heads = vec![NONE; LEAST];
        }
        let hash = entry.link().hash;
        entry.link_mut().next = self.head(hash)?;
        let index = self.slab.insert(entry)?;
        self.set_head(hash, index);
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let Link { hash, next } = self.slab.get(index)?.link();
        let mut at = self.head(hash)?;
        if at == index {
            self.set_head(hash, next);
        } else {
            loop {
                let entry = self.slab.get_mut(at)?;
                let link = entry.link_mut();
                if link.next == index {
                    link.next = next;
                    break;
                }
                at = link.next;
            }
        }
        self.slab.remove(index)
    }

    /// Twice as many chains.
    pub(super) fn grow(&mut self) {
        self.heads = vec![NONE; self.heads.len().max(LEAST / 2) * 2];
        for index in (0..).take(self.slab.slots()) {
            let Some(hash) = self.slab.get(index).map(|entry| entry.link().hash) else {
                continue;
            };
            let next = self.head(hash).unwrap_or(NONE);
            if let Some(entry) = self.slab.get_mut(index) {
                entry.link_mut().next = next;
            }
            self.set_head(hash, index);
        }
    }

    fn head(&self, hash: u32) -> Option<u32> {
        self.heads.get(self.chain(hash)).copied()
    }

    fn set_head(&mut self, hash: u32, index: u32) {
        let chain = self.chain(hash);
        if let Some(head) = self.heads.get_mut(chain) {
            *head = index;
        }
    }

    const fn chain(&self, hash: u32) -> usize {
        hash as usize & self.heads.len().wrapping_sub(1)
    }
}
