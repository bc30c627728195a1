//! What a signer writes.

use std::sync::Arc;

use http::HeaderValue;

use super::{
    bare::{write_bytes, write_integer, write_string},
    candidate::{write_end, write_start},
    component::Component,
    error::BaseError,
    identifier::{is_key, is_printable},
    message::Message,
    types::FieldTypes,
};

/// What is to be signed: components and parameters, in the order in which they were added. A clone
/// shares the components.
///
/// ```
/// use zt_core::signature::base::{Component, InputBuilder};
///
/// let input = InputBuilder::new([Component::METHOD, Component::PATH])?
///     .created(1_618_884_473)
///     .keyid("billing")?
///     .build();
/// assert_eq!(
///     input.signature_params(),
///     r#"("@method" "@path");created=1618884473;keyid="billing""#
/// );
/// # Ok::<_, zt_core::signature::base::BaseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct InputBuilder {
    components: Arc<[Component]>,
    /// In order, as `;name=value`.
    parameters: Vec<(&'static str, String)>,
}

impl InputBuilder {
    /// The signature covers `components`.
    ///
    /// # Errors
    ///
    /// Where one can never be covered, or is there twice.
    pub fn new(components: impl IntoIterator<Item = Component>) -> Result<Self, BaseError> {
        let components: Arc<[Component]> = components.into_iter().collect();
        for (index, component) in components.iter().enumerate() {
            component.identifier()?;
            if components
                .iter()
                .take(index)
                .any(|other| other == component)
            {
                return Err(BaseError::DuplicateComponent);
            }
        }
        Ok(Self {
            components,
            parameters: Vec::new(),
        })
    }

    /// When it is made, in seconds since the epoch. Fifteen digits are the most that there can be
    /// (RFC 9651 section 3.3.1); what is beyond is set to them.
    #[must_use]
    pub fn created(self, seconds: i64) -> Self {
        self.with_integer("created", seconds)
    }

    /// When it ends, in seconds since the epoch; see [`created`](Self::created).
    #[must_use]
    pub fn expires(self, seconds: i64) -> Self {
        self.with_integer("expires", seconds)
    }

    /// A value that is used once.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn nonce(self, nonce: &str) -> Result<Self, BaseError> {
        self.with_string("nonce", nonce)
    }

    /// The algorithm, as it is registered.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn alg(self, alg: &str) -> Result<Self, BaseError> {
        self.with_string("alg", alg)
    }

    /// Which key.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn keyid(self, keyid: &str) -> Result<Self, BaseError> {
        self.with_string("keyid", keyid)
    }

    /// What the signature is for.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn tag(self, tag: &str) -> Result<Self, BaseError> {
        self.with_string("tag", tag)
    }

    /// All of it.
    #[must_use]
    pub fn build(self) -> Input {
        let parameters = self
            .parameters
            .iter()
            .map(|(_, text)| text.len())
            .sum::<usize>();
        let components = self
            .components
            .iter()
            .map(|component| component.as_str().len() + 1);
        let mut params = String::with_capacity(2 + components.sum::<usize>() + parameters);
        write_components(&self.components, &mut params);
        for (_, text) in &self.parameters {
            params.push_str(text);
        }
        Input {
            components: self.components,
            params,
        }
    }

    fn with_integer(self, name: &'static str, value: i64) -> Self {
        let value = value.clamp(-MAX_INTEGER, MAX_INTEGER);
        let mut text = String::with_capacity(name.len() + 18);
        text.push(';');
        text.push_str(name);
        text.push('=');
        write_integer(value, &mut text);
        self.with(name, text)
    }

    fn with_string(self, name: &'static str, value: &str) -> Result<Self, BaseError> {
        Ok(self.with(name, string_parameter(name, value)?))
    }

    fn with(mut self, name: &'static str, text: String) -> Self {
        match self.parameters.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = text,
            None => self.parameters.push((name, text)),
        }
        self
    }
}

/// Components and parameters of one signature, ready to be signed.
#[derive(Debug, Clone)]
pub struct Input {
    components: Arc<[Component]>,
    params: String,
}

impl Input {
    /// The value of `@signature-params`.
    #[must_use]
    pub fn signature_params(&self) -> &str {
        &self.params
    }

    /// What is covered, in order.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
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
        for component in self.components.iter() {
            write_start(component.as_str(), out);
            if let Err(error) = message.write(&component.as_identifier(), types, out) {
                out.truncate(start);
                return Err(error);
            }
            out.push(b'\n');
        }
        write_end(&self.params, out);
        Ok(())
    }

    /// `label=..` for `Signature-Input`.
    ///
    /// # Errors
    ///
    /// Where no dictionary can have `label`.
    pub fn signature_input(&self, label: &str) -> Result<HeaderValue, BaseError> {
        field_value(label, |text| text.push_str(&self.params))
    }

    /// `label=:..:` for `Signature`.
    ///
    /// # Errors
    ///
    /// Where no dictionary can have `label`.
    pub fn signature(&self, label: &str, signature: &[u8]) -> Result<HeaderValue, BaseError> {
        field_value(label, |text| write_bytes(signature, text))
    }
}

pub(super) fn field_value(
    label: &str,
    write: impl FnOnce(&mut String),
) -> Result<HeaderValue, BaseError> {
    if !is_key(label) {
        return Err(BaseError::Key);
    }
    let mut text = String::with_capacity(256);
    text.push_str(label);
    text.push('=');
    write(&mut text);
    HeaderValue::try_from(text).map_err(|_| BaseError::NotAscii)
}

pub(super) fn write_components(components: &[Component], out: &mut String) {
    out.push('(');
    for (index, component) in components.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(component.as_str());
    }
    out.push(')');
}

pub(super) fn string_parameter(name: &str, value: &str) -> Result<String, BaseError> {
    if !is_printable(value) {
        return Err(BaseError::ParameterNotAscii);
    }
    let mut text = String::with_capacity(name.len() + value.len() + 4);
    text.push(';');
    text.push_str(name);
    text.push('=');
    write_string(value, &mut text);
    Ok(text)
}

const MAX_INTEGER: i64 = 999_999_999_999_999;
