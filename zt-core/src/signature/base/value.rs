//! `Signature`: a dictionary of byte sequences.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
    },
};

use super::{
    error::FieldError,
    fields::trim,
    scratch::{Scratch, Span},
};

/// Reads `value`, whose labels are those of the candidates in `scratch`, each once; by the short way,
/// where `plain`.
pub(super) fn read(value: &[u8], plain: bool, scratch: &mut Scratch) -> Result<(), FieldError> {
    if !plain || read_plain(value, scratch).is_none() {
        scratch.bytes.clear();
        read_any(value, scratch)?;
    }
    if scratch
        .candidates
        .iter()
        .any(|candidate| candidate.signature.is_none())
    {
        return Err(FieldError::LabelWithoutSignature);
    }
    Ok(())
}

/// What nearly everyone writes, `label=:base64:` for the one label, without an allocation. `None` where
/// it is anything else.
fn read_plain(value: &[u8], scratch: &mut Scratch) -> Option<()> {
    let [candidate] = scratch.candidates.as_mut_slice() else {
        return None;
    };
    let label = candidate.label.of(&scratch.text);
    let rest = value.strip_prefix(label.as_bytes())?;
    let encoded = rest.strip_prefix(b"=:")?.strip_suffix(b":")?;
    STANDARD.decode_vec(encoded, &mut scratch.bytes).ok()?;
    candidate.signature = Some(Span {
        start: 0,
        end: scratch.bytes.len(),
    });
    Some(())
}

fn find(label: &str, scratch: &Scratch) -> Result<usize, FieldError> {
    let mut candidates = scratch.candidates.iter().enumerate();
    let found = candidates.find(|(_, candidate)| candidate.label.of(&scratch.text) == label);
    match found {
        Some((_, candidate)) if candidate.signature.is_some() => Err(FieldError::DuplicateLabel),
        Some((index, _)) => Ok(index),
        None => Err(FieldError::LabelWithoutInput),
    }
}

fn read_any(value: &[u8], scratch: &mut Scratch) -> Result<(), FieldError> {
    if trim(value).is_empty() {
        return Err(FieldError::Empty);
    }
    let mut reader = Reader {
        into: scratch,
        error: None,
    };
    let parsed = Parser::new(value).parse_dictionary_with_visitor(&mut reader);
    parsed.map_err(|_| reader.error.unwrap_or(FieldError::NotADictionary))
}

struct Reader<'a> {
    into: &'a mut Scratch,
    error: Option<FieldError>,
}

/// The reason is with the reader: the parser keeps only text.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stop {}

impl<'de> DictionaryVisitor<'de> for &mut Reader<'_> {
    type Out = ();
    type Error = Stop;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Stop> {
        match find(key.as_str(), self.into) {
            Ok(index) => Ok(Member {
                reader: self,
                index,
            }),
            Err(error) => {
                self.error = Some(error);
                Err(Stop)
            }
        }
    }

    fn finish(self) -> Result<(), Stop> {
        Ok(())
    }
}

struct Member<'a, 'b> {
    reader: &'a mut Reader<'b>,
    index: usize,
}

impl<'de> EntryVisitor<'de> for Member<'_, '_> {
    type Error = Stop;

    fn item(self) -> Result<impl ItemVisitor<'de>, Stop> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Stop> {
        self.reader.error = Some(FieldError::NotBytes);
        Err::<Ignored, Stop>(Stop)
    }
}

impl<'de> ItemVisitor<'de> for Member<'_, '_> {
    type Out = ();
    type Error = Stop;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Stop> {
        let BareItemFromInput::ByteSequence(signature) = value else {
            self.reader.error = Some(FieldError::NotBytes);
            return Err(Stop);
        };
        let scratch = &mut *self.reader.into;
        let start = scratch.bytes.len();
        scratch.bytes.extend_from_slice(&signature);
        let end = scratch.bytes.len();
        if let Some(candidate) = scratch.candidates.get_mut(self.index) {
            candidate.signature = Some(Span { start, end });
        }
        Ok(Ignored)
    }
}
