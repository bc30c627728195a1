//! JSON text, written straight into a buffer.

use std::{fmt::Display, io::Write};

use sha2::{Digest, Sha256};
use zt_core::{clock::Timestamp, context::RequestId};

use crate::shown::can_deceive;

/// The largest integer that every JSON reader keeps exactly (RFC 8259 section 6).
const MAX_EXACT: u64 = (1 << 53) - 1;

/// The members of an object, one after the other. Keys are fixed words of ours.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Goes on with an object that already has a member.
    pub(super) const fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out, first: false }
    }

    /// Begins one; its bracket was written.
    pub(super) const fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, first: true }
    }

    fn key(&mut self, key: &str) {
        let open: &[u8] = match std::mem::take(&mut self.first) {
            true => b"\"",
            false => b",\"",
        };
        self.out.extend_from_slice(open);
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A string of ours that needs no bound.
    pub(crate) fn word(&mut self, key: &str, value: &'static str) {
        self.key(key);
        quoted(self.out, value.as_bytes());
    }

    /// A string of at most `cap` bytes. Of a longer one the beginning stands here and the SHA-256
    /// of the whole in `<key>_sha256`.
    pub(crate) fn text(&mut self, key: &str, value: &str, cap: usize) {
        let kept = value.get(..value.floor_char_boundary(cap));
        self.bounded(key, value.as_bytes(), kept.map(str::as_bytes));
    }

    /// As [`text`](Self::text), where the value is there.
    pub(crate) fn maybe(&mut self, key: &str, value: Option<&str>, cap: usize) {
        if let Some(value) = value {
            self.text(key, value, cap);
        }
    }

    /// As [`text`](Self::text), for bytes that are UTF-8 or not; what is not becomes U+FFFD.
    pub(crate) fn bytes(&mut self, key: &str, value: &[u8], cap: usize) {
        self.bounded(key, value, value.get(..cap));
    }

    fn bounded(&mut self, key: &str, whole: &[u8], kept: Option<&[u8]>) {
        let kept = kept.unwrap_or(whole);
        self.key(key);
        quoted(self.out, kept);
        if kept.len() < whole.len() {
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"_sha256\":\"");
            hex(self.out, &Sha256::digest(whole));
            self.out.push(b'"');
        }
    }

    /// What prints in plain ASCII: addresses, numbers that need a string.
    pub(crate) fn ascii(&mut self, key: &str, value: impl Display) {
        self.key(key);
        print(self.out, format_args!("\"{value}\""));
    }

    /// The id of a request.
    pub(crate) fn request(&mut self, key: &str, id: RequestId) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(&id.hex());
        self.out.push(b'"');
    }

    /// Lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        hex(self.out, value);
        self.out.push(b'"');
    }

    /// An integer; at most 2^53 - 1, so that every reader keeps it.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        decimal(self.out, value.min(MAX_EXACT));
    }

    /// Microseconds since 1970-01-01T00:00:00Z; "never" becomes 2^53 - 1, in the year 2255.
    pub(crate) fn time(&mut self, key: &str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.number(key, value.as_micros());
        }
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An array of strings, at most `most` of at most `cap` bytes each.
    pub(crate) fn list<'s>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = &'s str>,
        most: usize,
        cap: usize,
    ) {
        self.key(key);
        self.out.push(b'[');
        for (index, value) in values.take(most).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let kept = value.get(..value.floor_char_boundary(cap)).unwrap_or(value);
            quoted(self.out, kept.as_bytes());
        }
        self.out.push(b']');
    }

    /// An array of objects.
    pub(crate) fn objects<T>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = T>,
        mut fields: impl FnMut(&mut Object<'_>, T),
    ) {
        self.key(key);
        self.out.push(b'[');
        for (index, value) in values.enumerate() {
            self.out
                .extend_from_slice(if index > 0 { b",{" } else { b"{" });
            fields(&mut Object::begin(self.out), value);
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    /// An object of numbers.
    pub(crate) fn numbers<'s>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = (&'s str, u64)>,
        most: usize,
    ) {
        self.key(key);
        self.out.push(b'{');
        let mut object = Object::begin(self.out);
        for (key, value) in values.take(most) {
            object.number(key, value);
        }
        self.out.push(b'}');
    }

    /// An array of `[name, number]`, since a name may stand in it twice.
    pub(crate) fn pairs<'s>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = (&'s str, u64)>,
        most: usize,
    ) {
        self.key(key);
        self.out.push(b'[');
        for (index, (name, value)) in values.take(most).enumerate() {
            self.out
                .extend_from_slice(if index > 0 { b",[" } else { b"[" });
            quoted(self.out, name.as_bytes());
            self.out.push(b',');
            decimal(self.out, value.min(MAX_EXACT));
            self.out.push(b']');
        }
        self.out.push(b']');
    }
}

/// Prints into memory, which cannot fail.
fn print(out: &mut Vec<u8>, value: impl Display) {
    let _ = write!(out, "{value}");
}

/// An integer in decimal digits.
pub(super) fn decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        let last = (rest % 10) as u8;
        *digit = b'0' + last;
        unused -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |value: u8| match value {
        0..=9 => b'0' + value,
        _ => b'a' + (value - 10),
    };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// A JSON string; bytes that are not UTF-8 become U+FFFD.
fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    // Looks at every byte, which is faster than stopping at the first.
    let plain = bytes
        .iter()
        .fold(true, |plain, byte| plain & is_plain(*byte));
    if plain {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            escaped(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    }
    out.push(b'"');
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            hidden if can_deceive(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    print(out, format_args!("\\u{unit:04x}"));
                }
            }
            shown => out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
