//! Structured fields in their canonical form (RFC 9651 section 4.1), written while they are read.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot},
    convert::Infallible,
    fmt::Write as _,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor,
        ParameterVisitor,
    },
};

use super::{error::BaseError, types::StructuredType};

/// Writes `value`, read as `kind`, to the end of `out`.
pub(super) fn write_field(
    value: &[u8],
    kind: StructuredType,
    out: &mut String,
) -> Result<(), BaseError> {
    let mut parameters = Members::default();
    let parsed = match kind {
        StructuredType::Item => Parser::new(value).parse_item_with_visitor(Entry {
            out,
            parameters: &mut parameters,
            in_dictionary: false,
        }),
        StructuredType::List => Parser::new(value).parse_list_with_visitor(List {
            out,
            parameters: &mut parameters,
            first: true,
        }),
        StructuredType::Dictionary => {
            Parser::new(value).parse_dictionary_with_visitor(Dictionary {
                out,
                members: Members::default(),
                parameters: &mut parameters,
            })
        }
    };
    parsed.map_err(|_| BaseError::FieldValue)
}

/// Writes the member `key` of the dictionary `value` to the end of `out`.
pub(super) fn write_member(value: &[u8], key: &str, out: &mut String) -> Result<(), BaseError> {
    let start = out.len();
    let member = Member {
        out,
        parameters: &mut Members::default(),
        start,
        key,
        found: false,
    };
    match Parser::new(value).parse_dictionary_with_visitor(member) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BaseError::KeyAbsent),
        Err(_) => Err(BaseError::FieldValue),
    }
}

pub(super) fn write_bare(value: &BareItemFromInput<'_>, out: &mut String) {
    match value {
        BareItemFromInput::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        BareItemFromInput::String(value) => write_string(value.as_str(), out),
        BareItemFromInput::Token(value) => out.push_str(value.as_str()),
        BareItemFromInput::Integer(value) => display(value, out),
        BareItemFromInput::Decimal(value) => display(value, out),
        BareItemFromInput::Date(value) => display(value, out),
        BareItemFromInput::ByteSequence(value) => write_bytes(value, out),
        BareItemFromInput::DisplayString(value) => write_display_string(value, out),
    }
}

/// A string (RFC 9651 section 4.1.6); `value` is printable ASCII.
pub(super) fn write_string(value: &str, out: &mut String) {
    out.push('"');
    if value.bytes().any(|byte| matches!(byte, b'"' | b'\\')) {
        for char in value.chars() {
            if matches!(char, '"' | '\\') {
                out.push('\\');
            }
            out.push(char);
        }
    } else {
        out.push_str(value);
    }
    out.push('"');
}

/// A byte sequence (RFC 9651 section 4.1.8).
pub(super) fn write_bytes(value: &[u8], out: &mut String) {
    out.push(':');
    STANDARD.encode_string(value, out);
    out.push(':');
}

/// A display string (RFC 9651 section 4.1.11).
fn write_display_string(value: &str, out: &mut String) {
    out.push_str("%\"");
    for byte in value.bytes() {
        if matches!(byte, b'%' | b'"' | 0x00..=0x1f | 0x7f..) {
            display(&format_args!("%{byte:02x}"), out);
        } else {
            out.push(char::from(byte));
        }
    }
    out.push('"');
}

fn display(value: &dyn std::fmt::Display, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}

/// Parameters or members on their way, as `key` or `key=value`. A key that comes again overwrites the
/// value and keeps its first place (RFC 9651 sections 4.2.2 and 4.2.3.2).
#[derive(Debug, Default)]
pub(super) struct Members {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    key_end: usize,
}

impl Members {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Starts a member; its value goes to what is returned.
    pub(super) fn push(&mut self, key: &str) -> &mut String {
        let start = self.text.len();
        self.text.push_str(key);
        let key_end = self.text.len();
        self.pieces.push(Piece { start, key_end });
        &mut self.text
    }

    pub(super) fn push_parameter(&mut self, key: &str, value: &BareItemFromInput<'_>) {
        let text = self.push(key);
        if !matches!(value, BareItemFromInput::Boolean(true)) {
            text.push('=');
            write_bare(value, text);
        }
    }

    /// Writes all as parameters, and forgets them.
    pub(super) fn write_parameters(&mut self, out: &mut String) {
        if !self.pieces.is_empty() {
            self.each(|text| {
                out.push(';');
                out.push_str(text);
            });
            self.clear();
        }
    }

    /// Writes all as members of a dictionary, and forgets them.
    fn write_dictionary(&mut self, out: &mut String) {
        let mut first = true;
        self.each(|text| {
            if !std::mem::take(&mut first) {
                out.push_str(", ");
            }
            out.push_str(text);
        });
        self.clear();
    }

    fn each(&self, mut write: impl FnMut(&str)) {
        if !self.has_repeated() {
            (0..self.pieces.len()).for_each(|index| write(self.member(index)));
            return;
        }
        let mut order = Vec::new();
        let mut places = BTreeMap::new();
        for index in 0..self.pieces.len() {
            match places.entry(self.key(index)) {
                Slot::Vacant(place) => {
                    place.insert(order.len());
                    order.push(index);
                }
                Slot::Occupied(place) => {
                    if let Some(earlier) = order.get_mut(*place.get()) {
                        *earlier = index;
                    }
                }
            }
        }
        order
            .into_iter()
            .for_each(|index| write(self.member(index)));
    }

    fn has_repeated(&self) -> bool {
        let len = self.pieces.len();
        if len <= 16 {
            (1..len).any(|one| (0..one).any(|other| self.key(one) == self.key(other)))
        } else {
            let mut seen = BTreeSet::new();
            !(0..len).all(|index| seen.insert(self.key(index)))
        }
    }

    fn key(&self, index: usize) -> &str {
        let piece = self.pieces.get(index);
        let key = piece.and_then(|piece| self.text.get(piece.start..piece.key_end));
        key.unwrap_or_default()
    }

    fn member(&self, index: usize) -> &str {
        let start = self.pieces.get(index).map(|piece| piece.start);
        let end = self.pieces.get(index + 1).map(|piece| piece.start);
        let end = end.unwrap_or(self.text.len());
        let member = start.and_then(|start| self.text.get(start..end));
        member.unwrap_or_default()
    }
}

/// An item or an inner list; in a dictionary with the `=` before it, and true without a value.
struct Entry<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    in_dictionary: bool,
}

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.out
            .push_str(if self.in_dictionary { "=(" } else { "(" });
        Ok(InnerList {
            out: self.out,
            parameters: self.parameters,
            first: true,
        })
    }
}

impl<'de> ItemVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        if !self.in_dictionary {
            write_bare(&value, self.out);
        } else if !matches!(value, BareItemFromInput::Boolean(true)) {
            self.out.push('=');
            write_bare(&value, self.out);
        }
        Ok(Parameters {
            out: self.out,
            parameters: self.parameters,
        })
    }
}

struct InnerList<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    first: bool,
}

impl<'de> InnerListVisitor<'de> for InnerList<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Infallible> {
        if !std::mem::take(&mut self.first) {
            self.out.push(' ');
        }
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Infallible> {
        self.out.push(')');
        Ok(Parameters {
            out: self.out,
            parameters: self.parameters,
        })
    }
}

struct Parameters<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
}

impl<'de> ParameterVisitor<'de> for Parameters<'_> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Infallible> {
        self.parameters.push_parameter(key.as_str(), &value);
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        self.parameters.write_parameters(self.out);
        Ok(())
    }
}

struct List<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    first: bool,
}

impl<'de> ListVisitor<'de> for List<'_> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        if !std::mem::take(&mut self.first) {
            self.out.push_str(", ");
        }
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        })
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Dictionary<'a> {
    out: &'a mut String,
    members: Members,
    parameters: &'a mut Members,
}

impl<'de> DictionaryVisitor<'de> for Dictionary<'_> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(Entry {
            out: self.members.push(key.as_str()),
            parameters: self.parameters,
            in_dictionary: true,
        })
    }

    fn finish(mut self) -> Result<(), Infallible> {
        self.members.write_dictionary(self.out);
        Ok(())
    }
}

/// One member of a dictionary.
struct Member<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    start: usize,
    key: &'a str,
    found: bool,
}

impl<'de> DictionaryVisitor<'de> for Member<'_> {
    type Out = bool;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        if key.as_str() != self.key {
            return Ok(None);
        }
        // The last one counts (RFC 9651 section 4.2.2).
        self.found = true;
        self.out.truncate(self.start);
        Ok(Some(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        }))
    }

    fn finish(self) -> Result<bool, Infallible> {
        Ok(self.found)
    }
}
