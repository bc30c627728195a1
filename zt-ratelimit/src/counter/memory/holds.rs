//! Holds: who ends next, who has ended and still has to be told of.

use smallvec::SmallVec;

use super::slab::Slab;
use crate::counter::{Marks, Purpose};

/// What one reservation holds.
pub(super) struct Hold {
    /// Never used twice by one shard.
    pub(super) serial: u64,
    /// Nanoseconds of the monotonic clock.
    pub(super) end: u64,
    pub(super) nanos: u64,
    /// One for each claim, in their order.
    pub(super) parts: SmallVec<[Part; 5]>,
    pub(super) permits: u32,
    /// Which of the limits refused nobody then.
    pub(super) shadows: Marks,
    /// An open one's place in the queue, else the one that ended before it.
    back: u32,
    /// The one that ended after it.
    next: u32,
    pub(super) state: State,
    pub(super) purpose: Purpose,
}

/// A cell, and which of its windows.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) cell: u32,
    pub(super) window: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// It was charged, and nobody was told.
    Ended,
    /// It was charged, somebody was told, and it can still be corrected.
    Told,
}

impl Hold {
    pub(super) fn new(end: u64, nanos: u64, permits: u32, purpose: Purpose) -> Self {
        Self {
            serial: 0,
            end,
            nanos,
            parts: SmallVec::new(),
            permits,
            shadows: Marks::default(),
            back: NONE,
            next: NONE,
            state: State::Open,
            purpose,
        }
    }
}

/// All holds of a shard.
pub(super) struct Holds {
    slab: Slab<Hold>,
    serial: u64,
    /// A binary heap of the open ones, by their ends.
    queue: Vec<(u64, u32)>,
    ended: List,
    told: List,
}

/// In the order in which they ended.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const NONE: u32 = u32::MAX;

impl Holds {
    pub(super) const fn new() -> Self {
        const EMPTY: List = List {
            first: NONE,
            last: NONE,
        };
        Self {
            slab: Slab::new(),
            serial: 0,
            queue: Vec::new(),
            ended: EMPTY,
            told: EMPTY,
        }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// The bytes of one hold: its entry, and its place in the queue, which may be half empty.
    pub(super) const BYTES: usize =
        Slab::<Hold>::CHUNK_BYTES / Slab::<Hold>::CHUNK + 2 * size_of::<(u64, u32)>();

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let spilled = self.slab.iter().filter(|(_, hold)| hold.parts.spilled());
        self.slab.slots() / Slab::<Hold>::CHUNK * Slab::<Hold>::CHUNK_BYTES
            + self.queue.capacity() * size_of::<(u64, u32)>()
            + spilled
                .map(|(_, hold)| hold.parts.capacity() * size_of::<Part>())
                .sum::<usize>()
    }

    /// Whether there is no name for another one. Nobody lives to see it.
    pub(super) const fn are_used_up(&self) -> bool {
        self.serial >= MAX_SERIAL || self.slab.slots() > MAX_SLOTS
    }

    /// Takes an open one in, unless [they are used up](Self::are_used_up); its index and serial
    /// number.
    pub(super) fn insert(&mut self, mut hold: Hold) -> (u32, u64) {
        self.serial += 1;
        hold.serial = self.serial;
        let index = self.slab.insert(hold).unwrap_or(NONE);
        self.enqueue(index);
        (index, self.serial)
    }

    /// The one at `index`, unless that is another one by now.
    pub(super) fn get(&self, index: u32, serial: u64) -> Option<&Hold> {
        self.slab.get(index).filter(|hold| hold.serial == serial)
    }

    pub(super) fn at(&self, index: u32) -> Option<&Hold> {
        self.slab.get(index)
    }

    pub(super) fn at_mut(&mut self, index: u32) -> Option<&mut Hold> {
        self.slab.get_mut(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Hold)> {
        self.slab.iter()
    }

    /// An open one that ends at `now` or before.
    pub(super) fn due(&self, now: u64) -> Option<u32> {
        let (end, index) = *self.queue.first()?;
        (end <= now).then_some(index)
    }

    /// An open one has ended.
    pub(super) fn end(&mut self, index: u32) {
        self.dequeue(index);
        self.set_state(index, State::Ended);
        let list = self.ended;
        self.ended = self.append(list, index);
    }

    /// The one that ended first of those that nobody was told of; now somebody is.
    pub(super) fn tell(&mut self) -> Option<u32> {
        let index = self.ended.first;
        self.slab.get(index)?;
        self.unlink(index);
        self.set_state(index, State::Told);
        let list = self.told;
        self.told = self.append(list, index);
        Some(index)
    }

    /// One that was told of, whose grace of `grace` is over at `now`.
    pub(super) fn stale(&self, now: u64, grace: u64) -> Option<u32> {
        let index = self.told.first;
        let hold = self.slab.get(index)?;
        (hold.end.saturating_add(grace) <= now).then_some(index)
    }

    /// The one that has waited longest of those that ended, told of if there is one.
    pub(super) fn spare(&self) -> Option<u32> {
        [self.told.first, self.ended.first]
            .into_iter()
            .find(|index| *index != NONE)
    }

    /// Ends at `end` from now on, whether it had ended or not.
    pub(super) fn renew(&mut self, index: u32, end: u64) {
        match self.slab.get(index).map(|hold| hold.state) {
            Some(State::Open) => self.dequeue(index),
            Some(_) => self.unlink(index),
            None => return,
        }
        if let Some(hold) = self.slab.get_mut(index) {
            hold.end = end;
            hold.state = State::Open;
        }
        self.enqueue(index);
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Hold> {
        self.leave(index)?;
        let hold = self.slab.remove(index);
        self.shrink();
        hold
    }

    /// As [`remove`](Self::remove); nothing is moved.
    pub(super) fn forget(&mut self, index: u32) {
        if self.leave(index).is_some() {
            self.slab.forget(index);
            self.shrink();
        }
    }

    /// Takes one out of the queue or the list that it is in.
    fn leave(&mut self, index: u32) -> Option<()> {
        match self.slab.get(index)?.state {
            State::Open => self.dequeue(index),
            _ => self.unlink(index),
        }
        Some(())
    }

    fn shrink(&mut self) {
        if self.slab.len() == 0 && self.slab.slots() > KEPT {
            self.slab.clear();
            self.queue.shrink_to(KEPT);
        }
    }

    fn set_state(&mut self, index: u32, state: State) {
        if let Some(hold) = self.slab.get_mut(index) {
            hold.state = state;
        }
    }

    fn append(&mut self, list: List, index: u32) -> List {
        if let Some(hold) = self.slab.get_mut(index) {
            (hold.back, hold.next) = (list.last, NONE);
        }
        match self.slab.get_mut(list.last) {
            Some(last) => last.next = index,
            None => {
                return List {
                    first: index,
                    last: index,
                };
            }
        }
        List {
            last: index,
            ..list
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(hold) = self.slab.get(index) else {
            return;
        };
        let (back, next) = (hold.back, hold.next);
        let list = match hold.state {
            State::Ended => &mut self.ended,
            _ => &mut self.told,
        };
        match self.slab.get_mut(back) {
            Some(hold) => hold.next = next,
            None => list.first = next,
        }
        match self.slab.get_mut(next) {
            Some(hold) => hold.back = back,
            None => list.last = back,
        }
    }

    fn enqueue(&mut self, index: u32) {
        let Some(end) = self.slab.get(index).map(|hold| hold.end) else {
            return;
        };
        self.queue.push((end, index));
        self.rise(self.queue.len() - 1);
    }

    fn dequeue(&mut self, index: u32) {
        let Some(place) = self.slab.get(index).map(|hold| hold.back as usize) else {
            return;
        };
        if place >= self.queue.len() {
            return;
        }
        self.queue.swap_remove(place);
        if place < self.queue.len() {
            self.rise(place);
            self.sink(place);
        }
    }

    /// Moves the one at `place` up to where it belongs, and notes where that is.
    fn rise(&mut self, mut place: usize) {
        let Some(entry) = self.queue.get(place).copied() else {
            return;
        };
        while let Some(above) = place.checked_sub(1).map(|place| place / 2) {
            match self.queue.get(above).copied() {
                Some(parent) if parent > entry => self.put(place, parent),
                _ => break,
            }
            place = above;
        }
        self.put(place, entry);
    }

    /// Moves the one at `place` down.
    fn sink(&mut self, mut place: usize) {
        let Some(entry) = self.queue.get(place).copied() else {
            return;
        };
        loop {
            let left = 2 * place + 1;
            let child = (left..=left + 1)
                .filter_map(|child| self.queue.get(child).map(|entry| (*entry, child)))
                .min();
            match child {
                Some((below, child)) if below < entry => {
                    self.put(place, below);
                    place = child;
                }
                _ => break,
            }
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (u64, u32)) {
        if let Some(to) = self.queue.get_mut(place) {
            *to = entry;
        }
        if let Some(hold) = self.slab.get_mut(entry.1) {
            hold.back = u32::try_from(place).unwrap_or(NONE);
        }
    }
}

/// Serial numbers have 48 bits in a name.
const MAX_SERIAL: u64 = (1 << 48) - 1;

/// Indices have 32 bits.
const MAX_SLOTS: usize = 1 << 31;

/// So many places are kept when the last hold has gone.
const KEPT: usize = 64;
