use std::{io, sync::Arc};

use super::stored::{ABSENT, HASH, LEVELS, Stored, file, join};
use crate::{
    merkle::{Frontier, Hash, Hashes},
    storage::{Storage, StorageFile},
};

/// Gives the hash of every record from an index on to whoever takes them, up to the log's end.
pub(crate) type Leaves<'l> =
    dyn FnMut(u64, &mut dyn FnMut(Hash) -> io::Result<()>) -> io::Result<()> + 'l;

/// Writes the hashes in `tree/`; for the one process that writes the log.
///
/// They are written without waiting for the disk, but for once in 65,536 records, so that what a
/// crash can leave in them lies within the part that [`open`](Self::open) looks at. After an error
/// the files are opened anew by the next `append`, which may be given the same hashes again.
#[derive(Debug)]
pub(crate) struct TreeFiles {
    storage: Arc<dyn Storage>,
    stored: Stored,
    size: u64,
    /// By level: the hashes of the last tile, while it is not full.
    unfinished: Vec<Vec<Hash>>,
}

impl TreeFiles {
    /// Opens the files of a log whose records have this `tree`, cut to its size, and checks them:
    /// that they have the root, and the last 131,072 records hash by hash. Where they are not as
    /// they should be, they are made anew from the hashes that `leaves` gives, from the first that
    /// cannot be believed on.
    ///
    /// # Errors
    ///
    /// `InvalidData` where what `leaves` gives has another root, and what the disk says.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        tree: &Frontier,
        pruned: Frontier,
        leaves: &mut Leaves<'_>,
    ) -> io::Result<Self> {
        let mut files = Self {
            stored: Stored::open(&*storage, pruned)?,
            storage,
            size: 0,
            unfinished: Vec::new(),
        };
        let there = files.stored.length(0)?.min(tree.size());
        let believed = match there == tree.size() {
            true => there,
            false => there & !TILE_MASK,
        };
        if believed >= files.stored.pruned.size() {
            match files.continue_from(believed, tree, leaves) {
                Ok(true) => return Ok(files),
                Ok(false) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        files.begin_anew()?;
        let from = files.stored.pruned.size();
        if files.continue_from(from, tree, leaves)? {
            Ok(files)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the records have another root than the log's tree",
            ))
        }
    }

    /// How many records' hashes are there.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hashes of records.
    ///
    /// # Errors
    ///
    /// What the disk says. None was added then.
    pub(crate) fn append(&mut self, leaves: &[Hash]) -> io::Result<()> {
        let mut unfinished = self.unfinished.clone();
        if let Err(error) = self.write(leaves, &mut unfinished) {
            // What the files have now cannot be known. They are not asked again.
            self.stored.files.fill_with(|| None);
            return Err(error);
        }
        self.unfinished = unfinished;
        self.size += leaves.len() as u64;
        Ok(())
    }

    /// Makes durable what was written. Nothing is lost without it; opening after a crash is quicker
    /// with it.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        for file in &mut self.stored.files {
            if let Some(open) = file
                && let Err(error) = open.sync()
            {
                *file = None;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes a row of hashes to each level: the leaves, then what became complete by them.
    fn write(&mut self, leaves: &[Hash], unfinished: &mut [Vec<Hash>]) -> io::Result<()> {
        let mut row = leaves.to_vec();
        let mut first = self.size;
        let mut durable = false;
        for (level, tile) in (0_u8..).zip(unfinished) {
            if row.is_empty() {
                break;
            }
            self.write_row(level, first, &row)?;
            let mut above = Vec::new();
            for (hash, index) in row.iter().zip(first..) {
                tile.push(*hash);
                if tile.len() == TILE {
                    above.push(self.complete(level, index >> 8, tile)?);
                    tile.clear();
                }
            }
            // Once in 65,536 records.
            durable |= level == 1 && !above.is_empty();
            row = above;
            first >>= 8;
        }
        if durable { self.sync() } else { Ok(()) }
    }

    /// The hash over a full tile of a level.
    fn complete(&self, level: u8, index: u64, tile: &[Hash]) -> io::Result<Hash> {
        if tile.contains(&ABSENT) {
            // Its first hashes are of records that were pruned.
            self.stored.subtree(8 * (level + 1), index)
        } else {
            Ok(join(tile))
        }
    }

    fn write_row(&mut self, level: u8, first: u64, row: &[Hash]) -> io::Result<()> {
        let bytes: Vec<u8> = row.iter().flat_map(|hash| *hash.as_bytes()).collect();
        let mut offset = first * HASH as u64;
        let mut rest = bytes.as_slice();
        let file = self.file(level)?;
        while !rest.is_empty() {
            match file.write_at(rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The file of a level, made where there is none.
    fn file(&mut self, level: u8) -> io::Result<&mut dyn StorageFile> {
        let place = self
            .stored
            .files
            .get_mut(usize::from(level))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let open = match place.take() {
            Some(open) => open,
            None => match self.storage.open(&file(level), false) {
                Err(error) if is_absent(&error) => self.storage.open(&file(level), true)?,
                other => other?,
            },
        };
        Ok(&mut **place.insert(open))
    }

    fn set_length(&mut self, level: u8, count: u64) -> io::Result<()> {
        let bytes = count * HASH as u64;
        let there = match self.stored.files.get(usize::from(level)) {
            Some(Some(file)) => file.length()?,
            _ => 0,
        };
        if there == bytes {
            return Ok(());
        }
        self.file(level)?.set_length(bytes)
    }

    /// Goes on from the hashes of the first `believed` records, up to `tree`. Whether the files then
    /// have its root.
    fn continue_from(
        &mut self,
        believed: u64,
        tree: &Frontier,
        leaves: &mut Leaves<'_>,
    ) -> io::Result<bool> {
        self.cut(believed)?;
        if believed < tree.size() {
            let mut some = Vec::with_capacity(CHUNK);
            leaves(believed, &mut |leaf| {
                some.push(leaf);
                if some.len() == CHUNK {
                    self.append(&some)?;
                    some.clear();
                }
                Ok(())
            })?;
            self.append(&some)?;
        }
        Ok(self.size == tree.size() && self.has_root(tree)? && self.ends_soundly()?)
    }

    /// Cuts all levels to `size` records, and completes those that are short of it.
    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.size = size;
        self.unfinished.clear();
        for level in 0..LEVELS {
            let count = size >> (8 * level);
            let there = self.stored.length(level)?;
            if there >= count {
                self.set_length(level, count)?;
            }
            for index in there..count {
                let hash = self.stored.subtree(8 * level, index)?;
                self.write_row(level, index, &[hash])?;
            }
            let open = usize::from(count.to_le_bytes()[0]);
            let tile = match open {
                0 => Vec::new(),
                open => self.stored.row(level, count & !TILE_MASK, open)?,
            };
            self.unfinished.push(tile);
        }
        Ok(())
    }

    /// Leaves nothing but room for the records that were pruned.
    fn begin_anew(&mut self) -> io::Result<()> {
        for level in 0..LEVELS {
            self.set_length(level, 0)?;
            self.set_length(level, self.stored.pruned.size() >> (8 * level))?;
        }
        Ok(())
    }

    fn has_root(&self, tree: &Frontier) -> io::Result<bool> {
        match Frontier::read(tree.size(), &self.stored) {
            Ok(found) => Ok(found == *tree),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the last tiles of each level have the hashes that stand above them.
    fn ends_soundly(&self) -> io::Result<bool> {
        for level in 1..LEVELS {
            let count = self.size >> (8 * level);
            for index in count.saturating_sub(LAST_TILES)..count {
                let tile = self.stored.row(level - 1, index << 8, TILE)?;
                let above = self.stored.row(level, index, 1)?;
                let pruned = index << (8 * level) < self.stored.pruned.size();
                if !pruned && above != [join(&tile)] {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Hashes for TreeFiles {
    fn subtree(&self, level: u8, index: u64) -> io::Result<Hash> {
        self.stored.subtree(level, index)
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

const TILE: usize = 256;
const TILE_MASK: u64 = 255;

/// Hashes that are written at once when the files are made anew.
const CHUNK: usize = 64 * TILE;

/// Tiles of each level that are looked at when the files are opened: twice what can have been
/// written since they were last durable.
const LAST_TILES: u64 = 512;
