//! The names of local holds: where to find them, behind a prefix that the store's names never have.

use zt_core::random::{Entropy, EntropyError, bytes};

use crate::counter::HoldId;

/// From the top: 40 random bits of the instance, 6 of the shard, 22 of the path, 20 of the hold's
/// place, 40 of its serial number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    prefix: u128,
}

/// Where a local hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) path: u32,
    pub(super) slot: u32,
    pub(super) serial: u64,
}

pub(super) const SHARDS: u32 = 1 << 6;
pub(super) const MAX_PATHS: u32 = 1 << 22;
pub(super) const MAX_SERIAL: u64 = (1 << 40) - 1;

impl Ids {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let [a, b, c, d, e] = bytes::<5>(entropy)?;
        let prefix = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        Ok(Self {
            prefix: u128::from(prefix),
        })
    }

    pub(super) fn name(self, place: Place) -> HoldId {
        let path = (self.prefix << 28) | (u128::from(place.shard) << 22) | u128::from(place.path);
        HoldId((path << 60) | (u128::from(place.slot) << 40) | u128::from(place.serial))
    }

    /// Whether it has this instance's prefix.
    pub(super) const fn has(self, id: HoldId) -> bool {
        id.0 >> 88 == self.prefix
    }

    /// `None` for a name of the store's.
    pub(super) fn place(self, id: HoldId) -> Option<Place> {
        let part = |shift: u32, bits: u32| (id.0 >> shift) & ((1 << bits) - 1);
        let small = |shift, bits| u32::try_from(part(shift, bits)).ok();
        if !self.has(id) {
            return None;
        }
        Some(Place {
            shard: small(82, 6)?,
            path: small(60, 22)?,
            slot: small(40, 20)?,
            serial: u64::try_from(part(0, 40)).ok()?,
        })
    }
}
