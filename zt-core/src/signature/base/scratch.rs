//! Memory that is used again.

use super::{
    error::BaseError,
    identifier::{Identifier, Kind},
    members::Members,
    plain::List,
};

/// Memory for reading signatures, to be used again: what one request needed is there for the next.
/// A buffer that grew past 32 KiB is given back.
#[derive(Debug, Default)]
pub struct Scratch {
    /// `Signature-Input` in its canonical form, one member after the other.
    pub(super) text: String,
    /// Strings of parameters, without quotes and escapes, where they are not plain.
    pub(super) strings: String,
    /// The signatures.
    pub(super) bytes: Vec<u8>,
    pub(super) components: Vec<Slot>,
    pub(super) candidates: Vec<Entry>,
    /// Parameters on their way.
    pub(super) members: Members,
    /// Several field lines as one.
    pub(super) joined: Vec<u8>,
    /// Whether `text` is one member as it came: its components are in `list`, and its strings in it.
    pub(super) is_plain: bool,
    pub(super) list: List,
}

/// Where something is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// A component of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Of what [`Entry::params`] is.
    pub(super) text: Span,
    /// Of the same.
    pub(super) name: Span,
    pub(super) kind: Kind,
    pub(super) marks: u8,
    pub(super) argument: Span,
    /// Why it can never be covered.
    pub(super) error: Option<BaseError>,
}

impl Slot {
    /// `params` is what [`Entry::params`] is.
    pub(super) fn identifier<'s>(&self, params: &'s str, strings: &'s str) -> Identifier<'s> {
        Identifier {
            kind: self.kind,
            name: self.name.of(params),
            marks: self.marks,
            argument: self.argument.of(strings),
        }
    }

    /// Its bit of [`Entry::derived`].
    pub(super) const fn derived(&self) -> u16 {
        match self.kind.bit() {
            Some(bit) if self.marks == 0 && self.error.is_none() => bit,
            Some(_) | None => 0,
        }
    }
}

/// A candidate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) label: Span,
    pub(super) params: Span,
    /// Of `components`, where it is not plain.
    pub(super) components: Span,
    /// The derived components without parameters that are covered.
    pub(super) derived: u16,
    /// Of `bytes`.
    pub(super) signature: Option<Span>,
    pub(super) created: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<Span>,
    pub(super) alg: Option<Span>,
    pub(super) keyid: Option<Span>,
    pub(super) tag: Option<Span>,
    /// `created` and `expires` without a value (RFC 9421 section 5.1).
    pub(super) wants_created: bool,
    pub(super) wants_expires: bool,
}

impl Scratch {
    /// Forgets everything, and gives back what is too much to keep. Reading begins with it.
    pub fn clear(&mut self) {
        self.text.clear();
        self.strings.clear();
        self.bytes.clear();
        self.components.clear();
        self.candidates.clear();
        self.members.clear();
        self.joined.clear();
        self.is_plain = false;
        self.text.shrink_above();
        self.strings.shrink_above();
        self.bytes.shrink_above();
        self.components.shrink_above();
        self.candidates.shrink_above();
        self.joined.shrink_above();
        if self.members.capacity() > KEPT {
            self.members = Members::default();
        }
        if self.list.capacity() > KEPT {
            self.list = List::default();
        }
    }

    /// Where the strings of parameters are.
    pub(super) fn strings(&self) -> &str {
        if self.is_plain {
            &self.text
        } else {
            &self.strings
        }
    }

    /// The components of `entry`.
    pub(super) fn slots(&self, entry: &Entry) -> &[Slot] {
        if self.is_plain {
            return &self.list.slots;
        }
        let range = entry.components;
        let slots = self.components.get(range.start..range.end);
        slots.unwrap_or_default()
    }

    /// Bytes of memory that are held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.text.capacity()
            + self.strings.capacity()
            + self.bytes.capacity()
            + self.components.capacity() * size_of::<Slot>()
            + self.candidates.capacity() * size_of::<Entry>()
            + self.members.capacity()
            + self.joined.capacity()
            + self.list.capacity()
    }
}

trait Shrink {
    fn shrink_above(&mut self);
}

impl Shrink for String {
    fn shrink_above(&mut self) {
        if self.capacity() > KEPT {
            *self = Self::new();
        }
    }
}

impl<T> Shrink for Vec<T> {
    fn shrink_above(&mut self) {
        if self.capacity().saturating_mul(size_of::<T>()) > KEPT {
            *self = Self::new();
        }
    }
}

const KEPT: usize = 32 * 1024;
