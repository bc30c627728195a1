/// Entries by index, in chunks, so that growing neither moves nor doubles what is there.
pub(super) struct Slab<T> {
    chunks: Vec<Box<[Entry<T>]>>,
    free: u32,
    len: usize,
}

enum Entry<T> {
    /// The next one that is free.
    Free(u32),
    Used(T),
}

const NONE: u32 = u32::MAX;

impl<T> Slab<T> {
    /// Entries of a chunk.
    pub(super) const CHUNK: usize = 16;
    /// Bytes of a chunk.
    pub(super) const CHUNK_BYTES: usize = Self::CHUNK * size_of::<Entry<T>>();

    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many indices there are, used and free.
    pub(super) const fn slots(&self) -> usize {
        self.chunks.len() * Self::CHUNK
    }

    /// Whether the next entry needs another chunk.
    pub(super) const fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// The index of `value`; `None` where indices have come to their end.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        if self.free == NONE {
            self.grow()?;
        }
        let index = self.free;
        let entry = self.entry_mut(index)?;
        let Entry::Free(next) = *entry else {
            return None;
        };
        *entry = Entry::Used(value);
        self.free = next;
        self.len += 1;
        Some(index)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = split(index);
        match self.chunks.get(chunk)?.get(place)? {
            Entry::Used(value) => Some(value),
            Entry::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.entry_mut(index)? {
            Entry::Used(value) => Some(value),
            Entry::Free(_) => None,
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let entry = self.entry_mut(index)?;
        if matches!(entry, Entry::Free(_)) {
            return None;
        }
        let Entry::Used(value) = std::mem::replace(entry, Entry::Free(free)) else {
            return None;
        };
        self.free = index;
        self.len -= 1;
        Some(value)
    }

    /// Drops one where it is.
    pub(super) fn forget(&mut self, index: u32) {
        let free = self.free;
        if let Some(entry @ Entry::Used(_)) = self.entry_mut(index) {
            *entry = Entry::Free(free);
            self.free = index;
            self.len -= 1;
        }
    }

    /// Forgets all entries and gives their memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        (0..).zip(entries).filter_map(|(index, entry)| match entry {
            Entry::Used(value) => Some((index, value)),
            Entry::Free(_) => None,
        })
    }

    fn grow(&mut self) -> Option<()> {
        let start = u32::try_from(self.slots()).ok()?;
        let count = u32::try_from(Self::CHUNK).ok()?;
        let end = start.checked_add(count)?;
        let next = |index: u32| if index + 1 == end { NONE } else { index + 1 };
        self.chunks
            .push((start..end).map(|index| Entry::Free(next(index))).collect());
        self.free = start;
        Some(())
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        let (chunk, place) = split(index);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

const fn split(index: u32) -> (usize, usize) {
    let index = index as usize;
    (index / Slab::<()>::CHUNK, index % Slab::<()>::CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_nothing_moves() {
        let mut slab = Slab::new();
        let indices: Vec<u32> = (0..100).map(|value| slab.insert(value).unwrap()).collect();
        assert_eq!((slab.len(), slab.slots()), (100, 112));
        assert_eq!(slab.remove(indices[7]), Some(7));
        assert_eq!(slab.remove(indices[7]), None);
        assert_eq!(slab.get(indices[7]), None);
        assert_eq!(slab.insert(700), Some(indices[7]));
        assert_eq!(slab.get(indices[99]), Some(&99));
        assert_eq!(slab.iter().count(), 100);
        assert_eq!(slab.get(NONE), None);
    }
}
