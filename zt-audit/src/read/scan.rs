use std::{io, ops::ControlFlow, sync::Arc};

use super::lines::{Lines, Raw, chunks, first_set, last_set};
use crate::{
    format::{Head, Line, MAX_RECORD, Malformed, name},
    merkle::{Frontier, Hash, leaf_hash},
    storage::StorageFile,
    verify::{BadRecord, Reason},
};

/// Where a reader of a log stands: after a commit line, or at a segment's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The log's origin, once a record said it.
    pub(crate) origin: Option<Arc<str>>,
    /// The tree over all records before.
    pub(crate) tree: Frontier,
    /// The hash of the record before; `None` where it is not known.
    pub(crate) last: Option<Hash>,
}

impl State {
    /// Before record 0.
    pub(crate) const fn beginning() -> Self {
        Self {
            origin: None,
            tree: Frontier::new(),
            last: Some(Hash::from_bytes([0; 32])),
        }
    }

    /// Before the record after `tree`, when nothing else is known.
    pub(crate) fn at(tree: Frontier) -> Self {
        Self {
            origin: None,
            last: (tree.size() == 0).then_some(Hash::from_bytes([0; 32])),
            tree,
        }
    }
}

/// What to read of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The segment's first index.
    pub(crate) first: u64,
    /// Where to begin: at its beginning, or after one of its commit lines.
    pub(crate) offset: u64,
    /// The first index of the segment after it.
    pub(crate) until: Option<u64>,
    /// Whether the tree is known, so that the roots in commit lines can be compared with it.
    pub(crate) rooted: bool,
}

/// A record that fits what was before it. It may not be committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'l> {
    pub(crate) head: Head<'l>,
    pub(crate) bytes: &'l [u8],
    pub(crate) leaf: Hash,
    /// Where it begins in its segment.
    pub(crate) offset: u64,
    /// The tree with it.
    pub(crate) tree: &'l Frontier,
}

/// Who wants to see what is read.
pub(crate) trait Look {
    /// Takes a record, or says why it is not one.
    fn record(&mut self, seen: Seen<'_>) -> Result<(), Reason>;

    /// All records so far are committed, up to the byte `end` of the segment. Whether to go on.
    fn committed(&mut self, end: u64) -> ControlFlow<()>;
}

/// How far a segment is good.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    /// After the last good commit line.
    pub(crate) state: State,
    /// Where that line ends.
    pub(crate) end: u64,
    /// Why it is the last.
    pub(crate) stop: Stop,
}

/// Why reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There is nothing next, or a NUL.
    Blank,
    /// The next segment takes over.
    Until,
    /// Who looks had enough.
    Enough,
    /// The next line is not good.
    Problem {
        bad: BadRecord,
        /// It is whole and has no NUL in it.
        whole: bool,
        /// Where what follows it begins.
        after: u64,
    },
}

/// What follows the last good commit line of a segment that nobody is writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing, or NULs.
    Nothing,
    /// Something after the place where the next segment takes over.
    GivenUp,
    /// So many bytes of a batch that did not become durable, in a log's last segment.
    Torn(u64),
    /// What was there was changed.
    Bad(BadRecord),
}

/// Reads a segment as far as it is good.
pub(crate) fn scan(
    file: &dyn StorageFile,
    part: Part,
    from: State,
    look: &mut dyn Look,
) -> io::Result<Scanned> {
    let mut lines = Lines::new(file, part.offset);
    let mut good = from.clone();
    let mut end = part.offset;
    let mut walk = Walk {
        part,
        state: from,
        last: part.offset,
        in_batch: false,
    };
    let stop = loop {
        if part.until == Some(good.tree.size()) {
            break Stop::Until;
        }
        let index = walk.state.tree.size();
        let offset = lines.offset();
        let problem = match lines.next()? {
            Raw::Line(line) => match walk.step(line, offset, look) {
                Ok(Step::Record) => continue,
                Ok(Step::Commit) => {
                    good.clone_from(&walk.state);
                    end = lines.offset();
                    match look.committed(end) {
                        ControlFlow::Continue(()) => continue,
                        ControlFlow::Break(()) => break Stop::Enough,
                    }
                }
                Err(bad) => (bad, !line.contains(&0)),
            },
            Raw::TooLong { holed } => (walk.bad(index, offset, Reason::TooLong), !holed),
            Raw::Blank | Raw::End if end == offset => break Stop::Blank,
            Raw::Blank | Raw::Open | Raw::End => {
                (walk.bad(index, offset, Reason::Malformed), false)
            }
        };
        break Stop::Problem {
            bad: problem.0,
            whole: problem.1,
            after: lines.offset(),
        };
    };
    Ok(Scanned {
        state: good,
        end,
        stop,
    })
}

impl Scanned {
    /// What follows, when nobody is writing the segment.
    pub(crate) fn rest(&self, file: &dyn StorageFile, part: Part) -> io::Result<Rest> {
        let index = self.state.tree.size();
        let bad = |reason| Rest::Bad(bad(part.first, index, self.end, reason));
        // No writer leaves as much; a file can say that it has more NULs than anybody could read.
        if self.stop != Stop::Enough && file.length()?.saturating_sub(self.end) > MAX_TAIL {
            return Ok(match &self.stop {
                Stop::Problem { bad, .. } => Rest::Bad(bad.clone()),
                Stop::Blank | Stop::Until | Stop::Enough => bad(Reason::Malformed),
            });
        }
        Ok(match (&self.stop, part.until) {
            (Stop::Enough, _) => Rest::Nothing,
            (Stop::Until, _) => match first_set(file, self.end)? {
                None => Rest::Nothing,
                Some(_) => Rest::GivenUp,
            },
            (Stop::Problem { bad, .. }, Some(_)) => Rest::Bad(bad.clone()),
            (Stop::Blank, until) => match (first_set(file, self.end)?, until) {
                (None, None) => Rest::Nothing,
                (None, Some(_)) => bad(Reason::Missing),
                (Some(_), Some(_)) => bad(Reason::Malformed),
                (Some(_), None) if is_damage(file, self, None)? => bad(Reason::Malformed),
                (Some(_), None) => Rest::Torn(last_set(file, self.end)? - self.end),
            },
            (Stop::Problem { bad, whole, after }, None) => {
                match is_damage(file, self, whole.then_some(*after))? {
                    true => Rest::Bad(bad.clone()),
                    false => Rest::Torn(last_set(file, self.end)? - self.end),
                }
            }
        })
    }
}

/// Takes lines.
struct Walk {
    part: Part,
    state: State,
    /// Where the last record began.
    last: u64,
    /// No commit line was read after it.
    in_batch: bool,
}

enum Step {
    Record,
    Commit,
}

impl Walk {
    fn step(&mut self, line: &[u8], offset: u64, look: &mut dyn Look) -> Result<Step, BadRecord> {
        let index = self.state.tree.size();
        let this = |reason| bad(self.part.first, index, offset, reason);
        if line.len() > MAX_RECORD {
            return Err(this(Reason::TooLong));
        }
        match Line::read(line) {
            Err(Malformed::Form) => Err(this(Reason::Malformed)),
            Err(Malformed::Version(version)) => Err(this(Reason::Version(version))),
            Ok(Line::Record(head)) => self.record(head, line, offset, look),
            Ok(Line::Commit { size, root }) => {
                // One that is not good says nothing of the records before it, but is found where
                // they end.
                let index = index.saturating_sub(1);
                let bad = |reason| bad(self.part.first, index, offset, reason);
                if size != self.state.tree.size() || !self.in_batch {
                    return Err(bad(Reason::Commit { found: size }));
                }
                if self.part.rooted && root != self.state.tree.root() {
                    return Err(bad(Reason::Root));
                }
                if self.part.until.is_some_and(|until| size > until) {
                    return Err(bad(Reason::Overlap));
                }
                self.in_batch = false;
                Ok(Step::Commit)
            }
        }
    }

    fn record(
        &mut self,
        head: Head<'_>,
        line: &[u8],
        offset: u64,
        look: &mut dyn Look,
    ) -> Result<Step, BadRecord> {
        let index = self.state.tree.size();
        let this = |reason| bad(self.part.first, index, offset, reason);
        if head.index != index {
            return Err(this(Reason::Index { found: head.index }));
        }
        match &self.state.origin {
            Some(origin) if **origin != *head.origin => return Err(this(Reason::Origin)),
            Some(_) => {}
            None => self.state.origin = Some(head.origin.into()),
        }
        if self.state.last.is_some_and(|last| last != head.prev) {
            // What a commit line covers was compared with its root.
            return Err(match self.in_batch {
                true => self.bad(index.saturating_sub(1), self.last, Reason::Chain),
                false => this(Reason::Chain),
            });
        }
        let leaf = leaf_hash(line);
        self.state.tree.append(leaf);
        self.state.last = Some(leaf);
        self.last = offset;
        self.in_batch = true;
        look.record(Seen {
            head,
            bytes: line,
            leaf,
            offset,
            tree: &self.state.tree,
        })
        .map_err(this)?;
        Ok(Step::Record)
    }

    fn bad(&self, index: u64, offset: u64, reason: Reason) -> BadRecord {
        bad(self.part.first, index, offset, reason)
    }
}

fn bad(first: u64, index: u64, offset: u64, reason: Reason) -> BadRecord {
    BadRecord {
        index,
        file: name::segment(first),
        offset,
        reason,
    }
}

/// Whether what follows the last good commit line was durable once and then changed. A batch that
/// did not become durable has holes of NULs where pages are missing; a crash changes no byte to
/// another, and nothing was written after such a batch. So it is damage
///
/// 1. where the first line that is not good is whole, anything follows it (`after`), and there is no
///    NUL in it or in the batch before it: a hole within a record makes one line of two, and only the
///    next is noticed;
/// 2. where anything follows a later commit line.
///
/// What remains, a last batch with a hole, or whose last line was changed, looks like a torn one.
fn is_damage(file: &dyn StorageFile, scanned: &Scanned, after: Option<u64>) -> io::Result<bool> {
    if let Some(after) = after
        && first_set(file, after)?.is_some()
        && !has_hole(file, scanned.end, after)?
    {
        return Ok(true);
    }
    let mut line = Vec::with_capacity(MAX_COMMIT);
    let mut commit = false;
    let mut damage = false;
    chunks(file, scanned.end, |_, chunk| {
        for byte in chunk {
            match byte {
                0 => line.clear(),
                _ if commit => {
                    damage = true;
                    return false;
                }
                b'\n' => {
                    let size = scanned.state.tree.size();
                    commit = matches!(
                        Line::read(&line),
                        Ok(Line::Commit { size: later, .. }) if later > size
                    );
                    line.clear();
                }
                _ if line.len() < MAX_COMMIT => line.push(*byte),
                _ => {}
            }
        }
        true
    })?;
    Ok(damage)
}

/// Whether there is a NUL between two places.
fn has_hole(file: &dyn StorageFile, from: u64, to: u64) -> io::Result<bool> {
    let mut found = false;
    chunks(file, from, |start, chunk| {
        let length = usize::try_from(to.saturating_sub(start)).unwrap_or(usize::MAX);
        let part = chunk.get(..length).unwrap_or(chunk);
        found = part.contains(&0);
        !found && start.saturating_add(chunk.len() as u64) < to
    })?;
    Ok(found)
}

/// The most bytes that can follow the last good commit line of a log: a batch, and zeros ahead.
pub(crate) const MAX_TAIL: u64 = 64 << 20;
/// More than a commit line has, so that one that was cut off is none.
const MAX_COMMIT: usize = 128;
