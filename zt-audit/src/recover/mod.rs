//! Opening a log that was left: cleanly, in a crash, or with damage.
//!
//! A log can be continued when
//!
//! 1. its segments follow one another without a gap from record 0, or from where `pruned` says that
//!    it begins; each has the name of its first record and ends with the commit line of the size at
//!    which the next begins;
//! 2. `checkpoint` is a signed checkpoint of this log, by the key that is given or by one that
//!    endorsed it, covers no more records than there are, and has the root that they have;
//! 3. everything up to the last commit line, from the last checkpoint on, is as it was written: each
//!    record has its form, index, origin and `prev`, each commit line its size and root;
//! 4. what follows the last commit line is nothing, NULs, or looks like a batch that did not become
//!    durable: it has holes of NULs, ends early, or only its last line is not good, and nothing was
//!    written after it.
//!
//! Bytes that (4) speaks of were never acknowledged. They are copied to `torn/<segment>-<offset>`
//! (with `.1`, `.2` behind it where there is one), the copy is made durable, and only then are they
//! cut off the segment. Anything else is [`Found::Damaged`], and nothing is changed.
//!
//! What is good and no checkpoint covers may be read and not be on the disk: the flush of a process that
//! was killed may have failed, and the next one would say "done" without it. It is written over with
//! itself and made durable before anything follows it; so are the names of the segments.
//!
//! # What is read
//!
//! The segments from the one that the checkpoint ends in are read whole. The tree before them comes from
//! `tree/`; it has to lead to the root that was signed, and where it does not fit or is not there, an
//! earlier segment or the whole log is read. Of older segments only the first and the last line are
//! looked at: to read all of a log is [`verify`](crate::verify)'s task.
//!
//! # What stays open
//!
//! - A last batch that was changed and not signed yet looks like one that is torn, where the change
//!   is in its last line, is a hole, or cuts its end off. It is kept in `torn/` and recorded; that
//!   it was acknowledged only a copy elsewhere can tell. What a checkpoint covers never looks torn.
//! - A log that was opened for the first time and crashed before its first checkpoint has none. So a
//!   missing checkpoint is damage where the log has more than one segment (a roll is signed), was
//!   pruned (that is signed), or where a minute passed between its first record and its last (each
//!   second is signed).
//! - A log of one segment that was cut to its first minute, without its checkpoint, and an older state
//!   of the whole folder look like what they were. Where the log keeps its keys in a folder, the mark
//!   beside them tells, and the log is not opened.

mod glance;
#[cfg(test)]
mod tests;
mod torn;

use std::{io, ops::ControlFlow};

pub(crate) use self::torn::{Torn, copy, set_aside, write_all};
use crate::{
    format::name,
    merkle::{Frontier, Hash},
    note::{NoteError, SignedCheckpoint, VerifierKey},
    read::{Look, Part, PrunedFile, Rest, Seen, Segments, State, chunks, scan, small, stored_tree},
    storage::Storage,
    verify::{BadRecord, KeyChange, MAX_CHECKPOINT, Reason},
};

/// Where a log stands, so that a writer can go on.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) origin: String,
    /// The tree over all committed records.
    pub(crate) tree: Frontier,
    /// The leaf hash of the last record.
    pub(crate) last: Hash,
    /// The segment to go on in: its first index.
    pub(crate) segment: u64,
    /// Where its next line goes.
    pub(crate) end: u64,
    /// The verifier key that is in force: as the last `key` record says, where one was read, and
    /// otherwise the one that signed the checkpoint.
    pub(crate) vkey: Option<String>,
    /// The last checkpoint. Its signature was verified, where a key was given.
    pub(crate) signed: Option<SignedCheckpoint>,
}

/// A log as it was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none yet.
    Nothing,
    /// It can be continued, once the writer has recorded what was set aside.
    Standing(Box<Standing>, Option<Torn>),
    /// Damage under a commit line or a checkpoint: nothing may be appended.
    Damaged(BadRecord),
}

/// Looks at the log in `storage`, sets a torn tail aside, and says where it stands. The caller holds
/// the lock. Without a `key` nobody's signature is asked for, only the signed root.
pub(crate) fn recover(storage: &dyn Storage, key: Option<&VerifierKey>) -> io::Result<Found> {
    let (looked, segments) = match look(storage, key)? {
        Ok(found) => found,
        Err(bad) => return Ok(Found::Damaged(bad)),
    };
    let Some(looked) = looked else {
        return Ok(Found::Nothing);
    };
    if looked.state.origin.is_none() && looked.state.tree.size() > 0 {
        let index = looked.state.tree.size();
        let file = name::segment(index);
        return Ok(Found::Damaged(bad_file(&file, index, Reason::Missing)));
    }
    let mut torn = None;
    for (first, end) in &looked.torn {
        torn = set_aside(storage, *first, *end)?.or(torn);
    }
    for (first, begin, end) in &looked.unsure {
        make_durable(storage, *first, *begin, *end)?;
    }
    if !segments.firsts.is_empty() {
        storage.sync_folder(name::LOG)?;
    }
    let last = segments.firsts.last().copied().unwrap_or_default();
    let state = looked.state;
    let (Some(origin), Some(hash)) = (state.origin, state.last) else {
        // Not one record was ever durable. Its empty segment is in the way of the first.
        for first in &segments.firsts {
            storage.remove(&name::segment(*first))?;
        }
        storage.sync_folder(name::LOG)?;
        return Ok(Found::Nothing);
    };
    Ok(Found::Standing(
        Box::new(Standing {
            origin: origin.to_string(),
            tree: state.tree,
            last: hash,
            segment: last,
            end: looked.end,
            vkey: match looked.keys.last() {
                Some(change) => Some(change.vkey.clone()),
                None => key
                    .filter(|_| looked.signed.is_some())
                    .map(ToString::to_string),
            },
            signed: looked.signed,
        }),
        torn,
    ))
}

/// What is damaged, where [`recover`] would say so; nothing is changed.
pub(crate) fn damage(storage: &dyn Storage, key: &VerifierKey) -> io::Result<Option<BadRecord>> {
    Ok(look(storage, Some(key))?.err())
}

/// What a log is, before anything is changed in it.
struct Looked {
    state: State,
    /// Where the last segment's last commit line ends.
    end: u64,
    /// What is to be set aside: segment and offset.
    torn: Vec<(u64, u64)>,
    /// What is good and no checkpoint covers: segment, and from where to where.
    unsure: Vec<(u64, u64, u64)>,
    keys: Vec<KeyChange>,
    signed: Option<SignedCheckpoint>,
}

type Judged<T> = Result<T, BadRecord>;

fn look(
    storage: &dyn Storage,
    key: Option<&VerifierKey>,
) -> io::Result<Judged<(Option<Looked>, Segments)>> {
    let segments = Segments::list(storage)?;
    let signed = match read_checkpoint(storage)? {
        Ok(signed) => signed,
        Err(bad) => return Ok(Err(bad)),
    };
    let begin = match &segments.pruned {
        PrunedFile::Bad => return Ok(Err(bad_file(name::PRUNED, 0, Reason::Pruned))),
        PrunedFile::None => State::beginning(),
        PrunedFile::At(pruned) => State::at(pruned.tree.clone()),
    };
    let size = signed.as_ref().map(|signed| signed.checkpoint().size);
    match segments.firsts.first() {
        None if size.is_none() && begin.tree.size() == 0 => return Ok(Ok((None, segments))),
        Some(first) if *first == begin.tree.size() => {}
        _ => {
            let index = begin.tree.size();
            return Ok(Err(bad_file(&name::segment(index), index, Reason::Missing)));
        }
    }
    // The segment that the checkpoint ends in, or one before it.
    for (place, first) in segments.firsts.iter().enumerate().skip(1).rev() {
        if size.is_none_or(|size| *first >= size) {
            continue;
        }
        let Some(tree) = stored_tree(storage, &segments, *first)? else {
            continue;
        };
        let found = walk(storage, &segments, place, State::at(tree), signed.clone())?;
        if let Ok(found) = found.and_then(|found| found.judge(&segments, key))
            && let Ok(()) = glance::at_all(storage, &segments, place, &found)?
        {
            return Ok(Ok((Some(found), segments)));
        }
        // The hashes in `tree/` may be what is wrong, and all of the log says what is.
        break;
    }
    let found = walk(storage, &segments, 0, begin, signed)?;
    Ok(found
        .and_then(|found| found.judge(&segments, key))
        .map(|found| (Some(found), segments)))
}

fn read_checkpoint(storage: &dyn Storage) -> io::Result<Judged<Option<SignedCheckpoint>>> {
    let Some(bytes) = small(storage, name::CHECKPOINT, MAX_CHECKPOINT + 1)? else {
        return Ok(Ok(None));
    };
    Ok(match SignedCheckpoint::parse(&bytes) {
        Ok(signed) => Ok(Some(signed)),
        Err(_) => Err(bad_file(name::CHECKPOINT, 0, Reason::CheckpointForm)),
    })
}

/// Reads all segments from the one at `place` on.
fn walk(
    storage: &dyn Storage,
    segments: &Segments,
    place: usize,
    from: State,
    signed: Option<SignedCheckpoint>,
) -> io::Result<Judged<Walked>> {
    let mut notes = Notes {
        watched: signed.as_ref().map(|signed| signed.checkpoint().size),
        root: None,
        size: 0,
        covered: 0,
        expects: false,
        begun: false,
        keys: Vec::new(),
        pending: Vec::new(),
        micros: None,
    };
    if notes.watched == Some(from.tree.size()) {
        notes.root = Some(from.tree.root());
    }
    let mut state = from;
    let mut end = 0;
    let mut torn = Vec::new();
    let mut unsure = Vec::new();
    for (place, first) in segments.firsts.iter().enumerate().skip(place) {
        let file = storage.open(&name::segment(*first), false)?;
        let part = Part {
            first: *first,
            offset: 0,
            until: segments.firsts.get(place + 1).copied(),
            rooted: true,
        };
        // What the segment before has after its last commit line is no part of the log.
        notes.begun = false;
        notes.covered = 0;
        notes.pending.clear();
        let scanned = scan(&*file, part, state, &mut notes)?;
        if !notes.expects {
            // The segment says that the one before was given up; what is left there stays.
            torn.clear();
        }
        match scanned.rest(&*file, part)? {
            Rest::Nothing => {}
            Rest::Bad(bad) => return Ok(Err(bad)),
            Rest::GivenUp => {
                notes.expects = true;
                torn.push((*first, scanned.end));
            }
            Rest::Torn(_) => torn.push((*first, scanned.end)),
        }
        state = scanned.state;
        end = scanned.end;
        if notes.covered < end {
            unsure.push((*first, notes.covered, end));
        }
    }
    Ok(Ok(Walked {
        looked: Looked {
            state,
            end,
            torn,
            unsure,
            keys: notes.keys,
            signed,
        },
        root: notes.root,
        micros: notes.micros,
    }))
}

/// What was read, and what is to be compared.
struct Walked {
    looked: Looked,
    root: Option<Hash>,
    micros: Option<(u64, u64)>,
}

impl Walked {
    fn judge(self, segments: &Segments, key: Option<&VerifierKey>) -> Judged<Looked> {
        let Self {
            looked,
            root,
            micros,
        } = self;
        let size = looked.state.tree.size();
        let Some(signed) = &looked.signed else {
            let aged = micros.is_some_and(|(first, last)| last.saturating_sub(first) > UNSIGNED);
            if aged || segments.firsts.len() > 1 || segments.begin() > 0 {
                return Err(bad_file(name::CHECKPOINT, 0, Reason::CheckpointMissing));
            }
            return Ok(looked);
        };
        let checkpoint = signed.checkpoint();
        let bad = |reason| Err(bad_file(name::CHECKPOINT, checkpoint.size, reason));
        if let Some(origin) = &looked.state.origin
            && **origin != *checkpoint.origin
        {
            return bad(Reason::CheckpointOrigin);
        }
        if checkpoint.size > size {
            let last = segments.firsts.last().copied().unwrap_or_default();
            return Err(BadRecord {
                index: size,
                file: name::segment(last),
                offset: looked.end,
                reason: Reason::Truncated {
                    signed: checkpoint.size,
                },
            });
        }
        if root != Some(checkpoint.root) {
            return bad(Reason::CheckpointRoot);
        }
        match key.map_or(Ok(()), |key| verify_by(signed, key, &looked.keys)) {
            Ok(()) => Ok(looked),
            Err(NoteError::Signature) => bad(Reason::CheckpointSignature),
            Err(NoteError::Unsigned) => bad(Reason::CheckpointUnsigned),
            Err(NoteError::Origin) => bad(Reason::CheckpointOrigin),
            Err(_) => bad(Reason::CheckpointForm),
        }
    }
}

/// Whether `key` signed, or the key that endorsed it after that.
fn verify_by(
    signed: &SignedCheckpoint,
    key: &VerifierKey,
    changes: &[KeyChange],
) -> Result<(), NoteError> {
    match signed.verify_as_written(key) {
        Err(NoteError::Unsigned) => {}
        other => return other.map(|_| ()),
    }
    changes
        .iter()
        .filter(|change| change.index >= signed.checkpoint().size)
        .filter(|change| change.vkey == key.to_string())
        .find_map(|change| change.endorser(key.name()))
        .ok_or(NoteError::Unsigned)
        .and_then(|endorser| signed.verify_as_written(&endorser).map(|_| ()))
}

/// What is looked for while reading.
struct Notes {
    /// The size of the checkpoint.
    watched: Option<u64>,
    /// The root at that size.
    root: Option<Hash>,
    /// The records so far.
    size: u64,
    /// Where the segment's last commit line ends that the checkpoint covers.
    covered: u64,
    /// The segment before was given up, and no committed record says so yet.
    expects: bool,
    /// A record was read since the last commit line.
    begun: bool,
    keys: Vec<KeyChange>,
    /// Those that no commit line covers yet.
    pending: Vec<KeyChange>,
    /// The times of the first and of the last record.
    micros: Option<(u64, u64)>,
}

impl Look for Notes {
    fn record(&mut self, seen: Seen<'_>) -> Result<(), Reason> {
        let begin = self.micros.map_or(seen.head.micros, |(first, _)| first);
        self.micros = Some((begin, seen.head.micros));
        self.size = seen.tree.size();
        if self.watched == Some(self.size) {
            self.root = Some(seen.tree.root());
        }
        if self.expects && !self.begun && seen.head.kind != "recovered" {
            return Err(Reason::Trailing);
        }
        self.begun = true;
        if seen.head.kind == "key" {
            let change = KeyChange::parse(seen.head.index, seen.bytes).ok_or(Reason::Key)?;
            self.pending.push(change);
            if self.pending.len() > MAX_KEYS {
                self.pending.remove(0);
            }
        }
        Ok(())
    }

    fn committed(&mut self, end: u64) -> ControlFlow<()> {
        if self.watched.is_some_and(|signed| self.size <= signed) {
            self.covered = end;
        }
        self.keys.append(&mut self.pending);
        // Only the last ones count, and a log has few.
        let early = self.keys.len().saturating_sub(MAX_KEYS);
        self.keys.drain(..early);
        self.expects = false;
        self.begun = false;
        ControlFlow::Continue(())
    }
}

/// Writes what stands there over with itself, durably.
fn make_durable(storage: &dyn Storage, first: u64, begin: u64, end: u64) -> io::Result<()> {
    let name = name::segment(first);
    let from = storage.open(&name, false)?;
    let mut to = storage.open(&name, false)?;
    // A length that was lost with the pages has to be another to be written.
    let length = to.length()?;
    to.set_length(length.saturating_add(1))?;
    let mut written = Ok(());
    chunks(&*from, begin, |offset, chunk| {
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let chunk = chunk.get(..left).unwrap_or(chunk);
        written = write_all(&mut *to, chunk, offset);
        written.is_ok() && !chunk.is_empty()
    })?;
    written?;
    to.sync()
}

fn bad_file(file: &str, index: u64, reason: Reason) -> BadRecord {
    BadRecord {
        index,
        file: file.to_owned(),
        offset: 0,
        reason,
    }
}

/// After so many microseconds a log has a checkpoint: one is signed each second.
const UNSIGNED: u64 = 60_000_000;
const MAX_KEYS: usize = 64;
