//! `Accept-Signature` (RFC 9421 section 5.1): one side asks the other for a signature.

use http::HeaderValue;

use super::{
    ACCEPT_SIGNATURE,
    builder::{InputBuilder, field_value, string_parameter, write_components},
    candidate::Candidate,
    component::Component,
    error::{BaseError, FieldError},
    fields::Fields,
    identifier::is_key,
    input,
    read::{FieldLimits, join},
    scratch::{Scratch, Span},
};

/// A signature that is asked for. `created` and `expires` are asked for without a value; the others
/// with the value that they are to have.
///
/// ```
/// use zt_core::signature::base::{AcceptSignature, Component};
///
/// let asked = AcceptSignature::new("sig1", [Component::METHOD])?.created().tag("app-123")?;
/// assert_eq!(asked.to_header_value()?, r#"sig1=("@method");created;tag="app-123""#);
/// # Ok::<_, zt_core::signature::base::BaseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptSignature {
    label: String,
    components: Vec<Component>,
    parameters: Vec<(&'static str, Option<String>)>,
}

impl AcceptSignature {
    /// A signature with `label` that covers `components`.
    ///
    /// # Errors
    ///
    /// Where no dictionary can have `label`, or a component can never be covered or is there twice.
    pub fn new(
        label: &str,
        components: impl IntoIterator<Item = Component>,
    ) -> Result<Self, BaseError> {
        if !is_key(label) {
            return Err(BaseError::Key);
        }
        let components: Vec<Component> = components.into_iter().collect();
        InputBuilder::new(components.iter().cloned())?;
        Ok(Self {
            label: label.to_owned(),
            components,
            parameters: Vec::new(),
        })
    }

    /// With the time at which it is made.
    #[must_use]
    pub fn created(self) -> Self {
        self.with("created", None)
    }

    /// With the time at which it ends.
    #[must_use]
    pub fn expires(self) -> Self {
        self.with("expires", None)
    }

    /// With this nonce.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn nonce(self, nonce: &str) -> Result<Self, BaseError> {
        self.with_string("nonce", nonce)
    }

    /// With this algorithm.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn alg(self, alg: &str) -> Result<Self, BaseError> {
        self.with_string("alg", alg)
    }

    /// With this key.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn keyid(self, keyid: &str) -> Result<Self, BaseError> {
        self.with_string("keyid", keyid)
    }

    /// With this tag.
    ///
    /// # Errors
    ///
    /// Where it is not printable ASCII.
    pub fn tag(self, tag: &str) -> Result<Self, BaseError> {
        self.with_string("tag", tag)
    }

    /// Reads the field; nothing where it is absent. Parameters that are not registered are dropped,
    /// known ones stand in the order of [`Params`](super::Params). A time with a value counts as one
    /// without.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or asks for what cannot be covered.
    pub fn read(fields: Fields<'_>, limits: &FieldLimits) -> Result<Vec<Self>, FieldError> {
        let (mut scratch, mut several) = (Scratch::default(), Vec::new());
        let Some(value) = join(fields, &ACCEPT_SIGNATURE, limits, &mut several)? else {
            return Ok(Vec::new());
        };
        input::read(value, limits, true, &mut scratch)?;
        let mut asked = Vec::with_capacity(scratch.candidates.len());
        for entry in &scratch.candidates {
            let candidate = Candidate {
                scratch: &scratch,
                entry,
            };
            let components = candidate.components().map(str::parse);
            let components = components.collect::<Result<Vec<Component>, _>>();
            let mut one = components
                .and_then(|components| Self::new(candidate.label(), components))
                .map_err(FieldError::Component)?;
            let text = |span: Option<Span>| span.map(|span| span.of(scratch.strings()).to_owned());
            if entry.wants_created {
                one = one.created();
            }
            if entry.wants_expires {
                one = one.expires();
            }
            for (name, span) in [
                ("nonce", entry.nonce),
                ("alg", entry.alg),
                ("keyid", entry.keyid),
                ("tag", entry.tag),
            ] {
                if let Some(value) = text(span) {
                    one = one.with(name, Some(value));
                }
            }
            asked.push(one);
        }
        Ok(asked)
    }

    /// The label that the signature is to have.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is to be covered, in order.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The parameters in order; `None` for those that are asked for without a value.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let parameters = self.parameters.iter();
        parameters.map(|(name, value)| (*name, value.as_deref()))
    }

    /// The value of the field. Several are sent as several lines.
    ///
    /// # Errors
    ///
    /// None that [`new`](Self::new) lets through.
    pub fn to_header_value(&self) -> Result<HeaderValue, BaseError> {
        let mut parameters = String::new();
        for (name, value) in &self.parameters {
            match value {
                Some(value) => parameters.push_str(&string_parameter(name, value)?),
                None => {
                    parameters.push(';');
                    parameters.push_str(name);
                }
            }
        }
        field_value(&self.label, |text| {
            write_components(&self.components, text);
            text.push_str(&parameters);
        })
    }

    fn with_string(self, name: &'static str, value: &str) -> Result<Self, BaseError> {
        string_parameter(name, value)?;
        Ok(self.with(name, Some(value.to_owned())))
    }

    fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        match self.parameters.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.parameters.push((name, value)),
        }
        self
    }
}
