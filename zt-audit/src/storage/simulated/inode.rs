//! The bytes of one file: what is read, and what is on the disk.

use std::collections::{BTreeMap, BTreeSet};

use super::{Loss, chance::Chance};

pub(super) const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// A file without its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// What is on the disk for sure.
    durable: Vec<u8>,
    /// What was read when the last flush ended; not always what is on the disk, since a flush that
    /// failed leaves pages that are read and are gone.
    base: Vec<u8>,
    /// What was done since.
    changes: Vec<Change>,
    /// What is read now.
    cached: Vec<u8>,
    /// Pages that have a place on the disk.
    pages: BTreeSet<usize>,
    /// How many flushes failed.
    errors: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Inode {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            pages: (0..bytes.len().div_ceil(PAGE)).collect(),
            base: bytes.clone(),
            cached: bytes.clone(),
            durable: bytes,
            changes: Vec::new(),
            errors: 0,
        }
    }

    pub(super) const fn errors(&self) -> u64 {
        self.errors
    }

    pub(super) fn cached(&self) -> &[u8] {
        &self.cached
    }

    /// How many pages it holds.
    pub(super) fn held(&self) -> usize {
        self.pages.len()
    }

    /// How many of `length` bytes at `offset` can be written with `free` pages to be had.
    pub(super) fn fits(&self, offset: usize, length: usize, free: usize) -> usize {
        let end = offset.saturating_add(length);
        let mut free = free;
        let mut page = offset / PAGE;
        while page * PAGE < end {
            if !self.pages.contains(&page) {
                if free == 0 {
                    return (page * PAGE).saturating_sub(offset);
                }
                free -= 1;
            }
            page += 1;
        }
        length
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.pages.extend(touched(offset, bytes.len()));
        let change = Change::Write {
            offset,
            bytes: bytes.to_vec(),
        };
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.pages.retain(|page| page * PAGE < length);
        let change = Change::Length(length);
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    /// A flush that works: pages that were changed are on the disk, and the length is. Pages that were
    /// lost before and not written since are not.
    pub(super) fn sync(&mut self) {
        let durable = self.settle(&mut Choice::Last);
        self.end_flush(durable);
    }

    /// A flush that fails: some pages are on the disk, the others never will be.
    pub(super) fn lose(&mut self, chance: &mut Chance) {
        let durable = self.settle(&mut Choice::Any(chance));
        self.end_flush(durable);
        self.errors += 1;
    }

    /// What is on the disk after a loss of power.
    pub(super) fn after(&self, loss: Loss, chance: &mut Chance) -> Vec<u8> {
        match loss {
            // The page cache survives, with all that is in it.
            Loss::Nothing => self.cached.clone(),
            Loss::Everything => self.durable.clone(),
            Loss::Random(_) => self.settle(&mut Choice::Any(chance)),
        }
    }

    fn end_flush(&mut self, durable: Vec<u8>) {
        self.durable = durable;
        self.base.clone_from(&self.cached);
        self.changes.clear();
    }

    /// The bytes on the disk when of each page one of its states was chosen.
    fn settle(&self, choice: &mut Choice<'_>) -> Vec<u8> {
        let mut lengths = vec![self.durable.len()];
        let mut states: BTreeMap<usize, Vec<Page>> = BTreeMap::new();
        let mut bytes = self.base.clone();
        for change in &self.changes {
            let before = bytes.len();
            let cut = change.cut(before);
            change.apply(&mut bytes);
            if bytes.len() != before {
                lengths.push(bytes.len());
            }
            let (offset, length) = match change {
                Change::Write { offset, bytes } => (*offset, bytes.len()),
                Change::Length(length) => (*length, cut),
            };
            for page in touched(offset, length) {
                let versions = states
                    .entry(page)
                    .or_insert_with(|| vec![page_of(&self.durable, page)]);
                versions.push(page_of(&bytes, page));
            }
        }
        let length = match choice {
            Choice::Last => lengths.last(),
            Choice::Any(chance) => chance.one_of(&lengths),
        };
        let mut settled = self.durable.clone();
        for (page, versions) in states {
            let end = (page + 1) * PAGE;
            if settled.len() < end {
                settled.resize(end, 0);
            }
            if let Some(place) = settled.get_mut(page * PAGE..end) {
                choice.fill(place, &versions);
            }
        }
        settled.resize(length.copied().unwrap_or_default(), 0);
        settled
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset.saturating_add(bytes.len());
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(place) = to.get_mut(*offset..end) {
                    place.copy_from_slice(bytes);
                }
            }
            Self::Length(length) => to.resize(*length, 0),
        }
    }

    /// How many of so many bytes it takes away.
    fn cut(&self, before: usize) -> usize {
        match self {
            Self::Write { .. } => 0,
            Self::Length(length) => before.saturating_sub(*length),
        }
    }
}

type Page = [u8; PAGE];

enum Choice<'a> {
    /// What was written last.
    Last,
    /// For each page one of its states; a torn page has sectors of several.
    Any(&'a mut Chance),
}

impl Choice<'_> {
    fn fill(&mut self, place: &mut [u8], versions: &[Page]) {
        match self {
            Self::Last => {
                if let Some(version) = versions.last() {
                    place.copy_from_slice(version);
                }
            }
            Self::Any(chance) => {
                let is_torn = chance.below(4) == 0;
                if let Some(version) = chance.one_of(versions) {
                    place.copy_from_slice(version);
                }
                if !is_torn {
                    return;
                }
                for (number, sector) in place.chunks_mut(SECTOR).enumerate() {
                    let start = number * SECTOR;
                    let version = chance.one_of(versions);
                    if let Some(from) = version.and_then(|page| page.get(start..start + SECTOR)) {
                        sector.copy_from_slice(from);
                    }
                }
            }
        }
    }
}

/// The pages of `length` bytes at `offset`.
fn touched(offset: usize, length: usize) -> std::ops::Range<usize> {
    if length == 0 {
        return 0..0;
    }
    offset / PAGE..offset.saturating_add(length).div_ceil(PAGE)
}

fn page_of(bytes: &[u8], page: usize) -> Page {
    let mut out = [0; PAGE];
    let from = bytes.get(page * PAGE..).unwrap_or_default();
    for (to, from) in out.iter_mut().zip(from) {
        *to = *from;
    }
    out
}
