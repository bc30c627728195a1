//! Parameters and members of a dictionary that come more than once.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot};

use sfv::BareItemFromInput;

use super::bare::write_bare;

/// Where the parameters or members are that were just written. A key that comes again overwrites the
/// value and keeps its first place (RFC 9651 sections 4.2.2 and 4.2.3.2).
#[derive(Debug, Default)]
pub(super) struct Members {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    key_end: usize,
}

impl Members {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Bytes of memory held.
    pub(super) const fn capacity(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>()
    }

    pub(super) const fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether `key` has been written.
    pub(super) fn has(&self, key: &str, out: &str) -> bool {
        self.pieces.iter().any(|piece| piece.key(out) == key)
    }

    pub(super) fn push_parameter(
        &mut self,
        key: &str,
        value: &BareItemFromInput<'_>,
        out: &mut String,
    ) {
        out.push(';');
        self.push_key(key, out);
        if !matches!(value, BareItemFromInput::Boolean(true)) {
            out.push('=');
            write_bare(value, out);
        }
    }

    pub(super) fn push_key(&mut self, key: &str, out: &mut String) {
        let start = out.len();
        out.push_str(key);
        let key_end = out.len();
        self.pieces.push(Piece { start, key_end });
    }

    /// The end of the parameters.
    pub(super) fn finish_parameters(&mut self, out: &mut String) {
        self.finish(";", out);
    }

    /// What was written ends here: keys that came again go to their places.
    pub(super) fn finish(&mut self, separator: &str, out: &mut String) {
        if self.pieces.len() > 1 && self.has_repeated(out) {
            let text = self.merged(separator, out);
            out.truncate(self.pieces.first().map_or(out.len(), |piece| piece.start));
            out.push_str(&text);
        }
        self.pieces.clear();
    }

    fn has_repeated(&self, out: &str) -> bool {
        if self.pieces.len() <= 16 {
            let mut pieces = self.pieces.as_slice();
            while let [rest @ .., last] = pieces {
                if rest.iter().any(|other| other.key(out) == last.key(out)) {
                    return true;
                }
                pieces = rest;
            }
            false
        } else {
            let mut seen = BTreeSet::new();
            !self.pieces.iter().all(|piece| seen.insert(piece.key(out)))
        }
    }

    fn merged(&self, separator: &str, out: &str) -> String {
        let mut order = Vec::new();
        let mut places = BTreeMap::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let next = self.pieces.get(index + 1);
            let end = next.map_or(out.len(), |next| next.start - separator.len());
            let text = out.get(piece.start..end).unwrap_or_default();
            match places.entry(piece.key(out)) {
                Slot::Vacant(place) => {
                    place.insert(order.len());
                    order.push(text);
                }
                Slot::Occupied(place) => {
                    if let Some(earlier) = order.get_mut(*place.get()) {
                        *earlier = text;
                    }
                }
            }
        }
        order.join(separator)
    }
}

impl Piece {
    fn key(self, out: &str) -> &str {
        out.get(self.start..self.key_end).unwrap_or_default()
    }
}
