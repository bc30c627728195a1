//! Everything under some of the roots, behind one lock.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use zt_core::clock::Timestamp;

use super::{
    bounds::Room,
    cell::{At, Cell, Meter},
    holds::Holds,
    spending::SLOTS_BYTES,
    table::{Link, Linked, Table},
};
use crate::{
    counter::{Claim, CounterError, Moment},
    limit::{Limit, mix},
};

pub(super) struct Shard {
    roots: Table<Root>,
    pub(super) cells: Table<Cell>,
    pub(super) holds: Holds,
    /// The latest that the wall clock has said: windows do not open again.
    wall: Timestamp,
    /// Bytes that cells and roots refer to.
    names: usize,
    /// What was taken of the room.
    taken: usize,
    /// The cell that is looked at next when room is needed.
    hand: u32,
}

pub(super) struct Root {
    pub(super) name: Box<str>,
    link: Link,
    /// How many cells are under it.
    cells: u32,
}

impl Linked for Root {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Linked for Cell {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// A root's name, hashed once.
#[derive(Clone, Copy)]
pub(super) struct RootKey<'a> {
    pub(super) name: &'a str,
    hash: u64,
}

impl<'a> RootKey<'a> {
    pub(super) fn new(secret: &RandomState, name: &'a str) -> Self {
        let hash = secret.hash_one(name);
        Self { name, hash }
    }

    /// Which of `shards`, a power of two.
    pub(super) fn shard(self, shards: usize) -> usize {
        usize::try_from(self.hash >> 32).unwrap_or(0) & shards.wrapping_sub(1)
    }

    const fn short(self) -> u32 {
        fold(self.hash)
    }

    /// The hash of a subject under it.
    pub(super) fn subject(self, secret: &RandomState, subject: &str) -> u64 {
        if subject == self.name {
            return self.hash;
        }
        let mut hasher = secret.build_hasher();
        hasher.write_u64(self.hash);
        hasher.write(subject.as_bytes());
        hasher.finish()
    }

    /// The hash of a claim of that subject.
    pub(super) const fn claim(subject: u64, limit: &Limit) -> u32 {
        fold(mix(subject, limit.digest()))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
pub(super) const fn fold(hash: u64) -> u32 {
    hash as u32
}

/// Cells of this step, which stay where they are.
pub(super) trait Keep {
    fn keeps(&self, cell: u32) -> bool;
}

impl Keep for () {
    fn keeps(&self, _: u32) -> bool {
        false
    }
}

impl Shard {
    pub(super) const fn new() -> Self {
        Self {
            roots: Table::new(),
            cells: Table::new(),
            holds: Holds::new(),
            wall: Timestamp::EPOCH,
            names: 0,
            taken: 0,
            hand: 0,
        }
    }

    /// The time of a step, which is never before that of an earlier one.
    pub(super) fn at(&mut self, now: Moment) -> At {
        self.wall = self.wall.max(now.wall);
        At {
            wall: self.wall,
            nanos: nanos(now.monotonic),
        }
    }

    pub(super) fn root(&self, key: RootKey<'_>) -> Option<u32> {
        self.roots.find(key.short(), |root| *root.name == *key.name)
    }

    pub(super) fn root_name(&self, cell: &Cell) -> &str {
        self.roots.get(cell.root).map_or("", |root| &root.name)
    }

    pub(super) fn subject<'a>(&'a self, cell: &'a Cell) -> &'a str {
        match &cell.subject {
            Some(subject) => subject,
            None => self.root_name(cell),
        }
    }

    #[inline]
    pub(super) fn find(
        &self,
        root: u32,
        key: RootKey<'_>,
        claim: Claim<'_>,
        hash: u32,
    ) -> Option<u32> {
        self.cells.find(hash, |cell| {
            let limit =
                Arc::ptr_eq(&cell.limit, claim.limit) || cell.limit.name() == claim.limit.name();
            let subject = cell.subject.as_deref().unwrap_or(key.name);
            limit && cell.root == root && subject == claim.subject
        })
    }

    /// Makes a cell for a claim that has none.
    pub(super) fn make(
        &mut self,
        room: &Room,
        key: RootKey<'_>,
        claim: Claim<'_>,
        hash: u32,
        at: At,
        keep: &impl Keep,
    ) -> Result<u32, CounterError> {
        let meter = Meter::new(claim.limit, at)?;
        self.place(room, key, claim.subject, hash, claim.limit, meter, at, keep)
    }

    #[expect(clippy::too_many_arguments, reason = "a cell has that many sides")]
    pub(super) fn place(
        &mut self,
        room: &Room,
        key: RootKey<'_>,
        subject: &str,
        hash: u32,
        limit: &Arc<Limit>,
        meter: Meter,
        at: At,
        keep: &impl Keep,
    ) -> Result<u32, CounterError> {
        let subject = (subject != key.name).then(|| Box::from(subject));
        let cell = Cell {
            limit: Arc::clone(limit),
            subject,
            root: 0,
            link: Link::new(hash),
            holds: 0,
            meter,
        };
        let root_name = if self.root(key).is_some() {
            0
        } else {
            name_bytes(key.name)
        };
        let names = extra(&cell) + root_name;
        self.make_room(room, names, at, keep)?;
        let placed = self.put(key, cell);
        self.settle_bytes(room);
        placed.ok_or(CounterError::Full)
    }

    /// Brings a cell to `limit` and to `at`. One whose window changes its shape takes other room.
    pub(super) fn turn(
        &mut self,
        room: &Room,
        index: u32,
        limit: &Arc<Limit>,
        at: At,
    ) -> Result<(), CounterError> {
        let Some(cell) = self.cells.get_mut(index) else {
            return Ok(());
        };
        if Arc::ptr_eq(&cell.limit, limit) {
            return cell.turn(limit, at);
        }
        let before = extra(cell);
        let turned = cell.turn(limit, at);
        let after = extra(cell);
        if before != after {
            self.names = self.names.saturating_sub(before) + after;
            self.settle_bytes(room);
        }
        turned
    }

    fn put(&mut self, key: RootKey<'_>, mut cell: Cell) -> Option<u32> {
        let root = match self.root(key) {
            Some(root) => root,
            None => {
                self.names += name_bytes(key.name);
                self.roots.insert(Root {
                    name: key.name.into(),
                    link: Link::new(key.short()),
                    cells: 0,
                })?
            }
        };
        cell.root = root;
        let names = extra(&cell);
        let index = self.cells.insert(cell)?;
        self.names += names;
        if let Some(root) = self.roots.get_mut(root) {
            root.cells += 1;
        }
        Some(index)
    }

    /// Takes room for one more cell and `names` bytes; forgets cells that are as good as fresh
    /// where there is too little.
    fn make_room(
        &mut self,
        room: &Room,
        names: usize,
        at: At,
        keep: &impl Keep,
    ) -> Result<(), CounterError> {
        for (want, grow) in [(self.cells.want(), true), (self.roots.want(), false)] {
            // Without more chains they are longer.
            if want > 0 && room.take_bytes(want) {
                self.taken += want;
                if grow {
                    self.cells.grow();
                } else {
                    self.roots.grow();
                }
            }
        }
        for _ in 0..=MOST_FORGOTTEN {
            let need = self.cells.need() + self.roots.need() + names;
            if room.take_bytes(need) {
                self.taken += need;
                return Ok(());
            }
            if !self.forget_one(at, keep) {
                break;
            }
            self.settle_bytes(room);
        }
        Err(CounterError::Full)
    }

    /// Forgets a cell that says nothing, if one is among the next few.
    fn forget_one(&mut self, at: At, keep: &impl Keep) -> bool {
        let slots = u32::try_from(self.cells.slots()).unwrap_or(u32::MAX);
        for _ in 0..LOOKED_AT.min(slots) {
            let index = self.hand;
            self.hand = if index + 1 < slots { index + 1 } else { 0 };
            let fresh = self.cells.get(index).is_some_and(|cell| cell.is_fresh(at));
            if fresh && !keep.keeps(index) {
                self.forget(index);
                return true;
            }
        }
        false
    }

    fn forget(&mut self, index: u32) {
        let Some(cell) = self.cells.remove(index) else {
            return;
        };
        self.names = self.names.saturating_sub(extra(&cell));
        let empty = self.roots.get_mut(cell.root).is_some_and(|root| {
            root.cells = root.cells.saturating_sub(1);
            root.cells == 0
        });
        if empty && let Some(root) = self.roots.remove(cell.root) {
            self.names = self.names.saturating_sub(name_bytes(&root.name));
        }
    }

    /// The bytes that cells and roots really take.
    pub(super) fn bytes(&self) -> usize {
        self.cells.bytes() + self.roots.bytes() + self.names
    }

    /// Brings what was taken of the room to what is in use.
    fn settle_bytes(&mut self, room: &Room) {
        let bytes = self.bytes();
        match self.taken.checked_sub(bytes) {
            Some(over) => room.give_bytes(over),
            None => room.add_bytes(bytes - self.taken),
        }
        self.taken = bytes;
    }

    /// Takes room for a hold; at the bound, that of one that has ended and waits for a correction.
    pub(super) fn make_hold_room(&mut self, room: &Room) -> Result<(), CounterError> {
        if self.holds.are_used_up() {
            return Err(CounterError::Full);
        }
        if !room.take_hold() {
            let spare = self.holds.spare().ok_or(CounterError::Full)?;
            self.drop_hold(room, spare);
            if !room.take_hold() {
                return Err(CounterError::Full);
            }
        }
        Ok(())
    }

    /// Takes a hold out whose money and permits are in order.
    pub(super) fn drop_hold(&mut self, room: &Room, index: u32) {
        let Some(hold) = self.holds.remove(index) else {
            return;
        };
        room.give_hold();
        for part in &hold.parts {
            if let Some(cell) = self.cells.get_mut(part.cell) {
                cell.let_go();
            }
        }
    }
}

/// What a cell refers to: its subject's name and its slots.
fn extra(cell: &Cell) -> usize {
    let slots = if cell.meter.is_rolling() {
        SLOTS_BYTES + OVERHEAD
    } else {
        0
    };
    cell.subject.as_deref().map_or(0, name_bytes) + slots
}

const fn name_bytes(name: &str) -> usize {
    name.len().next_multiple_of(8) + OVERHEAD
}

pub(super) fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What an allocation costs besides its bytes.
const OVERHEAD: usize = 8;

/// How many cells are looked at to forget one.
const LOOKED_AT: u32 = 64;

/// How many are forgotten for one that is made.
const MOST_FORGOTTEN: usize = 8;
