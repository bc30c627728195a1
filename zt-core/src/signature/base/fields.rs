//! The values of fields (RFC 9421 section 2.1).

use http::{HeaderMap, HeaderName, HeaderValue, header::AsHeaderName};

use super::{
    bare, canonical,
    error::BaseError,
    identifier::{BS, Identifier, KEY, SF},
    types::{FieldTypes, StructuredType},
};

/// The field lines of a message, with those fields as they first came that were taken off it.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub(in crate::signature) headers: &'a HeaderMap,
    pub(in crate::signature) stripped: &'a [(HeaderName, HeaderValue)],
}

impl<'a> Fields<'a> {
    /// The fields of `headers`.
    #[must_use]
    pub const fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            stripped: &[],
        }
    }

    /// With `stripped`, which stood in the message when it was signed. Of a field that is still there
    /// it says nothing new.
    #[must_use]
    pub const fn with_stripped(mut self, stripped: &'a [(HeaderName, HeaderValue)]) -> Self {
        self.stripped = stripped;
        self
    }

    /// The lines of the field `name`, in lower case: those that are there, or else those that were
    /// taken off. Whoever reads the message sees what is there, and nobody sees both.
    pub(in crate::signature) fn lines<N>(
        &self,
        name: N,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, N>
    where
        N: AsHeaderName + Copy,
        HeaderName: PartialEq<N>,
    {
        let mut there = self.headers.get_all(name).iter();
        let first = there.next();
        let stripped = match first {
            Some(_) => &[],
            None => self.stripped,
        };
        let stripped = stripped.iter();
        let stripped = stripped.filter(move |(other, _)| *other == name);
        let stripped = stripped.map(|(_, value)| value);
        let lines = first.into_iter().chain(there).chain(stripped);
        lines.map(HeaderValue::as_bytes)
    }

    /// Writes the value of the field that `component` names.
    pub(super) fn write(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let mut lines = self.lines(component.name);
        let first = lines.next().ok_or(BaseError::FieldAbsent)?;
        if component.has(SF | KEY) {
            return self.write_structured(component, types, out);
        }
        let write = if component.has(BS) {
            write_bytes
        } else {
            write_line
        };
        write(first, out);
        for line in lines {
            out.extend_from_slice(b", ");
            write(line, out);
        }
        Ok(())
    }

    /// `;sf` and `;key` (RFC 9421 sections 2.1.1 and 2.1.2).
    fn write_structured(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let kind = types
            .get(component.name)
            .ok_or(BaseError::FieldTypeUnknown)?;
        let mut value = Vec::new();
        let plain = Identifier {
            marks: 0,
            ..*component
        };
        self.write(&plain, types, &mut value)?;
        let mut text = String::with_capacity(value.len());
        if !component.has(KEY) {
            canonical::write_field(&value, kind, &mut text)?;
        } else if kind == StructuredType::Dictionary {
            canonical::write_member(&value, component.argument, &mut text)?;
        } else {
            return Err(BaseError::NotADictionary);
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// RFC 9421 section 2.1: without the whitespace around it, and obsolete folds as one space.
pub(super) fn write_line(line: &[u8], out: &mut Vec<u8>) {
    if has_line_end(line) {
        let mut pieces = line.split(|byte| matches!(byte, b'\r' | b'\n')).map(trim);
        out.extend_from_slice(pieces.next().unwrap_or_default());
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            out.push(b' ');
            out.extend_from_slice(piece);
        }
    } else {
        out.extend_from_slice(trim(line));
    }
}

/// `;bs` (RFC 9421 section 2.1.3).
fn write_bytes(line: &[u8], out: &mut Vec<u8>) {
    let mut value = Vec::new();
    write_line(line, &mut value);
    let mut text = String::new();
    bare::write_bytes(&value, &mut text);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn has_line_end(text: &[u8]) -> bool {
    // The words overlap, so that no byte is left for a loop.
    let (words, _) = text.as_chunks::<8>();
    match text.last_chunk::<8>() {
        Some(last) => words.iter().chain([last]).fold(false, |found, word| {
            let word = u64::from_ne_bytes(*word);
            found | has_byte(word, b'\r') | has_byte(word, b'\n')
        }),
        None => text.iter().any(|byte| matches!(byte, b'\r' | b'\n')),
    }
}

/// Whether one of the eight bytes of `word` is `byte`: only a zero borrows into a high bit that was not
/// set before.
const fn has_byte(word: u64, byte: u8) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = word ^ u64::from_ne_bytes([byte; 8]);
    word.wrapping_sub(LOW) & !word & HIGH != 0
}

/// Without optional whitespace (RFC 9110 section 5.6.3).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
