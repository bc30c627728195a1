//! Keys that are in use, opened.

use aws_lc_rs::aead::LessSafeKey;

/// At most so many.
const PLACES: usize = 4096;

/// Each slot has one place, which it shares with others: the last one used is there.
pub(super) struct Cache(Vec<Option<Box<(u32, LessSafeKey)>>>);

impl Cache {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| None).collect())
    }

    pub(super) fn get(&self, slot: u32) -> Option<&LessSafeKey> {
        let held = self.0.get(slot as usize % PLACES)?.as_deref()?;
        (held.0 == slot).then_some(&held.1)
    }

    pub(super) fn put(&mut self, slot: u32, key: LessSafeKey) {
        if let Some(place) = self.0.get_mut(slot as usize % PLACES) {
            *place = Some(Box::new((slot, key)));
        }
    }

    pub(super) fn drop_key(&mut self, slot: u32) {
        if self.get(slot).is_some()
            && let Some(place) = self.0.get_mut(slot as usize % PLACES)
        {
            *place = None;
        }
    }
}
