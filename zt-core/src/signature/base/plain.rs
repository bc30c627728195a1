//! `Signature-Input` as nearly everyone writes it: one signature, already in the canonical form, with
//! nothing in it that is unknown. Whatever is not exactly that is for [`input`](super::input).

use super::{
    identifier::{BS, Kind, Marks, REQ, SF, is_key},
    read::FieldLimits,
    scratch::{Entry, Scratch, Slot, Span},
};

/// Reads `value` into the empty `scratch`; `None` where it is anything else, and then `scratch` is
/// still empty.
pub(super) fn read(value: &[u8], limits: &FieldLimits, scratch: &mut Scratch) -> Option<()> {
    if limits.signatures == 0 || !is_printable_without_escapes(value) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let (label, params) = assignment(text)?;
    if !is_key(label) {
        return None;
    }
    let rest = scratch.list.read(params, limits.components)?;
    let mut entry = Entry {
        label: Span {
            start: 0,
            end: label.len(),
        },
        params: Span {
            start: label.len() + 1,
            end: text.len(),
        },
        derived: scratch.list.derived,
        ..Entry::default()
    };
    read_parameters(text, rest, &mut entry)?;
    scratch.candidates.push(entry);
    // The canonical form is what came.
    scratch.text.push_str(text);
    scratch.is_plain = true;
    Some(())
}

/// The components of the last one that was plain, to be known again: a client signs the same ones each
/// time. Whoever sends others costs only the time of reading them.
#[derive(Debug, Default)]
pub(super) struct List {
    /// With its parentheses; empty where none is known.
    text: String,
    pub(super) slots: Vec<Slot>,
    derived: u16,
}

impl List {
    /// Reads the list that `text` begins with, and gives what is behind it.
    fn read<'t>(&mut self, text: &'t str, limit: usize) -> Option<&'t str> {
        // No component has a parenthesis in it, so this list ends where that one does.
        if !self.text.is_empty()
            && let Some(rest) = text.strip_prefix(self.text.as_str())
        {
            return (self.slots.len() <= limit).then_some(rest);
        }
        self.text.clear();
        self.slots.clear();
        self.derived = 0;
        let rest = self.read_slots(text, limit)?;
        self.text.push_str(text.strip_suffix(rest)?);
        Some(rest)
    }

    fn read_slots<'t>(&mut self, text: &'t str, limit: usize) -> Option<&'t str> {
        let mut rest = text.strip_prefix('(')?;
        if let Some(rest) = rest.strip_prefix(')') {
            return Some(rest);
        }
        loop {
            if self.slots.len() >= limit {
                return None;
            }
            let (name, mut after) = string(rest)?;
            let kind = Kind::of(name).ok()?;
            let mut marks = 0;
            while let Some((mark, behind)) = flag(after) {
                if marks & mark != 0 {
                    return None;
                }
                marks |= mark;
                after = behind;
            }
            let start = text.len() - rest.len();
            let slot = Slot {
                text: Span {
                    start,
                    end: text.len() - after.len(),
                },
                name: Span {
                    start: start + 1,
                    end: start + 1 + name.len(),
                },
                kind,
                marks: Marks::new(marks).check(kind).ok()?,
                argument: Span::default(),
                error: None,
            };
            self.derived |= slot.derived();
            self.slots.push(slot);
            rest = match after.as_bytes().first()? {
                b' ' => after.strip_prefix(' ')?,
                b')' => return after.strip_prefix(')'),
                _ => return None,
            };
        }
    }

    /// Bytes of memory held.
    pub(super) const fn capacity(&self) -> usize {
        self.text.capacity() + self.slots.capacity() * size_of::<Slot>()
    }
}

fn flag(text: &str) -> Option<(u8, &str)> {
    let rest = text.strip_prefix(';')?;
    [("req", REQ), ("sf", SF), ("bs", BS)]
        .into_iter()
        .find_map(|(key, mark)| Some((mark, rest.strip_prefix(key)?)))
}

/// Those that RFC 9421 section 2.3 names, each once; `rest` is the end of `text`.
fn read_parameters(text: &str, mut rest: &str, entry: &mut Entry) -> Option<()> {
    while !rest.is_empty() {
        let (key, value) = assignment(rest.strip_prefix(';')?)?;
        let times = match key {
            "created" => &mut entry.created,
            "expires" => &mut entry.expires,
            _ => {
                let place = match key {
                    "nonce" => &mut entry.nonce,
                    "alg" => &mut entry.alg,
                    "keyid" => &mut entry.keyid,
                    "tag" => &mut entry.tag,
                    _ => return None,
                };
                let start = text.len() - value.len() + 1;
                let (string, after) = string(value)?;
                let end = start + string.len();
                if place.replace(Span { start, end }).is_some() {
                    return None;
                }
                rest = after;
                continue;
            }
        };
        let (seconds, after) = integer(value)?;
        if times.replace(seconds).is_some() {
            return None;
        }
        rest = after;
    }
    Some(())
}

/// What is before the first `=`, and what is behind it. It is near, so a search that has to be
/// prepared takes longer.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == b'=')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The string that `text` begins with, and what is behind it.
fn string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let end = text.bytes().position(|byte| byte == b'"')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The integer that `text` begins with, as RFC 9651 section 4.1.4 writes it, and what is behind it.
fn integer(text: &str) -> Option<(i64, &str)> {
    let mut value = 0;
    let mut len = 0;
    for byte in text.bytes().take_while(u8::is_ascii_digit) {
        if len == MAX_DIGITS {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
        len += 1;
    }
    // Other readings of it would be zeros that are not written again.
    let is_canonical = len == 1 || len > 1 && !text.starts_with('0');
    is_canonical.then_some((value, text.get(len..)?))
}

fn is_printable_without_escapes(text: &[u8]) -> bool {
    // Without a way out of the loop it takes many bytes at once.
    let other = |found, byte: &u8| found | !matches!(byte, b' '..=b'~') | (*byte == b'\\');
    !text.iter().fold(false, other)
}

/// RFC 9651 section 3.3.1.
const MAX_DIGITS: usize = 15;
