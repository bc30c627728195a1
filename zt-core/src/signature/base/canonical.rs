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
        BareItemFromInput::Integer(value) => write_integer((*value).into(), out),
        BareItemFromInput::Decimal(value) => display(value, out),
        BareItemFromInput::Date(value) => display(value, out),
        BareItemFromInput::ByteSequence(value) => write_bytes(value, out),
        BareItemFromInput::DisplayString(value) => write_display_string(value, out),
    }
}

/// An integer (RFC 9651 section 4.1.4); `value` has fifteen digits at most.
pub(super) fn write_integer(value: i64, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    let digits = digits
        .get(20 - len..)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    out.push_str(digits.unwrap_or_default());
}

/// A string (RFC 9651 section 4.1.6); `value` is printable ASCII.
pub(super) fn write_string(value: &str, out: &mut String) {
    out.push('"');
    // Without a way out of the loop it takes many bytes at once.
    let escapes = |found, byte| found | matches!(byte, b'"' | b'\\');
    if value.bytes().fold(false, escapes) {
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

    fn push_key(&mut self, key: &str, out: &mut String) {
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
    fn finish(&mut self, separator: &str, out: &mut String) {
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
        self.parameters
            .push_parameter(key.as_str(), &value, self.out);
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        self.parameters.finish_parameters(self.out);
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
        if self.members.len() > 0 {
            self.out.push_str(", ");
        }
        self.members.push_key(key.as_str(), self.out);
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: true,
        })
    }

    fn finish(mut self) -> Result<(), Infallible> {
        self.members.finish(", ", self.out);
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
