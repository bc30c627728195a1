//! Shards behind locks.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    bounds::{MemoryBounds, Room},
    reserve::{Around, Names, parts},
    settle::nothing,
    shard::{RootKey, Shard, fold, nanos},
    snapshot::{Snapshot, SnapshotError, StandIns},
};
use crate::counter::{
    Adjust, CellState, Claim, CounterError, Expired, Extended, HoldId, HoldState, Moment, Reserve,
    Settle, Settled, Verdict, check, check_subject,
};

/// A lock around a shard: the standard library's, or one whose threads a test schedules.
pub(super) trait Lock: Send + Sync {
    fn new(shard: Shard) -> Self;
    fn with<T>(&self, act: impl FnOnce(&mut Shard) -> T) -> T;
}

impl Lock for Mutex<Shard> {
    fn new(shard: Shard) -> Self {
        Self::new(shard)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shard) -> T) -> T {
        act(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Engine<L> {
    shards: Box<[L]>,
    room: Room,
    bounds: MemoryBounds,
    /// Names come from strangers; nobody outside knows where one is kept.
    secret: RandomState,
    /// In the names of holds: those of another store are foreign.
    store: u32,
    /// The shard that is swept next.
    hand: AtomicUsize,
}

/// A power of two.
pub(super) const SHARDS: usize = 64;

impl<L: Lock> Engine<L> {
    pub(super) fn new(bounds: MemoryBounds, shards: usize) -> Self {
        let secret = RandomState::new();
        let store = fold(secret.hash_one("store"));
        Self {
            shards: (0..shards).map(|_| L::new(Shard::new())).collect(),
            room: Room::new(&bounds, shards),
            bounds,
            secret,
            store,
            hand: AtomicUsize::new(0),
        }
    }

    pub(super) fn reserve(&self, ask: &Reserve<'_>) -> Result<Verdict, CounterError> {
        check(ask)?;
        self.under(ask.root, |shard, around, key| {
            shard.reserve(around, key, ask)
        })
    }

    pub(super) fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Result<Extended, CounterError> {
        if more > crate::limit::MAX_NANOS {
            return Err(CounterError::Invalid("it costs more than can be counted"));
        }
        let (store, shard, index, serial) = parts(hold);
        self.shard(store, shard)
            .map_or(Ok(Extended::Gone), |(lock, around)| {
                lock.with(|shard| shard.extend(&around, (index, serial), more, expires_in, now))
            })
    }

    pub(super) fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Settled {
        let (store, shard, index, serial) = parts(hold);
        let settled = self.shard(store, shard).map(|(lock, around)| {
            lock.with(|shard| shard.settle(&around, (index, serial), how, now))
        });
        settled.unwrap_or_else(nothing)
    }

    pub(super) fn read(
        &self,
        root: &str,
        claims: &[Claim<'_>],
        now: Moment,
    ) -> Result<Vec<CellState>, CounterError> {
        check_subject(root)?;
        for claim in claims {
            check_subject(claim.subject)?;
        }
        self.under(root, |shard, around, key| {
            shard.read(around, key, claims, now)
        })
    }

    pub(super) fn adjust(
        &self,
        root: &str,
        claim: Claim<'_>,
        how: &Adjust,
        now: Moment,
    ) -> Result<CellState, CounterError> {
        check_subject(root)?;
        check_subject(claim.subject)?;
        self.under(root, |shard, around, key| {
            shard.adjust(around, key, claim, how, now)
        })
    }

    pub(super) fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Result<Vec<HoldState>, CounterError> {
        check_subject(root)?;
        check_subject(claim.subject)?;
        self.under(root, |shard, around, key| {
            Ok(shard.list(around, key, claim, at_most, now))
        })
    }

    pub(super) fn expire(&self, at_most: usize, now: Moment) -> Vec<Expired> {
        let mut out = Vec::new();
        let first = self.hand.fetch_add(1, Ordering::Relaxed);
        for step in 0..self.shards.len() {
            if out.len() >= at_most {
                break;
            }
            let shard = first.wrapping_add(step) % self.shards.len();
            if let Some((lock, around)) = self.at(shard) {
                lock.with(|shard| shard.expire(&around, at_most, now, &mut out));
            }
        }
        out
    }

    pub(super) fn snapshot(&self, now: Moment) -> Snapshot {
        let mut snapshot = Snapshot::new(now.wall);
        for shard in 0..self.shards.len() {
            if let Some((lock, around)) = self.at(shard) {
                lock.with(|shard| shard.write_down(&around, now, &mut snapshot));
            }
        }
        snapshot
    }

    pub(super) fn restore(&self, snapshot: &Snapshot, now: Moment) -> Result<(), SnapshotError> {
        StandIns::default().restore(snapshot, now, |root, put| {
            let key = RootKey::new(&self.secret, root);
            let (lock, around) = self
                .at(key.shard(self.shards.len()))
                .ok_or(SnapshotError::Full)?;
            lock.with(|shard| put(shard, &around, key))
        })
    }

    fn under<T>(
        &self,
        root: &str,
        act: impl FnOnce(&mut Shard, &Around<'_>, RootKey<'_>) -> Result<T, CounterError>,
    ) -> Result<T, CounterError> {
        let key = RootKey::new(&self.secret, root);
        let (lock, around) = self
            .at(key.shard(self.shards.len()))
            .ok_or(CounterError::Full)?;
        lock.with(|shard| act(shard, &around, key))
    }

    /// The shard that a hold's name speaks of, if the name is of this store.
    fn shard(&self, store: u32, shard: u16) -> Option<(&L, Around<'_>)> {
        if store != self.store {
            return None;
        }
        self.at(shard.into())
    }

    fn at(&self, shard: usize) -> Option<(&L, Around<'_>)> {
        let lock = self.shards.get(shard)?;
        let around = Around {
            room: &self.room,
            secret: &self.secret,
            names: Names {
                store: self.store,
                shard: u16::try_from(shard).ok()?,
            },
            grace: nanos(self.bounds.grace),
        };
        Some((lock, around))
    }

    /// What counts against a limit, with nothing brought up to date but the window.
    #[cfg(test)]
    pub(super) fn peek(&self, root: &str, claim: Claim<'_>, now: Moment) -> u64 {
        let peek = self.under(root, |shard, around, key| {
            Ok(shard.peek(around, key, claim, now))
        });
        peek.unwrap()
    }

    #[cfg(test)]
    pub(super) fn each<T>(&self, act: impl Fn(&mut Shard) -> T) -> Vec<T> {
        self.shards.iter().map(|lock| lock.with(&act)).collect()
    }

    pub(super) const fn room(&self) -> &Room {
        &self.room
    }
}

impl<L> fmt::Debug for Engine<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("bounds", &self.bounds)
            .field("bytes", &self.room.bytes())
            .field("holds", &self.room.holds())
            .finish_non_exhaustive()
    }
}
