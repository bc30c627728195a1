//! The part of YAML that policies are written in: texts, lists and maps, each with its place.
//!
//! Refused: keys that stand twice or are no texts, anchors and aliases, tags, merge keys, and
//! whatever is larger or deeper than a policy is.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::policy::{
    PolicyError,
    model::{Origin, turns_around},
};

/// Bytes of one file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Values in one file.
const MAX_NODES: usize = 100_000;
/// Keys in one map; they are compared with each other.
const MAX_KEYS: usize = 1_000;
/// Lists and maps in one another.
const MAX_DEPTH: usize = 32;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// The text, and whether it stands there without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub at: Place,
    pub value: Node,
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub(super) fn origin(self, file: &Arc<str>) -> Origin {
        Origin {
            file: Arc::clone(file),
            line: self.line,
            column: self.column,
        }
    }
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

impl Node {
    /// What a plain scalar is to a reader of YAML when it is not a text.
    pub(super) fn other_than_text(&self) -> Option<&'static str> {
        match &self.value {
            Value::Scalar(text, true) => other_than_text(text),
            _ => None,
        }
    }
}

/// The documents of a file, the empty ones left out.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Vec<Node>, PolicyError> {
    let refuse = |at: Place, message: String| PolicyError::new(&at.origin(file), message);
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(refuse(Place::default(), message));
    }
    if let Some(before) = text.find(turns_around).and_then(|at| text.get(..at)) {
        let at = Place {
            line: before.matches('\n').count() + 1,
            column: before
                .rsplit('\n')
                .next()
                .map_or(0, |line| line.chars().count())
                + 1,
        };
        return Err(refuse(at, "a letter that turns text around".to_owned()));
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, at) = match event {
            Ok((event, span)) => (event, Place::from(&span.start)),
            Err(error) => {
                return Err(refuse(
                    error.marker().into(),
                    format!("this is not YAML: {}", error.info()),
                ));
            }
        };
        reader
            .take(event, at)
            .map_err(|message| refuse(at, message))?;
    }
    Ok(reader.documents)
}

#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    /// From the outside in.
    open: Vec<Open>,
    nodes: usize,
}

/// A list or a map that has not ended.
struct Open {
    at: Place,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Place)>),
}

impl Reader {
    fn take(&mut self, event: Event<'_>, at: Place) -> Result<(), String> {
        match event {
            Event::Alias(_) => return Err("aliases are not read: write it out".into()),
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                let plain = style == ScalarStyle::Plain;
                self.put(Node {
                    at,
                    value: Value::Scalar(text.into_owned(), plain),
                })?;
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.enter(at, Inside::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.enter(at, Inside::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { at, inside }) = self.open.pop() {
                    let value = match inside {
                        Inside::List(items) => Value::List(items),
                        Inside::Map(entries, _) => Value::Map(entries),
                    };
                    self.put(Node { at, value })?;
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn enter(&mut self, at: Place, inside: Inside) -> Result<(), String> {
        if let Some(Open {
            inside: Inside::Map(_, None),
            ..
        }) = self.open.last()
        {
            return Err("a key is a text".into());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("it is deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open { at, inside });
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("the file has more than {MAX_NODES} values"));
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => {
                // Between two `---` may be nothing but comments.
                if node.value != Value::Scalar(String::new(), true) {
                    self.documents.push(node);
                }
            }
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map(entries, key @ None)) => {
                let at = node.at;
                let text = key_of(node)?;
                if entries.len() >= MAX_KEYS {
                    return Err(format!("a map has more than {MAX_KEYS} keys"));
                }
                if entries.iter().any(|entry| entry.key == text) {
                    return Err(format!("the key `{text}` stands twice"));
                }
                *key = Some((text, at));
            }
            Some(Inside::Map(entries, key)) => {
                if let Some((key, at)) = key.take() {
                    entries.push(Entry {
                        key,
                        at,
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }
}

fn plain(anchor: usize, tagged: bool) -> Result<(), String> {
    if anchor != 0 {
        return Err("anchors are not read: write it out".into());
    }
    if tagged {
        return Err("tags are not read: what a value is follows from its key".into());
    }
    Ok(())
}

fn key_of(node: Node) -> Result<String, String> {
    if let Some(kind) = node.other_than_text() {
        return Err(format!("a key is a text, not {kind}"));
    }
    match node.value {
        Value::Scalar(text, true) if text == "<<" => {
            Err("merge keys are not read: write it out".into())
        }
        Value::Scalar(text, _) => Ok(text),
        _ => Err("a key is a text".into()),
    }
}

/// What a plain scalar is in YAML 1.1 or 1.2, whichever sees more in it: Kubernetes reads the former.
fn other_than_text(text: &str) -> Option<&'static str> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Some("nothing");
    }
    let lower = text.to_ascii_lowercase();
    if matches!(
        &*lower,
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    ) {
        return Some("a truth value");
    }
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if matches!(unsigned, ".inf" | ".nan") {
        return Some("a number");
    }
    let digits = unsigned.replace('_', "");
    let based = ["0x", "0o", "0b"].iter().any(|base| {
        digits
            .strip_prefix(base)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_hexdigit()))
    });
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if based || (starts && digits.parse::<f64>().is_ok()) {
        return Some("a number");
    }
    // `2026-11-23`, with a time behind it or not; `12:30` in base sixty.
    let date = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let mut parts = lower.splitn(3, '-');
    if let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next())
        && year.len() == 4
        && date(year)
        && (1..=2).contains(&month.len())
        && date(month)
        && day.starts_with(|c: char| c.is_ascii_digit())
    {
        return Some("a date");
    }
    let mut sixties = unsigned.split(':');
    if unsigned.contains(':') && sixties.all(|part| !part.is_empty() && date(part)) {
        return Some("a number");
    }
    None
}
