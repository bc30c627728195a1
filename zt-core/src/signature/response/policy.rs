use std::time::Duration;

use http::{HeaderName, header::CONTENT_TYPE};

use super::required::OF_THE_REQUEST;
use crate::signature::{base::Component, sign::SignConfigError};

/// What a response's signature must say and cover to be believed.
#[derive(Debug, Clone)]
pub struct ResponsePolicy {
    pub(super) required: Vec<Component>,
    pub(super) if_present: Vec<(HeaderName, Component)>,
    pub(super) max_age: Duration,
    pub(super) skew: Duration,
    pub(super) tag: Option<Box<str>>,
    pub(super) request_label: Option<Box<str>>,
    pub(super) unbound: bool,
}

impl ResponsePolicy {
    /// `@status`, `content-digest` where there is content, `content-type` where there is one,
    /// `@method`, `@authority`, `@path` and `@query` of the request, the request's signature where
    /// it has one; created at most 60 seconds ago and at most 5 ahead; a key id.
    #[must_use]
    pub fn strict() -> Self {
        let mut required = vec![Component::STATUS];
        required.extend(OF_THE_REQUEST.iter().cloned());
        let content_type = Component::field(CONTENT_TYPE.as_str()).ok();
        Self {
            required,
            if_present: content_type
                .map(|component| (CONTENT_TYPE, component))
                .into_iter()
                .collect(),
            max_age: Duration::from_secs(60),
            skew: Duration::from_secs(5),
            tag: None,
            request_label: None,
            unbound: false,
        }
    }

    /// Signatures were made at most this long ago, in whole seconds.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The other side's clock is at most this far ahead, in whole seconds.
    #[must_use]
    pub const fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Only signatures with this tag count.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// `component` must be covered, too.
    #[must_use]
    pub fn require(mut self, component: Component) -> Self {
        self.required.push(component);
        self
    }

    /// The field `name` must be covered where the response has it, such as `location`.
    ///
    /// # Errors
    ///
    /// Where it cannot be covered.
    pub fn require_if_present(mut self, name: HeaderName) -> Result<Self, SignConfigError> {
        let component = Component::field(name.as_str())
            .map_err(|_| SignConfigError::Component(name.as_str().into()))?;
        self.if_present.push((name, component));
        Ok(self)
    }

    /// Responses are bound to the request's signature with this label, where there are several; to
    /// the first otherwise. What the server's
    /// [`request_label`](super::SignResponseLayer::request_label) is. A request without such a
    /// signature is an error.
    #[must_use]
    pub fn request_label(mut self, label: &str) -> Self {
        self.request_label = Some(label.into());
        self
    }

    /// Responses need not cover the request's signature. One to a request can then stand for one
    /// to another request of the same method and target.
    #[must_use]
    pub const fn insecure_unbound_to_signature(mut self) -> Self {
        self.unbound = true;
        self
    }
}
