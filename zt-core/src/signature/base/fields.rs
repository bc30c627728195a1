//! The values of fields (RFC 9421 section 2.1).

use http::{HeaderMap, HeaderName, HeaderValue, header::AsHeaderName};

use super::{
    bare, canonical,
    error::BaseError,
    identifier::{BS, Identifier, KEY, REQ, SF},
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

    /// The one line of the field `name` that is there; `None` also where there are several, or only
    /// those that were taken off. For what is nearly always one line: it is cheaper than
    /// [`lines`](Self::lines), which says the rest.
    pub(in crate::signature) fn only(&self, name: impl AsHeaderName) -> Option<&'a [u8]> {
        let mut there = self.headers.get_all(name).iter();
        match (there.next(), there.next()) {
            (Some(line), None) => Some(line.as_bytes()),
            _ => None,
        }
    }

    /// Writes the value of the field that `component` names.
    pub(super) fn write(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        if component.marks & !REQ == 0 {
            // A name that is text is parsed before it is looked for, so the one that every body
            // needs is at hand.
            let line = match component.name == CONTENT_DIGEST.as_str() {
                true => self.only(&CONTENT_DIGEST),
                false => self.only(component.name),
            };
            if let Some(line) = line {
                write_line(line, out);
                return Ok(());
            }
        }
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

static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

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
    any(text, line_ends)
}

/// Whether it is ASCII without a line end.
pub(super) fn is_line(text: &[u8]) -> bool {
    !any(text, |word| line_ends(word) | word & HIGH)
}

/// Whether `found` finds anything in `text`, eight bytes at a time; it finds nothing in zeros.
fn any(text: &[u8], found: impl Fn(u64) -> u64) -> bool {
    // The words overlap, so that no byte is left for a loop.
    let (words, rest) = text.as_chunks::<8>();
    let last = text.last_chunk::<8>().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        last
    });
    let all = words.iter().chain([&last]);
    all.fold(0, |all, word| all | found(u64::from_ne_bytes(*word))) != 0
}

const fn line_ends(word: u64) -> u64 {
    of_byte(word, b'\r') | of_byte(word, b'\n')
}

/// The high bits of those bytes of `word` that are `byte`, and perhaps of some above them; none where
/// there is no such byte: only a zero borrows into a high bit that was not set before.
const fn of_byte(word: u64, byte: u8) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    let word = word ^ u64::from_ne_bytes([byte; 8]);
    word.wrapping_sub(LOW) & !word & HIGH
}

const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

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
