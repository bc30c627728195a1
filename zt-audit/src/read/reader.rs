use std::{collections::VecDeque, io, ops::ControlFlow, path::Path, sync::Arc};

use super::{
    Look, Part, PrunedFile, Scanned, Seen, Segments, State, Stop, scan, small, stored_tree,
};
use crate::{
    format::name,
    merkle::{Frontier, Hash},
    note::SignedCheckpoint,
    storage::{Folder, Storage, StorageFile},
    verify::{BadRecord, MAX_CHECKPOINT, Reason},
};

/// Reads the records of a log in order; see the [module](super).
#[derive(Debug)]
pub struct LogReader {
    storage: Arc<dyn Storage>,
    /// The first record that is asked for.
    from: u64,
    durable: bool,
    file: Box<dyn StorageFile>,
    part: Part,
    /// The tree at the segment's beginning came from `tree/`, and no root was compared yet.
    guessed: bool,
    state: State,
    ready: VecDeque<Entry>,
}

impl LogReader {
    /// Reads the log in `folder` from the record `from` on.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or `from` was pruned.
    pub fn open(folder: impl AsRef<Path>, from: u64) -> Result<Self, ReadError> {
        let folder = folder.as_ref();
        let storage = match Folder::read_only(folder) {
            Ok(storage) => storage,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::Absent(folder.display().to_string()));
            }
            Err(source) => {
                return Err(ReadError::File {
                    action: "open",
                    file: folder.display().to_string(),
                    source,
                });
            }
        };
        match Self::over(Arc::new(storage), from) {
            Err(ReadError::Absent(_)) => Err(ReadError::Absent(folder.display().to_string())),
            other => other,
        }
    }

    /// Reads the log in `storage`.
    pub(crate) fn over(storage: Arc<dyn Storage>, from: u64) -> Result<Self, ReadError> {
        let segments = Segments::list(&*storage).map_err(|error| file(name::LOG, error))?;
        let mut state = match &segments.pruned {
            PrunedFile::None => State::beginning(),
            PrunedFile::At(pruned) => State::at(pruned.tree.clone()),
            PrunedFile::Bad => {
                return Err(ReadError::Damaged {
                    index: 0,
                    file: name::PRUNED.to_owned(),
                    offset: 0,
                    reason: Reason::Pruned,
                });
            }
        };
        let begin = segments.begin();
        if from < begin {
            return Err(ReadError::Pruned { first: begin });
        }
        let first = segments
            .firsts
            .iter()
            .rev()
            .find(|first| **first <= from)
            .copied();
        let Some(first) = first else {
            return Err(match segments.firsts.first() {
                None => ReadError::Absent(name::LOG.to_owned()),
                Some(_) => ReadError::Damaged {
                    index: begin,
                    file: name::segment(begin),
                    offset: 0,
                    reason: Reason::Missing,
                },
            });
        };
        let mut rooted = true;
        if first != begin {
            let tree = stored_tree(&*storage, &segments, first)
                .map_err(|error| file(name::TREE, error))?;
            rooted = tree.is_some();
            state = State::at(tree.unwrap_or_else(|| of_unknown_hashes(first)));
        }
        Ok(Self {
            file: open(&*storage, first)?,
            storage,
            from,
            durable: false,
            part: Part {
                first,
                offset: 0,
                until: None,
                rooted,
            },
            guessed: first != begin,
            state,
            ready: VecDeque::new(),
        })
    }

    /// Holds the last batch back until another follows it or the log's checkpoint covers it, so that
    /// nothing is handed out that a crash can still take back.
    #[must_use]
    pub fn only_durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// The next committed record; `None` where there is none yet. Asked again, it looks for new ones.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or is not as it was written.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that ended does not go on; this does"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        while self.ready.is_empty() {
            if !self.load()? {
                return Ok(None);
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The index of the record that [`next`](Self::next) will give.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self.ready.front() {
            Some(entry) => entry.index,
            None => self.state.tree.size().max(self.from),
        }
    }

    /// Reads some batches; whether there is more to look at.
    fn load(&mut self) -> Result<bool, ReadError> {
        let (mut scanned, mut batches) = self.scan(None)?;
        let size = scanned.state.tree.size();
        if self.durable
            && batches.end.is_some()
            && scanned.stop != Stop::Enough
            && !self.is_durable(size)?
        {
            let Some(before) = batches.before else {
                return Ok(false);
            };
            (scanned, batches) = self.scan(Some(before))?;
        }
        if batches.end.is_none() {
            return self.pass(&scanned);
        }
        self.state = scanned.state;
        self.part.offset = scanned.end;
        self.guessed = false;
        batches.entries.truncate(batches.committed);
        self.ready.extend(batches.entries);
        Ok(true)
    }

    fn scan(&self, stop_at: Option<u64>) -> Result<(Scanned, Batches), ReadError> {
        let mut batches = Batches {
            from: self.from,
            segment: self.part.first,
            begin: self.part.offset,
            stop_at,
            before: None,
            end: None,
            entries: Vec::new(),
            committed: 0,
        };
        let scanned = scan(&*self.file, self.part, self.state.clone(), &mut batches)
            .map_err(|error| file(&name::segment(self.part.first), error))?;
        Ok((scanned, batches))
    }

    /// Whether the batch that ends at `size` was durable: nothing else is signed, and no segment goes
    /// on from anything else.
    fn is_durable(&self, size: u64) -> Result<bool, ReadError> {
        let signed = small(&*self.storage, name::CHECKPOINT, MAX_CHECKPOINT)
            .map_err(|error| file(name::CHECKPOINT, error))?
            .and_then(|bytes| SignedCheckpoint::parse(&bytes).ok())
            .map_or(0, |signed| signed.checkpoint().size);
        Ok(signed >= size || self.segments()?.1.is_some_and(|next| next >= size))
    }

    /// The log's first record, and the segment after this one.
    fn segments(&self) -> Result<(u64, Option<u64>), ReadError> {
        let segments = Segments::list(&*self.storage).map_err(|error| file(name::LOG, error))?;
        let after = |first: &&u64| **first > self.part.first;
        Ok((
            segments.begin(),
            segments.firsts.iter().find(after).copied(),
        ))
    }

    /// There is no new batch in this segment: whether the next one has some.
    fn pass(&mut self, scanned: &Scanned) -> Result<bool, ReadError> {
        if self.guessed
            && matches!(&scanned.stop, Stop::Problem { bad, .. } if bad.reason == Reason::Root)
        {
            // What `tree/` has is derived and need not be true.
            self.guessed = false;
            self.part.rooted = false;
            return Ok(true);
        }
        let position = self.state.tree.size();
        let (begin, next) = self.segments()?;
        if begin > position {
            return Err(ReadError::Pruned { first: begin });
        }
        let bad = match (next, &scanned.stop) {
            (Some(next), _) if next == position => return self.go_on_in(next),
            (Some(next), Stop::Blank) => BadRecord {
                index: position.min(next),
                file: name::segment(self.part.first),
                offset: scanned.end,
                reason: match next > position {
                    true => Reason::Missing,
                    false => Reason::Overlap,
                },
            },
            (Some(_), Stop::Problem { bad, .. }) => bad.clone(),
            (None, Stop::Problem { .. }) => {
                let rest = scanned
                    .rest(&*self.file, self.part)
                    .map_err(|error| file(&name::segment(self.part.first), error))?;
                match rest {
                    super::Rest::Bad(bad) => bad,
                    _ => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        // It may have been read while it was written.
        let (again, _) = self.scan(None)?;
        if again.end != scanned.end || again.stop != scanned.stop {
            return Ok(true);
        }
        Err(bad.into())
    }

    fn go_on_in(&mut self, next: u64) -> Result<bool, ReadError> {
        let opened = open(&*self.storage, next)?;
        let mut first = [0];
        opened
            .read_at(&mut first, 0)
            .map_err(|error| file(&name::segment(next), error))?;
        if first == [0] {
            return Ok(false);
        }
        self.file = opened;
        self.part.first = next;
        self.part.offset = 0;
        Ok(true)
    }
}

/// Keeps records, up to a bound, and where batches end.
struct Batches {
    from: u64,
    segment: u64,
    begin: u64,
    stop_at: Option<u64>,
    /// Where the batch before the last one ends.
    before: Option<u64>,
    /// Where the last one ends.
    end: Option<u64>,
    entries: Vec<Entry>,
    /// How many of the entries are committed.
    committed: usize,
}

impl Look for Batches {
    fn record(&mut self, seen: Seen<'_>) -> Result<(), Reason> {
        if seen.offset.saturating_sub(self.end.unwrap_or(self.begin)) > MAX_BATCH {
            return Err(Reason::TooLong);
        }
        if seen.head.index >= self.from {
            self.entries.push(Entry {
                index: seen.head.index,
                bytes: seen.bytes.to_vec(),
                leaf: seen.leaf,
                segment: self.segment,
                offset: seen.offset,
            });
        }
        Ok(())
    }

    fn committed(&mut self, end: u64) -> ControlFlow<()> {
        self.before = self.end.replace(end);
        self.committed = self.entries.len();
        match self.stop_at {
            Some(stop) if end >= stop => ControlFlow::Break(()),
            None if end - self.begin >= ENOUGH => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn open(storage: &dyn Storage, first: u64) -> Result<Box<dyn StorageFile>, ReadError> {
    let name = name::segment(first);
    storage
        .open(&name, false)
        .map_err(|error| file(&name, error))
}

fn file(name: &str, source: io::Error) -> ReadError {
    ReadError::File {
        action: "read",
        file: name.to_owned(),
        source,
    }
}

/// A tree of which only the size is known.
fn of_unknown_hashes(size: u64) -> Frontier {
    let count = size.count_ones() as usize;
    Frontier::from_parts(size, vec![Hash::EMPTY_TREE; count]).unwrap_or_default()
}

/// After so many bytes of batches a reader stops to hand out what it has.
const ENOUGH: u64 = 256 * 1024;

/// The most bytes of a batch; a writer ends one after 1 MiB.
const MAX_BATCH: u64 = 16 << 20;

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// Its line without the newline. Personal fields in it are sealed.
    pub bytes: Vec<u8>,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// The first index of its segment.
    pub segment: u64,
    /// Where its line begins in the segment's file.
    pub offset: u64,
}

impl Entry {
    /// Its fields.
    ///
    /// # Errors
    ///
    /// Where it is not JSON.
    pub fn fields(&self) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }
}

impl From<BadRecord> for ReadError {
    fn from(bad: BadRecord) -> Self {
        Self::Damaged {
            index: bad.index,
            file: bad.file,
            offset: bad.offset,
            reason: bad.reason,
        }
    }
}

/// A log that cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk.
    #[error("{action} `{file}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no log in the folder.
    #[error("there is no log in `{0}`")]
    Absent(String),
    /// The records before `first` were pruned.
    #[error("the records before {first} were pruned")]
    Pruned {
        /// The first record that is there.
        first: u64,
    },
    /// A line is not as it was written.
    #[error("record {index} at byte {offset} of `{file}`: {reason}")]
    Damaged {
        /// The first record that is not good.
        index: u64,
        /// The file.
        file: String,
        /// Where its line begins.
        offset: u64,
        /// What is wrong.
        reason: crate::verify::Reason,
    },
}
