//! Reading `Signature-Input` and `Signature` (RFC 9421 sections 4.1 and 4.2).

use http::HeaderName;

use super::{
    SIGNATURE, SIGNATURE_INPUT, candidate::Candidate, error::FieldError, fields::Fields, input,
    plain, scratch::Scratch, value,
};

/// How much of the signature fields is read.
#[derive(Debug, Clone, Copy)]
pub struct FieldLimits {
    /// Bytes of either field.
    pub bytes: usize,
    /// Signatures of one message.
    pub signatures: usize,
    /// Components of one signature.
    pub components: usize,
}

impl Default for FieldLimits {
    /// 8 KiB, 8 signatures, 64 components of each.
    fn default() -> Self {
        Self {
            bytes: 8 * 1024,
            signatures: 8,
            components: 64,
        }
    }
}

/// What a message says about its signatures.
#[derive(Debug)]
pub struct Signatures<'s>(&'s Scratch);

impl<'s> Signatures<'s> {
    /// Reads `Signature-Input` and `Signature`; `None` where there is neither.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn read(
        fields: Fields<'_>,
        limits: &FieldLimits,
        scratch: &'s mut Scratch,
    ) -> Result<Option<Self>, FieldError> {
        Self::read_by(fields, limits, scratch, true)
    }

    /// The same without the short way for what is plain, to compare it with.
    #[cfg(any(test, fuzzing))]
    #[doc(hidden)]
    pub fn read_the_long_way(
        fields: Fields<'_>,
        limits: &FieldLimits,
        scratch: &'s mut Scratch,
    ) -> Result<Option<Self>, FieldError> {
        Self::read_by(fields, limits, scratch, false)
    }

    fn read_by(
        fields: Fields<'_>,
        limits: &FieldLimits,
        scratch: &'s mut Scratch,
        plain: bool,
    ) -> Result<Option<Self>, FieldError> {
        scratch.clear();
        let mut several = std::mem::take(&mut scratch.joined);
        let result = Self::read_into(fields, limits, scratch, &mut several, plain);
        scratch.joined = several;
        Ok(result?.then_some(Self(scratch)))
    }

    fn read_into(
        fields: Fields<'_>,
        limits: &FieldLimits,
        scratch: &mut Scratch,
        several: &mut Vec<u8>,
        plain: bool,
    ) -> Result<bool, FieldError> {
        let Some(value) = join(fields, &SIGNATURE_INPUT, limits, several)? else {
            return match fields.lines(&SIGNATURE).next() {
                Some(_) => Err(FieldError::InputAbsent),
                None => Ok(false),
            };
        };
        if !plain || plain::read(value, limits, scratch).is_none() {
            input::read(value, limits, false, scratch)?;
        }
        let value = join(fields, &SIGNATURE, limits, several)?;
        let value = value.ok_or(FieldError::SignatureAbsent)?;
        value::read(value, plain, scratch)?;
        Ok(true)
    }

    /// In the order of `Signature-Input`.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'s>> + use<'s> {
        let scratch = self.0;
        let candidates = scratch.candidates.iter();
        candidates.map(move |entry| Candidate { scratch, entry })
    }
}

/// The lines of `name` as one (RFC 9110 section 5.3).
pub(super) fn join<'v>(
    fields: Fields<'v>,
    name: &HeaderName,
    limits: &FieldLimits,
    several: &'v mut Vec<u8>,
) -> Result<Option<&'v [u8]>, FieldError> {
    let whole = |line: &'v [u8]| match line.len() > limits.bytes {
        true => Err(FieldError::TooLarge),
        false => Ok(Some(line)),
    };
    if let Some(line) = fields.only(name) {
        return whole(line);
    }
    let mut lines = fields.lines(name);
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let Some(mut next) = lines.next() else {
        return whole(first);
    };
    several.clear();
    several.extend_from_slice(first);
    loop {
        if several.len() + 2 + next.len() > limits.bytes {
            return Err(FieldError::TooLarge);
        }
        several.extend_from_slice(b", ");
        several.extend_from_slice(next);
        match lines.next() {
            Some(line) => next = line,
            None => return Ok(Some(several)),
        }
    }
}
