//! One signature of a message, and its base (RFC 9421 section 2.5).

use super::{
    component::Component,
    error::BaseError,
    identifier::Identifier,
    message::Message,
    params::Params,
    scratch::{Entry, Scratch, Slot},
    types::FieldTypes,
};

/// One signature of a message. Nothing that it says is proved yet.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'s> {
    pub(super) scratch: &'s Scratch,
    pub(super) entry: &'s Entry,
}

impl<'s> Candidate<'s> {
    /// Its label, which nothing protects.
    #[must_use]
    pub fn label(&self) -> &'s str {
        self.entry.label.of(&self.scratch.text)
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> Params<'s> {
        let strings = self.scratch.strings();
        Params {
            created: self.entry.created,
            expires: self.entry.expires,
            nonce: self.entry.nonce.map(|span| span.of(strings)),
            alg: self.entry.alg.map(|span| span.of(strings)),
            keyid: self.entry.keyid.map(|span| span.of(strings)),
            tag: self.entry.tag.map(|span| span.of(strings)),
        }
    }

    /// How many components are covered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Whether nothing is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }

    /// Whether exactly `component` is covered, in whatever order its parameters stand.
    #[must_use]
    #[inline]
    pub fn covers(&self, component: &Component) -> bool {
        match component.derived() {
            Some(bit) => self.entry.derived & bit != 0,
            None => self.lists(component),
        }
    }

    /// Whether `component` is among those that are covered, looked for one by one.
    fn lists(&self, component: &Component) -> bool {
        let wanted = component.as_identifier();
        let mut slots = self.slots().iter();
        slots.any(|slot| {
            slot.error.is_none()
                && slot.kind == wanted.kind
                && slot.marks == wanted.marks
                && self.identifier(slot) == wanted
        })
    }

    /// The covered components, in order, in their canonical form.
    pub fn components(&self) -> impl Iterator<Item = &'s str> + use<'s> {
        let params = self.signature_params();
        self.slots().iter().map(move |slot| slot.text.of(params))
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &'s [u8] {
        let signature = self.entry.signature;
        let signature = signature.and_then(|span| self.scratch.bytes.get(span.start..span.end));
        signature.unwrap_or_default()
    }

    /// The components and parameters in their canonical form: the value of `@signature-params`.
    #[must_use]
    pub fn signature_params(&self) -> &'s str {
        self.entry.params.of(&self.scratch.text)
    }

    /// Writes the signature base of `message` to the end of `out`; where it fails, `out` is as it was.
    ///
    /// # Errors
    ///
    /// Where the message has not what is covered, or it cannot be said in one way only.
    pub fn write_base(
        &self,
        message: &Message<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let start = out.len();
        let result = self.write_lines(message, types, out);
        match result {
            Ok(()) => write_end(self.signature_params(), out),
            Err(_) => out.truncate(start),
        }
        result
    }

    fn write_lines(
        &self,
        message: &Message<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let slots = self.slots();
        let params = self.signature_params();
        let mut parsed = 0_usize;
        // The derived components without parameters, which are told apart by a bit each.
        let mut seen = 0;
        for (index, slot) in slots.iter().enumerate() {
            if let Some(error) = slot.error {
                return Err(error);
            }
            // RFC 9421 section 2.5: each identifier once.
            let bit = slot.derived();
            let component = if bit != 0 {
                if seen & bit != 0 {
                    return Err(BaseError::DuplicateComponent);
                }
                seen |= bit;
                // It has no name but its kind, and nothing of it is parsed.
                Identifier::derived(slot.kind)
            } else {
                let component = self.identifier(slot);
                let mut earlier = slots.iter().take(index);
                if earlier.any(|other| {
                    other.kind == slot.kind
                        && other.marks == slot.marks
                        && self.identifier(other) == component
                }) {
                    return Err(BaseError::DuplicateComponent);
                }
                parsed = parsed.saturating_add(message.parsed_for(&component));
                if parsed > MAX_PARSED {
                    return Err(BaseError::TooLarge);
                }
                component
            };
            write_start(slot.text.of(params), out);
            message.write(&component, types, out)?;
            out.push(b'\n');
        }
        Ok(())
    }

    pub(super) fn slots(&self) -> &'s [Slot] {
        self.scratch.slots(self.entry)
    }

    fn identifier(&self, slot: &Slot) -> Identifier<'s> {
        slot.identifier(self.signature_params(), self.scratch.strings())
    }
}

/// Bytes that are parsed for one base, over and over where many components name one field: whoever
/// asks for that is not known yet.
const MAX_PARSED: usize = 64 * 1024;

pub(super) fn write_start(component: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(component.as_bytes());
    out.extend_from_slice(b": ");
}

/// The last line has no end (RFC 9421 section 2.5).
pub(super) fn write_end(params: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"@signature-params\": ");
    out.extend_from_slice(params.as_bytes());
}
