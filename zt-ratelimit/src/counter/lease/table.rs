//! The paths, by their claims and by their place. Their number is bounded.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hashbrown::HashTable;

use super::{
    id::SHARDS,
    opens::Returns,
    path::{Path, hash_claims},
    settings::Leasing,
    stock::Finishes,
};
use crate::counter::Reserve;

#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    paths: AtomicU32,
    hasher: Keyed,
}

/// The paths of some roots: all of a root are in one.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: RwLock<Slots>,
    /// Counts what was given back.
    epoch: AtomicU64,
    /// Whether somebody counts on the epoch.
    watched: AtomicBool,
    /// Whether a lease may have something to give back.
    pub(super) surplus: AtomicBool,
    pub(super) returns: Returns,
    hand: AtomicUsize,
}

#[derive(Debug, Default)]
struct Slots {
    index: HashTable<(u64, u32)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// Serial numbers go on where a place is used again.
#[derive(Debug, Default)]
struct Slot {
    path: Option<(Arc<Path>, u64)>,
    serial: u64,
}

/// Where claims belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) shard: u32,
    hash: u64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            paths: AtomicU32::new(0),
            hasher: Keyed::default(),
        }
    }

    pub(super) fn spot(&self, ask: &Reserve<'_>) -> Spot {
        let mut state = self.hasher.build_hasher();
        state.write(ask.root.as_bytes());
        state.write_u8(0xff);
        let shard = state.finish() % u64::from(SHARDS);
        hash_claims(ask.claims, &mut state);
        Spot {
            shard: u32::try_from(shard).unwrap_or(0),
            hash: state.finish(),
        }
    }

    pub(super) fn shard_of(&self, root: &str) -> u32 {
        let mut state = self.hasher.build_hasher();
        state.write(root.as_bytes());
        state.write_u8(0xff);
        u32::try_from(state.finish() % u64::from(SHARDS)).unwrap_or(0)
    }

    pub(super) fn shard(&self, shard: u32) -> Option<&Shard> {
        self.shards.get(usize::try_from(shard).ok()?)
    }

    /// The path of these claims, and its place.
    pub(super) fn find(&self, spot: Spot, ask: &Reserve<'_>) -> Option<Arc<Path>> {
        self.shard(spot.shard)?.find(spot.hash, ask)
    }

    pub(super) fn at(&self, shard: u32, place: u32) -> Option<Arc<Path>> {
        let slots = self
            .shard(shard)?
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = slots.slots.get(usize::try_from(place).ok()?)?;
        slot.path.as_ref().map(|(path, _)| Arc::clone(path))
    }

    /// A new path, unless it has come in the meantime. Where there are too many, the one that was
    /// used least recently of a few goes, and its leases are handed to `returned`; where all are in
    /// use, there is none.
    pub(super) fn insert(
        &self,
        spot: Spot,
        ask: &Reserve<'_>,
        leasing: &Leasing,
        now: Duration,
        returned: impl FnOnce(Arc<Path>, Finishes),
    ) -> Option<Arc<Path>> {
        let counted = self
            .paths
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |paths| {
                (paths < leasing.paths).then_some(paths + 1)
            });
        if counted.is_err() {
            // The new one takes the place of the old one in the count.
            let (old, finishes) = self.evict(spot.shard)?;
            returned(old, finishes);
        }
        let put = self
            .shard(spot.shard)
            .and_then(|shard| shard.put(spot, ask, leasing, now));
        if !matches!(put, Some((_, true))) {
            self.paths.fetch_sub(1, Ordering::AcqRel);
        }
        put.map(|(path, _)| path)
    }

    /// Takes a path out that has no local holds, and what it had with it.
    pub(super) fn remove(&self, path: &Arc<Path>) -> Option<Finishes> {
        let finishes = self.shard(path.shard)?.remove(path)?;
        self.paths.fetch_sub(1, Ordering::AcqRel);
        Some(finishes)
    }

    /// All paths of a shard.
    pub(super) fn paths(&self, shard: u32) -> Vec<Arc<Path>> {
        let Some(shard) = self.shard(shard) else {
            return Vec::new();
        };
        let slots = shard.slots.read().unwrap_or_else(PoisonError::into_inner);
        let paths = slots.slots.iter().filter_map(|slot| slot.path.as_ref());
        paths.map(|(path, _)| Arc::clone(path)).collect()
    }

    pub(super) fn len(&self) -> u32 {
        self.paths.load(Ordering::Acquire)
    }

    fn evict(&self, first: u32) -> Option<(Arc<Path>, Finishes)> {
        (0..SHARDS).find_map(|step| self.shard((first + step) % SHARDS)?.evict())
    }
}

impl Shard {
    /// How often something was given back here. Whoever asks the store reads it before, so that
    /// what comes back meanwhile is not overlooked.
    pub(super) fn watch(&self) -> u64 {
        // Read first: if `give_back` overlooks or takes the mark, it counts after this.
        let epoch = self.epoch.load(Ordering::SeqCst);
        self.watched.store(true, Ordering::SeqCst);
        epoch
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Something was given back: refusals are no longer repeated.
    pub(super) fn give_back(&self) {
        // Seldom, so that settlements do not write to one place.
        if self.watched.load(Ordering::SeqCst) && self.watched.swap(false, Ordering::SeqCst) {
            self.epoch.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn find(&self, hash: u64, ask: &Reserve<'_>) -> Option<Arc<Path>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.find(hash, ask)
    }

    /// The path, and whether it is new.
    fn put(
        &self,
        spot: Spot,
        ask: &Reserve<'_>,
        leasing: &Leasing,
        now: Duration,
    ) -> Option<(Arc<Path>, bool)> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = slots.find(spot.hash, ask) {
            return Some((path, false));
        }
        let place = match slots.free.pop() {
            Some(place) => place,
            None => {
                let place = u32::try_from(slots.slots.len()).ok()?;
                slots.slots.push(Slot::default());
                place
            }
        };
        let slot = slots.slots.get_mut(usize::try_from(place).ok()?)?;
        let path = Arc::new(Path::new(
            ask,
            (spot.shard, place),
            slot.serial,
            leasing,
            now,
        ));
        slot.path = Some((Arc::clone(&path), spot.hash));
        slots
            .index
            .insert_unique(spot.hash, (spot.hash, place), |(hash, _)| *hash);
        Some((path, true))
    }

    fn remove(&self, path: &Arc<Path>) -> Option<Finishes> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(path.place).ok()?;
        let (here, _) = slots.slots.get(place)?.path.as_ref()?;
        if !Arc::ptr_eq(here, path) {
            return None;
        }
        slots.remove(place)
    }

    /// The least recently used of a few, unless all have local holds.
    fn evict(&self) -> Option<(Arc<Path>, Finishes)> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let len = slots.slots.len();
        let hand = self.hand.fetch_add(CANDIDATES, Ordering::Relaxed);
        let mut oldest: Option<(Duration, usize)> = None;
        for step in 0..CANDIDATES.min(len) {
            let place = hand.wrapping_add(step).checked_rem(len)?;
            let Some((path, _)) = slots.slots.get(place).and_then(|slot| slot.path.as_ref()) else {
                continue;
            };
            let state = path.lock();
            let used = state.stock.leases().iter().any(|lease| lease.live > 0);
            if !used && oldest.is_none_or(|(when, _)| state.used < when) {
                oldest = Some((state.used, place));
            }
        }
        let (_, place) = oldest?;
        let (path, _) = slots.slots.get(place)?.path.clone()?;
        let finishes = slots.remove(place)?;
        Some((path, finishes))
    }
}

impl Slots {
    fn find(&self, hash: u64, ask: &Reserve<'_>) -> Option<Arc<Path>> {
        let at = |place: u32| {
            let slot = self.slots.get(usize::try_from(place).ok()?)?;
            slot.path.as_ref().map(|(path, _)| path)
        };
        let is = |(_, place): &(u64, u32)| at(*place).is_some_and(|path| path.is(ask));
        let (_, place) = self.index.find(hash, is)?;
        at(*place).map(Arc::clone)
    }

    /// `None` where it has local holds by now.
    fn remove(&mut self, place: usize) -> Option<Finishes> {
        let slot = self.slots.get_mut(place)?;
        let (path, hash) = slot.path.as_ref()?;
        let (path, hash) = (Arc::clone(path), *hash);
        let mut state = path.lock();
        if state.stock.leases().iter().any(|lease| lease.live > 0) {
            return None;
        }
        state.gone = true;
        let finishes = state.stock.retire();
        slot.serial = state.stock.serial();
        slot.path = None;
        let place = u32::try_from(place).ok()?;
        self.free.push(place);
        if let Ok(entry) = self.index.find_entry(hash, |(_, at)| *at == place) {
            entry.remove();
        }
        Some(finishes)
    }
}

/// Strangers must not choose where their paths go; tests shall go the same way again.
#[cfg(not(test))]
type Keyed = std::hash::RandomState;
#[cfg(test)]
type Keyed = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// So many are looked at for the one to go.
const CANDIDATES: usize = 16;
