//! `Signature-Input` and `Accept-Signature`: one pass that writes the canonical form and notes where
//! everything is.

use std::fmt;

use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
    },
};

use super::{
    bare::write_string,
    error::{BaseError, FieldError},
    identifier::{Kind, Marks},
    read::FieldLimits,
    scratch::{Entry, Scratch, Slot, Span},
};

/// Reads `value` into the empty `scratch`. Where `asks`, `created` and `expires` may come without a
/// value (RFC 9421 section 5.1).
pub(super) fn read(
    value: &[u8],
    limits: &FieldLimits,
    asks: bool,
    scratch: &mut Scratch,
) -> Result<(), FieldError> {
    let mut reader = Reader {
        into: scratch,
        limits,
        asks,
        error: None,
    };
    match Parser::new(value).parse_dictionary_with_visitor(&mut reader) {
        Ok(()) if reader.into.candidates.is_empty() => Err(FieldError::Empty),
        Ok(()) => Ok(()),
        Err(_) => Err(reader.error.unwrap_or(FieldError::NotADictionary)),
    }
}

struct Reader<'a> {
    into: &'a mut Scratch,
    limits: &'a FieldLimits,
    asks: bool,
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

impl Reader<'_> {
    const fn stop(&mut self, error: FieldError) -> Stop {
        self.error = Some(error);
        Stop
    }

    fn candidate(&mut self) -> Option<&mut Entry> {
        self.into.candidates.last_mut()
    }

    /// Notes a parameter of a component or of a signature.
    fn push_parameter(&mut self, key: &str, value: &BareItemFromInput<'_>) -> Result<(), Stop> {
        let Scratch { members, text, .. } = &mut *self.into;
        if members.len() >= MAX_PARAMETERS {
            return Err(self.stop(FieldError::TooLarge));
        }
        if members.has(key, text) {
            return Err(self.stop(FieldError::ParameterRepeated));
        }
        members.push_parameter(key, value, text);
        Ok(())
    }

    fn push_string(&mut self, text: &str) -> Span {
        let start = self.into.strings.len();
        self.into.strings.push_str(text);
        let end = self.into.strings.len();
        Span { start, end }
    }

    /// Where the components of the signature that is being read begin.
    fn params_start(&self) -> usize {
        let last = self.into.candidates.last();
        last.map_or(0, |candidate| candidate.params.start)
    }
}

impl<'de> DictionaryVisitor<'de> for &mut Reader<'_> {
    type Out = ();
    type Error = Stop;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Stop> {
        let scratch = &mut *self.into;
        if scratch.candidates.len() >= self.limits.signatures {
            return Err(self.stop(FieldError::TooLarge));
        }
        let mut candidates = scratch.candidates.iter();
        if candidates.any(|other| other.label.of(&scratch.text) == key.as_str()) {
            return Err(self.stop(FieldError::DuplicateLabel));
        }
        let start = scratch.text.len();
        scratch.text.push_str(key.as_str());
        let end = scratch.text.len();
        scratch.text.push('=');
        let first = scratch.components.len();
        scratch.candidates.push(Entry {
            label: Span { start, end },
            components: Span {
                start: first,
                end: first,
            },
            ..Entry::default()
        });
        Ok(Member(self))
    }

    fn finish(self) -> Result<(), Stop> {
        Ok(())
    }
}

struct Member<'a, 'b>(&'a mut Reader<'b>);

impl<'de> EntryVisitor<'de> for Member<'_, '_> {
    type Error = Stop;

    fn item(self) -> Result<impl ItemVisitor<'de>, Stop> {
        Err::<Ignored, Stop>(self.0.stop(FieldError::NotAnInnerList))
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Stop> {
        let start = self.0.into.text.len();
        self.0.into.text.push('(');
        if let Some(candidate) = self.0.candidate() {
            candidate.params.start = start;
        }
        Ok(Components(self.0))
    }
}

struct Components<'a, 'b>(&'a mut Reader<'b>);

impl<'de> InnerListVisitor<'de> for Components<'_, '_> {
    type Error = Stop;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Stop> {
        let end = self.0.into.components.len();
        let limit = self.0.limits.components;
        let count = self
            .0
            .candidate()
            .map(|candidate| end - candidate.components.start);
        match count {
            Some(count) if count >= limit => return Err(self.0.stop(FieldError::TooLarge)),
            Some(count) if count > 0 => self.0.into.text.push(' '),
            Some(_) | None => {}
        }
        Ok(Component(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Stop> {
        self.0.into.text.push(')');
        let end = self.0.into.components.len();
        if let Some(candidate) = self.0.candidate() {
            candidate.components.end = end;
        }
        Ok(Parameters(self.0))
    }
}

struct Component<'a, 'b>(&'a mut Reader<'b>);

impl<'de> ItemVisitor<'de> for Component<'_, '_> {
    type Out = ();
    type Error = Stop;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Stop> {
        let BareItemFromInput::String(name) = value else {
            return Err(self.0.stop(FieldError::ComponentNotString));
        };
        let before = self.0.params_start();
        let start = self.0.into.text.len() - before;
        write_string(name.as_str(), &mut self.0.into.text);
        let end = self.0.into.text.len() - before;
        Ok(ComponentParameters {
            reader: self.0,
            marks: Marks::default(),
            kind: Kind::of(name.as_str()),
            slot: Slot {
                text: Span { start, end },
                // No component has a name with an escape in it.
                name: Span {
                    start: start + 1,
                    end: end - 1,
                },
                kind: Kind::Field,
                marks: 0,
                argument: Span::default(),
                error: None,
            },
        })
    }
}

struct ComponentParameters<'a, 'b> {
    reader: &'a mut Reader<'b>,
    marks: Marks,
    kind: Result<Kind, BaseError>,
    slot: Slot,
}

impl<'de> ParameterVisitor<'de> for ComponentParameters<'_, '_> {
    type Out = ();
    type Error = Stop;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Stop> {
        self.reader.push_parameter(key.as_str(), &value)?;
        if let Some(argument) = self.marks.note(key.as_str(), &value) {
            self.slot.argument = self.reader.push_string(argument);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.reader.into.members.clear();
        self.slot.text.end = self.reader.into.text.len() - self.reader.params_start();
        let checked = self.kind.and_then(|kind| {
            let marks = self.marks.check(kind)?;
            Ok((kind, marks))
        });
        match checked {
            Ok((kind, marks)) => (self.slot.kind, self.slot.marks) = (kind, marks),
            Err(error) => self.slot.error = Some(error),
        }
        self.reader.into.components.push(self.slot);
        if let Some(candidate) = self.reader.candidate() {
            candidate.derived |= self.slot.derived();
        }
        Ok(())
    }
}

/// Those of a signature.
struct Parameters<'a, 'b>(&'a mut Reader<'b>);

impl<'de> ParameterVisitor<'de> for Parameters<'_, '_> {
    type Out = ();
    type Error = Stop;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Stop> {
        self.0.push_parameter(key.as_str(), &value)?;
        match key.as_str() {
            "created" => self.time(&value, |candidate| {
                (&mut candidate.created, &mut candidate.wants_created)
            }),
            "expires" => self.time(&value, |candidate| {
                (&mut candidate.expires, &mut candidate.wants_expires)
            }),
            "nonce" => self.string(&value, |candidate| &mut candidate.nonce),
            "alg" => self.string(&value, |candidate| &mut candidate.alg),
            "keyid" => self.string(&value, |candidate| &mut candidate.keyid),
            "tag" => self.string(&value, |candidate| &mut candidate.tag),
            // RFC 9421 section 2.3: others are carried along.
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<(), Stop> {
        self.0.into.members.clear();
        let end = self.0.into.text.len();
        if let Some(candidate) = self.0.candidate() {
            candidate.params.end = end;
        }
        Ok(())
    }
}

impl Parameters<'_, '_> {
    fn time(
        &mut self,
        value: &BareItemFromInput<'_>,
        place: fn(&mut Entry) -> (&mut Option<i64>, &mut bool),
    ) -> Result<(), Stop> {
        let asks = self.0.asks;
        let seconds = match value {
            BareItemFromInput::Integer(seconds) => Some((*seconds).into()),
            BareItemFromInput::Boolean(true) if asks => None,
            _ => return Err(self.0.stop(FieldError::ParameterType)),
        };
        if let Some(candidate) = self.0.candidate() {
            let (time, wanted) = place(candidate);
            (*time, *wanted) = (seconds, asks);
        }
        Ok(())
    }

    fn string(
        &mut self,
        value: &BareItemFromInput<'_>,
        place: fn(&mut Entry) -> &mut Option<Span>,
    ) -> Result<(), Stop> {
        let BareItemFromInput::String(text) = value else {
            return Err(self.0.stop(FieldError::ParameterType));
        };
        let span = self.0.push_string(text.as_str());
        if let Some(candidate) = self.0.candidate() {
            *place(candidate) = Some(span);
        }
        Ok(())
    }
}

/// Of one component or one signature; there are six known ones.
const MAX_PARAMETERS: usize = 32;
