//! What requests and responses have in common: parameters, base, signature, fields.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    CannotSign, SignConfigError, SigningKeys,
    text::{is_sf_key, is_sf_string},
};
use crate::{
    clock::{Clock, SystemClock},
    digest::{CONTENT_DIGEST, ContentDigest, DigestAlgorithm},
    random::{self, Entropy, OsEntropy},
    signature::base::{
        Component, FieldLimits, FieldTypes, Fields, InputBuilder, Message, SIGNATURE,
        SIGNATURE_INPUT, Scratch, Signatures,
    },
};

/// How much of the signatures that a message has already is read.
pub(in crate::signature) const LIMITS: FieldLimits = FieldLimits {
    bytes: 16 * 1024,
    signatures: 8,
    components: 64,
};

/// 144 bits, which are 24 characters of base64url.
const NONCE: usize = 18;

/// How signatures are made.
#[derive(Debug, Clone)]
pub(in crate::signature) struct Maker {
    pub(in crate::signature) keys: Arc<dyn SigningKeys>,
    pub(in crate::signature) label: Box<str>,
    pub(in crate::signature) tag: Option<Box<str>>,
    pub(in crate::signature) lifetime: Option<Duration>,
    pub(in crate::signature) nonce: bool,
    /// What the other side wants as a nonce.
    pub(in crate::signature) nonce_given: Option<Box<str>>,
    pub(in crate::signature) digest: DigestAlgorithm,
    pub(in crate::signature) types: FieldTypes,
    pub(in crate::signature) clock: Arc<dyn Clock>,
    pub(in crate::signature) entropy: Arc<dyn Entropy>,
    pub(in crate::signature) further: Vec<Further>,
}

/// A component that is covered beside those that always are.
#[derive(Debug, Clone)]
pub(in crate::signature) struct Further {
    component: Component,
    /// The field without which it is left out.
    only_with: Option<HeaderName>,
}

impl Maker {
    pub(in crate::signature) fn new(keys: Arc<dyn SigningKeys>) -> Self {
        Self {
            keys,
            label: "sig1".into(),
            tag: None,
            lifetime: None,
            nonce: true,
            nonce_given: None,
            digest: DigestAlgorithm::Sha256,
            types: FieldTypes::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            further: Vec::new(),
        }
    }

    pub(in crate::signature) fn set_label(&mut self, label: &str) -> Result<(), SignConfigError> {
        if !is_sf_key(label) {
            return Err(SignConfigError::Label(label.into()));
        }
        self.label = label.into();
        Ok(())
    }

    pub(in crate::signature) fn set_tag(&mut self, tag: &str) -> Result<(), SignConfigError> {
        if !is_sf_string(tag) {
            return Err(SignConfigError::Tag);
        }
        self.tag = Some(tag.into());
        Ok(())
    }

    pub(in crate::signature) fn set_lifetime(
        &mut self,
        lifetime: Duration,
    ) -> Result<(), SignConfigError> {
        if lifetime.as_secs() == 0 {
            return Err(SignConfigError::Lifetime);
        }
        self.lifetime = Some(lifetime);
        Ok(())
    }

    /// Also covers `component`, where `only_with` is there.
    pub(in crate::signature) fn cover(
        &mut self,
        component: Component,
        only_with: Option<HeaderName>,
        always: &[Component],
    ) -> Result<(), SignConfigError> {
        let text = component.as_str();
        // Both change when the signature is added, except for the members that are there (RFC 9421
        // section 7.2.2); those of the request do not change when a response is signed.
        let ours = matches!(component.name(), "signature" | "signature-input");
        let of_the_request = component.clone().req() == component;
        if ours && !of_the_request && !text.contains(";key=") {
            return Err(SignConfigError::Component(text.into()));
        }
        let further = self.further.iter().map(|further| &further.component);
        if always.iter().chain(further).any(|one| *one == component) || text == "\"content-digest\""
        {
            return Err(SignConfigError::Twice(text.into()));
        }
        self.further.push(Further {
            component,
            only_with,
        });
        Ok(())
    }

    /// Also covers `component`, which may be covered where it is there.
    pub(in crate::signature) fn require(
        &mut self,
        component: Component,
        always: &[Component],
    ) -> Result<(), SignConfigError> {
        let further = &mut self.further;
        if let Some(there) = further.iter_mut().find(|one| one.component == component) {
            there.only_with = None;
            return Ok(());
        }
        if always.contains(&component) {
            return Ok(());
        }
        self.cover(component, None, always)
    }

    /// The further components, as far as `headers` have what they depend on.
    pub(in crate::signature) fn further(
        &self,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = Component> {
        self.further
            .iter()
            .filter(|further| {
                let needed = further.only_with.as_ref();
                needed.is_none_or(|name| headers.contains_key(name))
            })
            .map(|further| further.component.clone())
    }

    /// Sees to it that `headers` have the digest of `body`, and says whether they have one.
    ///
    /// What is there already is compared rather than trusted. Without a body there is no digest,
    /// unless one is there, which then is of nothing.
    pub(in crate::signature) fn digest(
        &self,
        headers: &mut HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<bool, CannotSign> {
        match (ContentDigest::from_headers(headers)?, body) {
            (None, None) => Ok(false),
            (Some(digest), body) => {
                let matches = digest.matches(body.unwrap_or_default());
                matches.then_some(true).ok_or(CannotSign::DigestMismatch)
            }
            (None, Some(body)) => {
                let value = ContentDigest::of(self.digest, body).header_value();
                insert(headers, CONTENT_DIGEST, value)?;
                Ok(true)
            }
        }
    }

    /// Whether another signature can be added to `headers`.
    pub(in crate::signature) fn check_room(&self, headers: &HeaderMap) -> Result<(), CannotSign> {
        if !headers.contains_key(SIGNATURE) && !headers.contains_key(SIGNATURE_INPUT) {
            return Ok(());
        }
        let mut scratch = Scratch::default();
        let there = Signatures::read(Fields::new(headers), &LIMITS, &mut scratch)
            .map_err(CannotSign::Existing)?;
        let taken = there.is_some_and(|there| {
            there
                .candidates()
                .any(|candidate| candidate.label() == &*self.label)
        });
        if taken {
            Err(CannotSign::LabelTaken)
        } else {
            Ok(())
        }
    }

    /// Signs `components` of `message`.
    pub(in crate::signature) fn make(
        &self,
        components: Vec<Component>,
        message: &Message<'_>,
    ) -> Result<Made, CannotSign> {
        let named = self.keys.current().ok_or(CannotSign::NoKey)?;
        let created = i64::try_from(self.clock.now()?.as_secs()).unwrap_or(i64::MAX);
        // Registered parameters only (RFC 9421 section 6.3), in this order: some verifiers refuse
        // others.
        let mut input = InputBuilder::new(components)?.created(created);
        if let Some(lifetime) = self.lifetime {
            let secs = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            input = input.expires(created.saturating_add(secs));
        }
        if let Some(nonce) = &self.nonce_given {
            input = input.nonce(nonce)?;
        } else if self.nonce {
            let nonce = random::bytes::<NONCE>(&*self.entropy)?;
            input = input.nonce(&URL_SAFE_NO_PAD.encode(nonce))?;
        }
        input = input.keyid(named.id())?;
        input = input.alg(named.key().algorithm().as_str())?;
        if let Some(tag) = &self.tag {
            input = input.tag(tag)?;
        }
        let input = input.build();

        let mut base = Vec::with_capacity(512);
        input.write_base(message, &self.types, &mut base)?;
        let signature = named.key().sign(&base)?;
        Ok(Made {
            input: input.signature_input(&self.label)?,
            signature: input.signature(&self.label, &signature)?,
        })
    }
}

/// A signature, as members of the two fields.
pub(in crate::signature) struct Made {
    input: HeaderValue,
    signature: HeaderValue,
}

impl Made {
    /// Adds the signature to those that `headers` have.
    pub(in crate::signature) fn attach(self, headers: &mut HeaderMap) -> Result<(), CannotSign> {
        // Both values before either field, so that none stands there alone.
        let input = appended(headers, &SIGNATURE_INPUT, self.input)?;
        let signature = appended(headers, &SIGNATURE, self.signature)?;
        insert(headers, SIGNATURE_INPUT, input)?;
        insert(headers, SIGNATURE, signature)
    }
}

/// What `headers` have as `name`, and `member`, in one line: some peers see but one.
fn appended(
    headers: &HeaderMap,
    name: &HeaderName,
    member: HeaderValue,
) -> Result<HeaderValue, CannotSign> {
    if !headers.contains_key(name) {
        return Ok(member);
    }
    let mut value = Vec::with_capacity(member.len());
    for line in headers.get_all(name).iter().filter(|line| !line.is_empty()) {
        value.extend_from_slice(line.as_bytes());
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(member.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).map_err(|_| CannotSign::NoRoom)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), CannotSign> {
    match headers.try_insert(name, value) {
        Ok(_) => Ok(()),
        Err(_) => Err(CannotSign::NoRoom),
    }
}
