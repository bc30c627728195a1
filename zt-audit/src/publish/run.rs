use std::{fmt, path::Path, sync::Arc};

use super::{
    PublishError,
    out::{Before, Out, covered},
};
use crate::{
    merkle::{Frontier, Hash, Hashes as _, tile::Tile},
    note::{SignedCheckpoint, VerifierKey},
    read::LogReader,
    tree::{ProveError, Prover},
};

/// How a log is published; see the [module](super).
#[derive(Default)]
pub struct Publish<'p> {
    key: Option<VerifierKey>,
    only_new: bool,
    progress: Option<&'p mut dyn FnMut(u64, u64)>,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The log.
    pub origin: String,
    /// The first record that is published, now or by an earlier run that was compared: 0, or where a
    /// pruned log begins.
    pub first: u64,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// Files that were written, but for the checkpoint.
    pub written: u64,
    /// Files that were there and are as they should be.
    pub unchanged: u64,
    /// What was signed.
    pub checkpoint: SignedCheckpoint,
}

impl<'p> Publish<'p> {
    /// Whoever signed the checkpoint; everything that is published is compared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a checkpoint that `key` did not sign.
    #[must_use]
    pub fn trusting(mut self, key: VerifierKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Does not read again what an earlier run published, so that a run takes as long as what is
    /// new. That the log goes on from what was published is always verified.
    #[must_use]
    pub const fn only_new(mut self) -> Self {
        self.only_new = true;
        self
    }

    /// Calls `progress` with how many records were read and how many there are.
    #[must_use]
    pub fn progress(mut self, progress: &'p mut dyn FnMut(u64, u64)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Publishes.
    ///
    /// # Errors
    ///
    /// As the [module](super) says.
    pub fn run(
        self,
        log: impl AsRef<Path>,
        out: impl AsRef<Path>,
    ) -> Result<Published, PublishError> {
        let (log, out) = (log.as_ref(), out.as_ref());
        let prover = Prover::open(log)?;
        if let Some(key) = &self.key {
            prover
                .checkpoint()
                .verify(key)
                .map_err(ProveError::Checkpoint)?;
        }
        apart(log, out)?;
        self.run_over(&prover, Out::open(out)?)
    }

    pub(super) fn run_over(self, prover: &Prover, mut out: Out) -> Result<Published, PublishError> {
        let signed = prover.checkpoint().clone();
        let tree = signed.checkpoint();
        let published = goes_on_from(&out, prover)?;
        let pruned = &prover.records.pruned;
        let begin = match self.only_new {
            true => Tiles::begin(prover, (published & !255).max(pruned.size())),
            false => None,
        };
        let begin = match begin {
            Some(begin) => begin,
            None => Tiles::begin(prover, pruned.size()).ok_or(ProveError::Pruned {
                first: pruned.size(),
            })?,
        };
        let mut tiles = begin;
        let first = tiles.tree.size();
        let mut progress = self.progress;
        let mut reader = LogReader::over(Arc::clone(&prover.records.storage), first)
            .map_err(ProveError::Read)?;
        while tiles.tree.size() < tree.size {
            let entry = reader.next().map_err(ProveError::Read)?;
            let entry = entry.ok_or(ProveError::Damaged)?;
            tiles.push(&entry.bytes, entry.leaf, |tile, bytes, kind| {
                put(&mut out, tile, bytes, kind, published)
            })?;
            if let Some(progress) = progress.as_mut().filter(|_| tiles.bundle.is_empty()) {
                progress(tiles.tree.size(), tree.size);
            }
        }
        if tiles.tree.root() != tree.root {
            return Err(ProveError::Damaged.into());
        }
        tiles.finish(|tile, bytes, kind| put(&mut out, tile, bytes, kind, published))?;
        out.finish(signed.encode().as_bytes())?;
        remove_partials(&out, published, tree.size)?;
        Ok(Published {
            origin: tree.origin.clone(),
            first: if self.only_new { pruned.size() } else { first },
            size: tree.size,
            written: out.written,
            unchanged: out.unchanged,
            checkpoint: signed,
        })
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("key", &self.key)
            .field("only_new", &self.only_new)
            .finish_non_exhaustive()
    }
}

/// Neither folder lies within the other: the published `checkpoint` is not the log's, and no key or
/// segment is served.
fn apart(log: &Path, out: &Path) -> Result<(), PublishError> {
    std::fs::create_dir_all(out).map_err(PublishError::file("make", out))?;
    let log = log
        .canonicalize()
        .map_err(PublishError::file("open", log))?;
    let out = out
        .canonicalize()
        .map_err(PublishError::file("open", out))?;
    if log.starts_with(&out) || out.starts_with(&log) {
        return Err(PublishError::Within);
    }
    Ok(())
}

/// How many records are published; that the log goes on from them was verified.
fn goes_on_from(out: &Out, prover: &Prover) -> Result<u64, PublishError> {
    let tree = prover.checkpoint().checkpoint();
    let Some(note) = out.checkpoint()? else {
        return Ok(0);
    };
    let published = SignedCheckpoint::parse(&note).map_err(|_| PublishError::Unreadable)?;
    let published = published.checkpoint();
    if published.origin != tree.origin {
        return Err(PublishError::OtherLog {
            found: published.origin.clone(),
        });
    }
    if published.size > tree.size {
        return Err(PublishError::RolledBack {
            published: published.size,
            size: tree.size,
        });
    }
    if published.size > 0 {
        let proof = prover.consistency(published.size, tree.size)?;
        if proof.old_root != published.root {
            return Err(PublishError::Forked {
                size: published.size,
            });
        }
    }
    Ok(published.size)
}

/// What a file of the published folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hashes,
    Entries,
}

impl Kind {
    fn path(self, tile: &Tile) -> String {
        match self {
            Self::Hashes => tile.path(),
            Self::Entries => tile.entries_path(),
        }
    }
}

fn put(
    out: &mut Out,
    tile: Tile,
    bytes: &[u8],
    kind: Kind,
    published: u64,
) -> Result<(), PublishError> {
    out.put(&kind.path(&tile), bytes, covered(&tile, published))
}

/// The tiles that grow while records are read.
struct Tiles {
    tree: Frontier,
    /// Records since the last multiple of 256, each with its length.
    bundle: Vec<u8>,
    /// By level: the hashes since the last full tile.
    rows: Vec<Vec<Hash>>,
}

impl Tiles {
    /// Where `first` records are published or pruned, a multiple of 256; `None` where the hashes
    /// that stand in one tile with later ones are not there.
    fn begin(prover: &Prover, first: u64) -> Option<Self> {
        let stored = &prover.stored;
        let pruned = &prover.records.pruned;
        let tree = match first == pruned.size() {
            true => pruned.clone(),
            false => {
                let tree = Frontier::read(first, stored).ok()?;
                let size = prover.checkpoint().checkpoint().size;
                let proof = prover.consistency(first, size).ok()?;
                Some(tree).filter(|tree| tree.root() == proof.old_root)?
            }
        };
        let mut rows = vec![Vec::new()];
        for level in 1..LEVELS {
            let count = first >> (8 * level);
            let row = (count & !255..count)
                .map(|index| stored.subtree(8 * level, index).ok())
                .collect::<Option<Vec<_>>>()?;
            rows.push(row);
        }
        // The same hashes, joined, are those of the tree; so they are good if it is.
        let joined: Vec<Hash> = rows
            .iter()
            .rev()
            .flat_map(|row| {
                let mut tree = Frontier::new();
                row.iter().for_each(|hash| tree.append(*hash));
                tree.hashes().to_vec()
            })
            .collect();
        (joined == tree.hashes()).then(|| Self {
            tree,
            bundle: Vec::new(),
            rows,
        })
    }

    /// Takes a record, and gives the tiles that are full with it.
    fn push(
        &mut self,
        record: &[u8],
        leaf: Hash,
        mut full: impl FnMut(Tile, &[u8], Kind) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        // A record is at most 65,535 bytes; the reader has seen to it.
        let length = u16::try_from(record.len()).map_err(|_| ProveError::Damaged)?;
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(record);
        self.tree.append(leaf);
        let mut hash = leaf;
        for (level, row) in (0_u8..).zip(&mut self.rows) {
            row.push(hash);
            if row.len() < 256 {
                break;
            }
            let hashes = (self.tree.size() >> (8 * level)) - 1;
            let tile = Tile {
                level,
                index: hashes >> 8,
                width: 256,
            };
            if level == 0 {
                full(tile, &self.bundle, Kind::Entries)?;
                self.bundle.clear();
            }
            full(tile, &bytes(row), Kind::Hashes)?;
            let mut tree = Frontier::new();
            row.iter().for_each(|hash| tree.append(*hash));
            hash = tree.root();
            row.clear();
        }
        Ok(())
    }

    /// Gives the partial tiles at the end.
    fn finish(
        &self,
        mut partial: impl FnMut(Tile, &[u8], Kind) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        for (level, row) in (0_u8..).zip(&self.rows) {
            if row.is_empty() {
                continue;
            }
            let tile = Tile {
                level,
                index: self.tree.size() >> (8 * level) >> 8,
                width: u16::try_from(row.len()).unwrap_or(0),
            };
            if level == 0 {
                partial(tile, &self.bundle, Kind::Entries)?;
            }
            partial(tile, &bytes(row), Kind::Hashes)?;
        }
        Ok(())
    }
}

/// Removes what the checkpoint over `before` records needed and the one over `now` has in full.
fn remove_partials(out: &Out, before: u64, now: u64) -> Result<(), PublishError> {
    for level in 0..LEVELS {
        let index = before >> (8 * level) >> 8;
        let full = Tile {
            level,
            index,
            width: 256,
        };
        if covered(&full, now) == Before::Published {
            out.remove_partial(&full.path())?;
            if level == 0 {
                out.remove_partial(&full.entries_path())?;
            }
        }
    }
    Ok(())
}

fn bytes(row: &[Hash]) -> Vec<u8> {
    row.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// 256^8 is more than there can be records.
const LEVELS: u8 = 8;
