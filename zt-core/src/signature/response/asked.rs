use http::{HeaderMap, Method, Uri, request};

use crate::signature::{
    base::{Component, Fields, RequestMessage, Scratch, Signatures, UrlScheme},
    sign::{LIMITS, Target, TargetError},
};

/// The request that a response answers, as far as `;req` can be about it.
pub(super) struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    scheme: UrlScheme,
    authority: Box<str>,
    /// `"signature";req;key=".."` of the signature that the response answers to.
    signature: Option<Component>,
}

impl Asked {
    /// The request that a server received, whose scheme, and perhaps authority, it was told.
    pub(super) fn received(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        (scheme, authority): (UrlScheme, Option<&str>),
        label: Option<&str>,
    ) -> Result<Self, TargetError> {
        let authority = match authority {
            Some(authority) => authority,
            None => Target::with_scheme(uri, headers, scheme)?.authority,
        };
        Ok(Self {
            method: method.clone(),
            uri: uri.clone(),
            headers: headers.clone(),
            scheme,
            authority: authority.into(),
            signature: signature_of(headers, label),
        })
    }

    /// The request that a client sends.
    pub(super) fn sent(
        parts: &request::Parts,
        relative: UrlScheme,
        label: Option<&str>,
    ) -> Result<Self, TargetError> {
        let (uri, headers) = (&parts.uri, &parts.headers);
        let Target { scheme, authority } = Target::of_client(uri, headers, relative)?;
        let target = (scheme, Some(authority));
        let asked = Self::received(&parts.method, uri, headers, target, label)?;
        // Not to be bound after all must not happen by a misspelt label.
        if label.is_some() && asked.signature.is_none() {
            return Err(TargetError::RequestLabel);
        }
        Ok(asked)
    }

    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// What binds a response to the request's own signature, where it has one.
    pub(super) const fn signature(&self) -> Option<&Component> {
        self.signature.as_ref()
    }

    /// The request, for a signature base.
    pub(super) fn message(&self) -> RequestMessage<'_> {
        let target = Target {
            scheme: self.scheme,
            authority: &self.authority,
        };
        target.message(&self.method, &self.uri, &self.headers)
    }
}

/// RFC 9421 section 2.4: the member of `Signature` under `label`, or else the first. Fields that
/// cannot be read are no signature: whoever verifies the request refuses them.
fn signature_of(headers: &HeaderMap, label: Option<&str>) -> Option<Component> {
    let mut scratch = Scratch::default();
    let signatures = Signatures::read(Fields::new(headers), &LIMITS, &mut scratch).ok()??;
    let found = signatures
        .candidates()
        .map(|candidate| candidate.label())
        .find(|found| label.is_none_or(|label| label == *found))?;
    // A label is a key of a dictionary, so nothing in it has to be escaped.
    format!("\"signature\";req;key=\"{found}\"").parse().ok()
}
