use std::{io, ops::ControlFlow};

use super::{KeyChange, Reason, json};
use crate::{
    format::name,
    merkle::{Frontier, Hash},
    read::{Look, Part, Rest, Seen, Segments, State, scan, stored_tree},
    storage::Storage,
};

/// What was read of one segment.
#[derive(Debug)]
pub(super) struct Read {
    /// Where the reader began; it may have known less than was to be known.
    from: State,
    /// After the last good commit line, and where that ends.
    pub(super) state: State,
    pub(super) end: u64,
    pub(super) rest: Rest,
    pub(super) seen: Found,
}

/// What stands in a segment's records that a verdict needs.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The kind of the first record is `recovered`.
    pub(super) begins_recovered: bool,
    /// `prev` of the first record.
    first_prev: Option<Hash>,
    /// The roots at the sizes that were asked for.
    pub(super) roots: Vec<(u64, Hash)>,
    /// Where keys change: the record's offset, and the change.
    pub(super) keys: Vec<(u64, KeyChange)>,
    /// The last record that says that those before the log's first were dropped: before which, and
    /// their root.
    pub(super) pruned: Option<(u64, Hash)>,
}

impl Read {
    /// Whether this is what a reader would have found that began with `state`. Where something is bad
    /// that is not certain: who knew less may have found less.
    pub(super) fn follows(&self, state: &State) -> bool {
        let chained = match (self.seen.first_prev, state.last) {
            (Some(prev), Some(last)) => prev == last,
            _ => true,
        };
        let same = match (&state.origin, &self.state.origin) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        let bad = matches!(self.rest, Rest::Bad(_));
        self.from.tree == state.tree && chained && same && !bad
    }
}

/// Reads the segment at `place` as somebody who begins with `from`.
pub(super) fn read(
    storage: &dyn Storage,
    segments: &Segments,
    place: usize,
    from: State,
    sizes: &[u64],
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<Read> {
    let first = segments.firsts.get(place).copied().unwrap_or_default();
    let mut part = Part {
        first,
        offset: 0,
        until: segments.firsts.get(place + 1).copied(),
        rooted: true,
    };
    let file = storage.open(&name::segment(first), false)?;
    let mut eyes = Eyes {
        sizes,
        begin: segments.begin(),
        told: 0,
        pending: Found::default(),
        found: Found::default(),
        progress,
    };
    let begun = from.clone();
    let mut scanned = scan(&*file, part, from, &mut eyes)?;
    let mut rest = scanned.rest(&*file, part)?;
    // The last segment may be written just now: what was half there is whole a moment later, or
    // the log goes on in another segment.
    let mut looks = 0;
    while part.until.is_none() && rest != Rest::Nothing && looks < LOOKS {
        let size = scanned.state.tree.size();
        let before = (scanned.end, rest);
        if Segments::list(storage)?.firsts.contains(&size) && size > first {
            rest = Rest::Nothing;
            break;
        }
        part.offset = scanned.end;
        eyes.pending = Found::default();
        scanned = scan(&*file, part, scanned.state, &mut eyes)?;
        rest = scanned.rest(&*file, part)?;
        if before == (scanned.end, rest.clone()) {
            break;
        }
        looks += 1;
    }
    Ok(Read {
        from: begun,
        state: scanned.state,
        end: scanned.end,
        rest,
        seen: eyes.found,
    })
}

struct Eyes<'a> {
    sizes: &'a [u64],
    /// The log's first record.
    begin: u64,
    /// How many bytes were told of.
    told: u64,
    /// What no commit line covers yet.
    pending: Found,
    found: Found,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

impl Look for Eyes<'_> {
    fn record(&mut self, seen: Seen<'_>) -> Result<(), Reason> {
        if !json::is_object(seen.bytes) {
            return Err(Reason::Json);
        }
        if self.found.first_prev.or(self.pending.first_prev).is_none() {
            self.pending.first_prev = Some(seen.head.prev);
            self.pending.begins_recovered = seen.head.kind == "recovered";
        }
        match seen.head.kind {
            "key" => {
                let change = KeyChange::parse(seen.head.index, seen.bytes).ok_or(Reason::Key)?;
                if self.found.keys.len() + self.pending.keys.len() >= MAX_KEYS {
                    return Err(Reason::Key);
                }
                self.pending.keys.push((seen.offset, change));
            }
            // One that was recorded and not done, before or after, says nothing of this one.
            "prune" => {
                let said = pruned(seen.bytes).filter(|(before, _)| *before == self.begin);
                self.pending.pruned = said.or(self.pending.pruned);
            }
            _ => {}
        }
        if self.sizes.contains(&seen.tree.size()) {
            let root = (seen.tree.size(), seen.tree.root());
            self.pending.roots.push(root);
        }
        Ok(())
    }

    fn committed(&mut self, end: u64) -> ControlFlow<()> {
        let pending = std::mem::take(&mut self.pending);
        if let Some(prev) = pending.first_prev {
            self.found.first_prev = Some(prev);
            self.found.begins_recovered = pending.begins_recovered;
        }
        self.found.roots.extend(pending.roots);
        self.found.keys.extend(pending.keys);
        self.found.pruned = pending.pruned.or(self.found.pruned);
        if end - self.told < STEP {
            return ControlFlow::Continue(());
        }
        let bytes = end - self.told;
        self.told = end;
        (self.progress)(bytes)
    }
}

/// What a record of kind `prune` says.
fn pruned(line: &[u8]) -> Option<(u64, Hash)> {
    #[derive(serde::Deserialize)]
    struct Fields<'a> {
        before: u64,
        root: &'a str,
    }
    let fields: Fields<'_> = serde_json::from_slice(line).ok()?;
    Some((fields.before, Hash::from_hex(fields.root.as_bytes())?))
}

/// The tree at the beginning of the segment at `place`, as `tree/` has it.
pub(super) fn guess(storage: &dyn Storage, segments: &Segments, place: usize) -> Option<Frontier> {
    let first = segments.firsts.get(place)?;
    stored_tree(storage, segments, *first).ok().flatten()
}

/// How often the end of a log that is written is looked at again.
const LOOKS: usize = 16;
/// After how many bytes progress is told.
const STEP: u64 = 4 << 20;
/// A segment with more changes of its key is none of ours.
const MAX_KEYS: usize = 1024;
